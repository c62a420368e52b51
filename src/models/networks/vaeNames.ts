/**
 * Names of the layers of AutoencoderKL. The networks here use the original ones (CompVis); diffusers' are these.
 */
import type { Weights } from "../graph/Weights.ts"
import { byName, type NameRow, renaming, reversed, within } from "./names.ts"

const residual: ReadonlyArray<NameRow> = [["nin_shortcut", "conv_shortcut"]]

// The second and third spellings are those of diffusers before 0.15.
const attention: ReadonlyArray<NameRow> = [
  ["norm", "group_norm"],
  ["q", "to_q"],
  ["k", "to_k"],
  ["v", "to_v"],
  ["proj_out", "to_out.0"],
  ["q", "query"],
  ["k", "key"],
  ["v", "value"],
  ["proj_out", "proj_attn"]
]

const middle = (side: string): ReadonlyArray<NameRow> => [
  ...within([`${side}.mid.block_1`, `${side}.mid_block.resnets.0`], residual),
  [`${side}.mid.block_1`, `${side}.mid_block.resnets.0`],
  ...within([`${side}.mid.attn_1`, `${side}.mid_block.attentions.0`], attention),
  ...within([`${side}.mid.block_2`, `${side}.mid_block.resnets.1`], residual),
  [`${side}.mid.block_2`, `${side}.mid_block.resnets.1`],
  [`${side}.norm_out`, `${side}.conv_norm_out`]
]

// A level's blocks, and the layer behind them that halves or doubles both sides.
const level = (own: string, other: string, blocks: number, sampler: readonly [own: string, other: string]) => [
  ...Array.from({ length: blocks }, (_, i): ReadonlyArray<NameRow> => [
    ...within([`${own}.block.${i}`, `${other}.resnets.${i}`], residual),
    [`${own}.block.${i}`, `${other}.resnets.${i}`]
  ]).flat(),
  [`${own}.${sampler[0]}`, `${other}.${sampler[1]}`] satisfies NameRow
]

const isDiffusers = (w: Weights): boolean => w.has("decoder.up_blocks") || w.has("encoder.down_blocks")

/** The tensors of an autoencoder by the original names. */
export const vaeNames = (w: Weights): Weights => {
  if (!isDiffusers(w)) return w
  const down = w.at("encoder.down_blocks").list
  const up = w.at("decoder.up_blocks").list
  const rows: ReadonlyArray<NameRow> = [
    ...middle("encoder"),
    ...middle("decoder"),
    ...down.flatMap((blocks, i) =>
      level(`encoder.down.${i}`, blocks.path, blocks.at("resnets").list.length, [
        "downsample.conv",
        "downsamplers.0.conv"
      ])
    ),
    // The original counts from the finest level, diffusers from the coarsest.
    ...up.flatMap((blocks, i) =>
      level(`decoder.up.${up.length - 1 - i}`, blocks.path, blocks.at("resnets").list.length, [
        "upsample.conv",
        "upsamplers.0.conv"
      ])
    )
  ]
  return w.mapped(byName(renaming(reversed(rows))))
}

/**
 * Names of the layers of a UNet and of a ControlNet. The networks here use the original ones (CompVis, Stability AI);
 * diffusers' are these.
 */
import type { Weights } from "../graph/Weights.ts"
import { byName, type NameRow, renaming, reversed, within } from "./names.ts"

const residual: ReadonlyArray<NameRow> = [
  ["in_layers.0", "norm1"],
  ["in_layers.2", "conv1"],
  ["emb_layers.1", "time_emb_proj"],
  ["out_layers.0", "norm2"],
  ["out_layers.3", "conv2"],
  ["skip_connection", "conv_shortcut"]
]

const around: ReadonlyArray<NameRow> = [
  ["time_embed.0", "time_embedding.linear_1"],
  ["time_embed.2", "time_embedding.linear_2"],
  ["time_embed.cond_proj", "time_embedding.cond_proj"],
  ["label_emb.0.0", "add_embedding.linear_1"],
  ["label_emb.0.2", "add_embedding.linear_2"],
  ["input_blocks.0.0", "conv_in"],
  ...within(["middle_block.0", "mid_block.resnets.0"], residual),
  ["middle_block.1", "mid_block.attentions.0"],
  ...within(["middle_block.2", "mid_block.resnets.1"], residual),
  ["out.0", "conv_norm_out"],
  ["out.2", "conv_out"]
]

const hint: ReadonlyArray<NameRow> = [
  ["input_hint_block.0", "controlnet_cond_embedding.conv_in"],
  ...[0, 1, 2, 3, 4, 5].map((i): NameRow => [
    `input_hint_block.${2 * i + 2}`,
    `controlnet_cond_embedding.blocks.${i}`
  ]),
  ["input_hint_block.14", "controlnet_cond_embedding.conv_out"],
  ["middle_block_out.0", "controlnet_mid_block"]
]

/** A level of a UNet: how the numbers of its blocks differ between the layouts. */
export interface UNetLevel {
  /** Residual blocks. */
  readonly blocks: number
  /** Whether the last of them has a transformer behind it. */
  readonly attends: boolean
  /** Whether a layer follows that halves or doubles both sides. */
  readonly resamples: boolean
}

/** Levels in the order in which a call goes through them: down, finest first, and up, coarsest first. */
export interface UNetLevels {
  readonly down: ReadonlyArray<UNetLevel>
  readonly up: ReadonlyArray<UNetLevel>
}

const isDiffusers = (w: Weights): boolean => w.has("down_blocks")

/** The levels of a UNet or ControlNet in either layout. A ControlNet has none that go up. */
export const unetLevels = (w: Weights): UNetLevels => isDiffusers(w) ? diffusersLevels(w) : originalLevels(w)

const diffusersLevels = (w: Weights): UNetLevels => {
  const levels = (name: string, resampler: string) =>
    w.at(name).list.map((level): UNetLevel => {
      const blocks = level.at("resnets").list.length
      return { blocks, attends: level.has(`attentions.${blocks - 1}`), resamples: level.has(resampler) }
    })
  return { down: levels("down_blocks", "downsamplers"), up: levels("up_blocks", "upsamplers") }
}

const originalLevels = (w: Weights): UNetLevels => {
  const levels: { readonly [side in "down" | "up"]: Array<UNetLevel> } = { down: [], up: [] }
  let blocks = 0
  let attends = false
  const end = (side: "down" | "up", resamples: boolean) => {
    if (blocks > 0) levels[side].push({ blocks, attends, resamples })
    blocks = 0
  }
  for (const block of w.at("input_blocks").list.slice(1)) {
    if (block.has("0.op")) {
      end("down", true)
      continue
    }
    blocks++
    attends = block.has("1")
  }
  end("down", false)
  for (const block of w.at("output_blocks").list) {
    blocks++
    attends = block.has("1.norm")
    if (block.has("1.conv") || block.has("2.conv")) end("up", true)
  }
  end("up", false)
  return levels
}

/** The modules of a UNet or ControlNet of such levels, by the original names and by diffusers'. */
export const unetTable = ({ down, up }: UNetLevels): ReadonlyArray<NameRow> => {
  const blockRows = (own: string, other: string, i: number): ReadonlyArray<NameRow> => [
    ...within([`${own}.0`, `${other}.resnets.${i}`], residual),
    [`${own}.1`, `${other}.attentions.${i}`]
  ]
  const rows: Array<NameRow> = [...around, ...hint]
  let input = 1
  for (const [level, { blocks, resamples }] of down.entries()) {
    const other = `down_blocks.${level}`
    for (let i = 0; i < blocks; i++) rows.push(...blockRows(`input_blocks.${input++}`, other, i))
    if (resamples) rows.push([`input_blocks.${input++}.0.op`, `${other}.downsamplers.0.conv`])
  }
  for (let block = 0; block < input; block++) rows.push([`zero_convs.${block}.0`, `controlnet_down_blocks.${block}`])
  let output = 0
  for (const [level, { attends, blocks, resamples }] of up.entries()) {
    const other = `up_blocks.${level}`
    for (let i = 0; i < blocks; i++) rows.push(...blockRows(`output_blocks.${output++}`, other, i))
    if (resamples) rows.push([`output_blocks.${output - 1}.${attends ? 2 : 1}.conv`, `${other}.upsamplers.0.conv`])
  }
  return rows
}

/** The tensors of a UNet or ControlNet by the original names. */
export const unetNames = (weights: Weights): Weights =>
  isDiffusers(weights) ? weights.mapped(byName(renaming(reversed(unetTable(unetLevels(weights)))))) : weights

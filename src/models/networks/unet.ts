/**
 * The UNet of latent diffusion (Rombach et al. 2022), as Stable Diffusion 1, 2 and XL have it (Podell et al. 2023).
 *
 * Each block is built of what its tensors say it holds, so that pruned networks (SSD-1B, Segmind Vega, KOALA), whose
 * blocks differ within a level, need no description of their own.
 *
 * Inputs: `sample` `[batch, c, height, width]`, `timestep` `[1]`, `encoder_hidden_states` `[batch, tokens, context]`;
 * where the tensors are there, `y` `[batch, adm]`, SDXL's embedding of the text and of the image's sizes, and
 * `timestep_cond` `[batch, w]`, the guidance scale of distilled models; with `residuals` what ControlNets add,
 * `residual.0` to `residual.n`, one for each input block and the last for the middle.
 *
 * Output: `out_sample` `[batch, c', height, width]`. Both sides are multiples of 2 for each time that they are halved.
 */
import { Graph, type GraphOptions, type Value } from "../graph/Graph.ts"
import { conv, groupNorm } from "../graph/layers.ts"
import { add, concat, real, silu, single } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { inTurn, type Step, stepOf, type UNetSettings } from "./unetBlocks.ts"
import { unetNames } from "./unetNames.ts"
import { nearestFamilies, unetShape } from "./unetShape.ts"

export interface UNetOptions extends GraphOptions, UNetSettings {
  /** Takes what ControlNets add as inputs. */
  readonly residuals?: boolean | undefined
}

/** The graph of a UNet. Throws `UnfitNetwork` for tensors that are not one. */
export const unet = (weights: Weights, options: UNetOptions = {}): Graph =>
  built(weights, () => {
    const w = unetNames(weights)
    const shape = unetShape(w)
    const graph = new Graph(options)
    const sample = real(graph.input("sample", "float32", ["batch", shape.inputs, "height", "width"]))
    const step = stepOf(graph, w, shape, options)

    const skips = down(w, sample, step)
    const deepest = skips.at(-1) ?? sample
    const middle = inTurn(w.at("middle_block"), deepest, step, shape.halvings)
    const residuals = options.residuals === true ? residualsFor(graph, [...skips, middle]) : []
    const joined = skips.map((skip, i) => added(skip, residuals[i]))
    const x = up(w, added(middle, residuals.at(-1)), joined, step, shape.halvings)

    graph.output("out_sample", single(conv(w.at("out.2"), silu(groupNorm(w.at("out.0"), x, step.groups)))))
    return { graph, unread: w.unread.filter((name) => own.test(name)) }
  }, () => nearestFamilies(weights))

// Names that no part of a checkpoint but the UNet has.
const own = /^(?:time_embed|label_emb|input_blocks|middle_block|output_blocks|out)\./

/** What each input block gives, from the first convolution to the deepest level: the way up takes them again. */
export const down = (w: Weights, sample: Value, step: Step, hint?: Value): ReadonlyArray<Value> => {
  const skips: Array<Value> = []
  let x = sample
  let level = 0
  for (const [i, block] of w.at("input_blocks").list.entries()) {
    if (block.has("0.op")) level++
    x = inTurn(block, x, step, level)
    if (i === 0) x = added(x, hint)
    skips.push(x)
  }
  return skips
}

// Each output block takes what comes from below, and the last of the input blocks that is left.
const up = (w: Weights, middle: Value, skips: ReadonlyArray<Value>, step: Step, deepest: number): Value => {
  const left = [...skips]
  let x = middle
  let level = deepest
  for (const block of w.at("output_blocks").list) {
    const skip = left.pop()
    if (skip === undefined) throw w.unfit(block.path, "has no input block to join with")
    x = inTurn(block, concat([x, skip], 1), step, level)
    if (block.has("1.conv") || block.has("2.conv")) level--
  }
  if (left.length > 0) throw w.unfit("output_blocks", `are ${left.length} fewer than the input blocks`)
  return x
}

// Inputs of the sizes of some values.
const residualsFor = (graph: Graph, values: ReadonlyArray<Value>): ReadonlyArray<Value> =>
  values.map(({ dims }, i) => real(graph.input(`residual.${i}`, "float32", dims)))

const added = (x: Value, other: Value | undefined): Value => other === undefined ? x : add(x, other)

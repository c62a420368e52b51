/**
 * ControlNet (Zhang et al. 2023): the way down of a UNet, with an image to follow, whose outputs are added to those of
 * the UNet's own.
 *
 * Inputs: those of the UNet, and `controlnet_cond` `[batch, 3, 8 height, 8 width]`, RGB from 0 to 1. Outputs:
 * `residual.0` to `residual.n`, in the order of the UNet's inputs of these names.
 *
 * A summed graph multiplies them by weights and adds them to those of another ControlNet. It follows one image in all
 * rows: `controlnet_cond` is `[1, 3, 8 height, 8 width]`. More inputs: `scales` `[batch, n + 1]`, `before.0` to
 * `before.n` in the sizes of the residuals, and `keep` `[1]`, 1 to add what was before and 0 to leave it out.
 */
import { times } from "../graph/Dim.ts"
import { Graph, type GraphOptions, type Value } from "../graph/Graph.ts"
import { conv } from "../graph/layers.ts"
import { add, columnOf, multiply, perChannel, real, silu, single } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { down } from "./unet.ts"
import { inTurn, stepOf, type UNetSettings } from "./unetBlocks.ts"
import { unetNames } from "./unetNames.ts"
import { nearestFamilies, unetShape } from "./unetShape.ts"

export interface ControlNetOptions extends GraphOptions, UNetSettings {
  /** Multiplies the residuals by weights, and adds them to others. */
  readonly summed?: boolean | undefined
}

/** The graph of a ControlNet. Throws `UnfitNetwork` for tensors that are not one. */
export const controlNet = (weights: Weights, options: ControlNetOptions = {}): Graph =>
  built(weights, () => {
    const w = unetNames(weights)
    const shape = unetShape(w)
    const graph = new Graph(options)
    const sample = real(graph.input("sample", "float32", ["batch", shape.inputs, "height", "width"]))
    const images = options.summed === true ? 1 : "batch"
    const image = graph.input("controlnet_cond", "float32", [images, 3, times("height", 8), times("width", 8)])
    const step = stepOf(graph, w, shape, options)

    const skips = down(w, sample, step, hint(w.at("input_hint_block"), real(image)))
    const middle = inTurn(w.at("middle_block"), skips.at(-1) ?? sample, step, shape.halvings)
    const residuals = [
      ...skips.map((skip, i) => single(conv(w.at(`zero_convs.${i}.0`), skip))),
      single(conv(w.at("middle_block_out.0"), middle))
    ]
    const outputs = options.summed === true ? summed(graph, residuals) : residuals
    for (const [i, output] of outputs.entries()) graph.output(`residual.${i}`, output)
    return { graph, unread: w.unread }
  }, () => nearestFamilies(weights))

// Each times its scale in a row, and with what was there before.
const summed = (graph: Graph, residuals: ReadonlyArray<Value>): ReadonlyArray<Value> => {
  const scales = graph.input("scales", "float32", ["batch", residuals.length])
  const keep = graph.input("keep", "float32", [1])
  return residuals.map((residual, i) => {
    const before = graph.input(`before.${i}`, "float32", residual.dims)
    return add(multiply(before, keep), multiply(residual, perChannel(columnOf(scales, i))))
  })
}

/** What a residual is among those of a network. */
export interface Residual {
  readonly channels: number
  /** How often both sides of the latents are halved before it. */
  readonly halvings: number
}

/** The residuals that a UNet or ControlNet has a place for, in their order. Throws `UnfitNetwork` for other tensors. */
export const residualsOf = (weights: Weights): ReadonlyArray<Residual> => {
  const w = unetNames(weights)
  const { channels } = unetShape(w)
  const found: Array<Residual> = []
  let last: Residual = { channels, halvings: 0 }
  for (const block of w.at("input_blocks").list) {
    const width = block.shape("0.out_layers.3.weight")?.[0] ?? last.channels
    last = block.has("0.op") ? { ...last, halvings: last.halvings + 1 } : { ...last, channels: width }
    found.push(last)
  }
  return [...found, last]
}

// Eight convolutions, of which the third, fifth and seventh halve both sides: pixels to the size of latents.
const hint = (w: Weights, image: Value): Value =>
  [0, 2, 4, 6, 8, 10, 12, 14].reduce((x, place) => {
    const stride = [4, 8, 12].includes(place) ? 2 : 1
    return conv(w.at(place), place === 0 ? x : silu(x), { stride })
  }, image)

/**
 * ControlNet (Zhang et al. 2023): the way down of a UNet, with an image to follow, whose outputs are added to those of
 * the UNet's own.
 *
 * Inputs: those of the UNet, and `controlnet_cond` `[batch, 3, 8 height, 8 width]`, RGB from 0 to 1. Outputs:
 * `residual.0` to `residual.n`, in the order of the UNet's inputs of these names. A weight multiplies them; those of
 * several ControlNets are added.
 */
import { times } from "../graph/Dim.ts"
import { Graph, type GraphOptions, type Value } from "../graph/Graph.ts"
import { conv } from "../graph/layers.ts"
import { real, silu, single } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { down } from "./unet.ts"
import { inTurn, stepOf, type UNetSettings } from "./unetBlocks.ts"
import { unetNames } from "./unetNames.ts"
import { nearestFamilies, unetShape } from "./unetShape.ts"

export interface ControlNetOptions extends GraphOptions, UNetSettings {}

/** The graph of a ControlNet. Throws `UnfitNetwork` for tensors that are not one. */
export const controlNet = (weights: Weights, options: ControlNetOptions = {}): Graph =>
  built(weights, () => {
    const w = unetNames(weights)
    const shape = unetShape(w)
    const graph = new Graph(options)
    const sample = real(graph.input("sample", "float32", ["batch", shape.inputs, "height", "width"]))
    const image = graph.input("controlnet_cond", "float32", ["batch", 3, times("height", 8), times("width", 8)])
    const step = stepOf(graph, w, shape, options)

    const skips = down(w, sample, step, hint(w.at("input_hint_block"), real(image)))
    const middle = inTurn(w.at("middle_block"), skips.at(-1) ?? sample, step, shape.halvings)
    for (const [i, skip] of skips.entries()) {
      graph.output(`residual.${i}`, single(conv(w.at(`zero_convs.${i}.0`), skip)))
    }
    graph.output(`residual.${skips.length}`, single(conv(w.at("middle_block_out.0"), middle)))
    return { graph, unread: w.unread }
  }, () => nearestFamilies(weights))

// Eight convolutions, of which the third, fifth and seventh halve both sides: pixels to the size of latents.
const hint = (w: Weights, image: Value): Value =>
  [0, 2, 4, 6, 8, 10, 12, 14].reduce((x, place) => {
    const stride = [4, 8, 12].includes(place) ? 2 : 1
    return conv(w.at(place), place === 0 ? x : silu(x), { stride })
  }, image)

/**
 * The network of ESRGAN (Wang et al. 2018) and Real-ESRGAN: residual blocks in residual dense blocks, then a doubling
 * of both sides for each upsampling layer.
 *
 * Input: `image` `[batch, 3, height, width]`, RGB from 0 to 1. Output: `output` `[batch, 3, height * s, width * s]`,
 * not clamped. Networks for small scales fold 2 x 2 or 4 x 4 pixels into channels first; sides are multiples of that.
 */
import { Graph, type GraphOptions, type Value } from "../graph/Graph.ts"
import { conv } from "../graph/layers.ts"
import { add, concat, leakyRelu, nearest, pixelUnshuffle, real, scale, single } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { upscalerNames } from "./upscalerNames.ts"

/** The graph of an upscaler. Throws `UnfitNetwork` for tensors that are not ESRGAN's, by any spelling. */
export const esrgan = (weights: Weights, options: GraphOptions = {}): Graph =>
  built(weights, () => {
    const w = upscalerNames(weights)
    const folded = Math.sqrt((w.tensor("conv_first.weight").shape[1] ?? 0) / 3)
    const graph = new Graph(options)
    const image = real(graph.input("image", "float32", ["batch", 3, "height", "width"]))

    const first = conv(w.at("conv_first"), folded > 1 ? pixelUnshuffle(image, folded) : image)
    const body = w.at("body").list.reduce((x, block) => rrdb(block, x), first)
    const features = add(first, conv(w.at("conv_body"), body))
    const large = upsamplings(w).reduce((x, up) => active(conv(up, nearest(x, 2))), features)
    graph.output("output", single(conv(w.at("conv_last"), active(conv(w.at("conv_hr"), large)))))
    return { graph, unread: w.unread }
  })

const active = (x: Value): Value => leakyRelu(x, 0.2)

const upsamplings = (w: Weights): ReadonlyArray<Weights> =>
  [1, 2, 3, 4].flatMap((i) => w.has(`conv_up${i}`) ? [w.at(`conv_up${i}`)] : [])

/** Three dense blocks, whose sum is scaled by 0.2 and added to the input. */
const rrdb = (w: Weights, x: Value): Value =>
  add(scale([1, 2, 3].reduce((x, i) => denseBlock(w.at(`rdb${i}`), x), x), 0.2), x)

/** Five convolutions, each of all outputs so far. */
const denseBlock = (w: Weights, x: Value): Value => {
  const all: [Value, ...Array<Value>] = [x]
  for (const i of [1, 2, 3, 4]) all.push(active(conv(w.at(`conv${i}`), concat(all, 1))))
  return add(scale(conv(w.at("conv5"), concat(all, 1)), 0.2), x)
}

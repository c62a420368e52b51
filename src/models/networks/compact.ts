/**
 * Real-ESRGAN's compact network (SRVGGNet): convolutions at the size of the image, whose last channels become pixels
 * that are added to the image enlarged.
 *
 * Input: `image` `[batch, 3, height, width]`, RGB from 0 to 1. Output: `output` `[batch, 3, height * s, width * s]`,
 * not clamped.
 */
import { Graph, type GraphOptions } from "../graph/Graph.ts"
import { conv, prelu } from "../graph/layers.ts"
import { add, nearest, pixelShuffle, real, single } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { upscalerNames } from "./upscalerNames.ts"

/** The graph of an upscaler. Throws `UnfitNetwork` for tensors that are not such a network. */
export const compact = (weights: Weights, options: GraphOptions = {}): Graph =>
  built(weights, () => {
    const w = upscalerNames(weights)
    const layers = w.at("body").list
    const last = layers.at(-1)?.tensor("weight").shape[0] ?? 0
    const graph = new Graph(options)
    const image = real(graph.input("image", "float32", ["batch", 3, "height", "width"]))

    // Convolutions, and between them a slope for each channel.
    const out = layers.reduce((x, w) => w.shape("weight")?.length === 1 ? prelu(w, x) : conv(w, x), image)
    const by = Math.sqrt(last / 3)
    graph.output("output", single(add(pixelShuffle(out, by), nearest(image, by))))
    return { graph, unread: w.unread }
  })

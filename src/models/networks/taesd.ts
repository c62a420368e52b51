/**
 * TAESD (Bohan 2023): a tiny autoencoder whose latents are those that samplers work with, not divided by the factor.
 *
 * Both halves are rows of numbered modules, each of the kind that its tensors say; numbers without tensors are what the
 * decoder does between them.
 */
import { Graph, type GraphOptions, type Value } from "../graph/Graph.ts"
import { conv } from "../graph/layers.ts"
import { add, nearest, real, relu, scale, single, tanh } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { byName } from "./names.ts"

/**
 * Latents `latent_sample` `[batch, z, height, width]` to pixels `sample` `[batch, 3, height * 8, width * 8]`, RGB from
 * 0 to 1, not clamped. Throws `UnfitNetwork` for tensors that are not a decoder.
 */
export const taesdDecoder = (weights: Weights, options: GraphOptions = {}): Graph =>
  built(weights, () => {
    // diffusers leaves the clamp out of the row, and counts from the layer behind it.
    const w = half(weights, "decoder", 1)
    const graph = new Graph(options)
    const latents = graph.input("latent_sample", "float32", ["batch", w.shape("1.weight")?.[1] ?? 0, "height", "width"])
    let x = scale(tanh(scale(real(latents), 1 / 3)), 3)
    for (let i = 1, end = lastOf(w); i <= end; i++) {
      x = w.has(i) ? moduleOf(w.at(i), x) : i === 2 ? relu(x) : nearest(x, 2)
    }
    graph.output("sample", single(x))
    return { graph, unread: w.unread }
  })

/**
 * Pixels `sample` `[batch, 3, height, width]`, RGB from 0 to 1, to latents `latent_sample`
 * `[batch, z, height / 8, width / 8]`. Throws `UnfitNetwork` for tensors that are not an encoder.
 */
export const taesdEncoder = (weights: Weights, options: GraphOptions = {}): Graph =>
  built(weights, () => {
    const w = half(weights, "encoder", 0)
    const graph = new Graph(options)
    const pixels = graph.input("sample", "float32", ["batch", 3, "height", "width"])
    graph.output("latent_sample", single(w.list.reduce((x, module) => moduleOf(module, x, 2), real(pixels))))
    return { graph, unread: w.unread }
  })

// One half by the numbers of a file of its own; `offset` is added to diffusers'.
const half = (weights: Weights, side: "encoder" | "decoder", offset: number): Weights => {
  if (!weights.has(`${side}.layers`)) return weights
  const prefix = `${side}.layers.`
  const renumbered = (name: string) => {
    const [number = "", ...rest] = name.slice(prefix.length).split(".")
    return [Number(number) + offset, ...rest].join(".")
  }
  return weights.mapped((name, tensor) => name.startsWith(prefix) ? byName(renumbered)(name, tensor) : [])
}

const lastOf = (w: Weights): number => Math.max(0, ...w.names.map((name) => Number.parseInt(name)))

// A block, or a convolution: those without a bias stand at the changes of size.
const moduleOf = (w: Weights, x: Value, stride = 1): Value =>
  w.has("conv") ? block(w, x) : conv(w, x, { stride: w.has("bias") ? 1 : stride })

/** Three convolutions around which the input goes as well. */
const block = (w: Weights, x: Value): Value => {
  const inner = conv(w.at("conv.4"), relu(conv(w.at("conv.2"), relu(conv(w.at("conv.0"), x)))))
  return relu(add(inner, w.has("skip") ? conv(w.at("skip"), x) : x))
}

/**
 * The autoencoder of latent diffusion (Rombach et al. 2022): pixels to the distribution of their latents and back.
 *
 * Both halves compute in float32 unless `arithmetic` is given: in float16 the decoder of SDXL overflows. Latents are
 * the network's own, not yet multiplied by the factor that samplers work with.
 */
import { Graph, type GraphOptions, type Value } from "../graph/Graph.ts"
import { conv, groupNorm } from "../graph/layers.ts"
import { add, attention, nearest, pixelsToTokens, real, silu, single, tokensToPixels } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { groupsOf } from "./narrow.ts"
import { vaeNames } from "./vaeNames.ts"

export interface AutoencoderOptions extends GraphOptions {
  /** Groups of every group normalisation; a rule says how many unless they are given. */
  readonly groups?: number | undefined
}

/** The shape of an autoencoder, read from its tensors. */
export interface AutoencoderShape {
  readonly latentChannels: number
  /** Pixels for each latent along a side. */
  readonly scale: number
  /** Whether each half is there. */
  readonly encodes: boolean
  readonly decodes: boolean
}

/** Reads the sizes of an autoencoder, in any layout. Throws `UnfitNetwork` where it has neither half. */
export const autoencoderShape = (weights: Weights): AutoencoderShape => {
  const w = vaeNames(weights)
  const [encodes, decodes] = [w.has("encoder.conv_in.weight"), w.has("decoder.conv_in.weight")]
  if (!encodes && !decodes) throw w.unfit("encoder.conv_in.weight and decoder.conv_in.weight", "are missing")
  return {
    encodes,
    decodes,
    latentChannels: w.shape("decoder.conv_in.weight")?.[1] ?? (w.shape("encoder.conv_out.weight")?.[0] ?? 0) / 2,
    scale: 2 ** (w.at(decodes ? "decoder.up" : "encoder.down").list.length - 1)
  }
}

/**
 * Latents `latent_sample` `[batch, z, height, width]` to pixels `sample`
 * `[batch, 3, height * scale, width * scale]` from -1 to 1. Throws `UnfitNetwork` for tensors that are not a decoder.
 */
export const autoencoderKlDecoder = (weights: Weights, options: AutoencoderOptions = {}): Graph =>
  half("decoder", weights, options, (graph, all, norm) => {
    const w = all.at("decoder")
    const z = w.shape("conv_in.weight")?.[1] ?? 0
    const latents = real(graph.input("latent_sample", "float32", ["batch", z, "height", "width"]))
    const given = quantised(all, "post_quant_conv", latents)

    const coarse = middle(w.at("mid"), conv(w.at("conv_in"), given), norm)
    const fine = w.at("up").list.toReversed().reduce((x, level) => {
      const h = blocks(level, x, norm)
      return level.has("upsample") ? conv(level.at("upsample.conv"), nearest(h, 2)) : h
    }, coarse)
    graph.output("sample", single(conv(w.at("conv_out"), silu(norm(w.at("norm_out"), fine)))))
  })

/**
 * Pixels `sample` `[batch, 3, height, width]` from -1 to 1 to `latent_parameters`
 * `[batch, 2 z, height / scale, width / scale]`: means, then logarithms of variances. Throws `UnfitNetwork` for tensors
 * that are not an encoder.
 */
export const autoencoderKlEncoder = (weights: Weights, options: AutoencoderOptions = {}): Graph =>
  half("encoder", weights, options, (graph, all, norm) => {
    const w = all.at("encoder")
    const pixels = real(graph.input("sample", "float32", ["batch", 3, "height", "width"]))
    const coarse = w.at("down").list.reduce((x, level) => {
      const h = blocks(level, x, norm)
      // Zeros at the bottom and the right only.
      return level.has("downsample") ? conv(level.at("downsample.conv"), h, { stride: 2, padding: "end" }) : h
    }, conv(w.at("conv_in"), pixels))
    const out = conv(w.at("conv_out"), silu(norm(w.at("norm_out"), middle(w.at("mid"), coarse, norm))))
    graph.output("latent_parameters", single(quantised(all, "quant_conv", out)))
  })

type Norm = (w: Weights, x: Value) => Value

const half = (
  side: "encoder" | "decoder",
  weights: Weights,
  { groups, ...options }: AutoencoderOptions,
  build: (graph: Graph, all: Weights, norm: Norm) => void
): Graph =>
  built(weights, () => {
    const all = vaeNames(weights)
    const w = all.at(side)
    const first = side === "encoder" ? w.tensor("conv_in.weight").shape[0] : w.tensor("conv_out.weight").shape[1]
    const count = groups ?? groupsOf(first ?? 0)
    const graph = new Graph(options)
    build(graph, all, (w, x) => groupNorm(w, x, count, 1e-6))
    return { graph, unread: all.unread.filter((name) => name.startsWith(`${side}.`)) }
  })

// Files without these layers exist: nothing is between the halves and the latents then.
const quantised = (w: Weights, name: string, x: Value): Value => w.has(name) ? conv(w.at(name), x) : x

// A level's residual blocks, each with attention behind it where the file has that.
const blocks = (w: Weights, x: Value, norm: Norm): Value =>
  w.at("block").list.reduce((x, block, i) => {
    const h = residual(block, x, norm)
    return w.has(`attn.${i}`) ? attend(w.at(`attn.${i}`), h, norm) : h
  }, x)

const middle = (w: Weights, x: Value, norm: Norm): Value => {
  const h = residual(w.at("block_1"), x, norm)
  const attended = w.has("attn_1") ? attend(w.at("attn_1"), h, norm) : h
  return residual(w.at("block_2"), attended, norm)
}

/** `[b, c, h, w]` to `[b, c', h, w]`. */
const residual = (w: Weights, x: Value, norm: Norm): Value => {
  const h = conv(w.at("conv1"), silu(norm(w.at("norm1"), x)))
  const out = conv(w.at("conv2"), silu(norm(w.at("norm2"), h)))
  return add(out, w.has("nin_shortcut") ? conv(w.at("nin_shortcut"), x) : x)
}

/** One head over all pixels. */
const attend = (w: Weights, x: Value, norm: Norm): Value => {
  const h = norm(w.at("norm"), x)
  const [query, key, value] = [conv(w.at("q"), h), conv(w.at("k"), h), conv(w.at("v"), h)]
  const out = attention(pixelsToTokens(query), pixelsToTokens(key), pixelsToTokens(value), 1)
  return add(conv(w.at("proj_out"), tokensToPixels(out, x)), x)
}

/**
 * Blocks that a UNet and a ControlNet are made of.
 */
import { oneOrBatch } from "../graph/Dim.ts"
import type { Graph, Value } from "../graph/Graph.ts"
import { conv, groupNorm, layerNorm, linear } from "../graph/layers.ts"
import {
  add,
  attention,
  gelu,
  halves,
  multiply,
  nearest,
  perChannel,
  pixelsToTokens,
  real,
  silu,
  sinusoid,
  tokensToPixels
} from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { groupsOf, headWidthOf } from "./narrow.ts"
import type { UNetShape } from "./unetShape.ts"

export interface UNetSettings {
  /** Heads of attention by level, finest first; a rule says how many unless they are given. */
  readonly heads?: ReadonlyArray<number> | undefined
  /** Groups of every group normalisation; likewise. */
  readonly groups?: number | undefined
}

/** What every block of a call takes in addition to its input. */
export interface Step {
  /** Time, text and sizes in one vector, `[1 or batch, e]`. */
  readonly emb: Value
  /** The text, `[batch, tokens, c]`. */
  readonly context: Value
  readonly groups: number
  /** Heads of a transformer of such a width on a level. */
  readonly headsOf: (transformer: Weights, width: number, level: number) => number
}

/** Adds the inputs for the time and the text, and joins them to what its blocks take. */
export const stepOf = (
  graph: Graph,
  w: Weights,
  shape: UNetShape,
  settings: UNetSettings
): Step => ({
  emb: timeEmbedding(graph, w, shape),
  context: real(graph.input("encoder_hidden_states", "float32", ["batch", "tokens", shape.context])),
  groups: settings.groups ?? groupsOf(shape.channels),
  headsOf: (transformer, width, level) =>
    settings.heads?.[level] ??
      (transformer.shape("proj_in.weight")?.length === 2 ? Math.ceil(width / headWidthOf(shape.channels)) : 8)
})

// `[1 or batch]` or `[batch, ..]` to `[1 or batch, e]`: two linear layers over the sinusoidal embedding (Ho et al.
// 2020).
const timeEmbedding = (graph: Graph, w: Weights, { adm, channels, guidance }: UNetShape): Value => {
  const input = (name: string, width: number) => real(graph.input(name, "float32", ["batch", width]))
  const time = sinusoid(graph.input("timestep", "float32", [oneOrBatch]), channels)
  const guided = guidance > 0
    ? add(time, linear(w.at("time_embed.cond_proj"), input("timestep_cond", guidance)))
    : time
  const emb = twoLayers(w.at("time_embed"), guided)
  return adm > 0 ? add(emb, twoLayers(w.at("label_emb.0"), input("y", adm))) : emb
}

const twoLayers = (w: Weights, x: Value): Value => linear(w.at(2), silu(linear(w.at(0), x)))

/** A block's modules in turn, each of the kind that its tensors say. */
export const inTurn = (w: Weights, x: Value, step: Step, level: number): Value =>
  w.list.reduce((x, module) => moduleOf(module, x, step, level), x)

const moduleOf = (w: Weights, x: Value, step: Step, level: number): Value => {
  if (w.has("in_layers")) return resBlock(w, x, step)
  if (w.has("transformer_blocks")) return transformer(w, x, step, level)
  if (w.has("op")) return conv(w.at("op"), x, { stride: 2 })
  if (w.has("conv")) return conv(w.at("conv"), nearest(x, 2))
  return conv(w, x)
}

/** Residual block: x `[b, c, h, w]` and the embedding `[b, e]`, to `[b, c', h, w]`. */
const resBlock = (w: Weights, x: Value, { emb, groups }: Step): Value => {
  const time = perChannel(linear(w.at("emb_layers.1"), silu(emb)))
  const h = add(conv(w.at("in_layers.2"), silu(groupNorm(w.at("in_layers.0"), x, groups))), time)
  const out = conv(w.at("out_layers.3"), silu(groupNorm(w.at("out_layers.0"), h, groups)))
  return add(out, w.has("skip_connection") ? conv(w.at("skip_connection"), x) : x)
}

/** Transformer over pixels, `[b, c, h, w]` to the same, between projections: linear layers or 1 x 1 convolutions. */
const transformer = (w: Weights, x: Value, step: Step, level: number): Value => {
  const width = w.shape("proj_in.weight")?.[0] ?? 0
  const heads = step.headsOf(w, width, level)
  const isLinear = w.shape("proj_in.weight")?.length === 2
  const normed = groupNorm(w.at("norm"), x, step.groups, 1e-6)
  const tokens = isLinear
    ? linear(w.at("proj_in"), pixelsToTokens(normed))
    : pixelsToTokens(conv(w.at("proj_in"), normed))
  const out = w.at("transformer_blocks").list.reduce((x, block) => transformerBlock(block, x, step, heads), tokens)
  return add(
    isLinear
      ? tokensToPixels(linear(w.at("proj_out"), out), x)
      : conv(w.at("proj_out"), tokensToPixels(out, x)),
    x
  )
}

/** Attention among pixels, then to the text, then a feed-forward network, each under its norm (Vaswani et al. 2017). */
const transformerBlock = (w: Weights, x: Value, { context }: Step, heads: number): Value => {
  const normed = layerNorm(w.at("norm1"), x)
  const own = add(x, attend(w.at("attn1"), normed, normed, heads))
  const text = add(own, attend(w.at("attn2"), layerNorm(w.at("norm2"), own), context, heads))
  return add(text, feedForward(w.at("ff.net"), layerNorm(w.at("norm3"), text)))
}

const attend = (w: Weights, x: Value, context: Value, heads: number): Value =>
  linear(
    w.at("to_out.0"),
    attention(linear(w.at("to_q"), x), linear(w.at("to_k"), context), linear(w.at("to_v"), context), heads)
  )

/** GEGLU (Shazeer 2020): one half times the GELU of the other. */
const feedForward = (w: Weights, x: Value): Value => {
  const [value, gate] = halves(linear(w.at("0.proj"), x))
  return linear(w.at(2), multiply(value, gelu(gate)))
}

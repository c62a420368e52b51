/**
 * The text encoder of CLIP (Radford et al. 2021), of OpenAI and of OpenCLIP: they are one network, with another
 * activation in the feed-forward layers.
 *
 * Inputs: `input_ids` `[batch, 77]`, and with `embeddings` the rows `[n, width]` that stand for tokens at the places
 * `[n, 2]` (row of the batch, position): textual inversion (Gal et al. 2022).
 *
 * Outputs: `hidden_states.0` to `hidden_states.n` as they leave each of the n layers, the first as it enters;
 * `last_hidden_state`, the last under the final norm; `normed_states.1` to `normed_states.n`, each of them under it, as
 * clip skip has it; `pooled`, the last state at the end token, under the projection where the file has one.
 */
import { Graph, type GraphOptions, type Value } from "../graph/Graph.ts"
import { embedding, layerNorm, linear, matrix, table } from "../graph/layers.ts"
import { add, attention, gelu, operator, quickGelu, real, single } from "../graph/operators.ts"
import type { Weights } from "../graph/Weights.ts"
import { built } from "./built.ts"
import { textHeadsOf } from "./narrow.ts"
import { textNames } from "./textNames.ts"

export interface ClipTextOptions extends GraphOptions {
  /** Of the feed-forward layers; read from the tensors unless it is given. */
  readonly activation?: "gelu" | "quick_gelu" | undefined
  /** Of each attention; a rule of its width says how many unless it is given. */
  readonly heads?: number | undefined
  /** Whether rows take the place of tokens. */
  readonly embeddings?: boolean | undefined
}

/** The shape of a text encoder, read from its tensors. */
export interface ClipTextShape {
  readonly width: number
  readonly layers: number
  /** Tokens of a text. */
  readonly positions: number
  readonly vocabulary: number
  /** Width of `pooled`. */
  readonly pooled: number
  readonly activation: "gelu" | "quick_gelu"
}

/** Reads a text encoder's sizes off its tensors, by any spelling of their names. */
export const clipTextShape = (weights: Weights): ClipTextShape => shapeOf(textNames(weights), isOpenClip(weights))

const isOpenClip = (weights: Weights): boolean => weights.has("transformer.resblocks")

const shapeOf = (w: Weights, isOpen: boolean): ClipTextShape => {
  const [vocabulary = 0, width = 0] = w.tensor("embeddings.token_embedding.weight").shape
  const [positions = 0] = w.tensor("embeddings.position_embedding.weight").shape
  return {
    width,
    positions,
    vocabulary,
    layers: w.at("encoder.layers").list.length,
    pooled: w.shape("text_projection")?.[1] ?? w.shape("text_projection.weight")?.[0] ?? width,
    activation: isOpen || isWide(w, width) ? "gelu" : "quick_gelu"
  }
}

// OpenCLIP's encoders by transformers' names: the widths of H and bigG, and references with bigG's projection.
const isWide = (w: Weights, width: number): boolean => width >= 1024 || (width < 128 && w.has("text_projection"))

/** The graph of a text encoder. Throws `UnfitNetwork` for tensors that are not one. */
export const clipText = (weights: Weights, options: ClipTextOptions = {}): Graph =>
  built(weights, () => {
    const w = textNames(weights)
    const shape = shapeOf(w, isOpenClip(weights))
    const { positions, width } = shape
    const activation = (options.activation ?? shape.activation) === "gelu" ? gelu : quickGelu
    const heads = options.heads ?? textHeadsOf(width)

    const graph = new Graph(options)
    const ids = graph.input("input_ids", "int64", ["batch", positions])
    const tokens = embedding(w.at("embeddings.token_embedding"), ids)
    const replaced = options.embeddings === true ? withRows(tokens, width) : tokens
    const mask = causal(graph, positions)

    let x = add(replaced, table(w.at("embeddings.position_embedding"), "weight", replaced))
    graph.output("hidden_states.0", single(x))
    for (const [i, layer] of w.at("encoder.layers").list.entries()) {
      x = block(layer, x, { heads, mask, activation })
      graph.output(`hidden_states.${i + 1}`, single(x))
      const normed = layerNorm(w.at("final_layer_norm"), x)
      graph.output(`normed_states.${i + 1}`, single(normed))
    }
    const last = layerNorm(w.at("final_layer_norm"), x)
    graph.output("last_hidden_state", single(last))
    graph.output("pooled", single(projected(w, atEnd(last, ids))))
    return { graph, unread: w.unread.filter((name) => name.startsWith("encoder.layers.")) }
  })

/** A layer of the transformer: attention to the tokens before, then the feed-forward network, each under its norm. */
const block = (w: Weights, x: Value, { activation, heads, mask }: {
  readonly heads: number
  readonly mask: Value
  readonly activation: (x: Value) => Value
}): Value => {
  const own = w.at("self_attn")
  const normed = layerNorm(w.at("layer_norm1"), x)
  const [query, key, value] = [
    linear(own.at("q_proj"), normed),
    linear(own.at("k_proj"), normed),
    linear(own.at("v_proj"), normed)
  ]
  const attended = add(x, linear(own.at("out_proj"), attention(query, key, value, heads, mask)))
  const inner = activation(linear(w.at("mlp.fc1"), layerNorm(w.at("layer_norm2"), attended)))
  return add(attended, linear(w.at("mlp.fc2"), inner))
}

// Each token attends to itself and to those before it.
const causal = (graph: Graph, positions: number): Value =>
  real(graph.constant(
    "float32",
    [1, 1, positions, positions],
    Array.from({ length: positions ** 2 }, (_, i) => i % positions > Math.floor(i / positions) ? -Infinity : 0)
  ))

// Rows of embeddings take the places of tokens.
const withRows = (tokens: Value, width: number): Value => {
  const places = tokens.graph.input("embedding_places", "int64", ["rows", 2])
  const rows = real(tokens.graph.input("embedding_rows", "float32", ["rows", width]))
  return operator("ScatterND", [tokens, places, rows])
}

// The state at the first of the greatest ids, `[batch, 77, w]` to `[batch, w]`: the end token has the greatest one.
const atEnd = (states: Value, ids: Value): Value => {
  const [batch = 1, , width = 1] = states.dims
  const end = operator("ArgMax", [ids], { dims: [batch, 1], attributes: { axis: { int: 1 }, keepdims: { int: 1 } } })
  return operator("GatherND", [states, end], { dims: [batch, width], attributes: { batch_dims: { int: 1 } } })
}

// Transformers' projection is a layer, OpenCLIP's a bare matrix.
const projected = (w: Weights, x: Value): Value =>
  w.has("text_projection.weight")
    ? linear(w.at("text_projection"), x)
    : w.has("text_projection")
    ? matrix(w, "text_projection", x)
    : x

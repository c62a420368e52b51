/**
 * Token merging (Bolya and Hoffman, "Token Merging for Fast Stable Diffusion", 2023, arXiv:2303.17604): where a UNet
 * attends among its pixels, those that are alike go through attention as one.
 *
 * Of each 2 x 2 tokens the first is a destination, the others are sources. The sources that are most like one of the
 * destinations are merged into it: attention sees their mean, and each of them gets what the mean got. As in
 * stable-diffusion-webui, nothing is drawn at random, only attention among pixels is concerned, and only on the finest
 * level that has any. Tokens are matched image by image, so that an image does not depend on those next to it.
 */
import { GraphWriter } from "./GraphWriter.ts"
import * as Onnx from "./Onnx.ts"
import { type Value, valuesOf } from "./shapes.ts"

/** The attention of a network whose tokens are merged. */
export interface MergedAttention {
  /** The values that queries, keys and values are computed from, all on one level. */
  readonly inputs: ReadonlyArray<string>
  /** Latent values for each token on both sides: 1, 2, 4 and so on. */
  readonly downsample: number
}

/**
 * Finds the attention among pixels on the finest level that has some; undefined for a network without. The graph may
 * lack its weights: their dimensions are enough.
 */
export const find = (model: Onnx.Model): MergedAttention | undefined => {
  const [, , ...sides] = model.graph.inputs.find(({ name }) => name === "sample")?.dims ?? []
  const isOfAnySize = sides.length === 2 && sides.every((side) => typeof side === "string" || side <= 0)
  // `ScatterElements` adds since version 16.
  if ((model.opsets[""] ?? model.opsets["ai.onnx"] ?? 1) < 16 || !isOfAnySize) return undefined
  const reader = new Reader(model.graph)
  const levels = model.graph.nodes.flatMap(({ outputs: [input = ""] }) => {
    const downsample = reader.downsampleOf(input)
    return downsample === undefined || reader.linearsOf(input) < 3 || reader.attentionFrom(input) === undefined
      ? []
      : [{ input, downsample }]
  })
  if (levels.length === 0) return undefined
  const downsample = Math.min(...levels.map(({ downsample }) => downsample))
  const inputs = levels.flatMap((level) => level.downsample === downsample ? [level.input] : [])
  return { inputs, downsample }
}

// Inputs of a graph with merged tokens: the tokens that are destinations, those that are sources, the place of each
// token in the list of all sources and then all destinations, and a running number for each token that is left.
const placeNames = {
  destinations: "merging destinations",
  sources: "merging sources",
  places: "merging places",
  kept: "merging kept"
} as const

/** The inputs of a graph that `merged` made, for latents of a size; undefined where the ratio merges no token. */
export const placesOf = (
  { downsample }: MergedAttention,
  { height, width }: { readonly height: number; readonly width: number },
  ratio: number
): Readonly<Record<string, BigInt64Array>> | undefined => {
  const [rows, columns] = [Math.ceil(height / downsample), Math.ceil(width / downsample)]
  const destinations: Array<number> = []
  const sources: Array<number> = []
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const isFirst = row % 2 === 0 && column % 2 === 0 && row + 1 < rows && column + 1 < columns
      const list = isFirst ? destinations : sources
      list.push(row * columns + column)
    }
  }
  const merged = Math.min(sources.length, Math.floor(rows * columns * ratio))
  if (merged === 0 || destinations.length === 0) return undefined
  const places = new BigInt64Array(rows * columns)
  for (const [place, token] of [...sources, ...destinations].entries()) places[token] = BigInt(place)
  return {
    [placeNames.destinations]: BigInt64Array.from(destinations, BigInt),
    [placeNames.sources]: BigInt64Array.from(sources, BigInt),
    [placeNames.places]: places,
    [placeNames.kept]: BigInt64Array.from({ length: rows * columns - merged }, (_, i) => BigInt(i))
  }
}

/**
 * The graph with the tokens of some attention merged. It may compute in another way than the one in which the attention
 * was found, as long as values have the same names. `file` is a file in which the names of the new values do not occur.
 */
export const merged = (model: Onnx.Model, { inputs }: MergedAttention, file: Uint8Array): Onnx.Model => {
  const reader = new Reader(model.graph)
  const writer = new Writer(Onnx.unusedPrefix(file, "merged"))
  const before = new Map<Onnx.Node, ReadonlyArray<Onnx.Node>>()
  const replaced = new Map<Onnx.Node, Onnx.Node>()
  const renamed = (node: Onnx.Node, from: string, to: string) => {
    const { inputs, ...rest } = replaced.get(node) ?? node
    replaced.set(node, { ...rest, inputs: inputs.map((name) => name === from ? to : name) })
  }
  const once = writer.shared()
  for (const input of inputs) {
    const found = reader.attentionFrom(input)
    const [first] = found?.nodes ?? []
    if (found === undefined || first === undefined) throw new Error(`its attention from ${input} has no end`)
    const { join, nodes, output, tokens } = found
    const match = writer.match(tokens)
    const together = writer.merge(input, match)
    before.set(first, writer.taken())
    for (const node of nodes) renamed(node, input, together)
    const apart = writer.unmerge(output, match)
    before.set(join, writer.taken())
    renamed(join, output, apart)
  }
  const { graph } = model
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [...once, ...graph.nodes.flatMap((node) => [...before.get(node) ?? [], replaced.get(node) ?? node])],
      initializers: [...graph.initializers, ...writer.constants],
      inputs: [
        ...graph.inputs,
        ...Object.values(placeNames).map((name) => ({ name, type: "int64" as const, dims: [name] }))
      ]
    }
  }
}

/** Attention from a value to what is added to it. */
interface Attention {
  /** All nodes that depend on the value. */
  readonly nodes: ReadonlyArray<Onnx.Node>
  /** What they make in the end, the node that adds it to the tokens, and these. */
  readonly output: string
  readonly join: Onnx.Node
  readonly tokens: string
}

const isStandard = ({ domain = "" }: Onnx.Node): boolean => domain === "" || domain === "ai.onnx"

const isLinear = (node: Onnx.Node): boolean => isStandard(node) && (node.op === "MatMul" || node.op === "Gemm")

/** Sides of the latents that the sizes of values are computed for: what differs depends on them. */
const assumedSides = [64, 128] as const

class Reader {
  readonly #readers = new Map<string, Array<Onnx.Node>>()
  readonly #place: ReadonlyMap<Onnx.Node, number>
  readonly #values: ReadonlyMap<string, Value>
  readonly #larger: ReadonlyMap<string, Value>
  readonly #fixed: ReadonlySet<string>
  readonly #given: ReadonlySet<string>

  constructor(graph: Onnx.Graph) {
    this.#place = new Map(graph.nodes.map((node, i) => [node, i]))
    for (const node of graph.nodes) {
      for (const name of new Set(Onnx.readBy(node))) {
        const readers = this.#readers.get(name) ?? []
        readers.push(node)
        this.#readers.set(name, readers)
      }
    }
    const [side, larger] = assumedSides
    const { fixed, values } = valuesOf(graph, { batch: 2, side })
    this.#values = values
    this.#larger = valuesOf(graph, { batch: 2, side: larger }).values
    this.#fixed = withStrengths(graph, fixed)
    this.#given = new Set(graph.outputs.map(({ name }) => name))
  }

  /** Latent values for each token on both sides, for a value `[batch, tokens, channels]`. */
  downsampleOf(name: string): number | undefined {
    const value = this.#values.get(name)
    const [, tokens = 0] = value?.dims ?? []
    const downsample = assumedSides[0] / Math.sqrt(tokens)
    const isOfPixels = value?.type === "float32" && value.dims.length === 3 && Math.log2(downsample) % 1 === 0
    return isOfPixels && downsample >= 1 ? downsample : undefined
  }

  /** How many linear layers read a value, some of them in another shape of rows. */
  linearsOf(name: string): number {
    const isLayer = (node: Onnx.Node) => isLinear(node) && this.#fixed.has(node.inputs[1] ?? "")
    const readers = this.#readers.get(name) ?? []
    const reshaped = readers.filter(({ op }) => op === "Reshape").flatMap(({ outputs: [rows = ""] }) =>
      this.#readers.get(rows) ?? []
    )
    return [...readers, ...reshaped].filter(isLayer).length
  }

  /** What depends on a value, up to the one addition at its end; undefined where that is not attention. */
  attentionFrom(input: string): Attention | undefined {
    const reached = new Set([input])
    const nodes = new Set<Onnx.Node>()
    const joins = new Set<Onnx.Node>()
    const open = [...this.#readers.get(input) ?? []]
    const inOrder = (a: Onnx.Node, b: Onnx.Node) => (this.#place.get(a) ?? 0) - (this.#place.get(b) ?? 0)
    while (open.length > 0) {
      open.sort(inOrder)
      const node = open.shift()
      if (node === undefined || nodes.has(node) || joins.has(node)) continue
      // All that comes from elsewhere is the tokens at the end: no other part of a network is like that.
      if (Onnx.readBy(node).some((name) => !this.#isKnown(name, reached))) {
        joins.add(node)
        if (joins.size > 1) return undefined
        continue
      }
      nodes.add(node)
      for (const output of node.outputs) {
        if (this.#given.has(output)) return undefined
        reached.add(output)
        open.push(...this.#readers.get(output) ?? [])
      }
    }
    const [join] = joins
    const [a, b] = join?.inputs ?? []
    if (join?.op !== "Add" || !isStandard(join) || a === undefined || b === undefined) return undefined
    if (reached.has(a) === reached.has(b) || ![...nodes].some(isAttention)) return undefined
    const [output, tokens] = reached.has(a) ? [a, b] : [b, a]
    return { nodes: [...nodes].toSorted(inOrder), join, output, tokens }
  }

  #isKnown(name: string, reached: ReadonlySet<string>): boolean {
    return name === "" || reached.has(name) || this.#fixed.has(name) || this.#isSameAtAnySize(name)
  }

  // Whether it is a shape, or a part of one, that does not depend on the size of the latents.
  #isSameAtAnySize(name: string): boolean {
    const [value, larger] = [this.#values.get(name), this.#larger.get(name)]
    return value?.type === "int64" && value.numbers !== undefined && `${value.numbers}` === `${larger?.numbers}`
  }
}

// What depends on constants and on the strengths of adapters alone, which are single numbers.
const withStrengths = ({ inputs, nodes }: Onnx.Graph, fixed: ReadonlySet<string>): ReadonlySet<string> => {
  const all = new Set(fixed)
  for (const { dims, name } of inputs) if (dims?.length === 0) all.add(name)
  for (const node of nodes) {
    if (Onnx.readBy(node).every((name) => name === "" || all.has(name)) && node.inputs.length > 0) {
      for (const name of node.outputs) all.add(name)
    }
  }
  return all
}

const isAttention = (node: Onnx.Node): boolean =>
  (isStandard(node) && node.op === "Softmax") || node.op === "MultiHeadAttention"

/** Which tokens of each image are merged, and where each is found again. */
interface Match {
  /** Sources that stay, and those that are merged, as places among the tokens, `[b, n, 1]`. */
  readonly kept: string
  readonly merged: string
  /** The destination of each that is merged, `[b, n, 1]`. */
  readonly into: string
  /** Where each token is after the merge, `[b, n, 1]`. */
  readonly places: string
}

/** Scores that are in memory at once for an image, but for that of 128 destinations: 16 MiB. */
const scoresAtOnce = 2 ** 22
const leastAtOnce = 128

// The largest number that `Slice` can be given exactly from JavaScript.
const end = Number.MAX_SAFE_INTEGER

const { destinations, kept, places, sources } = placeNames

class Writer extends GraphWriter {
  // Values that all attention shares.
  #remaining = ""
  #atOnce = ""
  #turns = ""
  #last = ""

  /** What all attention shares: numbers that follow from the places. */
  shared(): ReadonlyArray<Onnx.Node> {
    const [from, to, tokens] = [sources, destinations, kept].map((name) => this.node("Shape", [name]))
    if (from === undefined || to === undefined || tokens === undefined) return []
    this.#remaining = this.node("Sub", [tokens, to])
    this.#last = this.node("Slice", [kept, this.#remaining, this.whole([end]), this.whole([0])])
    this.#atOnce = this.node("Max", [
      this.node("Div", [this.whole([scoresAtOnce]), from]),
      this.whole([leastAtOnce])
    ])
    const turns = this.node("Div", [
      this.node("Sub", [this.node("Add", [to, this.#atOnce]), this.whole([1])]),
      this.#atOnce
    ])
    this.#turns = this.node("Reshape", [turns, this.whole([])])
    return this.taken()
  }

  /** Matches the tokens `[b, n, c]`. */
  match(tokens: string): Match {
    const normed = this.node("LpNormalization", [tokens], { axis: { int: -1 }, p: { int: 2 } })
    const gather = (indices: string) => this.node("Gather", [normed, indices], { axis: { int: 1 } })
    const from = gather(sources)
    const to = this.node("Transpose", [gather(destinations)], { perm: { ints: [0, 2, 1] } })
    const [likeness, nearest] = this.#nearest(from, to)
    const all = this.node("Shape", [sources])
    const [, order] = this.#largest(likeness, all, 1)
    const token = this.node("Gather", [sources, order])
    const split = (value: string) =>
      [
        this.node("Slice", [value, this.whole([0]), this.#first(), this.whole([1])]),
        this.node("Slice", [value, this.#first(), this.whole([end]), this.whole([1])])
      ] as const
    const [mergedToken, keptToken] = split(token)
    const [mergedOrder] = split(order)
    const into = this.node("GatherElements", [nearest, mergedOrder], { axis: { int: 1 } })
    const first = this.node("Slice", [kept, this.whole([0]), this.#remaining, this.whole([0])])
    const ranked = this.node("Concat", [
      this.node("Add", [into, this.#remaining]),
      this.node("Expand", [first, this.node("Shape", [keptToken])])
    ], { axis: { int: 1 } })
    const bySource = this.node("ScatterElements", [order, order, ranked], { axis: { int: 1 } })
    const rows = this.node("Slice", [this.node("Shape", [order]), this.whole([0]), this.whole([1])])
    const shape = this.node("Concat", [rows, this.node("Shape", [this.#last])], { axis: { int: 0 } })
    const list = this.node("Concat", [bySource, this.node("Expand", [this.#last, shape])], { axis: { int: 1 } })
    const column = (value: string) => this.node("Unsqueeze", [value, this.whole([-1])])
    return {
      kept: column(keptToken),
      merged: column(mergedToken),
      into: column(into),
      places: column(this.node("Gather", [list, places], { axis: { int: 1 } }))
    }
  }

  /** Tokens `[b, n, c]` with those that match as their mean: the kept sources, then all destinations. */
  merge(tokens: string, match: Match): string {
    const from = this.#rows(tokens, match.merged)
    const to = this.node("Gather", [tokens, destinations], { axis: { int: 1 } })
    const wide = this.node("Expand", [match.into, this.node("Shape", [from])])
    const sum = this.node("ScatterElements", [to, wide, from], addition)
    const one = this.node("Slice", [to, this.whole([0]), this.whole([1]), this.whole([2])])
    const count = this.node("ScatterElements", [this.#ones(one), match.into, this.#ones(match.into)], addition)
    return this.node("Concat", [this.#rows(tokens, match.kept), this.node("Div", [sum, count])], { axis: { int: 1 } })
  }

  /** The reverse: each token gets the value of where it was merged. */
  unmerge(tokens: string, match: Match): string {
    return this.#rows(tokens, match.places)
  }

  // For each source the destination that it is most like, and how much: both `[b, n]`. Destinations are taken some at a
  // time. Products have no fewer rows than columns, so that they are the same numbers however many threads there are.
  #nearest(from: string, to: string): readonly [likeness: string, nearest: string] {
    const shape = this.node("Slice", [this.node("Shape", [from]), this.whole([0]), this.whole([2])])
    const least = this.node("ConstantOfShape", [shape], { value: { tensor: Onnx.tensor("float32", [1], [-2]) } })
    const none = this.node("ConstantOfShape", [shape], { value: { tensor: Onnx.tensor("int64", [1], [0]) } })
    const [likeness = "", nearest = ""] = this.loop(
      this.#turns,
      [{ first: least, type: "float32" }, { first: none, type: "int64" }],
      (turn, [likeness = "", nearest = ""]) => {
        const begin = this.node("Mul", [turn, this.#atOnce])
        const stop = this.node("Add", [begin, this.#atOnce])
        const scores = this.node("MatMul", [from, this.node("Slice", [to, begin, stop, this.whole([2])])])
        const [score, index] = this.#largest(scores, this.whole([1]), 2)
        const flat = (value: string) => this.node("Squeeze", [value, this.whole([-1])])
        const found = flat(score)
        const isMore = this.node("Greater", [found, likeness])
        const at = this.node("Add", [flat(index), begin])
        return [this.node("Where", [isMore, found, likeness]), this.node("Where", [isMore, at, nearest])]
      }
    )
    return [likeness, nearest]
  }

  // How many sources are merged.
  #first(): string {
    return this.node("Sub", [this.node("Shape", [sources]), this.#remaining])
  }

  #largest(value: string, count: string, axis: number): readonly [values: string, indices: string] {
    const outputs = [this.name(), this.name()] as const
    this.nodeTo(outputs, "TopK", [value, count], { axis: { int: axis } })
    return outputs
  }

  #rows(tokens: string, at: string): string {
    return this.node("GatherND", [tokens, at], { batch_dims: { int: 1 } })
  }

  #ones(like: string): string {
    const value = { tensor: Onnx.tensor("float32", [1], [1]) }
    return this.node("ConstantOfShape", [this.node("Shape", [like])], { value })
  }
}

const addition: Onnx.Node["attributes"] = { axis: { int: 1 }, reduction: { string: "add" } }

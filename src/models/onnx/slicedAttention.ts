/**
 * Attention that is computed for some queries at a time: the same bytes, in a fraction of the memory.
 *
 * Attention has a score for each pair of a query and a key, twice (before and after the softmax): 4 GiB for an image of
 * 1024 x 1024 pixels in the embedded model. No query's row of scores depends on another's, so that a loop in the graph
 * can take them in turn and forget each slice's scores before the next one. Each number is computed by the same
 * operators from the same numbers in the same order.
 */
import { GraphWriter } from "./GraphWriter.ts"
import * as Onnx from "./Onnx.ts"

/** Scores of a slice at least: 32 MiB of float32. At most they are twice as many. */
const scoresAtOnce = 2 ** 23

/**
 * Least queries of a slice; their number is at least the values' width as well. Where a product has fewer rows than
 * columns, onnxruntime may share the work among its threads by columns, and sum in another order.
 */
const leastQueries = 128

export interface AttentionSize {
  /** Heads of all images together. */
  readonly batch: number
  readonly queries: number
  readonly keys: number
  /** Of each value. */
  readonly width: number
}

/** The most queries that are taken at once. */
export const queriesAtOnce = ({ batch, keys, queries, width }: AttentionSize): number => {
  const fitting = Math.max(Math.floor(scoresAtOnce / (batch * keys)), leastQueries, width)
  return Math.ceil(queries / Math.max(1, Math.floor(queries / fitting)))
}

/**
 * The operator that stands for sliced attention where only sizes matter. Its inputs are the queries `[..., n, width]`,
 * the keys `[..., width, m]` and the values `[..., m, width]`.
 */
export const slicedOperator = "SlicedAttention"

/** The model with its attention sliced, for `workingMemory`; the model itself where there is none to slice. */
export const sketched = (model: Onnx.Model): Onnx.Model =>
  replaced(model, ({ keys, output, queries, values }) => [
    { op: slicedOperator, inputs: [queries, keys, values], outputs: [output] }
  ])

/**
 * The bytes of an ONNX file with its attention sliced; the file itself where there is none to slice.
 *
 * That is attention which is spelled out: a product of queries and keys, a scale or none, the softmax, and the product
 * with the values. Operators that compute it in one remain, as do those of version 12 and older, and networks of half
 * precision: onnxruntime rounds between their operators as it fuses them, so that a loop gives other numbers. Throws
 * for a file that cannot be read.
 */
export const slicedAttention = (file: Uint8Array): Uint8Array => {
  const model = Onnx.read(file)
  const loops = new Loops(Onnx.unusedPrefix(file, "sliced"))
  const changed = replaced(model, (attention) => loops.sliced(attention))
  if (changed === model) return file
  const { graph } = changed
  return Onnx.write({
    ...changed,
    graph: { ...graph, initializers: [...graph.initializers, ...loops.constants] }
  })
}

interface Attention {
  readonly queries: string
  readonly keys: string
  readonly values: string
  /** What makes weights of scores, in order: each node's first input is the output of the one before it. */
  readonly weighting: ReadonlyArray<Onnx.Node>
  readonly output: string
}

const replaced = (
  model: Onnx.Model,
  make: (attention: Attention) => ReadonlyArray<Onnx.Node>
): Onnx.Model => {
  const { graph } = model
  if ((model.opsets[""] ?? model.opsets["ai.onnx"] ?? 1) < 13 || hasHalves(graph)) return model
  const readers = readersOf(graph)
  const dropped = new Set<Onnx.Node>()
  const loops = new Map<Onnx.Node, ReadonlyArray<Onnx.Node>>()
  for (const node of graph.nodes) {
    const found = isStandard(node, "MatMul") ? attentionFrom(node, readers) : undefined
    if (found === undefined) continue
    const { attention, last } = found
    for (const each of [node, ...attention.weighting]) dropped.add(each)
    loops.set(last, make(attention))
  }
  if (loops.size === 0) return model
  const nodes = graph.nodes.flatMap((node) => dropped.has(node) ? [] : loops.get(node) ?? [node])
  return { ...model, graph: { ...graph, nodes } }
}

const halves: ReadonlySet<Onnx.ElementType> = new Set(["float16", "bfloat16"])

// Whether it computes with them. Weights of half precision alone do not matter: they are made whole before their use.
const hasHalves = ({ inputs, nodes }: Onnx.Graph): boolean =>
  inputs.some(({ type }) => halves.has(type)) ||
  nodes.some(({ attributes, op }) => {
    const to = op === "Cast" ? attributes?.["to"] : undefined
    return to !== undefined && "int" in to && halves.has(Onnx.elementType(to.int))
  })

interface Readers {
  /** The node that reads a value; undefined for one that several read, or that leaves the graph. */
  readonly only: (value: string) => Onnx.Node | undefined
  /** Whether a value is a constant of one number. */
  readonly isNumber: (value: string) => boolean
}

const readersOf = (graph: Onnx.Graph): Readers => {
  const readers = new Map<string, ReadonlyArray<Onnx.Node>>()
  const numbers = new Set<string>()
  const isOne = ({ dims }: Onnx.Tensor) => dims.every((dim) => dim === 1)
  for (const tensor of graph.initializers) if (tensor.name !== undefined && isOne(tensor)) numbers.add(tensor.name)
  for (const node of graph.nodes) {
    for (const input of node.inputs) readers.set(input, [...readers.get(input) ?? [], node])
    const value = node.op === "Constant" ? node.attributes?.["value"] : undefined
    if (value !== undefined && "tensor" in value && isOne(value.tensor)) numbers.add(node.outputs[0] ?? "")
  }
  // Branches and loops read values of the graph around them without naming them as inputs.
  const hidden = new Set(graph.nodes.flatMap(Onnx.readInside))
  const given = new Set(graph.outputs.map(({ name }) => name))
  return {
    only: (value) => {
      const [reader, ...others] = readers.get(value) ?? []
      return others.length > 0 || given.has(value) || hidden.has(value) ? undefined : reader
    },
    isNumber: (value) => numbers.has(value)
  }
}

const isStandard = ({ domain = "", op }: Onnx.Node, name: string) => op === name && ["", "ai.onnx"].includes(domain)

// The attention whose scores a product makes, and the product with its values.
const attentionFrom = (
  scores: Onnx.Node,
  readers: Readers
): { readonly attention: Attention; readonly last: Onnx.Node } | undefined => {
  const weighting: Array<Onnx.Node> = []
  let value = scores.outputs[0] ?? ""
  let hasSoftmax = false
  for (;;) {
    const node = readers.only(value)
    // A damaged file may lead in circles.
    if (node === undefined || node.inputs[0] !== value || weighting.includes(node)) return undefined
    const [output] = node.outputs
    const [queries, keys] = scores.inputs
    const [, other = ""] = node.inputs
    if (output === undefined || queries === undefined || keys === undefined) return undefined
    if (hasSoftmax && isStandard(node, "MatMul")) {
      return other === value
        ? undefined
        : { attention: { queries, keys, values: other, weighting, output }, last: node }
    }
    const isSoftmax: boolean = !hasSoftmax && isStandard(node, "Softmax") && isAlongKeys(node)
    const isScale = (isStandard(node, "Mul") || isStandard(node, "Div")) && readers.isNumber(other)
    if (!isSoftmax && !isScale && !isStandard(node, "Cast")) return undefined
    hasSoftmax ||= isSoftmax
    weighting.push(node)
    value = output
  }
}

const isAlongKeys = ({ attributes }: Onnx.Node): boolean => {
  const axis = attributes?.["axis"]
  return axis === undefined || ("int" in axis && axis.int === -1)
}

// The largest number that `Slice` can be given exactly from JavaScript.
const end = Number.MAX_SAFE_INTEGER

// Makes the loops, and the constants that they share.
class Loops extends GraphWriter {
  /** The nodes that compute some attention in slices. */
  sliced({ keys, output, queries, values, weighting }: Attention): ReadonlyArray<Onnx.Node> {
    const number = (value: number) => this.whole([value])
    const part = (shape: string, from: number, to: number) =>
      this.node("Slice", [shape, number(from), number(to), number(0)])

    // As `queriesAtOnce` does it.
    const shape = this.node("Shape", [queries])
    const all = part(shape, -2, -1)
    const pairs = this.node("Mul", [
      this.node("ReduceProd", [part(shape, 0, -2)]),
      part(this.node("Shape", [keys]), -1, end)
    ])
    const width = part(this.node("Shape", [values]), -1, end)
    const fitting = this.node("Max", [this.node("Div", [number(scoresAtOnce), pairs]), number(leastQueries), width])
    const slices = this.node("Max", [this.node("Div", [all, fitting]), number(1)])

    const none = this.node("Slice", [values, number(0), number(0), number(-2)])
    const trips = this.node("Reshape", [slices, this.whole([])])
    // Sizes of slices differ by one at most.
    const start = (turn: string) => this.node("Div", [this.node("Mul", [turn, all]), slices])
    // Takes the next queries, and appends what they make to what was made.
    this.loop(trips, [{ first: none, type: "undefined" }], (turn, [made = ""]) => {
      const [from, to] = [start(turn), start(this.node("Add", [turn, this.whole([1])]))]
      const scores = this.node("MatMul", [this.node("Slice", [queries, from, to, this.whole([-2])]), keys])
      const weights = weighting.reduce(
        (value, { attributes, inputs: [, ...others], op }) => this.node(op, [value, ...others], attributes),
        scores
      )
      return [this.node("Concat", [made, this.node("MatMul", [weights, values])], { axis: { int: -2 } })]
    }, [output])
    return this.taken()
  }
}

/**
 * How much memory one call of a network takes, computed from its graph.
 *
 * The graph is walked in order with the sizes of a call's inputs: the size of each value follows from its operator, and
 * a value is in memory from the node that makes it to the last one that reads it. The peak is what onnxruntime takes
 * from its allocator on a processor; the weights are not counted. Nothing is computed but the shapes themselves, which
 * exported graphs work out with ordinary operators.
 */
import type * as Onnx from "./Onnx.ts"
import { count as countOf, inferred, sizeOf, tensorValue, type Value } from "./shapes.ts"
import { queriesAtOnce, slicedOperator } from "./slicedAttention.ts"

/** Sizes of a call's inputs, by name. */
export type InputDims = Readonly<Record<string, ReadonlyArray<number>>>

/** Operators whose output is the memory of their first input. */
const views = new Set(["Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"])

/** Operators that write over an input that is not read later. */
const inPlace = new Set(
  `Add Sub Mul Div Sigmoid Tanh Relu Clip Neg Sqrt Exp Erf Pow Where LeakyRelu Abs Reciprocal InstanceNormalization
    BatchNormalization`.split(/\s+/)
)

// Memory that one value or several views of it occupy.
interface Block {
  readonly bytes: number
  readers: number
}

/**
 * The bytes that a call takes at its peak; undefined where the graph has an operator or an input of unknown size.
 *
 * The graph may lack its weights: their dimensions are enough.
 */
export const workingMemory = ({ graph }: Onnx.Model, inputs: InputDims): number | undefined => {
  const values = new Map<string, Value>()
  for (const tensor of graph.initializers) if (tensor.name !== undefined) values.set(tensor.name, tensorValue(tensor))
  for (const { name, type } of graph.inputs) {
    const dims = inputs[name]
    if (dims !== undefined) values.set(name, { dims, type, numbers: undefined })
    else if (!values.has(name)) return undefined
  }

  const readers = new Map<string, number>()
  for (const node of graph.nodes) for (const name of node.inputs) readers.set(name, (readers.get(name) ?? 0) + 1)
  // Outputs are written to memory that is there already.
  const given = new Set(graph.outputs.map(({ name }) => name))

  const blocks = new Map<string, Block>()
  let live = 0
  let peak = 0
  for (const node of inOrder(graph)) {
    const outputs = inferred(node, node.inputs.map((name) => name === "" ? undefined : values.get(name)))
    if (outputs === undefined) return undefined
    const [first = ""] = node.inputs
    for (const [i, name] of node.outputs.entries()) {
      const value = outputs[i]
      if (name === "") continue
      if (value === undefined) return undefined
      values.set(name, value)
      const count = readers.get(name) ?? 0
      const bytes = sizeOf(value)
      const block = views.has(node.op)
        ? blocks.get(first)
        : inPlace.has(node.op)
        ? node.inputs.map((input) => blocks.get(input)).find((block) => block?.readers === 1 && block.bytes === bytes)
        : undefined
      if (block !== undefined) {
        block.readers += count
        blocks.set(name, block)
        continue
      }
      // A view of an input or of weights.
      if (views.has(node.op) || given.has(name)) continue
      live += bytes
      blocks.set(name, { bytes, readers: count })
    }
    peak = Math.max(peak, live + scratch(node, values))
    for (const name of node.inputs) {
      const block = blocks.get(name)
      if (block === undefined) continue
      block.readers--
      if (block.readers === 0) live -= block.bytes
    }
    for (const name of node.outputs) {
      const block = blocks.get(name)
      if (block?.readers === 0 && readers.get(name) === undefined) live -= block.bytes
    }
  }
  return peak
}

// What depends on weights and the strengths of adapters alone is computed when it is first read, wherever in the list
// it stands. Strengths are single numbers.
const inOrder = ({ initializers, inputs, nodes }: Onnx.Graph): ReadonlyArray<Onnx.Node> => {
  const numbers = inputs.filter(({ dims }) => dims?.length === 0)
  const fixed = new Set([...initializers, ...numbers].map(({ name }) => name))
  const waiting = new Map<string, Onnx.Node>()
  const ordered: Array<Onnx.Node> = []
  const place = (node: Onnx.Node): void => {
    for (const name of node.inputs) {
      const needed = waiting.get(name)
      if (needed === undefined) continue
      for (const output of needed.outputs) waiting.delete(output)
      place(needed)
    }
    ordered.push(node)
  }
  for (const node of nodes) {
    if (node.inputs.length > 0 && node.inputs.every((name) => name === "" || fixed.has(name))) {
      for (const output of node.outputs) {
        fixed.add(output)
        waiting.set(output, node)
      }
    } else {
      place(node)
    }
  }
  return ordered
}

/**
 * What onnxruntime takes of the machine for a call whose values take so many bytes: its allocator leaves gaps, and
 * kernels take memory for themselves. Measured with the embedded model's networks, it is 1.04 to 1.2 times as much.
 */
export const withOverhead = (bytes: number): number => Math.ceil(bytes * 1.25 + 16 * 2 ** 20)

// What an operator takes while it works, in addition to its output.
const scratch = (
  { attributes = {}, domain = "", inputs, op, outputs }: Onnx.Node,
  values: Map<string, Value>
): number => {
  const output = values.get(outputs[0] ?? "")
  const input = values.get(inputs[0] ?? "")
  if (output === undefined || input === undefined) return 0
  // A copy in the layout of the kernel.
  if (op === "Conv" || op === "FusedConv") return sizeOf(output)
  // The scores of some queries, before and after the softmax, and room for what the allocator leaves between the turns
  // of the loop; the result up to these queries.
  if (op === slicedOperator) {
    const [queries = 1] = input.dims.slice(-2)
    const [keys = 1] = values.get(inputs[1] ?? "")?.dims.slice(-1) ?? []
    const batch = countOf(input.dims.slice(0, -2))
    const [width = 1] = output.dims.slice(-1)
    const scores = { ...input, dims: [batch, queriesAtOnce({ batch, queries, keys, width }), keys] }
    return 3 * sizeOf(scores) + sizeOf(output)
  }
  // Queries, keys and values head by head. Without a bias the scores are never in memory as a whole (Dao et al. 2022).
  if (op === "MultiHeadAttention") {
    const [query = input, key = input, value = input] = inputs.map((name) => values.get(name))
    const copies = sizeOf(query) + sizeOf(key) + sizeOf(value)
    const bias = values.get(inputs[5] ?? "")
    if (bias === undefined) return copies
    const heads = attributes["num_heads"]
    const [batch = 1, length = 1] = query.dims
    return copies + 4 * batch * (heads !== undefined && "int" in heads ? heads.int : 1) * length * (key.dims[1] ?? 1)
  }
  // The scores of all heads at once.
  if (op === "Attention") {
    const heads = attributes[domain === "" ? "q_num_heads" : "num_heads"]
    const [batch = 1, second = 1, third = 1, fourth] = input.dims
    const [count, length] = fourth === undefined
      ? [heads !== undefined && "int" in heads ? heads.int : 1, second]
      : [second, third]
    const keys = values.get(inputs[1] ?? "")
    const others = domain === "" ? keys?.dims.at(-2) ?? length : length
    return 2 * 4 * batch * count * length * others
  }
  return 0
}

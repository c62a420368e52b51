/**
 * Makes a network seamless: the left edge continues at the right one, and the top edge at the bottom one. Its images
 * tile.
 *
 * This is what stable-diffusion-webui's `tiling` does: every two-dimensional convolution reads across the edges instead
 * of zeros (torch's `padding_mode = "circular"`). Here the ONNX graph is changed: before each convolution that pads,
 * nodes put the rows and columns of the opposite side around its input, and the convolution no longer pads.
 */
import * as Onnx from "./onnx/Onnx.ts"

/**
 * The bytes of an ONNX file with its convolutions made circular. The file itself when none of them pads.
 *
 * Only convolutions that pad both sides alike are changed: a one-sided padding is that of a layer before it, such as
 * the VAE encoder's down-sampling, which webui leaves alone. Throws for a file that cannot be read, or whose operators
 * are older than version 10.
 */
export const seamless = (file: Uint8Array): Uint8Array => {
  const model = Onnx.read(file)
  const padding = new CircularPadding(Onnx.unusedPrefix(file, "seamless"))
  const graph = circular(model.graph, padding)
  if (graph === model.graph) return file
  const version = model.opsets[""] ?? model.opsets["ai.onnx"] ?? 1
  if (version < 10) {
    throw new Error(`its operators are of version ${version}; seamless networks need version 10 or later`)
  }
  return Onnx.write({
    ...model,
    graph: { ...graph, initializers: [...graph.initializers, ...padding.constants()] }
  })
}

// The graph itself when nothing in it changes.
const circular = (graph: Onnx.Graph, padding: CircularPadding): Onnx.Graph => {
  const nodes = graph.nodes.flatMap((node) => node.op === "Conv" ? conv(node, padding) : withSubgraphs(node, padding))
  return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes }
}

// Branches and loops hold graphs of their own.
const withSubgraphs = (node: Onnx.Node, padding: CircularPadding): Onnx.Node => {
  const changed = Object.entries(node.attributes ?? {}).flatMap(([name, value]) => {
    if (!("graph" in value)) return []
    const graph = circular(value.graph, padding)
    return graph === value.graph ? [] : [[name, { graph }] as const]
  })
  return changed.length === 0 ? node : { ...node, attributes: { ...node.attributes, ...Object.fromEntries(changed) } }
}

const conv = (node: Onnx.Node, padding: CircularPadding): ReadonlyArray<Onnx.Node> => {
  const { auto_pad: automatic = { string: "NOTSET" }, pads } = node.attributes ?? {}
  const [input, ...weights] = node.inputs
  const isStandard = ["", "ai.onnx"].includes(node.domain ?? "")
  const isExplicit = "string" in automatic && automatic.string === "NOTSET"
  if (!isStandard || !isExplicit || input === undefined || pads === undefined || !("ints" in pads)) return [node]
  const [top = 0, left = 0, bottom = 0, right = 0, ...others] = pads.ints
  if (pads.ints.length < 4 || others.length > 0 || top !== bottom || left !== right || Math.max(top, left) <= 0) {
    return [node]
  }

  const vertical = padding.around(input, 2, top)
  const both = padding.around(vertical.output, 3, left)
  return [...vertical.nodes, ...both.nodes, {
    ...node,
    inputs: [both.output, ...weights],
    attributes: { ...node.attributes, pads: { ints: [0, 0, 0, 0] } }
  }]
}

// Past every end: the largest number that `Slice` can be given exactly from JavaScript.
const end = Number.MAX_SAFE_INTEGER

// Makes the nodes that put a value's opposite side around it, and the constants that they share.
class CircularPadding {
  readonly #prefix: string
  readonly #constants = new Map<number, Onnx.Tensor>()
  #count = 0

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** Continues `input` by `size` on both sides of `axis`. */
  around(input: string, axis: number, size: number): { readonly output: string; readonly nodes: Array<Onnx.Node> } {
    if (size <= 0) return { output: input, nodes: [] }
    const slice = (from: number, to: number) =>
      this.#node("Slice", [input, this.#constant(from), this.#constant(to), this.#constant(axis)])
    const before = slice(-size, end)
    const after = slice(0, size)
    const joined = this.#node("Concat", [before.name, input, after.name], { axis: { int: axis } })
    return { output: joined.name, nodes: [before, after, joined] }
  }

  /** The shared constants, int64 `[1]`. */
  constants(): Iterable<Onnx.Tensor> {
    return this.#constants.values()
  }

  #constant(value: number): string {
    const name = `${this.#prefix}_number_${value}`
    this.#constants.set(value, { ...Onnx.tensor("int64", [1], [value]), name })
    return name
  }

  #node(op: string, inputs: ReadonlyArray<string>, attributes?: Onnx.Node["attributes"]) {
    const name = `${this.#prefix}_${++this.#count}`
    return { name, op, inputs, outputs: [name], attributes }
  }
}

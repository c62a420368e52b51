/**
 * Makes a network seamless: what it sees goes on at the left edge where it ends at the right one, and at the top where it
 * ends at the bottom. Its pictures can be laid side by side as tiles.
 *
 * This is what stable-diffusion-webui's `tiling` does: every two-dimensional convolution reads across the edges instead of
 * zeros (torch's `padding_mode = "circular"`). Here the ONNX file is changed: before each convolution that pads, the rows
 * and columns of the other side are laid around its input, and it pads no more.
 */
import * as OnnxGraph from "./OnnxGraph.ts"

/**
 * The bytes of an ONNX file with its convolutions made circular. The file itself where none of them pads.
 *
 * Only convolutions that pad both sides alike are changed: a one-sided padding is that of a layer before it, such as the
 * VAE encoder's down-sampling, which webui leaves alone. Throws for a file that cannot be read, or whose operators are
 * older than version 10.
 */
export const seamless = (file: Uint8Array): Uint8Array => {
  let prefix = "seamless"
  while (Buffer.from(file.buffer, file.byteOffset, file.byteLength).includes(prefix)) prefix += "_"
  const wrapping = new Wrapping(prefix)
  const parts = OnnxGraph.edited(file, (field) =>
    field.number === model.graph
      ? OnnxGraph.nested(model.graph, [
        ...OnnxGraph.edited(field.value, (field) => circular(field, wrapping)),
        ...wrapping.constants()
      ])
      : undefined)
  if (wrapping.isEmpty()) return file
  const opset = OnnxGraph.fieldsNamed(file, model.opset).find(({ value }) => isStandard(OnnxGraph.textOf(value, 1)))
  const [version = 1] = opset === undefined ? [] : OnnxGraph.integersOf(opset.value, 2)
  if (version < 10) {
    throw new Error(`its operators are of version ${version}, and a seamless network needs 10 or later`)
  }
  return Buffer.concat(parts)
}

// Field numbers of onnx.proto.
const model = { graph: 7, opset: 8 }
const graph = { node: 1, initializer: 5 }
const node = { input: 1, output: 2, name: 3, op: 4, attribute: 5, domain: 7 }
const attribute = { name: 1, int: 3, text: 4, graph: 6, ints: 8, graphs: 11, type: 20 }
const tensor = { dims: 1, type: 2, ints: 7, name: 8 }

const isStandard = (domain: string) => domain === "" || domain === "ai.onnx"

// A field of a graph with its convolutions made circular, or nothing when it stays as it is.
const circular = (field: OnnxGraph.Field, wrapping: Wrapping): OnnxGraph.Parts | undefined => {
  if (field.number !== graph.node) return undefined
  const attributes = OnnxGraph.fieldsNamed(field.value, node.attribute)
  if (OnnxGraph.textOf(field.value, node.op) !== "Conv") {
    // Branches and loops hold graphs of their own.
    return attributes.some(({ value }) => holdsGraph(value))
      ? OnnxGraph.nested(
        graph.node,
        OnnxGraph.edited(field.value, (field) =>
          field.number === node.attribute && holdsGraph(field.value)
            ? OnnxGraph.nested(
              node.attribute,
              OnnxGraph.edited(field.value, (field) =>
                isGraph(field)
                  ? OnnxGraph.nested(field.number, OnnxGraph.edited(field.value, (field) => circular(field, wrapping)))
                  : undefined)
            )
            : undefined)
      )
      : undefined
  }
  if (!isStandard(OnnxGraph.textOf(field.value, node.domain))) return undefined
  const named = (name: string) => attributes.find(({ value }) => OnnxGraph.textOf(value, attribute.name) === name)
  const automatic = named("auto_pad")
  if (automatic !== undefined && OnnxGraph.textOf(automatic.value, attribute.text) !== "NOTSET") return undefined
  const pads = named("pads")
  if (pads === undefined) return undefined
  const sides = OnnxGraph.integersOf(pads.value, attribute.ints)
  const [top = 0, left = 0, bottom = 0, right = 0] = sides
  if (sides.length !== 4 || top !== bottom || left !== right || (top <= 0 && left <= 0)) return undefined
  const [plain] = OnnxGraph.textsOf(field.value, node.input)
  if (plain === undefined) return undefined

  const added: Array<Uint8Array> = []
  const input = wrapping.around(wrapping.around(plain, 2, top, added), 3, left, added)
  let inputs = 0
  const conv = OnnxGraph.edited(field.value, (field) => {
    if (field.number === node.input && inputs++ === 0) return OnnxGraph.text(node.input, input)
    if (field.number !== node.attribute || OnnxGraph.textOf(field.value, attribute.name) !== "pads") return undefined
    return OnnxGraph.nested(node.attribute, [
      ...OnnxGraph.edited(field.value, (field) => field.number === attribute.ints ? [] : undefined),
      ...sides.flatMap(() => OnnxGraph.integer(attribute.ints, 0))
    ])
  })
  return [...added, ...OnnxGraph.nested(graph.node, conv)]
}

const isGraph = ({ number }: OnnxGraph.Field) => number === attribute.graph || number === attribute.graphs

const holdsGraph = (message: Uint8Array) => {
  for (const field of OnnxGraph.fieldsOf(message)) if (isGraph(field)) return true
  return false
}

// Past every end: the largest number that `Slice` can be given exactly from JavaScript.
const end = Number.MAX_SAFE_INTEGER

// The nodes that lay a value's far side around it, and the numbers that they share.
class Wrapping {
  readonly #prefix: string
  readonly #numbers = new Set<number>()
  #count = 0

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  isEmpty(): boolean {
    return this.#count === 0
  }

  /** Adds to `nodes` those that continue `input` by `size` on both sides of `axis`; gives the name of what they make. */
  around(input: string, axis: number, size: number, nodes: Array<Uint8Array>): string {
    if (size <= 0) return input
    const before = this.#node("Slice", [input, this.#number(-size), this.#number(end), this.#number(axis)], nodes)
    const after = this.#node("Slice", [input, this.#number(0), this.#number(size), this.#number(axis)], nodes)
    return this.#node("Concat", [before, input, after], nodes, axis)
  }

  /** The shared numbers as int64 initializers `[1]`. */
  constants(): OnnxGraph.Parts {
    return [...this.#numbers].flatMap((value) =>
      OnnxGraph.nested(graph.initializer, [
        ...OnnxGraph.integer(tensor.dims, 1),
        ...OnnxGraph.integer(tensor.type, 7),
        ...OnnxGraph.integer(tensor.ints, value),
        ...OnnxGraph.text(tensor.name, this.#number(value))
      ])
    )
  }

  #number(value: number): string {
    this.#numbers.add(value)
    return `${this.#prefix}_number_${value}`
  }

  #node(op: string, inputs: ReadonlyArray<string>, nodes: Array<Uint8Array>, axis?: number): string {
    const name = `${this.#prefix}_${++this.#count}`
    nodes.push(...OnnxGraph.nested(graph.node, [
      ...inputs.flatMap((input) => OnnxGraph.text(node.input, input)),
      ...OnnxGraph.text(node.output, name),
      ...OnnxGraph.text(node.name, name),
      ...OnnxGraph.text(node.op, op),
      ...(axis === undefined ? [] : OnnxGraph.nested(node.attribute, [
        ...OnnxGraph.text(attribute.name, "axis"),
        ...OnnxGraph.integer(attribute.int, axis),
        ...OnnxGraph.integer(attribute.type, 2)
      ]))
    ]))
    return name
  }
}

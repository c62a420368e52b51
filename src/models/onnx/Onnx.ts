/**
 * ONNX files: `read` returns the typed contents of one, `write` its bytes.
 *
 * Field numbers are those of onnx.proto. Fields that have no place in these types are kept in `unknown` and written
 * back, and everything that was read and not replaced is written byte for byte as it was. So a file is rewritten by
 * copying with spread what changes. Validity is checked by onnxruntime when it opens the file, not here.
 */
import { toFloat16 } from "../../core/float16.ts"
import { float, integer, Message, message, type Parts, string } from "./Protobuf.ts"

/** The types of `TensorProto.DataType`, by their number. */
const elementTypes = [
  "undefined",
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "uint4",
  "int4",
  "float4e2m1"
] as const

/** Number type of a tensor. Types newer than this list read as `undefined`. */
export type ElementType = (typeof elementTypes)[number]

/** The number that stands for a type in the file, as in the attribute `to` of `Cast`. */
export const typeNumber = (type: ElementType): number => elementTypes.indexOf(type)

/** The type that a number in the file stands for; `undefined` for one that is newer than the list. */
export const elementType = (number: number): ElementType => elementTypes[number] ?? "undefined"

/** Fields of a message that these types do not name, as they are in the file. */
interface Extensible {
  readonly unknown?: Parts | undefined
}

export interface Model extends Extensible {
  readonly irVersion?: number | undefined
  readonly producer?: string | undefined
  /** Versions of the operator sets by domain; the standard operators' domain is empty. */
  readonly opsets: Readonly<Record<string, number>>
  readonly graph: Graph
}

export interface Graph extends Extensible {
  readonly name?: string | undefined
  /** In an order in which each node follows those it reads from. */
  readonly nodes: ReadonlyArray<Node>
  /** The constants: weights, mostly. */
  readonly initializers: ReadonlyArray<Tensor>
  readonly inputs: ReadonlyArray<ValueInfo>
  readonly outputs: ReadonlyArray<ValueInfo>
}

export interface Node extends Extensible {
  readonly name?: string | undefined
  /** The operator, such as `Conv`. */
  readonly op: string
  /** Where the operator is defined; empty for the standard ones. */
  readonly domain?: string | undefined
  /** Names of values; an empty one leaves an optional input out. */
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  readonly attributes?: Readonly<Record<string, Attribute>> | undefined
}

/** JavaScript has one type for integers and floats, so an attribute names its own. */
export type Attribute =
  | { readonly int: number }
  | { readonly ints: ReadonlyArray<number> }
  | { readonly float: number }
  | { readonly floats: ReadonlyArray<number> }
  | { readonly string: string }
  | { readonly tensor: Tensor }
  | { readonly graph: Graph }
  /** An attribute of another type: its fields, without the name. */
  | { readonly unknown: Parts }

export interface Tensor extends Extensible {
  readonly name?: string | undefined
  readonly type: ElementType
  readonly dims: ReadonlyArray<number>
  /**
   * The numbers in row-major order, little-endian, in this file or in another. Files may also hold them in a field for
   * their type: then there is no `data`, and they are in `unknown`.
   */
  readonly data?: Uint8Array | ExternalData | undefined
}

/** Where a tensor's bytes are, in a file in the same folder. */
export interface ExternalData {
  readonly location: string
  readonly offset: number
  readonly length: number
}

/** An input or output of a graph. */
export interface ValueInfo extends Extensible {
  readonly name: string
  readonly type: ElementType
  /** Sizes, or names for those that vary; undefined when the file does not state the shape. */
  readonly dims: ReadonlyArray<number | string> | undefined
}

/** A tensor of numbers. */
export const tensor = (
  type: "float32" | "float16" | "int32" | "int64" | "uint8" | "bool",
  dims: ReadonlyArray<number>,
  numbers: ArrayLike<number>
): Tensor => {
  const array = {
    float32: () => Float32Array.from(numbers),
    float16: () => Uint16Array.from(numbers, toFloat16),
    int32: () => Int32Array.from(numbers),
    int64: () => BigInt64Array.from(Array.from(numbers, BigInt)),
    uint8: () => Uint8Array.from(numbers),
    bool: () => Uint8Array.from(numbers)
  }[type]()
  return { type, dims, data: new Uint8Array(array.buffer) }
}

/** The names of all values that a node reads, those that its branches and loops read included. */
export const readBy = (node: Node): ReadonlyArray<string> => node.inputs.concat(readInside(node))

/** The names of values that a node's branches and loops read or give. They are not among the node's inputs. */
export const readInside = ({ attributes = {} }: Node): ReadonlyArray<string> =>
  Object.values(attributes).flatMap((value) =>
    "graph" in value ? value.graph.nodes.flatMap(readBy).concat(value.graph.outputs.map(({ name }) => name)) : []
  )

/** Reads an ONNX file. Its weights are views of `file`. Throws for bytes that are not an ONNX file. */
export const read = (file: Uint8Array): Model =>
  kept(file, (model) => ({
    irVersion: model.integer(1),
    producer: model.string(2),
    graph: kept(model.last(7) ?? new Uint8Array(), graphOf),
    opsets: Object.fromEntries(
      model.all(8).map((bytes) => new Message(bytes)).map((opset) => [opset.string(1), opset.integer(2)])
    ),
    unknown: model.unread()
  }))

/** `word`, or the shortest one that continues it, with which no name in a file begins yet. */
export const unusedPrefix = (file: Uint8Array, word: string): string => {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  let prefix = word
  while (bytes.includes(prefix)) prefix += "_"
  return prefix
}

/** The bytes of an ONNX file. */
export const write = (model: Model): Uint8Array<ArrayBuffer> => Buffer.concat(source(model) ?? modelParts(model))

// The bytes of what was read, by identity: a copy that was changed has none.
const sources = new WeakMap<object, Parts>()
const source = (value: object) => sources.get(value)

const kept = <A extends object>(bytes: Uint8Array, decode: (message: Message) => A): A => {
  const value = decode(new Message(bytes))
  sources.set(value, [bytes])
  return value
}

const graphOf = (graph: Message): Graph => ({
  nodes: graph.all(1).map((bytes) => kept(bytes, nodeOf)),
  name: graph.string(2),
  initializers: graph.all(5).map((bytes) => kept(bytes, tensorOf)),
  inputs: graph.all(11).map((bytes) => kept(bytes, valueInfoOf)),
  outputs: graph.all(12).map((bytes) => kept(bytes, valueInfoOf)),
  unknown: graph.unread()
})

const nodeOf = (node: Message): Node => ({
  inputs: node.strings(1),
  outputs: node.strings(2),
  name: node.string(3),
  op: node.string(4),
  attributes: Object.fromEntries(node.all(5).map(attributeOf)),
  domain: node.string(7),
  unknown: node.unread()
})

const attributeOf = (bytes: Uint8Array): readonly [name: string, Attribute] => {
  const attribute = new Message(bytes)
  const name = attribute.string(1)
  const parts = attribute.unread()
  const value = attributeValue(attribute, parts)
  sources.set(value, parts)
  return [name, value]
}

const attributeValue = (attribute: Message, parts: Parts): Attribute => {
  const nested = (number: number) => attribute.last(number) ?? new Uint8Array()
  switch (attribute.integer(20)) {
    case 1:
      return { float: attribute.floats(2).at(-1) ?? 0 }
    case 2:
      return { int: attribute.integer(3) }
    case 3:
      return { string: attribute.string(4) }
    case 4:
      return { tensor: kept(nested(5), tensorOf) }
    case 5:
      return { graph: kept(nested(6), graphOf) }
    case 6:
      return { floats: attribute.floats(7) }
    case 7:
      return { ints: attribute.integers(8) }
    default:
      return { unknown: parts }
  }
}

const tensorOf = (tensor: Message): Tensor => ({
  dims: tensor.integers(1),
  type: elementTypes[tensor.integer(2)] ?? "undefined",
  name: tensor.string(8),
  data: dataOf(tensor),
  unknown: tensor.unread()
})

const dataOf = (tensor: Message): Tensor["data"] => {
  const raw = tensor.last(9)
  const { length, location, offset } = Object.fromEntries(
    tensor.all(13).map((bytes) => new Message(bytes)).map((entry) => [entry.string(1), entry.string(2)])
  )
  return tensor.integer(14) === 1 && location !== undefined
    ? { location, offset: Number(offset ?? 0), length: Number(length ?? 0) }
    : raw
}

const valueInfoOf = (info: Message): ValueInfo => {
  const nested = (message: Message, number: number) => new Message(message.last(number) ?? new Uint8Array())
  const type = nested(nested(info, 2), 1)
  const shape = type.last(2)
  return {
    name: info.string(1),
    type: elementTypes[type.integer(1)] ?? "undefined",
    dims: shape &&
      new Message(shape).all(1).map((bytes) => new Message(bytes)).map((dim) =>
        dim.last(1) === undefined ? dim.string(2) : dim.integer(1)
      ),
    unknown: info.unread()
  }
}

const modelParts = ({ graph, irVersion = 8, opsets, producer = "serena", unknown = [] }: Model): Parts => [
  ...integer(1, irVersion),
  ...string(2, producer),
  ...message(7, source(graph) ?? graphParts(graph)),
  ...Object.entries(opsets).flatMap(([domain, version]) => message(8, [...named(1, domain), ...integer(2, version)])),
  ...unknown
]

const graphParts = ({ initializers, inputs, name = "graph", nodes, outputs, unknown = [] }: Graph): Parts => [
  ...nodes.flatMap((node) => message(1, source(node) ?? nodeParts(node))),
  ...string(2, name),
  ...initializers.flatMap((tensor) => message(5, source(tensor) ?? tensorParts(tensor))),
  ...inputs.flatMap((info) => message(11, source(info) ?? valueInfoParts(info))),
  ...outputs.flatMap((info) => message(12, source(info) ?? valueInfoParts(info))),
  ...unknown
]

const nodeParts = ({ attributes = {}, domain = "", inputs, name = "", op, outputs, unknown = [] }: Node): Parts => [
  ...inputs.flatMap((input) => string(1, input)),
  ...outputs.flatMap((output) => string(2, output)),
  ...named(3, name),
  ...string(4, op),
  ...Object.entries(attributes).flatMap(([name, value]) =>
    message(5, [...string(1, name), ...source(value) ?? attributeParts(value)])
  ),
  ...named(7, domain),
  ...unknown
]

const named = (number: number, value: string): Parts => value === "" ? [] : string(number, value)

// The value's own field, then `AttributeProto.type`.
const attributeParts = (value: Attribute): Parts => {
  if ("float" in value) return [...float(2, value.float), ...integer(20, 1)]
  if ("int" in value) return [...integer(3, value.int), ...integer(20, 2)]
  if ("string" in value) return [...string(4, value.string), ...integer(20, 3)]
  if ("tensor" in value) return [...message(5, source(value.tensor) ?? tensorParts(value.tensor)), ...integer(20, 4)]
  if ("graph" in value) return [...message(6, source(value.graph) ?? graphParts(value.graph)), ...integer(20, 5)]
  if ("floats" in value) return [...value.floats.flatMap((item) => float(7, item)), ...integer(20, 6)]
  if ("ints" in value) return [...value.ints.flatMap((item) => integer(8, item)), ...integer(20, 7)]
  return value.unknown
}

const tensorParts = ({ data, dims, name = "", type, unknown = [] }: Tensor): Parts => [
  ...dims.flatMap((dim) => integer(1, dim)),
  ...integer(2, typeNumber(type)),
  ...string(8, name),
  ...dataParts(data),
  ...unknown
]

const dataParts = (data: Tensor["data"]): Parts => {
  if (data === undefined) return []
  if (data instanceof Uint8Array) return message(9, [data])
  const entries = Object.entries({ location: data.location, offset: `${data.offset}`, length: `${data.length}` })
  return [
    ...entries.flatMap(([key, value]) => message(13, [...string(1, key), ...string(2, value)])),
    ...integer(14, 1)
  ]
}

const valueInfoParts = ({ dims, name, type, unknown = [] }: ValueInfo): Parts => {
  const size = (dim: number | string) => typeof dim === "number" ? integer(1, dim) : string(2, dim)
  const shape = dims === undefined ? [] : message(2, dims.flatMap((dim) => message(1, size(dim))))
  // TypeProto, its tensor_type; left out where it is unknown, as a loop's values may be.
  const typed = type === "undefined" ? [] : message(2, message(1, [...integer(1, typeNumber(type)), ...shape]))
  return [...string(1, name), ...typed, ...unknown]
}

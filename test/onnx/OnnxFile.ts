/**
 * Writes ONNX files: the protobuf message `ModelProto` of onnx.proto, with the parts that a tensor graph needs.
 *
 * Field numbers are those of onnx.proto. Nothing is checked here; onnxruntime does, when it opens the file.
 */
import { toFloat16 } from "../../src/models/TensorBuffer.ts"

export type ElementType = "float32" | "float16" | "int32" | "int64" | "uint8" | "bool"

/** Numbers with their shape, as an initializer or an attribute holds them. */
export interface TensorData {
  readonly type: ElementType
  readonly dims: ReadonlyArray<number>
  /** In row-major order; `dims` multiplied many. */
  readonly data: ArrayLike<number>
}

/** An input or output of the graph. A dimension that varies has a name. */
export interface ValueInfo {
  readonly name: string
  readonly type: ElementType
  readonly dims: ReadonlyArray<number | string>
}

/** JavaScript's numbers do not tell whole numbers from real ones, so an attribute says which it is. */
export type Attribute =
  | { readonly int: number }
  | { readonly ints: ReadonlyArray<number> }
  | { readonly float: number }
  | { readonly floats: ReadonlyArray<number> }
  | { readonly string: string }
  | { readonly tensor: TensorData }

export interface Node {
  /** The operator, such as `Conv`. */
  readonly op: string
  /** Names of values; an empty one leaves an optional input out. */
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  readonly attributes?: Readonly<Record<string, Attribute>> | undefined
}

export interface Model {
  /** Version of the standard operators: 17. */
  readonly opset?: number | undefined
  readonly inputs: ReadonlyArray<ValueInfo>
  readonly outputs: ReadonlyArray<ValueInfo>
  readonly initializers: Readonly<Record<string, TensorData>>
  /** In an order in which each node follows those it reads from. */
  readonly nodes: ReadonlyArray<Node>
}

/** The bytes of an ONNX file. */
export const model = ({ initializers, inputs, nodes, opset = 17, outputs }: Model): Uint8Array<ArrayBuffer> =>
  concat([
    integer(1, 8), // ir_version
    text(2, "serena-test"), // producer_name
    message(7, [ // graph
      ...nodes.map((value) => message(1, node(value))),
      text(2, "graph"),
      ...Object.entries(initializers).map(([name, value]) => message(5, tensor(name, value))),
      ...inputs.map((value) => message(11, valueInfo(value))),
      ...outputs.map((value) => message(12, valueInfo(value)))
    ]),
    message(8, [text(1, ""), integer(2, opset)]) // opset_import
  ])

/** A tensor of `dims` numbers. */
export const tensorOf = (
  type: ElementType,
  dims: ReadonlyArray<number>,
  data: ArrayLike<number>
): TensorData => ({ type, dims, data })

export const float32 = (dims: ReadonlyArray<number>, data: ArrayLike<number>): TensorData =>
  tensorOf("float32", dims, data)

export const int64 = (dims: ReadonlyArray<number>, data: ArrayLike<number>): TensorData => tensorOf("int64", dims, data)

type Bytes = Uint8Array<ArrayBuffer>

// `TensorProto.DataType`.
const elementTypes: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10
}

const node = ({ attributes = {}, inputs, op, outputs }: Node) => [
  ...inputs.map((name) => text(1, name)),
  ...outputs.map((name) => text(2, name)),
  text(4, op),
  ...Object.entries(attributes).map(([name, value]) => message(5, [text(1, name), ...attribute(value)]))
]

// The value's own field, then `AttributeProto.type`.
const attribute = (value: Attribute): ReadonlyArray<Bytes> => {
  if ("float" in value) return [real(2, value.float), integer(20, 1)]
  if ("int" in value) return [integer(3, value.int), integer(20, 2)]
  if ("string" in value) return [text(4, value.string), integer(20, 3)]
  if ("tensor" in value) return [message(5, tensor("", value.tensor)), integer(20, 4)]
  if ("floats" in value) return [...value.floats.map((item) => real(7, item)), integer(20, 6)]
  return [...value.ints.map((item) => integer(8, item)), integer(20, 7)]
}

const tensor = (name: string, { data, dims, type }: TensorData) => [
  ...dims.map((dim) => integer(1, dim)),
  integer(2, elementTypes[type]),
  text(8, name),
  field(9, raw(type, data))
]

const valueInfo = ({ dims, name, type }: ValueInfo) => [
  text(1, name),
  message(2, [ // TypeProto
    message(1, [ // tensor_type
      integer(1, elementTypes[type]),
      message(2, dims.map((dim) => message(1, [typeof dim === "number" ? integer(1, dim) : text(2, dim)])))
    ])
  ])
]

// `raw_data`: the numbers in their own type, little-endian.
const raw = (type: ElementType, data: ArrayLike<number>): Bytes => {
  switch (type) {
    case "float32":
      return bytesOf(Float32Array.from(data))
    case "float16":
      return bytesOf(Uint16Array.from(data, toFloat16))
    case "int32":
      return bytesOf(Int32Array.from(data))
    case "int64":
      return bytesOf(BigInt64Array.from(Array.from(data, BigInt)))
    case "uint8":
    case "bool":
      return Uint8Array.from(data)
  }
}

const bytesOf = (array: { readonly buffer: ArrayBuffer }): Bytes => new Uint8Array(array.buffer)

// Protobuf's wire format: a key of field number and kind, then a varint (0), four bytes (5) or a length and bytes (2).

const integer = (number: number, value: number) => Uint8Array.from([...varint(number << 3), ...varint(value)])

const real = (number: number, value: number) =>
  concat([Uint8Array.from(varint((number << 3) | 5)), bytesOf(Float32Array.of(value))])

const field = (number: number, bytes: Bytes) =>
  concat([Uint8Array.from([...varint((number << 3) | 2), ...varint(bytes.length)]), bytes])

const text = (number: number, value: string) => field(number, new TextEncoder().encode(value))

const message = (number: number, fields: ReadonlyArray<Bytes>) => field(number, concat(fields))

// Seven bits at a time, the lowest first; a negative number as 64-bit two's complement.
const varint = (value: number): Array<number> => {
  const bytes: Array<number> = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 0x7Fn) {
    bytes.push(Number(rest & 0x7Fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return bytes
}

const concat = (parts: ReadonlyArray<Bytes>): Bytes => {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

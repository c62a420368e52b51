/**
 * The sizes of what an operator makes, from those of what it reads.
 *
 * Small integers are computed as well: exported graphs work out with ordinary operators which shape to give a value.
 * Rules follow the specification of ONNX operators (onnx/docs/Operators.md).
 */
import * as Onnx from "./Onnx.ts"
import { slicedOperator } from "./slicedAttention.ts"

/** A tensor's type and size, and its numbers where they are known and few. */
export interface Value {
  readonly type: Onnx.ElementType
  readonly dims: ReadonlyArray<number>
  readonly numbers: ReadonlyArray<number> | undefined
}

/** Numbers that are followed: shapes and axes are few. */
const most = 256

const bytesOf: Partial<Record<Onnx.ElementType, number>> = {
  bool: 1,
  int8: 1,
  uint8: 1,
  float16: 2,
  bfloat16: 2,
  int16: 2,
  uint16: 2,
  int64: 8,
  uint64: 8,
  float64: 8
}

export const count = (dims: ReadonlyArray<number>): number => dims.reduce((product, dim) => product * dim, 1)

/** Bytes of a value. */
export const sizeOf = ({ dims, type }: Value): number => count(dims) * (bytesOf[type] ?? 4)

/** A constant of the graph. */
export const tensorValue = ({ data, dims, type }: Onnx.Tensor): Value => ({
  dims,
  type,
  numbers: data instanceof Uint8Array && count(dims) <= most ? numbersOf(data, type) : undefined
})

const numbersOf = (data: Uint8Array, type: Onnx.ElementType): ReadonlyArray<number> | undefined => {
  const bytes = Uint8Array.from(data).buffer
  const per = bytesOf[type] ?? 4
  if (bytes.byteLength % per !== 0) return undefined
  switch (type) {
    case "int64":
      return Array.from(new BigInt64Array(bytes), Number)
    case "int32":
      return Array.from(new Int32Array(bytes))
    case "float32":
      return Array.from(new Float32Array(bytes))
    case "float64":
      return Array.from(new Float64Array(bytes))
    case "bool":
    case "uint8":
      return Array.from(new Uint8Array(bytes))
    default:
      return undefined
  }
}

type Inputs = ReadonlyArray<Value | undefined>

/** What a node makes; undefined where its operator or its inputs are unknown. */
export const inferred = (node: Onnx.Node, inputs: Inputs): ReadonlyArray<Value | undefined> | undefined => {
  const rule = rules.get(node.op)
  return rule?.(new Read(node, inputs))
}

/** What is known of a graph's values before a call. */
export interface GraphValues {
  /** Those whose sizes are known. */
  readonly values: ReadonlyMap<string, Value>
  /** Those that depend on constants alone. */
  readonly fixed: ReadonlySet<string>
}

/** The values of a graph whose inputs have so many rows, and as many numbers on each other side that is not stated. */
export const valuesOf = (
  { initializers, inputs, nodes }: Onnx.Graph,
  { batch, side }: { readonly batch: number; readonly side: number }
): GraphValues => {
  const values = new Map<string, Value>()
  const fixed = new Set(initializers.map(({ name = "" }) => name))
  for (const { dims, name, type } of inputs) {
    if (dims === undefined || fixed.has(name)) continue
    const sizes = dims.map((dim, axis) =>
      typeof dim === "number" && dim > 0 ? dim : axis === 0 ? batch : side / partOf(dim)
    )
    values.set(name, { type, dims: sizes, numbers: undefined })
  }
  for (const tensor of initializers) values.set(tensor.name ?? "", tensorValue(tensor))
  for (const node of nodes) {
    if (!hasGraph(node) && node.inputs.every((name) => name === "" || fixed.has(name))) {
      for (const name of node.outputs) fixed.add(name)
    }
    const made = inferred(node, node.inputs.map((name) => name === "" ? undefined : values.get(name))) ?? []
    for (const [i, name] of node.outputs.entries()) {
      const value = made[i]
      if (value !== undefined) values.set(name, value)
    }
  }
  return { values, fixed }
}

// Graphs that are built here have sides such as `height/2`.
const partOf = (dim: number | string): number => Number(/\/(\d+)$/.exec(`${dim}`)?.[1] ?? 1)

// Graphs inside of nodes read values that are not among the node's inputs.
const hasGraph = ({ attributes = {} }: Onnx.Node): boolean =>
  Object.values(attributes).some((value) => "graph" in value)

// A node with its inputs, read by rules.
class Read {
  readonly node: Onnx.Node
  readonly inputs: Inputs

  constructor(node: Onnx.Node, inputs: Inputs) {
    this.node = node
    this.inputs = inputs
  }

  int(name: string): number | undefined {
    const attribute = this.node.attributes?.[name]
    return attribute !== undefined && "int" in attribute ? attribute.int : undefined
  }

  ints(name: string): ReadonlyArray<number> | undefined {
    const attribute = this.node.attributes?.[name]
    return attribute !== undefined && "ints" in attribute ? attribute.ints : undefined
  }

  text(name: string): string | undefined {
    const attribute = this.node.attributes?.[name]
    return attribute !== undefined && "string" in attribute ? attribute.string : undefined
  }

  tensor(name: string): Onnx.Tensor | undefined {
    const attribute = this.node.attributes?.[name]
    return attribute !== undefined && "tensor" in attribute ? attribute.tensor : undefined
  }

  /** The numbers of an input. */
  numbers(place: number): ReadonlyArray<number> | undefined {
    return this.inputs[place]?.numbers
  }

  /** Axes or sizes, which older versions of operators have as attributes and newer ones as inputs. */
  list(name: string, place: number): ReadonlyArray<number> | undefined {
    return this.ints(name) ?? this.numbers(place)
  }
}

type Rule = (read: Read) => ReadonlyArray<Value | undefined> | undefined

const made = (type: Onnx.ElementType, dims: ReadonlyArray<number>, numbers?: ReadonlyArray<number>): [Value] => [
  { type, dims, numbers: numbers !== undefined && numbers.length <= most ? numbers : undefined }
]

const fromEnd = (axis: number, rank: number): number => axis < 0 ? axis + rank : axis

/** The common size of values that are combined number by number. */
const broadcast = (all: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> => {
  const rank = Math.max(0, ...all.map(({ length }) => length))
  return Array.from({ length: rank }, (_, i) =>
    all.reduce((largest, dims) => {
      const dim = dims[i - rank + dims.length] ?? 1
      return dim === 1 ? largest : dim
    }, 1))
}

// The first input's size and type.
const same: Rule = ({ inputs: [first], node }) =>
  first && [{ ...first, numbers: undefined }, ...node.outputs.slice(1).map(() => scalar)]

const scalar: Value = { type: "float32", dims: [], numbers: undefined }

// Number by number, with the numbers themselves where they are known. `type` is that of the result.
const elementwise = (
  compute?: (...numbers: ReadonlyArray<number>) => number,
  type?: Onnx.ElementType,
  typeOf = 0
): Rule =>
({ inputs }) => {
  const known = inputs.filter((input) => input !== undefined)
  const typed = known[typeOf]
  if (typed === undefined || known.length < inputs.length) return undefined
  const dims = broadcast(known.map(({ dims }) => dims))
  const size = count(dims)
  const lists = known.map(({ numbers }) => numbers)
  const isFlat = known.every(({ dims }) => count(dims) === 1 || count(dims) === size)
  const numbers = compute === undefined || size > most || !isFlat || lists.some((list) => list === undefined)
    ? undefined
    : Array.from({ length: size }, (_, i) => compute(...lists.map((list) => list?.[list.length === 1 ? 0 : i] ?? 0)))
  return made(type ?? typed.type, dims, numbers)
}

// Integer division truncates.
const divide: Rule = (read) =>
  elementwise((a = 0, b = 1) => read.inputs[0]?.type.includes("int") === true ? Math.trunc(a / b) : a / b)(read)

const cast: Rule = (read) => {
  const [input] = read.inputs
  if (input === undefined) return undefined
  const type = Onnx.elementType(read.int("to") ?? 0)
  const numbers = type.includes("int") ? input.numbers?.map(Math.trunc) : input.numbers
  return made(type, input.dims, numbers)
}

const shape: Rule = (read) => {
  const dims = read.inputs[0]?.dims
  if (dims === undefined) return undefined
  const part = dims.slice(read.int("start") ?? 0, read.int("end") ?? dims.length)
  return made("int64", [part.length], part)
}

const constant: Rule = (read) => {
  const tensor = read.tensor("value")
  if (tensor !== undefined) return [tensorValue(tensor)]
  const int = read.int("value_int")
  const ints = read.ints("value_ints")
  if (int !== undefined) return made("int64", [], [int])
  if (ints !== undefined) return made("int64", [ints.length], ints)
  return read.node.attributes?.["value_float"] === undefined ? undefined : made("float32", [])
}

const constantOfShape: Rule = (read) => {
  const dims = read.numbers(0)
  if (dims === undefined) return undefined
  const value = read.tensor("value")
  const [number = value === undefined ? 0 : undefined] = value === undefined ? [] : tensorValue(value).numbers ?? []
  const size = count(dims)
  const numbers = number === undefined || size > most ? undefined : Array.from({ length: size }, () => number)
  return made(value?.type ?? "float32", dims, numbers)
}

const range: Rule = (read) => {
  const [start] = read.numbers(0) ?? []
  const [end] = read.numbers(1) ?? []
  const [step] = read.numbers(2) ?? []
  const type = read.inputs[0]?.type
  if (start === undefined || end === undefined || step === undefined || step === 0 || type === undefined) {
    return undefined
  }
  const length = Math.max(0, Math.ceil((end - start) / step))
  return made(
    type,
    [length],
    length > most ? undefined : Array.from({ length }, (_, i) => start + i * step)
  )
}

const gather: Rule = (read) => {
  const [data, indices] = read.inputs
  if (data === undefined || indices === undefined) return undefined
  const axis = fromEnd(read.int("axis") ?? 0, data.dims.length)
  const dims = [...data.dims.slice(0, axis), ...indices.dims, ...data.dims.slice(axis + 1)]
  const numbers = data.dims.length > 1
    ? undefined
    : indices.numbers?.map((index) => data.numbers?.[fromEnd(index, data.numbers.length)])
  return made(
    data.type,
    dims,
    numbers?.flatMap((number) => number ?? []).length === numbers?.length
      ? numbers?.flatMap((number) => number ?? [])
      : undefined
  )
}

const gatherND: Rule = (read) => {
  const [data, indices] = read.inputs
  if (data === undefined || indices === undefined) return undefined
  const depth = (indices.dims.at(-1) ?? 0) + (read.int("batch_dims") ?? 0)
  return made(data.type, [...indices.dims.slice(0, -1), ...data.dims.slice(depth)])
}

const slice: Rule = (read) => {
  const [data] = read.inputs
  const starts = read.list("starts", 1)
  const ends = read.list("ends", 2)
  if (data === undefined || starts === undefined || ends === undefined) return undefined
  const axes = read.list("axes", 3) ?? starts.map((_, i) => i)
  const steps = read.numbers(4) ?? starts.map(() => 1)
  const dims = [...data.dims]
  let numbers = data.numbers
  for (const [i, given] of axes.entries()) {
    const axis = fromEnd(given, data.dims.length)
    const size = data.dims[axis]
    const step = steps[i] ?? 1
    if (size === undefined || step === 0) return undefined
    // Backwards, the end may lie before the first number.
    const low = step < 0 ? -1 : 0
    const high = step < 0 ? size - 1 : size
    const within = (place: number) => Math.min(high, Math.max(low, place < 0 ? place + size : place))
    const start = within(starts[i] ?? 0)
    const end = within(ends[i] ?? size)
    const length = Math.max(0, Math.ceil((end - start) / step))
    dims[axis] = length
    const from = numbers
    numbers = data.dims.length !== 1 || from === undefined
      ? undefined
      : Array.from({ length }, (_, n) => from[start + n * step] ?? 0)
  }
  return made(data.type, dims, numbers)
}

const concat: Rule = (read) => {
  const inputs = read.inputs.filter((input) => input !== undefined)
  const [first] = inputs
  if (first === undefined || inputs.length < read.inputs.length) return undefined
  const axis = fromEnd(read.int("axis") ?? 0, first.dims.length)
  const dims = first.dims.with(axis, inputs.reduce((sum, input) => sum + (input.dims[axis] ?? 0), 0))
  const lists = inputs.flatMap(({ numbers }) => numbers === undefined ? [] : [numbers])
  return made(first.type, dims, dims.length === 1 && lists.length === inputs.length ? lists.flat() : undefined)
}

const split: Rule = (read) => {
  const [data] = read.inputs
  if (data === undefined) return undefined
  const axis = fromEnd(read.int("axis") ?? 0, data.dims.length)
  const size = data.dims[axis] ?? 0
  const parts = read.node.outputs.length
  const each = Math.ceil(size / parts)
  const sizes = read.list("split", 1) ?? Array.from({ length: parts }, (_, i) => Math.min(each, size - i * each))
  let from = 0
  return sizes.map((length) => {
    const numbers = data.dims.length === 1 ? data.numbers?.slice(from, from += length) : undefined
    return { type: data.type, dims: data.dims.with(axis, length), numbers }
  })
}

const unsqueeze: Rule = (read) => {
  const [data] = read.inputs
  const axes = read.list("axes", 1)
  if (data === undefined || axes === undefined) return undefined
  const rank = data.dims.length + axes.length
  const added = new Set(axes.map((axis) => fromEnd(axis, rank)))
  const rest = data.dims.values()
  return made(
    data.type,
    Array.from({ length: rank }, (_, i) => added.has(i) ? 1 : rest.next().value ?? 1),
    data.numbers
  )
}

const squeeze: Rule = (read) => {
  const [data] = read.inputs
  if (data === undefined) return undefined
  const axes = read.list("axes", 1)?.map((axis) => fromEnd(axis, data.dims.length))
  const dims = data.dims.filter((dim, i) => axes === undefined ? dim !== 1 : !axes.includes(i))
  return made(data.type, dims, data.numbers)
}

const reshape: Rule = (read) => {
  const [data] = read.inputs
  const wanted = read.list("shape", 1)
  if (data === undefined || wanted === undefined) return undefined
  const keepsZeros = read.int("allowzero") === 1
  const dims = wanted.map((dim, i) => dim === 0 && !keepsZeros ? data.dims[i] ?? 1 : dim)
  const rest = count(data.dims) / count(dims.filter((dim) => dim !== -1))
  return made(data.type, dims.map((dim) => dim === -1 ? rest : dim), data.numbers)
}

const flatten: Rule = (read) => {
  const [data] = read.inputs
  if (data === undefined) return undefined
  const axis = fromEnd(read.int("axis") ?? 1, data.dims.length)
  return made(data.type, [count(data.dims.slice(0, axis)), count(data.dims.slice(axis))], data.numbers)
}

const transpose: Rule = (read) => {
  const [data] = read.inputs
  if (data === undefined) return undefined
  const order = read.ints("perm") ?? data.dims.map((_, i) => data.dims.length - 1 - i)
  return made(data.type, order.map((axis) => data.dims[axis] ?? 1), data.dims.length === 1 ? data.numbers : undefined)
}

const expand: Rule = (read) => {
  const [data] = read.inputs
  const wanted = read.numbers(1)
  if (data === undefined || wanted === undefined) return undefined
  const dims = broadcast([data.dims, wanted])
  const [number] = data.numbers ?? []
  const numbers = data.numbers?.length === 1 && number !== undefined && count(dims) <= most
    ? Array.from({ length: count(dims) }, () => number)
    : undefined
  return made(data.type, dims, numbers)
}

const tile: Rule = (read) => {
  const [data] = read.inputs
  const repeats = read.numbers(1)
  return data && repeats && made(data.type, data.dims.map((dim, i) => dim * (repeats[i] ?? 1)))
}

const pad: Rule = (read) => {
  const [data] = read.inputs
  const pads = read.list("pads", 1)
  if (data === undefined || pads === undefined) return undefined
  const axes = read.numbers(3)?.map((axis) => fromEnd(axis, data.dims.length)) ?? data.dims.map((_, i) => i)
  const dims = [...data.dims]
  for (const [i, axis] of axes.entries()) {
    dims[axis] = (dims[axis] ?? 0) + (pads[i] ?? 0) + (pads[i + axes.length] ?? 0)
  }
  return made(data.type, dims)
}

// `Resize` has scales and sizes as its third and fourth input, `Upsample` and the first version scales as the second.
const resize: Rule = (read) => {
  const [data] = read.inputs
  if (data === undefined) return undefined
  const sizes = read.numbers(3)
  if (sizes !== undefined && sizes.length > 0) return made(data.type, sizes)
  const scales = [read.numbers(2), read.numbers(1)].find((list) => list?.length === data.dims.length)
  return scales && made(data.type, data.dims.map((dim, i) => Math.floor(dim * (scales[i] ?? 1))))
}

const matMul = (type?: Onnx.ElementType): Rule => (read) => {
  const [a, b] = read.inputs
  if (a === undefined || b === undefined) return undefined
  const flip = (dims: ReadonlyArray<number>, isFlipped: boolean) =>
    isFlipped ? [...dims.slice(0, -2), dims.at(-1) ?? 1, dims.at(-2) ?? 1] : dims
  const left = flip(a.dims, read.int("transA") === 1)
  const right = flip(b.dims, read.int("transB") === 1)
  const batch = broadcast([left.slice(0, -2), right.slice(0, -2)])
  const rows = left.length > 1 ? left.slice(-2, -1) : []
  const columns = right.length > 1 ? right.slice(-1) : []
  return made(type ?? a.type, [...batch, ...rows, ...columns])
}

const gemm: Rule = (read) => {
  const [a, b] = read.inputs
  if (a === undefined || b === undefined) return undefined
  const rows = read.int("transA") === 1 ? a.dims[1] : a.dims[0]
  const columns = read.int("transB") === 1 ? b.dims[0] : b.dims[1]
  return made(a.type, [rows ?? 1, columns ?? 1])
}

const matMulNBits: Rule = (read) => {
  const [a] = read.inputs
  const columns = read.int("N")
  return a && columns === undefined ? undefined : a && made(a.type, [...a.dims.slice(0, -1), columns ?? 1])
}

const einsum: Rule = (read) => {
  const [terms, result] = (read.text("equation") ?? "").replaceAll(" ", "").split("->")
  if (terms === undefined || result === undefined || terms.includes(".")) return undefined
  const sizes = new Map<string, number>()
  for (const [i, term] of terms.split(",").entries()) {
    const dims = read.inputs[i]?.dims
    if (dims === undefined) return undefined
    for (const [place, letter] of [...term].entries()) sizes.set(letter, dims[place] ?? 1)
  }
  return made(read.inputs[0]?.type ?? "float32", [...result].map((letter) => sizes.get(letter) ?? 1))
}

// The length of one side after a kernel went over it.
const slid = (read: Read, length: number, place: number, kernel: number): number => {
  const dilation = read.ints("dilations")?.[place] ?? 1
  const stride = read.ints("strides")?.[place] ?? 1
  const sides = (read.ints("pads")?.length ?? 0) / 2
  const automatic = read.text("auto_pad") ?? "NOTSET"
  if (automatic.startsWith("SAME")) return Math.ceil(length / stride)
  const padding = (read.ints("pads")?.[place] ?? 0) + (read.ints("pads")?.[place + sides] ?? 0)
  const round = read.int("ceil_mode") === 1 ? Math.ceil : Math.floor
  return round((length + padding - dilation * (kernel - 1) - 1) / stride) + 1
}

const conv = (type?: Onnx.ElementType): Rule => (read) => {
  const [data, weights] = read.inputs
  if (data === undefined || weights === undefined) return undefined
  const [batch = 1, , ...sides] = data.dims
  const [channels = 1, , ...kernel] = weights.dims
  return made(type ?? data.type, [
    batch,
    channels,
    ...sides.map((side, i) => slid(read, side, i, kernel[i] ?? 1))
  ])
}

const convTranspose: Rule = (read) => {
  const [data, weights] = read.inputs
  if (data === undefined || weights === undefined) return undefined
  const [batch = 1, , ...sides] = data.dims
  const [, channels = 1, ...kernel] = weights.dims
  const pads = read.ints("pads") ?? []
  return made(data.type, [
    batch,
    channels * (read.int("group") ?? 1),
    ...sides.map((side, i) => {
      const dilated = (read.ints("dilations")?.[i] ?? 1) * ((kernel[i] ?? 1) - 1) + 1
      return (side - 1) * (read.ints("strides")?.[i] ?? 1) + dilated + (read.ints("output_padding")?.[i] ?? 0) -
        (pads[i] ?? 0) - (pads[i + sides.length] ?? 0)
    })
  ])
}

const pool: Rule = (read) => {
  const [data] = read.inputs
  const kernel = read.ints("kernel_shape")
  if (data === undefined || kernel === undefined) return undefined
  const [batch = 1, channels = 1, ...sides] = data.dims
  return made(data.type, [batch, channels, ...sides.map((side, i) => slid(read, side, i, kernel[i] ?? 1))])
}

const globalPool: Rule = ({ inputs: [data] }) => data && made(data.type, data.dims.map((dim, i) => i < 2 ? dim : 1))

const depthToSpace = (factor: (block: number) => number): Rule => (read) => {
  const [data] = read.inputs
  const block = read.int("blocksize")
  if (data === undefined || block === undefined) return undefined
  const [batch = 1, channels = 1, ...sides] = data.dims
  const by = factor(block)
  return made(data.type, [batch, channels / by ** 2, ...sides.map((side) => side * by)])
}

const reduce = (type?: Onnx.ElementType): Rule => (read) => {
  const [data] = read.inputs
  if (data === undefined) return undefined
  const axis = read.int("axis")
  const given = axis === undefined ? read.list("axes", 1) : [axis]
  if (given === undefined && read.inputs[1] !== undefined) return undefined
  const axes = new Set(given?.map((each) => fromEnd(each, data.dims.length)) ?? data.dims.keys())
  const keeps = read.int("keepdims") !== 0
  return made(type ?? data.type, data.dims.flatMap((dim, i) => axes.has(i) ? keeps ? [1] : [] : [dim]))
}

const product: Rule = (read) => {
  const [reduced] = reduce()(read) ?? []
  const { numbers } = read.inputs[0] ?? {}
  return reduced &&
    made(reduced.type, reduced.dims, count(reduced.dims) === 1 && numbers ? [count(numbers)] : undefined)
}

const size: Rule = ({ inputs: [data] }) => data && made("int64", [], [count(data.dims)])

// The width of the values is that of the output.
const attention: Rule = ({ inputs: [query, , value] }) =>
  query &&
  made(
    query.type,
    [
      ...query.dims.slice(0, -1),
      value?.dims.length === query.dims.length ? value.dims.at(-1) ?? 1 : query.dims.at(-1) ?? 1
    ]
  )

// The packed weights hold query, key and value.
const packedAttention: Rule = (read) => {
  if ((read.node.domain ?? "") === "") return attention(read)
  const { inputs: [data, weights] } = read
  return data && weights && made(data.type, [...data.dims.slice(0, -1), Math.floor((weights.dims.at(-1) ?? 3) / 3)])
}

const quantised: Rule = ({ inputs: [data], node }) =>
  data && [{ type: "uint8", dims: data.dims, numbers: undefined }, ...node.outputs.slice(1).map(() => scalar)]

const real: Rule = ({ inputs: [data] }) => data && made("float32", data.dims)

// One rule for several operators.
const named = (rule: Rule, names: string) => names.split(/\s+/).map((name) => [name, rule] as const)

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...named(
    same,
    `Sigmoid Tanh Erf Relu Exp Log Abs Cos Sin Round Softmax LogSoftmax Clip LeakyRelu Gelu QuickGelu FastGelu BiasGelu
    HardSwish HardSigmoid Elu Selu Celu Softplus Softsign Reciprocal Sign Not IsNaN IsInf Trilu CumSum ThresholdedRelu
    Mish Swish BiasAdd Dropout InstanceNormalization LayerNormalization GroupNormalization BatchNormalization
    SimplifiedLayerNormalization SkipLayerNormalization GroupNorm RMSNormalization LpNormalization ScatterND
    ScatterElements`
  ),
  ["Identity", ({ inputs: [data] }) => data && [data]],
  ["Floor", elementwise((a = 0) => Math.floor(a))],
  ["Ceil", elementwise((a = 0) => Math.ceil(a))],
  ["Sqrt", elementwise((a = 0) => Math.sqrt(a))],
  ["Neg", elementwise((a = 0) => -a)],
  ["Add", elementwise((a = 0, b = 0) => a + b)],
  ["Sub", elementwise((a = 0, b = 0) => a - b)],
  ["Mul", elementwise((a = 0, b = 0) => a * b)],
  ["Div", divide],
  ["Pow", elementwise((a = 0, b = 0) => a ** b)],
  ["Min", elementwise(Math.min)],
  ["Max", elementwise(Math.max)],
  ["Mod", elementwise((a = 0, b = 1) => a - b * Math.floor(a / b))],
  ["PRelu", elementwise()],
  ["And", elementwise((a = 0, b = 0) => a && b, "bool")],
  ["Or", elementwise((a = 0, b = 0) => a || b, "bool")],
  ["Equal", elementwise((a = 0, b = 0) => Number(a === b), "bool")],
  ["Less", elementwise((a = 0, b = 0) => Number(a < b), "bool")],
  ["LessOrEqual", elementwise((a = 0, b = 0) => Number(a <= b), "bool")],
  ["Greater", elementwise((a = 0, b = 0) => Number(a > b), "bool")],
  ["GreaterOrEqual", elementwise((a = 0, b = 0) => Number(a >= b), "bool")],
  ["Where", elementwise((condition = 0, a = 0, b = 0) => condition === 0 ? b : a, undefined, 1)],
  ["Cast", cast],
  ["CastLike", ({ inputs: [data, like] }) => data && like && made(like.type, data.dims, data.numbers)],
  ["Shape", shape],
  ["Size", size],
  ["Constant", constant],
  ["ConstantOfShape", constantOfShape],
  ["Range", range],
  ["Gather", gather],
  ["GatherND", gatherND],
  ["GatherElements", ({ inputs: [data, indices] }) => data && indices && made(data.type, indices.dims)],
  ["Slice", slice],
  ["Concat", concat],
  ["Split", split],
  ["Unsqueeze", unsqueeze],
  ["Squeeze", squeeze],
  ["Reshape", reshape],
  ["Flatten", flatten],
  ["Transpose", transpose],
  ["Expand", expand],
  ["Tile", tile],
  ["Pad", pad],
  ...named(resize, "Resize Upsample"),
  ...named(matMul(), "MatMul FusedMatMul"),
  ["MatMulInteger", matMul("int32")],
  ...named(matMul("float32"), "MatMulIntegerToFloat DynamicQuantizeMatMul"),
  ["MatMulNBits", matMulNBits],
  ["Gemm", gemm],
  ["Einsum", einsum],
  ...named(conv(), "Conv FusedConv"),
  ["ConvInteger", conv("int32")],
  ["ConvTranspose", convTranspose],
  ...named(pool, "AveragePool MaxPool"),
  ...named(globalPool, "GlobalAveragePool GlobalMaxPool"),
  ["DepthToSpace", depthToSpace((block) => block)],
  ["SpaceToDepth", depthToSpace((block) => 1 / block)],
  ...named(reduce(), "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare"),
  ...named(reduce("int64"), "ArgMax ArgMin"),
  ["ReduceProd", product],
  ...named(attention, `MultiHeadAttention ${slicedOperator}`),
  ["Attention", packedAttention],
  ...named(quantised, "QuantizeLinear DynamicQuantizeLinear"),
  ["DequantizeLinear", real]
])

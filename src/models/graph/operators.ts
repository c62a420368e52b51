/**
 * Operators without weights. Each takes values of a graph and gives the value that it makes, with its element type and
 * sizes; values that do not fit each other throw `UnfitNetwork` with the name of the layer before them.
 */
import type * as Onnx from "../onnx/Onnx.ts"
import { typeNumber } from "../onnx/Onnx.ts"
import { type Dim, oneOrBatch, over, shown, times } from "./Dim.ts"
import type { Value } from "./Graph.ts"

type Attributes = Readonly<Record<string, Onnx.Attribute>>

/** An operator with one output. By default that has the first input's type and sizes. */
export const operator = (
  op: string,
  [first, ...others]: readonly [Value, ...ReadonlyArray<Value | undefined>],
  { attributes, dims = first.dims, type = first.type }: {
    readonly dims?: ReadonlyArray<Dim>
    readonly type?: Onnx.ElementType
    readonly attributes?: Attributes
  } = {}
): Value => {
  const [value] = first.graph.node(op, [first, ...others], [{ type, dims }], attributes)
  if (value === undefined) throw first.graph.unfit(`makes nothing by ${op}`)
  return value
}

// Sizes of two values that are combined number by number.
const broadcast = (op: string, a: Value, b: Value): ReadonlyArray<Dim> => {
  const rank = Math.max(a.dims.length, b.dims.length)
  const padded = ({ dims }: Value) => [...Array.from({ length: rank - dims.length }, () => 1), ...dims]
  const [left, right] = [padded(a), padded(b)]
  return left.map((dim, i) => {
    const other = right[i] ?? 1
    if (dim === other || other === 1) return dim
    if (dim === 1 || dim === oneOrBatch && other === "batch") return other
    if (dim === "batch" && other === oneOrBatch) return dim
    throw a.graph.unfit(`cannot ${op.toLowerCase()} ${shown(a.dims)} and ${shown(b.dims)}`)
  })
}

const combine = (op: string) => (a: Value, b: Value): Value => {
  if (a.type !== b.type) throw a.graph.unfit(`cannot ${op.toLowerCase()} ${a.type} and ${b.type}`)
  return operator(op, [a, b], { dims: broadcast(op, a, b) })
}

export const add = combine("Add")
export const multiply = combine("Mul")
export const subtract = combine("Sub")
export const divide = combine("Div")
export const maximum = combine("Max")

const each = (op: string, attributes?: Attributes) => (x: Value): Value =>
  operator(op, [x], { ...(attributes && { attributes }) })

export const tanh = each("Tanh")
export const relu = each("Relu")
/** Exact, by the error function. */
export const gelu = each("Gelu")
/** x times sigmoid(1.702 x), as CLIP has it. */
export const quickGelu = each("QuickGelu", { alpha: { float: 1.702 } })
/** x times sigmoid(x). */
export const silu = each("QuickGelu", { alpha: { float: 1 } })
export const leakyRelu = (x: Value, slope: number): Value =>
  operator("LeakyRelu", [x], { attributes: { alpha: { float: slope } } })

/** x times a number. */
export const scale = (x: Value, by: number): Value => multiply(x, cast(x.graph.constant("float32", [], [by]), x.type))

export const cast = (x: Value, type: Onnx.ElementType): Value =>
  x.type === type ? x : operator("Cast", [x], { type, attributes: { to: { int: typeNumber(type) } } })

/** A value in the type that the graph's layers compute in. */
export const real = (x: Value): Value => cast(x, x.graph.arithmetic)

/** A value in float32, as outputs are. */
export const single = (x: Value): Value => cast(x, "float32")

/** The same numbers in other sizes. */
export const reshape = (x: Value, dims: ReadonlyArray<Dim>): Value =>
  operator("Reshape", [x, x.graph.shape(x, dims)], { dims })

export const transpose = (x: Value, order: ReadonlyArray<number>): Value =>
  operator("Transpose", [x], {
    dims: order.map((axis) => x.dims[axis] ?? 1),
    attributes: { perm: { ints: order } }
  })

/** Joins values along an axis on which their sizes are known. */
export const concat = (values: readonly [Value, ...ReadonlyArray<Value>], axis: number): Value => {
  const [first] = values
  const sizes = values.map(({ dims }) => {
    const size = dims[axis]
    const fits = dims.length === first.dims.length && dims.every((dim, i) => i === axis || dim === first.dims[i])
    if (!fits || typeof size !== "number") {
      throw first.graph.unfit(`cannot join ${values.map(({ dims }) => shown(dims)).join(" and ")}`)
    }
    return size
  })
  return operator("Concat", values, {
    dims: first.dims.with(axis, sizes.reduce((sum, size) => sum + size, 0)),
    attributes: { axis: { int: axis } }
  })
}

/** One column of `[n, m]`, as `[n, 1]`. */
export const columnOf = (x: Value, column: number): Value =>
  operator("Gather", [x, x.graph.constant("int64", [1], [column])], {
    dims: [x.dims[0] ?? 1, 1],
    attributes: { axis: { int: 1 } }
  })

/** Both halves of a value along its last axis. */
export const halves = (x: Value): readonly [Value, Value] => {
  const size = over(x.dims.at(-1) ?? 1, 2)
  if (typeof size !== "number" || size % 1 !== 0) throw x.graph.unfit(`cannot halve ${shown(x.dims)}`)
  const dims = [...x.dims.slice(0, -1), size]
  const [first, second] = x.graph.node("Split", [x], [{ type: x.type, dims }, { type: x.type, dims }], {
    axis: { int: -1 },
    num_outputs: { int: 2 }
  })
  if (first === undefined || second === undefined) throw x.graph.unfit("has no halves")
  return [first, second]
}

/** `[b, c, h, w]` enlarged by a whole number, each pixel repeated. */
export const nearest = (x: Value, by: number): Value => {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.dims
  const scales = x.graph.constant("float32", [4], [1, 1, by, by])
  return operator("Resize", [x, undefined, scales], {
    dims: [batch, channels, times(height, by), times(width, by)],
    attributes: {
      mode: { string: "nearest" },
      coordinate_transformation_mode: { string: "asymmetric" },
      nearest_mode: { string: "floor" }
    }
  })
}

/** Pixels of `by` x `by` become channels: `[b, c, h, w]` to `[b, c by², h / by, w / by]`, in torch's order. */
export const pixelUnshuffle = (x: Value, by: number): Value => {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.dims
  if (typeof channels !== "number") throw x.graph.unfit(`cannot unshuffle ${shown(x.dims)}`)
  const dims = [batch, channels * by ** 2, over(height, by), over(width, by)]
  const packed = operator("SpaceToDepth", [x], { dims, attributes: { blocksize: { int: by } } })
  // ONNX has the places of a block first, torch the channels.
  const order = Array.from({ length: channels * by ** 2 }, (_, i) => (i % by ** 2) * channels + Math.floor(i / by ** 2))
  return operator("Gather", [packed, x.graph.constant("int64", [order.length], order)], {
    attributes: { axis: { int: 1 } }
  })
}

/** Channels become pixels of `by` x `by`: `[b, c by², h, w]` to `[b, c, h by, w by]`, in torch's order. */
export const pixelShuffle = (x: Value, by: number): Value => {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.dims
  return operator("DepthToSpace", [x], {
    dims: [batch, over(channels, by ** 2), times(height, by), times(width, by)],
    attributes: { blocksize: { int: by }, mode: { string: "CRD" } }
  })
}

/** `[b, c]` as `[b, c, 1, 1]`, to be added to every pixel. */
export const perChannel = (x: Value): Value => reshape(x, [...x.dims, 1, 1])

/** `[b, c, h, w]` as a row of pixels, `[b, h w, c]`. */
export const pixelsToTokens = (x: Value): Value => {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.dims
  return transpose(reshape(x, [batch, channels, times(height, width)]), [0, 2, 1])
}

/** The reverse: `[b, h w, c]` in the sizes of `like`, `[b, _, h, w]`. */
export const tokensToPixels = (x: Value, { dims: [, , height = 1, width = 1] }: Value): Value => {
  const [batch = 1, , channels = 1] = x.dims
  return reshape(transpose(x, [0, 2, 1]), [batch, channels, height, width])
}

/**
 * Attention of several heads: queries `[b, n, c]`, keys and values `[b, m, c]`, to `[b, n, c]`. `bias` is added to the
 * scores, `[1, 1, n, m]`.
 */
export const attention = (query: Value, key: Value, value: Value, heads: number, bias?: Value): Value => {
  const width = query.dims.at(-1)
  if (key.dims.at(-1) !== width || value.dims.at(-1) !== width || typeof width !== "number" || width % heads !== 0) {
    throw query.graph.unfit(`cannot attend from ${shown(query.dims)} to ${shown(key.dims)} with ${heads} heads`)
  }
  return operator("MultiHeadAttention", [query, key, value, ...(bias ? [undefined, undefined, bias] : [])], {
    attributes: { num_heads: { int: heads } }
  })
}

/**
 * Sinusoidal embedding of numbers `[n]` to `[n, width]`: cosines first, then sines, of frequencies 10000^(-2i / width)
 * (Vaswani et al. 2017). It is computed in float64: angles reach 1000, where float32 is off in the fifth place.
 */
export const sinusoid = (numbers: Value, width: number): Value => {
  const half = Math.floor(width / 2)
  const frequencies = Array.from({ length: half }, (_, i) => 10_000 ** (-i / half))
  const [count = 1] = numbers.dims
  const column = reshape(cast(numbers, "float64"), [count, 1])
  const angles = multiply(column, numbers.graph.constant("float64", [1, half], frequencies))
  return cast(concat([operator("Cos", [angles]), operator("Sin", [angles])], 1), numbers.graph.arithmetic)
}

/**
 * Layers: what has weights. Each takes its level of the weights and a value, `linear(w.at("fc1"), x)`.
 *
 * Names, element types, scales of quantised tensors and, where a run has them, adapters are handled in `parameter`,
 * `linear` and `conv`: networks know nothing of them. A tensor of another shape than the layer and its input allow
 * throws `UnfitNetwork` with the tensor's name.
 */
import { changedBias, changedWeight } from "./changed.ts"
import { type Dim, over, shown, times } from "./Dim.ts"
import type { Value } from "./Graph.ts"
import { add, cast, multiply, operator, real, reshape, transpose } from "./operators.ts"
import type { Weights } from "./Weights.ts"

/**
 * A tensor of a layer, in the arithmetic's type: one that is stored in fewer bits is converted where it is used, and
 * one of scaled fp8 is multiplied by its scale (`scale_weight` or `weight_scale` in the same layer).
 *
 * `dims` is the shape that the layer wants it in, with as many elements as the file's.
 */
const parameter = (
  x: Value,
  w: Weights,
  name: string,
  dims: ReadonlyArray<number>,
  type: "float32" | "float16" = x.graph.arithmetic
): Value => {
  const { graph } = x
  const tensor = w.tensor(name)
  const value = graph.stored(tensor, dims, w.fileOf(tensor))
  return graph.once(`${type} parameter ${value.name}`, () => {
    const converted = cast(value, type)
    const scale = name === "weight" ? ["scale_weight", "weight_scale"].find((scale) => w.has(scale)) : undefined
    if (scale === undefined) return converted
    const { shape } = w.tensor(scale)
    const count = shape.reduce((product, size) => product * size, 1)
    // One for the tensor, or one for each of its rows.
    if (count !== 1 && count !== dims[0]) throw w.misshapen(scale, [dims[0]])
    return multiply(converted, parameter(x, w, scale, count === 1 ? [] : [count, ...dims.slice(1).map(() => 1)], type))
  })
}

// A layer's weight with what adapters change in it.
const weightOf = (x: Value, w: Weights, dims: ReadonlyArray<number>): Value => {
  const changes = w.changes.filter(({ weight }) => weight !== undefined)
  if (changes.length === 0) return parameter(x, w, "weight", dims)
  const [rows = 1, ...columns] = w.tensor("weight").shape
  const matrix = parameter(x, w, "weight", [rows, columns.reduce((product, size) => product * size, 1)], "float32")
  return x.graph.once(`adapted ${matrix.name}`, () => reshape(real(changedWeight(matrix, changes)), dims))
}

// A layer's bias, likewise; undefined where there is none.
const biasOf = (x: Value, w: Weights, dims: ReadonlyArray<number>): Value | undefined => {
  const changes = w.changes.filter(({ bias }) => bias !== undefined)
  if (changes.length === 0) return w.has("bias") ? vector(x, w, "bias", dims) : undefined
  return x.graph.once(`adapted bias of ${w.path}`, () => {
    const base = w.has("bias") ? vector(x, w, "bias", [countOf(dims)], "float32") : undefined
    return reshape(real(changedBias(x.graph, base, changes)), dims)
  })
}

const countOf = (dims: ReadonlyArray<number>): number => dims.reduce((product, size) => product * size, 1)

// Begins a layer: what goes wrong from here on is put down to it.
const begin = (x: Value, w: Weights): void => {
  x.graph.layer = w.path
}

// The shape of a tensor of so many dimensions, whose sizes are as expected. Sizes of 1 at its end do not count.
const shapeOf = (w: Weights, name: string, expected: ReadonlyArray<number | undefined>): ReadonlyArray<number> => {
  const { shape } = w.tensor(name)
  const filled = expected.map((_, i) => shape[i] ?? 1)
  const fits = shape.slice(expected.length).every((size) => size === 1) &&
    expected.every((size, i) => size === undefined || size === filled[i])
  if (!fits) throw w.misshapen(name, expected)
  return filled
}

const channelsOf = (x: Value, axis: number): number => {
  const channels = x.dims.at(axis)
  if (typeof channels !== "number") throw x.graph.unfit(`takes no values of ${shown(x.dims)}`)
  return channels
}

const vector = (
  x: Value,
  w: Weights,
  name: string,
  dims: ReadonlyArray<number>,
  type?: "float32" | "float16"
): Value => {
  shapeOf(w, name, [countOf(dims)])
  return parameter(x, w, name, dims, type)
}

// The scale and the shift of a norm.
const affine = (x: Value, w: Weights, dims: ReadonlyArray<number>): readonly [scale: Value, shift: Value] => {
  shapeOf(w, "weight", [countOf(dims)])
  const shift = biasOf(x, w, dims)
  if (shift === undefined) throw w.unfit(`${w.path}.bias`, "is missing")
  return [weightOf(x, w, dims), shift]
}

/** `[.., i]` to `[.., o]`: weight `[o, i]` (or that of a 1 x 1 convolution) and, where there is one, bias `[o]`. */
export const linear = (w: Weights, x: Value): Value => {
  begin(x, w)
  const [outputs = 0, inputs = 0] = shapeOf(w, "weight", [undefined, channelsOf(x, -1)])
  const weight = weightOf(x, w, [outputs, inputs])
  const bias = biasOf(x, w, [outputs])
  const rows = x.dims.slice(0, -1)
  const flat = rows.length === 1 ? x : reshape(x, [times(...rows), inputs])
  const product = operator("Gemm", [flat, weight, ...(bias ? [bias] : [])], {
    dims: [times(...rows), outputs],
    attributes: { transB: { int: 1 } }
  })
  return rows.length === 1 ? product : reshape(product, [...rows, outputs])
}

/** `[b, w]` times a bare matrix `[w, e]`, as OpenCLIP keeps its text projection. Adapters know it as `[e, w]`. */
export const matrix = (w: Weights, name: string, x: Value): Value => {
  begin(x, w.at(name))
  const [inputs = 0, outputs = 0] = shapeOf(w, name, [channelsOf(x, -1), undefined])
  const { changes } = w.at(name)
  const turned = (weight: Value) => transpose(weight, [1, 0])
  const weight = changes.length === 0
    ? parameter(x, w, name, [inputs, outputs])
    : real(turned(changedWeight(turned(parameter(x, w, name, [inputs, outputs], "float32")), changes)))
  return operator("Gemm", [x, weight], { dims: [...x.dims.slice(0, -1), outputs] })
}

export interface ConvOptions {
  /** 1 unless it is given; 2 halves both sides. */
  readonly stride?: number
  /** Rows and columns of zeros: on every side, or `end` for one at the bottom and one at the right. */
  readonly padding?: number | "end"
}

/**
 * Two-dimensional convolution, `[b, i, h, w]` to `[b, o, h / stride, w / stride]`: weight `[o, i, k, k]` and, where
 * there is one, bias `[o]`. It pads by half of the kernel unless `padding` is given. In a seamless graph it reads
 * across the edges wherever it pads all sides alike, as torch's circular padding does.
 */
export const conv = (w: Weights, x: Value, { padding, stride = 1 }: ConvOptions = {}): Value => {
  begin(x, w)
  const { graph } = x
  const [batch = 1, , height = 1, width = 1] = x.dims
  const [outputs = 0, inputs = 0, rows = 1, columns = 1] = shapeOf(w, "weight", [
    undefined,
    channelsOf(x, 1),
    undefined,
    undefined
  ])
  const weight = weightOf(x, w, [outputs, inputs, rows, columns])
  const bias = biasOf(x, w, [outputs])
  const sides = padding === "end"
    ? [0, 0, 1, 1]
    : [rows, columns, rows, columns].map((kernel) => padding ?? Math.floor(kernel / 2))
  const wraps = graph.seamless && padding !== "end" && sides.some((side) => side > 0)
  const around = wraps ? wrapped(x, sides) : x
  const divided = (dim: Dim) => over(dim, stride)
  return operator("Conv", [around, weight, ...(bias ? [bias] : [])], {
    dims: [batch, outputs, divided(height), divided(width)],
    attributes: {
      kernel_shape: { ints: [rows, columns] },
      strides: { ints: [stride, stride] },
      pads: { ints: wraps ? [0, 0, 0, 0] : sides }
    }
  })
}

// The opposite side around a value. Its sizes are those without it: only a convolution takes it.
const wrapped = (x: Value, [top = 0, left = 0, bottom = 0, right = 0]: ReadonlyArray<number>): Value =>
  operator("Pad", [x, x.graph.constant("int64", [8], [0, 0, top, left, 0, 0, bottom, right])], {
    attributes: { mode: { string: "wrap" } }
  })

/**
 * Group normalisation (Wu and He 2018) of `[b, c, h, w]`: c channels in so many groups, weight and bias `[c]`.
 */
export const groupNorm = (w: Weights, x: Value, groups: number, epsilon = 1e-5): Value => {
  begin(x, w)
  const { graph } = x
  const channels = channelsOf(x, 1)
  if (channels % groups !== 0) throw graph.unfit(`has ${channels} channels, which are not ${groups} groups`)
  const [batch = 1, , ...sides] = x.dims
  const ofGroups = (number: number) =>
    cast(graph.constant("float32", [groups], Array.from({ length: groups }, () => number)), x.type)
  const normal = operator("InstanceNormalization", [
    reshape(x, [batch, groups, times(channels / groups, ...sides)]),
    ofGroups(1),
    ofGroups(0)
  ], { attributes: { epsilon: { float: epsilon } } })
  const [scale, shift] = affine(x, w, [channels, ...sides.map(() => 1)])
  return add(multiply(reshape(normal, x.dims), scale), shift)
}

/** Normalisation over the last axis (Ba et al. 2016), weight and bias of its size. */
export const layerNorm = (w: Weights, x: Value, epsilon = 1e-5): Value => {
  begin(x, w)
  return operator("LayerNormalization", [x, ...affine(x, w, [channelsOf(x, -1)])], {
    attributes: { axis: { int: -1 }, epsilon: { float: epsilon } }
  })
}

/**
 * Rows of a table `[n, c]` by their indices, int64 `[..]`, to `[.., c]`. Only the rows are converted, unless the table
 * is of 8-bit numbers, of which no rows can be taken, or the graph is to be optimised.
 */
export const embedding = (w: Weights, indices: Value): Value => {
  begin(indices, w)
  const { graph } = indices
  const [count = 0, width = 0] = shapeOf(w, "weight", [undefined, undefined])
  const tensor = w.tensor("weight")
  const stored = graph.stored(tensor, [count, width], w.fileOf(tensor))
  const isWhole = graph.optimised || stored.type.startsWith("float8")
  const table = isWhole ? cast(stored, graph.arithmetic) : stored
  return cast(
    operator("Gather", [table, indices], { dims: [...indices.dims, width], attributes: { axis: { int: 0 } } }),
    graph.arithmetic
  )
}

/** A table of positions as it is, `[n, c]`. */
export const table = (w: Weights, name: string, x: Value): Value => {
  begin(x, w.at(name))
  const [count = 0, width = 0] = shapeOf(w, name, [undefined, channelsOf(x, -1)])
  return parameter(x, w, name, [count, width])
}

/** x where it is positive, else x times a slope for each channel, weight `[c]` (He et al. 2015). */
export const prelu = (w: Weights, x: Value): Value => {
  begin(x, w)
  const channels = channelsOf(x, 1)
  return operator("PRelu", [x, vector(x, w, "weight", [channels, 1, 1])])
}

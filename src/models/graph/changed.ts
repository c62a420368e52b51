/**
 * Weights with what adapters change in them, computed in the graph: the adapters' tensors stay in their files, and each
 * one's strength is an input.
 *
 * Sums of low rank are one product of matrices with the weight added: for the sizes that images have this takes fewer
 * operations than products with what goes through the layer. All of it is in float32.
 */
import type { StoredTensor } from "../checkpoint/WeightSource.ts"
import { areRowNorms, type LayerChange, type Matrix, type Rotation, sizeOf, type WeightChange } from "./Change.ts"
import type { Graph, Value } from "./Graph.ts"
import { add, cast, concat, divide, maximum, multiply, operator, reshape, subtract, transpose } from "./operators.ts"

type Change = LayerChange & { readonly weight: WeightChange }

/** A weight `[o, n]` in float32 with the changes in it, in their order. */
export const changedWeight = (base: Value, changes: ReadonlyArray<LayerChange>): Value => {
  let weight = base
  let pending: Array<Factors> = []
  const collected = (): Value => {
    const sum = pending.length === 0 ? weight : addedProducts(weight, pending)
    pending = []
    return sum
  }
  for (const change of changes) {
    if (change.weight === undefined) continue
    const factors = factorsOf(base, { ...change, weight: change.weight })
    if (factors === undefined) weight = changedBy(collected(), { ...change, weight: change.weight })
    else pending.push(factors)
  }
  return collected()
}

/** A bias `[o]` in float32, or none, with the changes in it. */
export const changedBias = (graph: Graph, base: Value | undefined, changes: ReadonlyArray<LayerChange>): Value => {
  const sum = changes.reduce((sum, change) => {
    if (change.bias === undefined) return sum
    const { scale, tensor } = change.bias
    const own = multiply(stored(graph, change, tensor, [count(tensor)]), factor(graph, change, scale))
    return sum === undefined ? own : add(sum, own)
  }, base)
  if (sum === undefined) throw graph.unfit("has no bias")
  return sum
}

/** A change of low rank, `up` `[o, r]` times its strength, and `down` `[r, n]`. */
interface Factors {
  readonly up: Value
  readonly down: Value
}

// The factors of a change that does not depend on the weight and is of low rank.
const factorsOf = (base: Value, change: Change): Factors | undefined => {
  const { weight } = change
  if (weight.kind !== "added" || weight.magnitude !== undefined || weight.matrix.form !== "product") return undefined
  const { down, up } = factors(base.graph, change, weight.matrix)
  return { up: multiply(up, factor(base.graph, change, weight.scale)), down: padded(down, columnsOf(base)) }
}

const addedProducts = (weight: Value, all: ReadonlyArray<Factors>): Value =>
  addedProduct(weight, joined(all.map(({ up }) => up), 1), joined(all.map(({ down }) => down), 0))

const joined = ([first, ...others]: ReadonlyArray<Value>, axis: number): Value => {
  if (first === undefined) throw new Error("there is nothing to join")
  return others.length === 0 ? first : concat([first, ...others], axis)
}

const addedProduct = (weight: Value, up: Value, down: Value): Value =>
  operator("Gemm", [up, down, weight], { dims: weight.dims })

const changedBy = (weight: Value, change: Change): Value => {
  const { graph } = weight
  const by = change.weight
  switch (by.kind) {
    case "added": {
      if (by.magnitude === undefined) {
        const matrix = padded(matrixOf(graph, change, by.matrix), columnsOf(weight))
        return add(weight, multiply(matrix, factor(graph, change, by.scale)))
      }
      const sum = add(weight, multiply(matrixOf(graph, change, by.matrix), number(graph, by.scale)))
      return towards(weight, withNorms(sum, change, by.magnitude), change)
    }
    case "turned": {
      const turned = by.rotations.reduce(turnedBy, weight)
      const rescaled = by.rescale === undefined
        ? turned
        : multiply(turned, stored(graph, change, by.rescale, [rowsOf(weight), 1]))
      return towards(weight, rescaled, change)
    }
    case "generalised": {
      const times = ([left, right]: readonly [Value | StoredTensor, StoredTensor]): Value => {
        const first = "graph" in left ? left : stored(graph, change, left, sizeOf({ form: "stored", tensor: left }))
        const [rows = 1, columns = 1] = sizeOf({ form: "stored", tensor: right }) ?? []
        return operator("MatMul", [first, stored(graph, change, right, [rows, columns])], {
          dims: [rowsOf(first), columns]
        })
      }
      const [a, b] = by.right
      const sum = add(times([times([weight, a]), b]), times(by.added))
      return add(weight, multiply(sum, factor(graph, change, by.scale)))
    }
  }
}

// From the old weight to the new one in a straight line.
const towards = (from: Value, to: Value, change: Change): Value =>
  add(from, multiply(subtract(to, from), from.graph.strength(change.strength)))

// The weight scaled so that its rows, or its columns over all places of the kernel, have the norms.
const withNorms = (weight: Value, change: Change, magnitude: StoredTensor): Value => {
  const { graph } = weight
  const [rows, columns] = [rowsOf(weight), columnsOf(weight)]
  const isOfRows = areRowNorms(magnitude.shape, rows)
  const inputs = isOfRows ? columns : count(magnitude)
  const whole = reshape(weight, [rows, inputs, columns / inputs])
  const dims = isOfRows ? [rows, 1, 1] : [1, inputs, 1]
  const norm = operator("ReduceL2", [whole, graph.constant("int64", [2], isOfRows ? [1, 2] : [0, 2])], { dims })
  // A row of zeros stays one.
  const scale = divide(stored(graph, change, magnitude, dims), maximum(norm, number(graph, 1e-30)))
  return reshape(multiply(whole, scale), weight.dims)
}

const turnedBy = (weight: Value, { blocks, count, distance, size }: Rotation): Value => {
  const { graph } = weight
  const [rows, columns] = [rowsOf(weight), columnsOf(weight)]
  const pairs = [distance === undefined ? 1 : rows / distance / 2, 2, distance ?? 1]
  const order = [0, 2, 1, 3]
  const near = distance === undefined ? weight : transpose(reshape(weight, [...pairs, columns]), order)
  const turned = operator("MatMul", [
    graph.numbers([count, size, size], blocks),
    reshape(near, [count, size, columns])
  ], { dims: [count, size, columns] })
  return reshape(distance === undefined ? turned : transpose(reshape(turned, near.dims), order), weight.dims)
}

// A matrix in float32.
const matrixOf = (graph: Graph, change: LayerChange, matrix: Matrix): Value => {
  const [rows = 1, columns = 1] = sizeOf(matrix) ?? []
  switch (matrix.form) {
    case "stored":
      return stored(graph, change, matrix.tensor, [rows, columns])
    case "product": {
      const { down, up } = factors(graph, change, matrix)
      return operator("MatMul", [up, down], { dims: [rows, columns] })
    }
    case "elementwise":
      return multiply(matrixOf(graph, change, matrix.left), matrixOf(graph, change, matrix.right))
    case "kronecker": {
      const [left, right] = [matrixOf(graph, change, matrix.left), matrixOf(graph, change, matrix.right)]
      const product = multiply(
        reshape(left, [rowsOf(left), 1, columnsOf(left), 1]),
        reshape(right, [1, rowsOf(right), 1, columnsOf(right)])
      )
      return reshape(product, [rows, columns])
    }
  }
}

type Product = Extract<Matrix, { readonly form: "product" }>

const factors = (graph: Graph, change: LayerChange, { down, isFlipped, middle, ranks, up }: Product): Factors => {
  const read = (tensor: StoredTensor) => stored(graph, change, tensor, sizeOf({ form: "stored", tensor }))
  const left = isFlipped === true ? transpose(read(up), [1, 0]) : read(up)
  if (middle !== undefined) return { up: left, down: through(read(down), middle, graph, change) }
  const all = columnsOf(left)
  if (ranks === undefined || ranks >= all) return { up: left, down: read(down) }
  return { up: first(left, 1, ranks), down: first(read(down), 0, ranks) }
}

// `middle` `[r, s, k, k]` applied to `down` `[s, i]`, as a matrix `[r, i k k]`.
const through = (down: Value, middle: StoredTensor, graph: Graph, change: LayerChange): Value => {
  const [ranks = 1, inner = 1, ...sides] = middle.shape
  const kernel = sides.reduce((all, side) => all * side, 1)
  const inputs = columnsOf(down)
  const places = transpose(stored(graph, change, middle, [ranks, inner, kernel]), [0, 2, 1])
  const product = operator("MatMul", [places, down], { dims: [ranks, kernel, inputs] })
  return reshape(transpose(product, [0, 2, 1]), [ranks, inputs * kernel])
}

const first = (x: Value, axis: number, length: number): Value => {
  const [from, to, along] = [[0], [length], [axis]].map((numbers) => x.graph.constant("int64", [1], numbers))
  return operator("Slice", [x, from, to, along], { dims: x.dims.with(axis, length) })
}

// Zeros for inputs that the model has and the change does not know.
const padded = (matrix: Value, columns: number): Value => {
  const missing = columns - columnsOf(matrix)
  return missing === 0 ? matrix : operator("Pad", [
    matrix,
    matrix.graph.constant("int64", [4], [0, 0, 0, missing])
  ], { dims: [rowsOf(matrix), columns] })
}

const stored = (
  graph: Graph,
  { file }: LayerChange,
  tensor: StoredTensor,
  dims: ReadonlyArray<number> = tensor.shape
): Value => cast(graph.stored(tensor, dims, file), "float32")

const factor = (graph: Graph, { strength }: LayerChange, scale: number): Value =>
  scale === 1
    ? graph.strength(strength)
    : graph.once(`${strength} * ${scale}`, () => multiply(graph.strength(strength), number(graph, scale)))

const number = (graph: Graph, value: number): Value => graph.constant("float32", [], [value])

const count = ({ shape }: StoredTensor): number => shape.reduce((product, size) => product * size, 1)

const sized = (x: Value, axis: number): number => {
  const size = x.dims[axis]
  if (typeof size !== "number") throw x.graph.unfit("is adapted and has no size")
  return size
}
const rowsOf = (x: Value): number => sized(x, 0)
const columnsOf = (x: Value): number => sized(x, 1)

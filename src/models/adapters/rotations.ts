/**
 * What turns the rows of a weight in OFT (Qiu et al., arXiv:2306.07280) and BOFT (Liu et al., arXiv:2311.06243), from
 * the blocks that a file holds.
 *
 * With B a block and Q = B - Bᵀ, the rotation is R = (I + Q)(I - Q)⁻¹ (Cayley). Graphs have no inverse, so it is
 * computed here, in float64.
 */
import type { Rotation } from "../graph/Change.ts"

/**
 * The rotations of blocks `[n, b, b]`, or of the stages of a butterfly `[m, n, b, b]`, which follow each other. Q is
 * shrunk to a norm of `limit` times the weight's rows, taken over all blocks.
 */
export const rotationsOf = (
  shape: ReadonlyArray<number>,
  blocks: Float32Array,
  limit: number
): ReadonlyArray<Rotation> => {
  const size = shape.at(-1) ?? 0
  const count = shape.at(-3) ?? 0
  const stages = shape.length === 4 ? shape[0] ?? 0 : 1
  const skewed = skew(blocks, size)
  const norm = Math.sqrt(skewed.reduce((sum, value) => sum + value * value, 0))
  const most = limit * count * size
  if (norm > most) { for (let i = 0; i < skewed.length; i++) skewed[i] = (skewed[i] ?? 0) * most / norm }
  const area = size * size
  return Array.from({ length: stages }, (_, stage): Rotation => {
    const turned = new Float32Array(count * area)
    for (let block = 0; block < count; block++) {
      const from = (stage * count + block) * area
      const rotation = cayley(skewed.subarray(from, from + area), size)
      for (let row = 0; row < size; row++) {
        for (let column = 0; column < size; column++) {
          const [to, at] = shape.length === 4 ? [row, column] : [column, row]
          turned[block * area + to * size + at] = rotation[row * size + column] ?? 0
        }
      }
    }
    return { count, size, blocks: turned, ...(shape.length === 4 && { distance: 2 ** stage * size / 2 }) }
  })
}

// B - Bᵀ of each block.
const skew = (blocks: Float32Array, size: number): Float64Array => {
  const area = size * size
  return Float64Array.from(blocks, (value, i) => {
    const [start, row, column] = [i - i % area, Math.floor(i % area / size), i % size]
    return value - (blocks[start + column * size + row] ?? 0)
  })
}

// (I + Q)(I - Q)⁻¹ = 2 (I - Q)⁻¹ - I. I - Q always has an inverse: the eigenvalues of Q are imaginary.
const cayley = (skewed: Float64Array, size: number): Float64Array => {
  const inverse = inverted(skewed.map((value, i) => (i % (size + 1) === 0 ? 1 : 0) - value), size)
  return inverse.map((value, i) => 2 * value - (i % (size + 1) === 0 ? 1 : 0))
}

// Gauss and Jordan's elimination in place, with the largest number of a column as its pivot.
const inverted = (matrix: Float64Array, size: number): Float64Array => {
  const a = matrix.slice()
  const at = (row: number, column: number) => a[row * size + column] ?? 0
  const swaps: Array<readonly [number, number]> = []
  for (let step = 0; step < size; step++) {
    let pivot = step
    for (let row = step + 1; row < size; row++) if (Math.abs(at(row, step)) > Math.abs(at(pivot, step))) pivot = row
    if (pivot !== step) {
      swaps.push([step, pivot])
      const kept = a.slice(step * size, (step + 1) * size)
      a.copyWithin(step * size, pivot * size, (pivot + 1) * size)
      a.set(kept, pivot * size)
    }
    const divisor = at(step, step)
    a[step * size + step] = 1
    for (let column = 0; column < size; column++) a[step * size + column] = at(step, column) / divisor
    for (let row = 0; row < size; row++) {
      const factor = at(row, step)
      if (row === step || factor === 0) continue
      a[row * size + step] = 0
      for (let column = 0; column < size; column++) {
        a[row * size + column] = at(row, column) - factor * at(step, column)
      }
    }
  }
  for (const [one, other] of swaps.toReversed()) {
    for (let row = 0; row < size; row++) {
      const kept = at(row, one)
      a[row * size + one] = at(row, other)
      a[row * size + other] = kept
    }
  }
  return a
}

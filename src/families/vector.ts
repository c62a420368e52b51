import type { Tensor } from "../model/Conditioner.ts"

/** A list of numbers as an input of one row. */
export const vector = (values: ArrayLike<number>): Tensor => ({
  dims: [values.length],
  values: Float32Array.from(values)
})

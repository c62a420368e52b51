/**
 * The inner loops of the samplers.
 *
 * Latents are `Float32Array`s, coefficients are doubles, and every update of a sampler is a linear combination of a few
 * latents. Each function writes into a given buffer, which may be one of its inputs. Sums are computed in double
 * precision and rounded once.
 *
 * Indices in these loops are in bounds by construction; `as number` states this where the compiler cannot prove it.
 */

/** `values[i]`, for lists of levels and coefficients. Out of bounds it is NaN, which fails every comparison. */
export const at = (values: ArrayLike<number>, i: number): number => values[i] ?? Number.NaN

/** out = a·x + b·y */
export const combine = (out: Float32Array, a: number, x: Float32Array, b: number, y: Float32Array): void => {
  for (let i = 0; i < out.length; i++) {
    out[i] = a * (x[i] as number) + b * (y[i] as number)
  }
}

/** out = a·x + b·y + c·z */
export const combine3 = (
  out: Float32Array,
  a: number,
  x: Float32Array,
  b: number,
  y: Float32Array,
  c: number,
  z: Float32Array
): void => {
  for (let i = 0; i < out.length; i++) {
    out[i] = a * (x[i] as number) + b * (y[i] as number) + c * (z[i] as number)
  }
}

/** out = a·x + b·y + c·z + d·w */
export const combine4 = (
  out: Float32Array,
  a: number,
  x: Float32Array,
  b: number,
  y: Float32Array,
  c: number,
  z: Float32Array,
  d: number,
  w: Float32Array
): void => {
  for (let i = 0; i < out.length; i++) {
    out[i] = a * (x[i] as number) + b * (y[i] as number) + c * (z[i] as number) + d * (w[i] as number)
  }
}

/** out = a·x */
export const scale = (out: Float32Array, a: number, x: Float32Array): void => {
  for (let i = 0; i < out.length; i++) {
    out[i] = a * (x[i] as number)
  }
}

/** out += a·x */
export const add = (out: Float32Array, a: number, x: Float32Array): void => {
  for (let i = 0; i < out.length; i++) {
    out[i] = (out[i] as number) + a * (x[i] as number)
  }
}

/** `count` numbers from `first` to `last`, evenly spaced; one alone is `first`. */
export const linspace = (first: number, last: number, count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => count === 1 ? first : first + (i / (count - 1)) * (last - first))

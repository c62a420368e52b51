/** Numbers for networks to work on, and how far apart two results are. */

/** Numbers from -1 to 1 that do not repeat soon. */
export const wave = (length: number, step: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * step + 1))

/** `NaN` where one of them is, or where the second one is shorter. */
export const largestDifference = (a: Float32Array, b: Float32Array) =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? NaN))), 0)

/** A size of latents that is neither square nor even. */
export const small = { channels: 4, frames: 1, height: 5, width: 7 }

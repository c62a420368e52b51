/**
 * Emphasis: how the weights of a prompt act on its embeddings (stable-diffusion-webui 1.10.1, setting `emphasis`).
 */
import * as Schema from "effect/Schema"

/**
 * `None` reads brackets as characters, `Ignore` reads weights and does not use them, `Original` multiplies and restores
 * the mean, `No norm` multiplies only.
 */
export const Emphasis = Schema.Literals(["None", "Ignore", "Original", "No norm"])
export type Emphasis = typeof Emphasis.Type

/** One chunk of one text, as it came out of the text encoder. */
export interface EncodedChunk {
  /** `[positions, width]`. */
  readonly values: Float32Array
  /** `[positions]`. */
  readonly weights: ReadonlyArray<number>
  /** How many entries of the schedule have this text: the mean counts it as often. */
  readonly repeats: number
}

/**
 * Applies the weights in place, to the same chunk of all texts of one schedule.
 *
 * The mean is taken over all of them together, as they were encoded in one call: so the texts of a schedule influence
 * each other. Where no weight differs from 1, nothing is touched.
 */
export const apply = (chunks: ReadonlyArray<EncodedChunk>, emphasis: Emphasis): void => {
  if (emphasis === "None" || emphasis === "Ignore") return
  if (chunks.every(({ weights }) => weights.every((weight) => weight === 1))) return
  const before = sum(chunks)
  for (const { values, weights } of chunks) {
    const width = values.length / weights.length
    for (const [position, weight] of weights.entries()) {
      if (weight !== 1) multiply(values.subarray(position * width, (position + 1) * width), weight)
    }
  }
  if (emphasis === "No norm") return
  const factor = before / sum(chunks)
  if (!Number.isFinite(factor)) return
  for (const { values } of chunks) multiply(values, factor)
}

const multiply = (values: Float32Array, factor: number): void => {
  for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? NaN) * factor
}

// The texts of a call are of one size, so that sums are to each other as means are.
const sum = (chunks: ReadonlyArray<EncodedChunk>): number => {
  let total = 0
  for (const { repeats, values } of chunks) {
    let own = 0
    for (let i = 0; i < values.length; i++) own += values[i] ?? NaN
    total += own * repeats
  }
  return total
}

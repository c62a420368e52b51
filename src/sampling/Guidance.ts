/**
 * Guidance, emphasis and masks: arithmetic on predictions and embeddings around the network.
 *
 * Every function writes into a buffer it is given; `out` may be one of the inputs.
 */
import { add, combine, scale } from "./Buffers.ts"

/** The prediction for one part of a prompt, and its weight. A prompt with `AND` has several parts. */
export interface WeightedPrediction {
  /** `[batch, channels, height, width]`. */
  readonly values: Float32Array
  readonly weight: number
}

/**
 * Classifier-free guidance: U + Σ (C - U)·weight·scale. Ho and Salimans, arXiv:2207.12598, eq. 6, in the form where
 * scale 1 means no guidance.
 *
 * `out` must not be one of the conditioned predictions unless it is the only one.
 */
export const combineGuidance = (
  out: Float32Array,
  unconditional: Float32Array,
  conditioned: ReadonlyArray<WeightedPrediction>,
  guidanceScale: number
): void => {
  const [first, ...others] = conditioned
  const total = conditioned.reduce((sum, { weight }) => sum + weight * guidanceScale, 0)
  if (first === undefined) return out.set(unconditional)
  combine(out, 1 - total, unconditional, first.weight * guidanceScale, first.values)
  for (const { values, weight } of others) add(out, weight * guidanceScale, values)
}

/**
 * Guidance by an image: adds (S - 1)·(I - U) to what `combineGuidance` made with I in place of U, where I is the
 * prediction for the image without the prompt, U the one without either, and S the image's scale. Brooks et al.,
 * arXiv:2211.09800, eq. 3, in the form where scale 1 means no guidance by the image.
 */
export const addImageGuidance = (
  out: Float32Array,
  unconditional: Float32Array,
  ofImage: Float32Array,
  imageScale: number
): void => {
  add(out, imageScale - 1, ofImage)
  add(out, 1 - imageScale, unconditional)
}

const mean = (values: Float32Array): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] as number
  return sum / values.length
}

/**
 * Emphasis: multiplies every token's embedding by its weight. With `restoreMean`, scales all of them so that the mean
 * over the whole tensor is unchanged.
 *
 * `z` is `[batch, tokens, width]`, `multipliers` is `[batch, tokens]` (stable-diffusion-webui 1.10.1: "Original"
 * restores the mean, "No norm" does not).
 */
export const emphasize = (
  out: Float32Array,
  z: Float32Array,
  multipliers: ArrayLike<number>,
  restoreMean: boolean
): void => {
  const width = z.length / multipliers.length
  const before = restoreMean ? mean(z) : 0
  for (let token = 0; token < multipliers.length; token++) {
    const place = token * width
    scale(out.subarray(place, place + width), multipliers[token] as number, z.subarray(place, place + width))
  }
  if (!restoreMean) return
  const after = mean(out)
  if (after !== 0) scale(out, before / after, out)
}

/**
 * Inpainting: `current` where the mask is 1, `original` where it is 0, mixed between.
 *
 * `mask` is `[height, width]`, shared by all channels and items, or as long as the latents. Sigma samplers blend the
 * denoised prediction, timestep samplers blend the network's input, and both blend the final latents.
 */
export const blend = (
  out: Float32Array,
  current: Float32Array,
  original: Float32Array,
  mask: Float32Array
): void => {
  for (let start = 0; start < out.length; start += mask.length) {
    for (let i = 0; i < mask.length; i++) {
      const share = mask[i] as number
      out[start + i] = share * (current[start + i] as number) + (1 - share) * (original[start + i] as number)
    }
  }
}

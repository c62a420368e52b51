/**
 * Converts network outputs to denoised latents.
 *
 * A network sees x/√(σ² + 1), x being latents with noise of standard deviation σ, and predicts the noise ε, the
 * velocity v = √ᾱ·ε - √(1-ᾱ)·x0 (Salimans and Ho, arXiv:2202.00512, app. D) or the clean latents x0. Every function
 * writes into `out`, which may be one of its inputs; all buffers have the same length.
 */
import { combine, scale } from "./Buffers.ts"

/** What a network predicts: `prediction_type` in diffusers' `scheduler_config.json`. */
export type PredictionType = "epsilon" | "v_prediction" | "sample"

/** The network's input: x/√(σ² + 1), of variance 1. */
export const networkInput = (out: Float32Array, x: Float32Array, sigma: number): void =>
  scale(out, 1 / Math.sqrt(sigma * sigma + 1), x)

/** D = x - σ·ε */
export const fromEpsilon = (out: Float32Array, x: Float32Array, epsilon: Float32Array, sigma: number): void =>
  combine(out, 1, x, -sigma, epsilon)

/** D = x/(σ² + 1) - v·σ/√(σ² + 1) */
export const fromVelocity = (out: Float32Array, x: Float32Array, velocity: Float32Array, sigma: number): void =>
  combine(out, 1 / (sigma * sigma + 1), x, -sigma / Math.sqrt(sigma * sigma + 1), velocity)

/** D from a network output of any prediction type. */
export const denoised = (
  type: PredictionType,
  out: Float32Array,
  x: Float32Array,
  output: Float32Array,
  sigma: number
): void => {
  switch (type) {
    case "epsilon":
      return fromEpsilon(out, x, output, sigma)
    case "v_prediction":
      return fromVelocity(out, x, output, sigma)
    case "sample":
      return out.set(output)
  }
}

/** ε = √ᾱ·v + √(1-ᾱ)·x, for x of variance 1. */
export const epsilonOfVelocity = (out: Float32Array, x: Float32Array, velocity: Float32Array, alphaBar: number): void =>
  combine(out, Math.sqrt(alphaBar), velocity, Math.sqrt(1 - alphaBar), x)

/**
 * Weights of x and D in the output of a latent consistency model at timestep t: with s = 10·t, 0.25/(s² + 0.25) and
 * s/√(s² + 0.25). Luo et al., arXiv:2310.04378, sec. 4, with the constants of diffusers' LCM scheduler.
 */
export const lcmBoundary = (t: number): { readonly skip: number; readonly out: number } => {
  const scaled = 10 * t
  const variance = 0.5 ** 2
  return { skip: variance / (scaled ** 2 + variance), out: scaled / Math.sqrt(scaled ** 2 + variance) }
}

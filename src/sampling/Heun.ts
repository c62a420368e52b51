/** Second-order samplers that take a trial step, evaluate again and correct: two calls per step, one where σ' is 0. */
import * as Effect from "effect/Effect"
import { combine, combine3 } from "./Buffers.ts"
import { churn } from "./Euler.ts"
import { eachSigma, type Method, renoise, type Run } from "./Sampler.ts"

/**
 * One step of Heun's method from σ to σ', using `trial` as its only buffer.
 *
 * The Euler step gives x₂ = x + d·(σ' - σ), so that half of d is half of x₂ - x, and d₂ = (x₂ - D₂)/σ' the other half.
 */
export const heunStep = <E, R>(run: Run<E, R>, trial: Float32Array): (
  sigma: number,
  next: number
) => Effect.Effect<Float32Array, E, R> =>
  Effect.fnUntraced(function*(sigma: number, next: number) {
    const denoised = yield* run.denoise(run.x, sigma)
    combine(next === 0 ? run.x : trial, next / sigma, run.x, 1 - next / sigma, denoised)
    if (next === 0) return denoised
    const corrected = yield* run.denoise(trial, next)
    const half = (next - sigma) / (2 * next)
    combine3(run.x, 0.5, run.x, 0.5 + half, trial, -half, corrected)
    return corrected
  })

/**
 * Heun: x + (d + d₂)/2·(σ' - σ).
 *
 * Karras et al., arXiv:2206.00364, alg. 2. Order 2, two calls per step, one draw per step with churn.
 */
export const heun: Method = (run) => {
  const step = heunStep(run, run.buffer())
  return eachSigma(run, (sigma, next) => Effect.suspend(() => step(churn(run, sigma, next), next)))
}

// A midpoint step from σ to σ' through √(σ·σ'); an Euler step where σ' is 0.
const midpointStep = <E, R>(run: Run<E, R>, middle: Float32Array): (
  sigma: number,
  next: number
) => Effect.Effect<Float32Array, E, R> =>
  Effect.fnUntraced(function*(sigma: number, next: number) {
    const denoised = yield* run.denoise(run.x, sigma)
    const between = Math.sqrt(sigma * next)
    combine(next === 0 ? run.x : middle, between / sigma, run.x, 1 - between / sigma, denoised)
    if (next === 0) return denoised
    const corrected = yield* run.denoise(middle, between)
    const rise = (next - sigma) / between
    combine3(run.x, 1, run.x, rise, middle, -rise, corrected)
    return corrected
  })

/**
 * DPM2: the slope of the geometric middle of σ and σ' for the whole step.
 *
 * Karras et al., arXiv:2206.00364, alg. 2, with the midpoint of DPM-Solver-2 (Lu et al., arXiv:2206.00927, alg. 1).
 * Order 2, two calls per step, one draw per step with churn.
 */
export const dpm2: Method = (run) => {
  const step = midpointStep(run, run.buffer())
  return eachSigma(run, (sigma, next) => Effect.suspend(() => step(churn(run, sigma, next), next)))
}

/**
 * DPM2 ancestral: a DPM2 step further down than σ', and fresh noise up to it.
 *
 * k-diffusion's `sample_dpm_2_ancestral`. Order 2 without noise, two calls per step, one draw per step but the last.
 */
export const dpm2Ancestral: Method = (run) => {
  const step = midpointStep(run, run.buffer())
  return eachSigma(run, (sigma, next) => {
    const split = run.process.ancestralSplit(sigma, next, run.options.eta)
    return Effect.map(step(sigma, split.down), (denoised) => {
      renoise(run, run.x, split, sigma, next)
      return denoised
    })
  })
}

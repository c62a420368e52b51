/** First-order samplers for dx/dσ = (x - D)/σ. A step from σ to σ' keeps r = σ'/σ of x and takes 1 - r of D. */
import * as Effect from "effect/Effect"
import { add, combine, combine3 } from "./Buffers.ts"
import { eachSigma, type Method, renoise, type Run } from "./Sampler.ts"

/**
 * Raises the level of `run.x` from σ with fresh noise when the options ask for it, and returns the new level.
 *
 * Karras et al., arXiv:2206.00364, alg. 2, lines 4-6. With `sChurn` every step draws, within the bounds or not, so
 * that the bounds do not shift later draws.
 */
export const churn = <E, R>(run: Run<E, R>, sigma: number, next: number): number => {
  const { sChurn, sNoise, sTmax, sTmin } = run.options
  if (sChurn <= 0) return sigma
  const noise = run.draw(sigma, next)
  if (sigma < sTmin || (sTmax > 0 && sigma > sTmax)) return sigma
  const raised = sigma * (1 + Math.min(sChurn / (run.sigmas.length - 1), Math.SQRT2 - 1))
  add(run.x, sNoise * Math.sqrt(raised ** 2 - sigma ** 2), noise)
  return raised
}

/**
 * Euler: x + d·(σ' - σ), d = (x - D)/σ.
 *
 * Karras et al., arXiv:2206.00364, alg. 2 without its correction. Order 1, one call per step, one draw per step with
 * churn.
 */
export const euler: Method = (run) =>
  eachSigma(run, (sigma, next) =>
    Effect.suspend(() => {
      const raised = churn(run, sigma, next)
      return Effect.map(run.denoise(run.x, raised), (denoised) => {
        combine(run.x, next / raised, run.x, 1 - next / raised, denoised)
        return denoised
      })
    }))

/**
 * Euler ancestral: an Euler step further down than σ', and fresh noise up to it.
 *
 * k-diffusion's `sample_euler_ancestral`. Order 1, one call per step, one draw per step but the last.
 */
export const eulerAncestral: Method = (run) =>
  eachSigma(run, (sigma, next) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      const split = run.process.ancestralSplit(sigma, next, run.options.eta)
      combine(run.x, split.down / sigma, run.x, 1 - split.down / sigma, denoised)
      renoise(run, run.x, split, sigma, next)
      return denoised
    }))

/**
 * Euler with CFG++: the guided prediction with the noise direction of the unconditional one. D + (x - D_uncond)·σ'/σ.
 *
 * Chung et al., "CFG++", arXiv:2406.08070, in k-diffusion's scale. Order 1, one call per step, no noise.
 */
export const eulerCfgPlusPlus: Method = (run) =>
  eachSigma(run, (sigma, next) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      combine3(run.x, next / sigma, run.x, 1, denoised, -next / sigma, run.unconditional())
      return denoised
    }))

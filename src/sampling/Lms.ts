import * as Effect from "effect/Effect"
import { add, at, combine } from "./Buffers.ts"
import { eachSigma, type Method } from "./Sampler.ts"

// Nodes and weights of the four-point Gauss-Legendre rule, exact for polynomials up to degree 7, that is, for orders up
// to 8.
const nodes = [-0.8611363115940526, -0.3399810435848563, 0.3399810435848563, 0.8611363115940526]
const weights = [0.34785484513745385, 0.6521451548625461, 0.6521451548625461, 0.34785484513745385]
const highestOrder = 8

/** Integral from `sigmas[i]` to `sigmas[i + 1]` of the Lagrange polynomial that is 1 at σ_{i-j} and 0 at the others. */
const coefficient = (sigmas: Float64Array, order: number, i: number, j: number): number => {
  const middle = (at(sigmas, i + 1) + at(sigmas, i)) / 2
  const half = (at(sigmas, i + 1) - at(sigmas, i)) / 2
  let sum = 0
  for (let node = 0; node < nodes.length; node++) {
    const sigma = middle + half * at(nodes, node)
    let product = at(weights, node)
    for (let k = 0; k < order; k++) {
      if (k !== j) product *= (sigma - at(sigmas, i - k)) / (at(sigmas, i - j) - at(sigmas, i - k))
    }
    sum += product
  }
  return sum * half
}

/**
 * LMS: the Adams-Bashforth linear multistep method for dx/dσ = d with uneven steps.
 *
 * k-diffusion's `sample_lms`, after Karras et al., arXiv:2206.00364. Order 4 (fewer while there are fewer past slopes),
 * one call per step, no noise.
 */
export const lms: Method = (run) => {
  const order = Math.min(Math.max(1, Math.floor(run.options.order)), highestOrder)
  const slopes = Array.from({ length: Math.min(order, run.sigmas.length - 1) }, run.buffer)
  return eachSigma(run, (sigma, _, i) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      const newest = slopes.pop()
      if (newest === undefined) return denoised
      slopes.unshift(newest)
      combine(newest, 1 / sigma, run.x, -1 / sigma, denoised)
      const usable = Math.min(i + 1, slopes.length)
      for (const [j, slope] of slopes.entries()) {
        if (j < usable) add(run.x, coefficient(run.sigmas, usable, i, j), slope)
      }
      return denoised
    }))
}

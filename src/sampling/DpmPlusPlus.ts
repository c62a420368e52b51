/**
 * The DPM-Solver++ family: exponential integrators in λ = -ln σ that predict the data, not the noise.
 *
 * Lu et al., "DPM-Solver++", arXiv:2211.01095. With h = ln(σ/σ') a step is exact for constant D when
 * x ← e^-h·x + (1 - e^-h)·D, and e^-h is σ'/σ; the methods differ in the D they use and the noise they add.
 */
import * as Effect from "effect/Effect"
import { add, combine, combine3, combine4 } from "./Buffers.ts"
import { eachSigma, type Method, renoise } from "./Sampler.ts"

/**
 * DPM++ 2M: D extrapolated from the last two predictions.
 *
 * arXiv:2211.01095, alg. 2. Order 2, multistep, one call per step, no noise.
 */
export const dpmpp2m: Method = (run) => {
  const previous = run.buffer()
  let hPrevious = 0
  return eachSigma(run, (sigma, next, i) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      const h = Math.log(sigma / next)
      const share = 1 - next / sigma
      const past = i === 0 || next === 0 ? 0 : h / (2 * hPrevious)
      combine3(run.x, next / sigma, run.x, share * (1 + past), denoised, -share * past, previous)
      previous.set(denoised)
      hPrevious = h
      return denoised
    }))
}

/**
 * DPM++ 2S ancestral: D of the step's middle in λ, further down than σ', and fresh noise up to it.
 *
 * arXiv:2211.01095, alg. 1 with r = 1/2, as k-diffusion's `sample_dpmpp_2s_ancestral`. Order 2 without noise, two calls
 * a step, one where it ends at 0; one draw per step but the last.
 */
export const dpmpp2sAncestral: Method = (run) => {
  const middle = run.buffer()
  return eachSigma(
    run,
    Effect.fnUntraced(function*(sigma: number, next: number) {
      const split = run.process.ancestralSplit(sigma, next, run.options.eta)
      const { down } = split
      let denoised = yield* run.denoise(run.x, sigma)
      if (down > 0) {
        const between = Math.sqrt(sigma * down)
        combine(middle, between / sigma, run.x, 1 - between / sigma, denoised)
        denoised = yield* run.denoise(middle, between)
      }
      combine(run.x, down / sigma, run.x, 1 - down / sigma, denoised)
      renoise(run, run.x, split, sigma, next)
      return denoised
    })
  )
}

/**
 * DPM++ SDE: a noisy trial step to the middle in λ, whose D is used for the noisy whole step.
 *
 * arXiv:2211.01095, alg. 1 with r = 1/2 for the diffusion SDE; k-diffusion's `sample_dpmpp_sde`. Two calls per step but
 * the last; two draws per step, for (σ, √(σσ')) and for (σ, σ'), which overlap: use a Brownian path.
 */
export const dpmppSde: Method = (run) => {
  const { eta } = run.options
  const middle = run.buffer()
  return eachSigma(
    run,
    Effect.fnUntraced(function*(sigma: number, next: number) {
      let denoised = yield* run.denoise(run.x, sigma)
      if (next === 0) {
        run.x.set(denoised)
        return denoised
      }
      const between = Math.sqrt(sigma * next)
      const trial = run.process.ancestralSplit(sigma, between, eta)
      combine(middle, trial.down / sigma, run.x, 1 - trial.down / sigma, denoised)
      renoise(run, middle, trial, sigma, between)
      denoised = yield* run.denoise(middle, between)
      const split = run.process.ancestralSplit(sigma, next, eta)
      combine(run.x, split.down / sigma, run.x, 1 - split.down / sigma, denoised)
      renoise(run, run.x, split, sigma, next)
      return denoised
    })
  )
}

// Noise of an SDE step: σ'·√(1 - e^(-2·eta·h)).
const sdeNoise = (next: number, eta: number, h: number): number => next * Math.sqrt(-Math.expm1(-2 * eta * h))

/**
 * DPM++ 2M SDE: the multistep method with fresh noise in every step.
 *
 * SDE-DPM-Solver++(2M) of arXiv:2211.01095; k-diffusion's `sample_dpmpp_2m_sde`, with both of its ways to use the
 * last prediction. Order 2 without noise, one call per step, one draw per step but the last.
 */
export const dpmpp2mSde = (solver: "midpoint" | "heun"): Method => (run) => {
  const { eta, sNoise } = run.options
  const previous = run.buffer()
  let hPrevious = 0
  return eachSigma(run, (sigma, next, i) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      if (next === 0) {
        run.x.set(denoised)
        return denoised
      }
      const h = Math.log(sigma / next)
      const hEta = h * (1 + eta)
      const share = -Math.expm1(-hEta)
      const weight = solver === "midpoint" ? share / 2 : 1 - share / hEta
      const past = i === 0 ? 0 : weight * h / hPrevious
      combine3(run.x, Math.exp(-hEta), run.x, share + past, denoised, -past, previous)
      if (eta > 0) add(run.x, sNoise * sdeNoise(next, eta, h), run.draw(sigma, next))
      previous.set(denoised)
      hPrevious = h
      return denoised
    }))
}

/**
 * DPM++ 3M SDE: as 2M SDE, with two past predictions.
 *
 * k-diffusion's `sample_dpmpp_3m_sde`, after DPM-Solver++(3M) of arXiv:2211.01095. Its second-difference term has half
 * the Taylor coefficient, which makes it order 2; every image made with it depends on that. One call per step, one draw
 * per step but the last.
 */
export const dpmpp3mSde: Method = (run) => {
  const { eta, sNoise } = run.options
  let previous = run.buffer()
  let earlier = run.buffer()
  let h1 = 0
  let h2 = 0
  return eachSigma(run, (sigma, next, i) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      if (next === 0) {
        run.x.set(denoised)
        return denoised
      }
      const h = Math.log(sigma / next)
      const hEta = h * (1 + eta)
      const share = -Math.expm1(-hEta)
      const phi2 = 1 - share / hEta
      const phi3 = phi2 / hEta - 0.5
      if (i < 2) {
        const past = i === 0 ? 0 : phi2 * h / h1
        combine3(run.x, 1 - share, run.x, share + past, denoised, -past, previous)
      } else {
        // a and b are the last two slopes of D over λ, in units of h; each is a difference of neighbours.
        const r0 = h1 / h
        const r1 = h2 / h
        const ofA = phi2 * (1 + r0 / (r0 + r1)) - phi3 / (r0 + r1)
        const ofB = -phi2 * r0 / (r0 + r1) + phi3 / (r0 + r1)
        combine4(
          run.x,
          1 - share,
          run.x,
          share + ofA / r0,
          denoised,
          ofB / r1 - ofA / r0,
          previous,
          -ofB / r1,
          earlier
        )
      }
      if (eta > 0) add(run.x, sNoise * sdeNoise(next, eta, h), run.draw(sigma, next))
      const oldest = earlier
      earlier = previous
      previous = oldest
      previous.set(denoised)
      h2 = h1
      h1 = h
      return denoised
    }))
}

/**
 * Samplers of the timestep family on DDIM's step: DDIM, DDIM CFG++ and PLMS.
 *
 * `run.x` has variance 1. Each sampler walks its timesteps from the last down to the first, so it makes one step fewer
 * than there are timesteps. With a = ᾱ(t), a' = ᾱ of the timestep below, D the prediction and e = (x - √a·D)/√(1-a) the
 * noise in it.
 */
import * as Effect from "effect/Effect"
import { add, at, combine, combine3, combine4, scale } from "./Buffers.ts"
import { drive, type Method, type Run } from "./Sampler.ts"

/** The levels of a run's timesteps, and its denoiser in the form these samplers call it. */
const timestepRun = <E, R>(run: Run<E, R>) => {
  const { process: { levels }, timesteps } = run
  const steps = Math.max(0, timesteps.length - 1)
  const scaled = run.buffer()
  const index = (i: number) => timesteps.length - 1 - i
  const sigma = (i: number) => at(levels.sigmas, at(timesteps, index(i)))
  return {
    /** σ after each step. */
    reached: Float64Array.from({ length: steps }, (_, i) => sigma(i + 1)),
    /** ᾱ before step i; `alpha(i + 1)` is the one after it. */
    alpha: (i: number) => at(levels.alphasCumprod, at(timesteps, index(i))),
    /** D of `x` at the level before step i. */
    denoise: (x: Float32Array, i: number) =>
      Effect.suspend(() => {
        scale(scaled, 1 / Math.sqrt(at(levels.alphasCumprod, at(timesteps, index(i)))), x)
        return run.denoise(scaled, sigma(i))
      })
  }
}

/** The noise that DDIM adds in a step: eta·√((1-a')/(1-a)·(1-a/a')). */
const ddimNoise = (a: number, aNext: number, eta: number): number =>
  eta * Math.sqrt((1 - aNext) / (1 - a) * (1 - a / aNext))

/**
 * DDIM: √a'·D + √(1-a'-s²)·e + s·n.
 *
 * Song et al., "Denoising Diffusion Implicit Models", arXiv:2010.02502, eq. 12 and 16. Order 1, one call per step, one
 * draw per step if eta is above 0.
 */
export const ddim: Method = (run) => {
  const { alpha, denoise, reached } = timestepRun(run)
  return drive(run, reached, (i) =>
    Effect.map(denoise(run.x, i), (denoised) => {
      const a = alpha(i)
      const aNext = alpha(i + 1)
      const noise = ddimNoise(a, aNext, run.options.eta)
      const direction = Math.sqrt(Math.max(0, 1 - aNext - noise ** 2) / (1 - a))
      combine(run.x, direction, run.x, Math.sqrt(aNext) - direction * Math.sqrt(a), denoised)
      addNoise(run, noise, i, reached)
      return denoised
    }))
}

const addNoise = <E, R>(run: Run<E, R>, noise: number, i: number, reached: Float64Array): void => {
  if (run.options.eta === 0) return
  const from = i === 0 ? at(run.process.levels.sigmas, at(run.timesteps, run.timesteps.length - 1)) : at(reached, i - 1)
  add(run.x, noise * run.options.sNoise, run.draw(from, at(reached, i)))
}

/**
 * DDIM with CFG++: the guided prediction with the noise direction of the unconditional one.
 *
 * Chung et al., "CFG++", arXiv:2406.08070. The denoiser's guidance scale is the user's divided by 12.5. Order 1,
 * one call per step, one draw per step if eta is above 0.
 */
export const ddimCfgPlusPlus: Method = (run) => {
  const { alpha, denoise, reached } = timestepRun(run)
  return drive(run, reached, (i) =>
    Effect.map(denoise(run.x, i), (denoised) => {
      const a = alpha(i)
      const aNext = alpha(i + 1)
      const noise = ddimNoise(a, aNext, run.options.eta)
      const direction = Math.sqrt(Math.max(0, 1 - aNext - noise ** 2) / (1 - a))
      combine3(
        run.x,
        direction,
        run.x,
        Math.sqrt(aNext),
        denoised,
        -direction * Math.sqrt(a),
        run.unconditional()
      )
      addNoise(run, noise, i, reached)
      return denoised
    }))
}

/**
 * PLMS: a DDIM step with the noise extrapolated from up to four predictions.
 *
 * Liu et al., "Pseudo Numerical Methods for Diffusion Models", arXiv:2202.09778: the pseudo
 * linear multistep method, started with Heun's method.
 * Order 2, multistep, one call per step and one more in the first, no noise.
 */
export const plms: Method = (run) => {
  const { alpha, denoise, reached } = timestepRun(run)
  const trial = run.buffer()
  const mixed = run.buffer()
  // The newest noise first.
  const noises = Array.from({ length: 4 }, run.buffer)

  const noiseOf = (out: Float32Array, x: Float32Array, denoised: Float32Array, i: number) =>
    combine(out, 1 / Math.sqrt(1 - alpha(i)), x, -Math.sqrt(alpha(i) / (1 - alpha(i))), denoised)
  const step = (out: Float32Array, noise: Float32Array, i: number) => {
    const ratio = Math.sqrt(alpha(i + 1) / alpha(i))
    combine(out, ratio, run.x, Math.sqrt(1 - alpha(i + 1)) - ratio * Math.sqrt(1 - alpha(i)), noise)
  }

  return drive(
    run,
    reached,
    Effect.fnUntraced(function*(i: number) {
      let denoised = yield* denoise(run.x, i)
      noises.unshift(...noises.splice(3))
      const [e, e1, e2, e3] = noises
      if (e === undefined || e1 === undefined || e2 === undefined || e3 === undefined) return denoised
      noiseOf(e, run.x, denoised, i)
      switch (i) {
        case 0: {
          step(trial, e, i)
          denoised = yield* denoise(trial, i + 1)
          noiseOf(mixed, trial, denoised, i + 1)
          combine(mixed, 0.5, mixed, 0.5, e)
          break
        }
        case 1:
          combine(mixed, 3 / 2, e, -1 / 2, e1)
          break
        case 2:
          combine3(mixed, 23 / 12, e, -16 / 12, e1, 5 / 12, e2)
          break
        default:
          combine4(mixed, 55 / 24, e, -59 / 24, e1, 37 / 24, e2, -9 / 24, e3)
      }
      step(run.x, mixed, i)
      return denoised
    })
  )
}

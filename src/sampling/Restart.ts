import * as Effect from "effect/Effect"
import { add, at } from "./Buffers.ts"
import { heunStep } from "./Heun.ts"
import { drive, type Method } from "./Sampler.ts"
import * as Schedules from "./Schedules.ts"

/** Steps from `from[i]` to `to[i]`. Where a step starts above the end of the previous one, noise fills the gap. */
interface Walk {
  readonly from: ReadonlyArray<number>
  readonly to: ReadonlyArray<number>
}

// Restarts jump from about the lower level back up to about the higher one.
const restartFrom = 0.1
const restartTo = 2

/**
 * The steps of Restart for a list of sigmas.
 *
 * Below 20 steps these are the list itself. From 20 steps on, 9 of them (from 36 on, twice a quarter of them) repeat
 * the stretch from σ 2 to 0.1, and the rest are a Karras schedule between the ends of the list.
 */
export const walk = (sigmas: Float64Array): Walk => {
  const steps = sigmas.length - 1
  const restarts = steps < 20 ? 0 : steps < 36 ? 1 : 2
  const restartSteps = restarts === 2 ? Math.floor(steps / 4) : 9
  const levels = sigmas.filter((sigma) => sigma > 0)
  const lowest = at(levels, levels.length - 1)
  const base = restarts === 0 ? sigmas : Schedules.sigmas({
    scheduler: "karras",
    steps: steps - restartSteps * restarts,
    sigmaMin: lowest,
    sigmaMax: at(sigmas, 0)
  })
  const nearest = (level: number) =>
    base.reduce((best, sigma, i) => Math.abs(sigma - level) < Math.abs(at(base, best) - level) ? i : best, 0)
  const low = nearest(restartFrom)
  const high = nearest(restartTo)
  const from: Array<number> = []
  const to: Array<number> = []
  const append = (levels: Float64Array) => {
    from.push(...levels.subarray(0, -1))
    to.push(...levels.subarray(1))
  }
  if (restarts === 0 || high >= low) {
    append(base)
    return { from, to }
  }
  append(base.subarray(0, low + 1))
  const again = Schedules.sigmas({
    scheduler: "karras",
    steps: restartSteps + 1,
    sigmaMin: at(base, low),
    sigmaMax: at(base, high)
  })
  // Its ends are exact levels of the base list: a rounding error would look like another restart.
  again.set([at(base, high)], 0)
  again.set([at(base, low)], restartSteps)
  for (let i = 0; i < restarts; i++) append(again.subarray(0, -1))
  append(base.subarray(low))
  return { from, to }
}

/**
 * Restart: Heun steps that jump back up with fresh noise once or twice and repeat the middle levels.
 *
 * Xu et al., "Restart Sampling", arXiv:2306.14878, sec. 3, with stable-diffusion-webui's choice of restarts. Order 2,
 * two calls per step, one draw per restart.
 */
export const restart: Method = (run) => {
  const { from, to } = walk(run.sigmas)
  const step = heunStep(run, run.buffer())
  return drive(run, to, (i) =>
    Effect.suspend(() => {
      const sigma = at(from, i)
      const reached = i === 0 ? sigma : at(to, i - 1)
      if (sigma > reached) {
        add(run.x, run.options.sNoise * Math.sqrt(sigma ** 2 - reached ** 2), run.draw(sigma, reached))
      }
      return step(sigma, at(to, i))
    }))
}

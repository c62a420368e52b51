/**
 * DPM-Solver: exponential integrators in λ = -ln σ that predict the noise ε = (x - D)/σ.
 *
 * Lu et al., "DPM-Solver", arXiv:2206.00927, alg. 1 and 2 (orders 2 and 3), in k-diffusion's scale. Both samplers
 * choose their own steps from the first level of the list to the last one above 0, and end there without a final
 * denoising.
 */
import * as Effect from "effect/Effect"
import { add, at, combine, combine3, linspace } from "./Buffers.ts"
import type { NoiseProcess } from "./NoiseProcess.ts"
import { drive, eachSigma, type Method, type Run } from "./Sampler.ts"

/**
 * Steps of orders 1 to 3 from λ `from` to `to`. `eps` is the noise at the start, of which each higher order needs the
 * evaluations of the one below.
 */
const solver = <E, R>(run: Run<E, R>) => {
  const eps = run.buffer()
  const eps1 = run.buffer()
  const eps2 = run.buffer()
  const trial = run.buffer()

  const noiseAt = (out: Float32Array, x: Float32Array, lambda: number): Effect.Effect<Float32Array, E, R> => {
    const sigma = Math.exp(-lambda)
    return Effect.map(run.denoise(x, sigma), (denoised) => {
      combine(out, 1 / sigma, x, -1 / sigma, denoised)
      return denoised
    })
  }

  /** ε at the start of a step, and D with it. */
  const begin = (from: number) => noiseAt(eps, run.x, from)

  /** ε at a share r of the step: two values, from the first-order trial. */
  const evaluateFirst = (from: number, h: number, r: number) => {
    combine(trial, 1, run.x, -Math.exp(-from - r * h) * Math.expm1(r * h), eps)
    return noiseAt(eps1, trial, from + r * h)
  }

  /** ε at two thirds of the step, given the one at a third. */
  const evaluateSecond = (from: number, h: number) => {
    const sigma = Math.exp(-from - 2 / 3 * h)
    const growth = Math.expm1(2 / 3 * h)
    const bend = 2 * (growth / (2 / 3 * h) - 1)
    combine3(trial, 1, run.x, -sigma * (growth - bend), eps, -sigma * bend, eps1)
    return noiseAt(eps2, trial, from + 2 / 3 * h)
  }

  const first = (out: Float32Array, from: number, h: number) =>
    combine(out, 1, run.x, -Math.exp(-from - h) * Math.expm1(h), eps)

  const second = (out: Float32Array, from: number, h: number, r: number) => {
    const reach = Math.exp(-from - h) * Math.expm1(h)
    combine3(out, 1, run.x, -reach * (1 - 1 / (2 * r)), eps, -reach / (2 * r), eps1)
  }

  const third = (out: Float32Array, from: number, h: number) => {
    const sigma = Math.exp(-from - h)
    const growth = Math.expm1(h)
    const bend = 1.5 * (growth / h - 1)
    combine3(out, 1, run.x, -sigma * (growth - bend), eps, -sigma * bend, eps2)
  }

  return { begin, evaluateFirst, evaluateSecond, first, second, third }
}

/** λ of the first level and of the last above 0. */
const ends = (sigmas: Float64Array): { readonly start: number; readonly end: number } => {
  const last = sigmas.findLastIndex((sigma) => sigma > 0)
  return { start: -Math.log(at(sigmas, 0)), end: -Math.log(at(sigmas, last)) }
}

// With only one level above 0, the single step is a denoising.
const denoiseAtOnce: Method = (run) =>
  eachSigma(run, (sigma) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      run.x.set(denoised)
      return denoised
    }))

// Where a step to λ `to` ends before fresh noise is added, and how much noise that is.
const split = (process: NoiseProcess, from: number, to: number, end: number, eta: number) => {
  if (eta === 0) return { until: to, up: 0 }
  const { down } = process.ancestralSplit(Math.exp(-from), Math.exp(-to), eta)
  const until = Math.min(end, -Math.log(down))
  return { until, up: Math.sqrt(Math.max(0, Math.exp(-2 * to) - Math.exp(-2 * until))) }
}

/**
 * DPM fast: as many calls as steps, grouped into third-order intervals with a lower order at the end.
 *
 * DPM-Solver-fast of arXiv:2206.00927. A step is an interval of up to three calls; with eta one draw each.
 */
export const dpmFast: Method = (run) => {
  const { end, start } = ends(run.sigmas)
  if (start === end) return denoiseAtOnce(run)
  const { eta, sNoise } = run.options
  const calls = run.sigmas.length - 1
  const intervals = Math.floor(calls / 3) + 1
  const lambdas = linspace(start, end, intervals + 1)
  const orderOf = (i: number) => {
    if (calls % 3 !== 0) return i === intervals - 1 ? calls % 3 : 3
    return i === intervals - 1 ? 1 : i === intervals - 2 ? 2 : 3
  }
  const solve = solver(run)
  return drive(
    run,
    lambdas.subarray(1).map((lambda) => Math.exp(-lambda)),
    Effect.fnUntraced(function*(i: number) {
      const from = at(lambdas, i)
      const to = at(lambdas, i + 1)
      const { until, up } = split(run.process, from, to, end, eta)
      const h = until - from
      let denoised = yield* solve.begin(from)
      switch (orderOf(i)) {
        case 1:
          solve.first(run.x, from, h)
          break
        case 2:
          denoised = yield* solve.evaluateFirst(from, h, 1 / 2)
          solve.second(run.x, from, h, 1 / 2)
          break
        default:
          yield* solve.evaluateFirst(from, h, 1 / 3)
          denoised = yield* solve.evaluateSecond(from, h)
          solve.third(run.x, from, h)
      }
      if (eta > 0) add(run.x, up * sNoise, run.draw(Math.exp(-from), Math.exp(-to)))
      return denoised
    })
  )
}

// The root mean square of the difference of two solutions, in units of the tolerance.
const errorOf = (
  low: Float32Array,
  high: Float32Array,
  previousLow: Float32Array,
  rtol: number,
  atol: number
): number => {
  let sum = 0
  for (let i = 0; i < low.length; i++) {
    const value = low[i] as number
    const tolerated = Math.max(atol, rtol * Math.max(Math.abs(value), Math.abs(previousLow[i] as number)))
    sum += ((value - (high[i] as number)) / tolerated) ** 2
  }
  return Math.sqrt(sum / low.length)
}

// Steps shorter than this fraction of the whole are always accepted, so that no tolerance makes a run endless.
const shortest = 1 / 4096

/**
 * DPM adaptive: step sizes controlled by the difference between two orders.
 *
 * DPM-Solver-12 and -23 of arXiv:2206.00927, with k-diffusion's step-size controller. Order 3 makes three calls a
 * trial, order 2 two; a rejected trial is repeated with a shorter step. With eta, one draw per accepted step.
 * The error is measured over the whole batch. Steps are reported when accepted.
 */
export const dpmAdaptive: Method = (run) => {
  const { end, start } = ends(run.sigmas)
  return start === end ? denoiseAtOnce(run) : adaptive(run, start, end)
}

const adaptive: <E, R>(run: Run<E, R>, start: number, end: number) => Effect.Effect<void, E, R> = Effect.fnUntraced(
  function*(run, start, end) {
    const { atol, eta, firstStep, rtol, sNoise } = run.options
    const order = run.options.order < 3 ? 2 : 3
    const solve = solver(run)
    const low = run.buffer()
    const high = run.buffer()
    const previousLow = run.buffer()
    previousLow.set(run.x)
    const least = (end - start) * shortest
    let from = start
    let h = Math.max(firstStep, least)
    let step = 0
    while (from < end - 1e-5) {
      const to = Math.min(end, from + h)
      const { until, up } = split(run.process, from, to, end, eta)
      const way = until - from
      let denoised = yield* solve.begin(from)
      if (order === 2) {
        solve.first(low, from, way)
        denoised = yield* solve.evaluateFirst(from, way, 1 / 2)
        solve.second(high, from, way, 1 / 2)
      } else {
        yield* solve.evaluateFirst(from, way, 1 / 3)
        solve.second(low, from, way, 1 / 3)
        denoised = yield* solve.evaluateSecond(from, way)
        solve.third(high, from, way)
      }
      const error = errorOf(low, high, previousLow, rtol, atol)
      const factor = 1 + Math.atan((1 / (error + 1e-8)) ** (1 / (eta > 0 ? 1.5 : order)) - 1)
      // A NaN error comes from NaN predictions: continuing would never end.
      if (factor >= 0.81 || h <= least || Number.isNaN(error)) {
        previousLow.set(low)
        run.x.set(high)
        if (eta > 0) add(run.x, up * sNoise, run.draw(Math.exp(-from), Math.exp(-to)))
        from = to
        step++
        const steps = from < end - 1e-5 ? Math.max(step + 1, Math.round(step * (end - start) / (from - start))) : step
        yield* run.onStep({ step, steps, sigma: Math.exp(-from), x: run.x, denoised })
      }
      h = Math.max(least, Number.isNaN(factor) ? h : h * factor)
    }
  }
)

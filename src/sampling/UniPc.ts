/**
 * UniPC: a predictor and a corrector of any order that share their evaluations.
 *
 * Zhao et al., "UniPC", arXiv:2302.04867, alg. 1 (corrector) and 2 (predictor) with data prediction, in the
 * multistep form and with the choices of stable-diffusion-webui.
 */
import * as Effect from "effect/Effect"
import { add, at, linspace, scale } from "./Buffers.ts"
import type { NoiseSchedule } from "./NoiseSchedule.ts"
import { drive, type Method, type SamplerOptions } from "./Sampler.ts"

// Systems of higher order are too ill-conditioned for doubles.
const highestOrder = 6

/** A point in the continuous time of UniPC, from 1 down to 1/T, with the quantities of its formulas. */
interface Moment {
  /** Weight of the image, √ᾱ. */
  readonly alpha: number
  /** Weight of the noise, √(1 - ᾱ). */
  readonly noise: number
  /** ln(alpha/noise) = -ln σ. */
  readonly lambda: number
  readonly sigma: number
}

/** ln √ᾱ at time τ, linear between the trained timesteps, of which number k is at (k + 1)/T, and beyond them. */
const logAlphaAt = ({ alphasCumprod }: NoiseSchedule, time: number): number => {
  const last = alphasCumprod.length - 1
  if (last === 0) return Math.log(at(alphasCumprod, 0)) / 2
  const position = time * alphasCumprod.length - 1
  const k = Math.min(Math.max(Math.floor(position), 0), last - 1)
  const below = Math.log(at(alphasCumprod, k)) / 2
  const above = Math.log(at(alphasCumprod, k + 1)) / 2
  return below + (position - k) * (above - below)
}

const momentOf = (logAlpha: number): Moment => {
  const alpha = Math.exp(logAlpha)
  const noise = Math.sqrt(-Math.expm1(2 * logAlpha))
  return { alpha, noise, lambda: Math.log(alpha / noise), sigma: noise / alpha }
}

/** The `steps + 1` points of a run of `steps` steps. */
const moments = (schedule: NoiseSchedule, steps: number, start: number, skipType: SamplerOptions["skipType"]) => {
  const end = 1 / schedule.alphasCumprod.length
  const atTime = (time: number) => momentOf(logAlphaAt(schedule, time))
  switch (skipType) {
    case "time_uniform":
      return Array.from(linspace(start, end, steps + 1), atTime)
    case "time_quadratic":
      return Array.from(linspace(Math.sqrt(start), Math.sqrt(end), steps + 1), (root) => atTime(root ** 2))
    case "logSNR":
      // ln α of a λ is -ln(1 + e^(-2λ))/2.
      return Array.from(
        linspace(atTime(start).lambda, atTime(end).lambda, steps + 1),
        (lambda) => momentOf(-Math.log1p(Math.exp(-2 * lambda)) / 2)
      )
  }
}

/** Solves the linear system `matrix` · x = `values`, whose size is the order. */
const solve = (matrix: ReadonlyArray<ReadonlyArray<number>>, values: ReadonlyArray<number>): Float64Array => {
  const rows = matrix.map((row, i) => Float64Array.from([...row, at(values, i)]))
  const unknowns = new Float64Array(rows.length)
  for (let column = 0; column < rows.length; column++) {
    const below = rows.splice(column).sort((a, b) => Math.abs(at(b, column)) - Math.abs(at(a, column)))
    const [pivot, ...others] = below
    if (pivot === undefined) break
    rows.push(
      pivot,
      ...others.map((row) => {
        const factor = at(row, column) / at(pivot, column)
        return row.map((value, i) => value - factor * at(pivot, i))
      })
    )
  }
  for (const [i, row] of Array.from(rows.entries()).toReversed()) {
    const known = unknowns.reduce((sum, value, j) => j > i ? sum + value * at(row, j) : sum, 0)
    unknowns[i] = (at(row, rows.length) - known) / at(row, i)
  }
  return unknowns
}

/** An earlier data prediction and its λ. */
interface Prediction {
  readonly values: Float32Array
  lambda: number
}

/**
 * The coefficients of a step for x, the earlier predictions (newest first) and the one at its end.
 *
 * With H = -h, x' = (noise'/noise)·x - alpha'·(e^H - 1)·m - alpha'·B·Σ ρ_j·(m_j - m)/r_j, where r_j is how far λ_j lies
 * from the start in units of the step, and 1 for the prediction at its end.
 */
const weights = (from: Moment, to: Moment, lambdas: ReadonlyArray<number>, variant: "bh1" | "bh2") => {
  const h = to.lambda - from.lambda
  const growth = Math.expm1(-h)
  const b = variant === "bh1" ? -h : growth
  const order = lambdas.length
  const ratios = [...lambdas.slice(1).map((lambda) => (lambda - from.lambda) / h), 1]
  const powers = ratios.map((_, i) => ratios.map((ratio) => ratio ** i))
  const values: Array<number> = []
  let term = growth / -h - 1
  let factorial = 1
  for (let i = 1; i <= order; i++) {
    values.push(term * factorial / b)
    factorial *= i + 1
    term = term / -h - 1 / factorial
  }
  const mix = (rhos: ArrayLike<number>, count: number) => {
    const shares = Array.from({ length: count }, (_, j) => -to.alpha * b * at(rhos, j) / at(ratios, j))
    return { newest: -to.alpha * growth - shares.reduce((sum, share) => sum + share, 0), others: shares }
  }
  const predictor = order === 2
    ? [0.5]
    : solve(powers.slice(0, -1).map((row) => row.slice(0, -1)), values.slice(0, -1))
  const corrector = order === 1 ? [0.5] : solve(powers, values)
  return { x: to.noise / from.noise, predictor: mix(predictor, order - 1), corrector: mix(corrector, order) }
}

/**
 * UniPC: every prediction corrects the step that led to it and predicts the next one.
 *
 * Order 3 (rising by one per step at the start, falling at the end, never more than the number of steps), one call per
 * step, no noise. The first call is at the highest level for any timesteps: only their number matters and,
 * with `fromImage`, the last one.
 */
export const uniPc: Method = (run) => {
  const { options, process: { levels }, timesteps } = run
  const steps = timesteps.length
  const size = levels.alphasCumprod.length
  const start = options.fromImage && steps > 0 ? (at(timesteps, steps - 1) + 1) / size : 1
  const walk = moments(levels, steps, start, options.skipType)
  const order = Math.min(Math.max(1, Math.floor(options.order)), steps, highestOrder)
  const scaled = run.buffer()
  const trial = run.buffer()
  // Newest first; one more than the order, for the prediction at the end of the step.
  const history = Array.from({ length: order + 1 }, (): Prediction => ({ values: run.buffer(), lambda: 0 }))

  const predict = (x: Float32Array, { alpha, lambda, sigma }: Moment) => {
    scale(scaled, 1 / alpha, x)
    return Effect.map(run.denoise(scaled, sigma), (denoised) => {
      history.unshift(...history.splice(order))
      const [newest] = history
      if (newest !== undefined) {
        newest.values.set(denoised)
        newest.lambda = lambda
      }
      return denoised
    })
  }
  const orderOf = (step: number) =>
    step < order ? step : options.lowerOrderFinal ? Math.min(order, steps + 1 - step) : order

  let denoised = run.x
  return drive(
    run,
    walk.slice(1).map(({ sigma }) => sigma),
    Effect.fnUntraced(function*(i: number) {
      const [from, to] = walk.slice(i, i + 2)
      if (from === undefined || to === undefined) return denoised
      if (i === 0) denoised = yield* predict(run.x, from)
      const used = history.slice(0, orderOf(i + 1))
      const { corrector, predictor, x } = weights(from, to, used.map(({ lambda }) => lambda), options.variant)
      const mix = (out: Float32Array, { newest, others }: typeof predictor, past: ReadonlyArray<Prediction>) => {
        scale(out, x, run.x)
        for (const [j, { values }] of past.entries()) add(out, j === 0 ? newest : at(others, j - 1), values)
      }
      if (i === steps - 1) {
        mix(run.x, predictor, used)
        return denoised
      }
      mix(trial, predictor, used)
      denoised = yield* predict(trial, to)
      const [end] = history
      mix(run.x, corrector, end === undefined ? used : [...used, end])
      return denoised
    })
  )
}

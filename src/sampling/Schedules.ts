/**
 * Schedules: the noise levels that a sampler visits.
 *
 * A schedule turns a number of steps into descending sigmas that end at 0 (only KL Optimal ends above it). Names,
 * labels, order and formulas are those of stable-diffusion-webui 1.10.1, so a name in a request or a saved image means
 * the same numbers here. Timestep samplers use `timesteps` instead.
 */
import * as Option from "effect/Option"
import * as BetaDistribution from "./BetaDistribution.ts"
import { at, linspace } from "./Buffers.ts"
import * as NoiseSchedule from "./NoiseSchedule.ts"

/** Names for a request's `scheduler`. `lcm_automatic` is what `automatic` means for LCM; it is not listed. */
export type SchedulerName =
  | "automatic"
  | "uniform"
  | "karras"
  | "exponential"
  | "polyexponential"
  | "sgm_uniform"
  | "kl_optimal"
  | "align_your_steps"
  | "simple"
  | "normal"
  | "ddim"
  | "beta"

/** A schedule as it is listed. */
export interface Scheduler {
  readonly name: SchedulerName
  readonly label: string
  readonly aliases: ReadonlyArray<string>
  /** Default ρ; -1 for schedules without one. */
  readonly defaultRho: number
  /** Whether it uses the model's trained levels rather than only σmin and σmax. */
  readonly needInnerModel: boolean
}

const scheduler = (
  name: SchedulerName,
  label: string,
  needInnerModel: boolean,
  { aliases = [], defaultRho = -1 }: { readonly aliases?: ReadonlyArray<string>; readonly defaultRho?: number } = {}
): Scheduler => ({ name, label, aliases, defaultRho, needInnerModel })

/** All schedules, in list order. */
export const all: ReadonlyArray<Scheduler> = [
  scheduler("automatic", "Automatic", false),
  scheduler("uniform", "Uniform", true),
  scheduler("karras", "Karras", false, { defaultRho: 7 }),
  scheduler("exponential", "Exponential", false),
  scheduler("polyexponential", "Polyexponential", false, { defaultRho: 1 }),
  scheduler("sgm_uniform", "SGM Uniform", true, { aliases: ["SGMUniform"] }),
  scheduler("kl_optimal", "KL Optimal", false),
  scheduler("align_your_steps", "Align Your Steps", false),
  scheduler("simple", "Simple", true),
  scheduler("normal", "Normal", true),
  scheduler("ddim", "DDIM", true),
  scheduler("beta", "Beta", true)
]

// Ignores case, spaces, underscores and hyphens.
const key = (name: string): string => name.toLowerCase().replaceAll(/[\s_-]/g, "")

const named = new Map(
  all.flatMap((scheduler) => [scheduler.name, scheduler.label].map((name) => [key(name), scheduler] as const))
)

/** Finds a schedule by name, label or alias, in any case. */
export const get = (name: string): Option.Option<Scheduler> => Option.fromUndefinedOr(named.get(key(name)))

/**
 * Resolves `automatic` to the sampler's own schedule. It stays `automatic`, here and in infotexts, for samplers whose
 * own schedule has no name (Euler, LCM).
 */
export const forSampler = (
  scheduler: Scheduler,
  sampler: { readonly defaultScheduler: SchedulerName | "lcm_automatic" }
): Scheduler =>
  scheduler.name === "automatic" ? Option.getOrElse(get(sampler.defaultScheduler), () => scheduler) : scheduler

/** Options for a list of sigmas. */
export interface SigmaOptions {
  /** Defaults to `automatic`. */
  readonly scheduler?: SchedulerName | Scheduler
  /** The schedule that `automatic` selects, the sampler's own. Defaults to `uniform`. */
  readonly automatic?: SchedulerName | "lcm_automatic"
  /** At least 1; fractions are truncated. */
  readonly steps: number
  /** Defaults to Stable Diffusion's. */
  readonly noiseSchedule?: NoiseSchedule.NoiseSchedule
  /** Lowest and highest level. Default to the model's. */
  readonly sigmaMin?: number
  readonly sigmaMax?: number
  /** ρ of Karras (default 7) and Polyexponential (default 1). */
  readonly rho?: number
  /** Shape of the Beta schedule. Both default to 0.6. */
  readonly betaAlpha?: number
  readonly betaBeta?: number
  /** Table of Align Your Steps. Defaults to `sd1`. */
  readonly alignYourSteps?: "sd1" | "sdxl"
  /** Builds one extra level and discards the last one above 0, as DPM2 requires. */
  readonly discardNextToLast?: boolean
}

/**
 * The noise levels for a number of steps: `[steps + 1]` descending values that end at 0.
 *
 * KL Optimal ends at σmin instead of 0. The DDIM schedule can hold more or fewer levels than requested, because it
 * walks the trained timesteps in integer strides.
 */
export const sigmas = (options: SigmaOptions): Float64Array => {
  const wanted = Math.max(1, Math.floor(options.steps))
  const discard = options.discardNextToLast === true
  const { noiseSchedule = NoiseSchedule.stableDiffusion } = options
  const asked = typeof options.scheduler === "object" ? options.scheduler.name : options.scheduler ?? "automatic"
  const name = asked === "automatic" ? options.automatic ?? "uniform" : asked
  const levels = formulas[name](discard ? wanted + 1 : wanted, {
    noise: noiseSchedule,
    min: options.sigmaMin ?? noiseSchedule.sigmaMin,
    max: options.sigmaMax ?? noiseSchedule.sigmaMax,
    rho: options.rho,
    betaAlpha: options.betaAlpha ?? 0.6,
    betaBeta: options.betaBeta ?? 0.6,
    table: options.alignYourSteps ?? "sd1"
  })
  return discard ? levels.filter((_, i) => i !== levels.length - 2) : levels
}

interface Parameters {
  readonly noise: NoiseSchedule.NoiseSchedule
  readonly min: number
  readonly max: number
  readonly rho: number | undefined
  readonly betaAlpha: number
  readonly betaBeta: number
  readonly table: "sd1" | "sdxl"
}

type Formula = (n: number, parameters: Parameters) => Float64Array

const thenZero = (levels: ArrayLike<number>): Float64Array => {
  const sigmas = new Float64Array(levels.length + 1)
  sigmas.set(levels)
  return sigmas
}

const atTimesteps = (ts: Float64Array, noise: NoiseSchedule.NoiseSchedule): Float64Array =>
  thenZero(ts.map((t) => NoiseSchedule.tToSigma(noise, t)))

/** The model's levels, evenly spaced over all training timesteps. */
const uniform: Formula = (n, { noise }) => atTimesteps(linspace(NoiseSchedule.size(noise) - 1, 0, n), noise)

/** Evenly spaced in time between σmax and σmin. */
const normal: Formula = (n, { max, min, noise }) =>
  atTimesteps(linspace(NoiseSchedule.sigmaToT(noise, max), NoiseSchedule.sigmaToT(noise, min), n), noise)

/** `normal` with one extra step whose last level is dropped, so that the step to 0 is as long as the others. */
const sgmUniform: Formula = (n, { max, min, noise }) =>
  atTimesteps(
    linspace(NoiseSchedule.sigmaToT(noise, max), NoiseSchedule.sigmaToT(noise, min), n + 1).subarray(0, n),
    noise
  )

/** Karras et al., arXiv:2206.00364, eq. 5. */
const karras: Formula = (n, { max, min, rho = 7 }) =>
  thenZero(linspace(max ** (1 / rho), min ** (1 / rho), n).map((root) => root ** rho))

/** Evenly spaced in ln σ. */
const exponential: Formula = (n, { max, min }) => thenZero(linspace(Math.log(max), Math.log(min), n).map(Math.exp))

/** Spaced in ln σ by a power ρ of the progress. */
const polyexponential: Formula = (n, { max, min, rho = 1 }) =>
  thenZero(linspace(1, 0, n).map((r) => Math.exp(Math.log(min) + r ** rho * (Math.log(max) - Math.log(min)))))

/** Sabour et al., "Align Your Steps", arXiv:2404.14507: the optimal schedule for Gaussian data. */
const klOptimal: Formula = (n, { max, min }) =>
  linspace(0, 1, n + 1).map((share) => Math.tan(share * Math.atan(min) + (1 - share) * Math.atan(max)))

const alignYourStepsTables = {
  sd1: [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
  sdxl: [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029]
}

/** The optimised tables of arXiv:2404.14507, interpolated in ln σ. A single step starts at the end of the table. */
const alignYourSteps: Formula = (n, { table }) => {
  const knots = alignYourStepsTables[table]
  const last = knots.length - 1
  const positions = n === 1 ? Float64Array.of(last) : linspace(0, last, n)
  return thenZero(positions.map((position) => {
    const k = Math.min(Math.floor(position), last - 1)
    const share = position - k
    if (share === 0 || share === 1) return at(knots, k + share)
    return Math.exp((1 - share) * Math.log(at(knots, k)) + share * Math.log(at(knots, k + 1)))
  }))
}

/** Every (T / n)-th trained level, from the last down. */
const simple: Formula = (n, { noise }) => {
  const size = NoiseSchedule.size(noise)
  return thenZero(Float64Array.from({ length: n }, (_, i) => at(noise.sigmas, size - 1 - Math.floor(i * size / n))))
}

/** Trained levels 1, 1 + k, 1 + 2k, ... with k = ⌊T / n⌋. */
const ddim: Formula = (n, { noise }) => {
  const size = NoiseSchedule.size(noise)
  const stride = Math.max(Math.floor(size / n), 1)
  const levels = Float64Array.from(
    { length: Math.ceil((size - 1) / stride) },
    (_, i) => at(noise.sigmas, 1 + i * stride)
  )
  return thenZero(levels.toReversed())
}

/** Lee et al., "Beta Sampling is All You Need", arXiv:2407.12173. */
const beta: Formula = (n, { betaAlpha, betaBeta, max, min }) =>
  thenZero(linspace(1, 0, n).map((p) => min + BetaDistribution.quantile(p, betaAlpha, betaBeta) * (max - min)))

/** The levels of latent consistency models (arXiv:2310.04378), evenly spaced in time, linear in ln σ between them. */
const lcmAutomatic: Formula = (n, { noise }) => {
  const stride = NoiseSchedule.lcmStride(noise)
  const first = stride - 1
  const levels = Math.floor(NoiseSchedule.size(noise) / stride)
  return thenZero(
    linspace(NoiseSchedule.size(noise) - 1, first, n).map((t) => {
      const u = Math.min(Math.max((t - first) / stride, 0), levels - 1)
      const k = Math.min(Math.floor(u), Math.max(0, levels - 2))
      const share = u - k
      const low = at(noise.logSigmas, first + k * stride)
      return share === 0
        ? Math.exp(low)
        : Math.exp((1 - share) * low + share * at(noise.logSigmas, first + (k + 1) * stride))
    })
  )
}

const formulas: Readonly<Record<SchedulerName | "lcm_automatic", Formula>> = {
  automatic: uniform,
  uniform,
  karras,
  exponential,
  polyexponential,
  sgm_uniform: sgmUniform,
  kl_optimal: klOptimal,
  align_your_steps: alignYourSteps,
  simple,
  normal,
  ddim,
  beta,
  lcm_automatic: lcmAutomatic
}

/**
 * The timesteps of DDIM, PLMS and UniPC, ascending: clip(0, k, 2k, ... + 1) below T, with k = ⌊T / steps⌋.
 *
 * There can be more of them than steps (30 steps of 1000: 31). `trainTimesteps` is T.
 */
export const timesteps = (steps: number, trainTimesteps = 1000): Int32Array => {
  const wanted = Math.min(Math.max(1, Math.floor(steps)), trainTimesteps)
  const stride = Math.floor(trainTimesteps / wanted)
  return Int32Array.from(
    { length: Math.ceil(trainTimesteps / stride) },
    (_, i) => Math.min(i * stride + 1, trainTimesteps - 1)
  )
}

/** Where img2img starts in a schedule. */
export interface Img2ImgCut {
  /** Number of steps of the full schedule. */
  readonly scheduleSteps: number
  /** Timestep samplers start at the noise level of timestep index `tEnc` and use the timesteps before it. */
  readonly tEnc: number
  /** Index of the sigma to start from. */
  readonly firstSigma: number
  /** Number of steps actually made. */
  readonly denoisingSteps: number
}

// A strength close to 0 must not require an endless schedule.
const longestSchedule = 10_000

/**
 * The part of a schedule that img2img runs, for `steps` and a denoising strength from 0 to 1.
 *
 * Normally only the last part of the schedule runs. With `fixSteps` (and in a second pass) the schedule is built longer
 * so that the requested number of steps remains; strength 0 then makes no steps and leaves the image unchanged.
 */
export const img2img = (options: {
  readonly steps: number
  readonly strength: number
  readonly fixSteps?: boolean
}): Img2ImgCut => {
  const steps = Math.max(1, Math.floor(options.steps))
  const strength = Math.min(Math.max(options.strength, 0), 0.999)
  if (options.fixSteps !== true) {
    const tEnc = Math.floor(strength * steps)
    return { scheduleSteps: steps, tEnc, firstSigma: steps - tEnc - 1, denoisingSteps: tEnc + 1 }
  }
  if (strength === 0) return { scheduleSteps: 0, tEnc: steps - 1, firstSigma: 0, denoisingSteps: 0 }
  const scheduleSteps = Math.max(steps, Math.min(Math.floor(steps / strength), longestSchedule))
  return { scheduleSteps, tEnc: steps - 1, firstSigma: scheduleSteps - steps, denoisingSteps: steps }
}

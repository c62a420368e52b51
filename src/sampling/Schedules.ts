/**
 * Which noise levels a sampler visits.
 *
 * A schedule turns a number of steps into sigmas, from the highest level down, the last one 0 (only KL Optimal ends above
 * it). Names, labels, list order and formulas are those of stable-diffusion-webui 1.10.1, so that a name in a request or
 * a saved picture means the same numbers here. Samplers of the timestep family use `timesteps` instead.
 */
import * as Option from "effect/Option"
import * as BetaDistribution from "./BetaDistribution.ts"
import { at, linspace } from "./Buffers.ts"
import * as NoiseSchedule from "./NoiseSchedule.ts"

/** Names as they stand in a request's `scheduler`; `lcm_automatic` is what `automatic` means to LCM, and is not listed. */
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

/** A schedule, as lists of schedules show it. */
export interface Scheduler {
  readonly name: SchedulerName
  readonly label: string
  readonly aliases: ReadonlyArray<string>
  /** ρ when none is given; -1 for schedules that have none. */
  readonly defaultRho: number
  /** Whether the levels come from the model's own, not from σmin and σmax alone. */
  readonly needInnerModel: boolean
}

const scheduler = (
  name: SchedulerName,
  label: string,
  needInnerModel: boolean,
  { aliases = [], defaultRho = -1 }: { readonly aliases?: ReadonlyArray<string>; readonly defaultRho?: number } = {}
): Scheduler => ({ name, label, aliases, defaultRho, needInnerModel })

/** Every schedule, in list order. */
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

// Case, spaces, underscores and hyphens don't tell schedules apart.
const key = (name: string): string => name.toLowerCase().replaceAll(/[\s_-]/g, "")

const named = new Map(
  all.flatMap((scheduler) => [scheduler.name, scheduler.label].map((name) => [key(name), scheduler] as const))
)

/** The schedule of a name, label or alias, in any case. */
export const get = (name: string): Option.Option<Scheduler> => Option.fromUndefinedOr(named.get(key(name)))

/**
 * The schedule that is really used: `automatic` is the sampler's own. Samplers whose own has no name (Euler, LCM) leave it
 * `automatic`, and so do infotexts.
 */
export const forSampler = (
  scheduler: Scheduler,
  sampler: { readonly defaultScheduler: SchedulerName | "lcm_automatic" }
): Scheduler =>
  scheduler.name === "automatic" ? Option.getOrElse(get(sampler.defaultScheduler), () => scheduler) : scheduler

/** What a list of sigmas is made of. */
export interface SigmaOptions {
  /** `automatic`, when left out. */
  readonly scheduler?: SchedulerName | Scheduler
  /** What `automatic` stands for: the sampler's own schedule. `uniform`, when left out. */
  readonly automatic?: SchedulerName | "lcm_automatic"
  /** At least 1; fractions are dropped. */
  readonly steps: number
  /** Stable Diffusion's, when left out. */
  readonly noiseSchedule?: NoiseSchedule.NoiseSchedule
  /** The lowest and highest level; the model's, when left out. */
  readonly sigmaMin?: number
  readonly sigmaMax?: number
  /** Karras (7) and Polyexponential (1). */
  readonly rho?: number
  /** Shape of the Beta schedule, 0.6 both. */
  readonly betaAlpha?: number
  readonly betaBeta?: number
  /** Which table Align Your Steps reads; `sd1`, when left out. */
  readonly alignYourSteps?: "sd1" | "sdxl"
  /** Makes one level more and leaves out the last before 0, as DPM2 wants it. */
  readonly discardNextToLast?: boolean
}

/**
 * The noise levels for some steps: `[steps + 1]` values, descending, the last one 0.
 *
 * KL Optimal ends at σmin instead of 0. The DDIM schedule can hold more or less levels than were asked for: it walks the
 * trained timesteps in whole strides.
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

/** The model's levels, evenly spaced in time over all of training. */
const uniform: Formula = (n, { noise }) => atTimesteps(linspace(NoiseSchedule.size(noise) - 1, 0, n), noise)

/** Evenly spaced in time between σmax and σmin. */
const normal: Formula = (n, { max, min, noise }) =>
  atTimesteps(linspace(NoiseSchedule.sigmaToT(noise, max), NoiseSchedule.sigmaToT(noise, min), n), noise)

/** As `normal` for one step more, the last left out: the step to 0 is as long as the others. */
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

/** Spaced in ln σ by a power of the way gone. */
const polyexponential: Formula = (n, { max, min, rho = 1 }) =>
  thenZero(linspace(1, 0, n).map((r) => Math.exp(Math.log(min) + r ** rho * (Math.log(max) - Math.log(min)))))

/** Sabour et al., "Align Your Steps", arXiv:2404.14507: the schedule that is best for Gaussian data. */
const klOptimal: Formula = (n, { max, min }) =>
  linspace(0, 1, n + 1).map((share) => Math.tan(share * Math.atan(min) + (1 - share) * Math.atan(max)))

const alignYourStepsTables = {
  sd1: [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
  sdxl: [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029]
}

/** The optimised tables of arXiv:2404.14507, stretched in ln σ. One step alone starts at the table's end. */
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

/** Trained levels 1, 1 + k, 1 + 2k, ... with k = T / n in whole numbers. */
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
 * The timesteps of DDIM, PLMS and UniPC, ascending: clip(0, k, 2k, ... + 1) below T, with k = T / steps in whole numbers.
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

/** Where img2img enters a schedule. */
export interface Img2ImgCut {
  /** Steps to build the schedule for. */
  readonly scheduleSteps: number
  /** Timestep samplers start from the noise of timestep number `tEnc` and use the ones before it. */
  readonly tEnc: number
  /** Index of the sigma to start from. */
  readonly firstSigma: number
  /** Steps that are made of a schedule of `scheduleSteps` steps. */
  readonly denoisingSteps: number
}

// A strength next to 0 must not ask for a schedule without end.
const longestSchedule = 10_000

/**
 * How img2img cuts a schedule, for `steps` and a denoising strength from 0 to 1.
 *
 * Normally only the last part of the schedule is walked. With `fixSteps` (and in a hires pass) the schedule is made longer
 * so that as many steps are left as were asked for; strength 0 then makes none and leaves the picture as it is.
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

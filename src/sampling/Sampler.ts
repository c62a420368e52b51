/**
 * What a sampler is, and what it works with.
 *
 * A sampler is a `Sampler`: its description, and one `Method`, a function that takes a `Run` and brings `run.x` from noise
 * to a picture's latents. The method holds only the update rule of its paper; `drive` goes through the steps and tells
 * the observer about each.
 *
 * One denoiser drives every sampler. It is the D(x, σ) of Karras et al. (arXiv:2206.00364, eq. 2-3), which sees latents
 * whose noise has standard deviation σ ("variance exploding"). Samplers of the timestep family keep latents of variance
 * 1 ("variance preserving"): x_vp = √ᾱ · x_ve with ᾱ = 1/(1 + σ²). They ask the same denoiser with x_ve, and take the
 * noise from its answer: ε = (x_ve - D)/σ.
 *
 * All latents are flat `Float32Array`s of `[batch, channels, height/8, width/8]`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { at } from "./Buffers.ts"
import type * as NoiseSchedule from "./NoiseSchedule.ts"
import type { SchedulerName } from "./Schedules.ts"

/**
 * Predicts the latents without noise from latents with noise of level σ.
 *
 * The returned buffer belongs to the denoiser and is valid until its next call. `x` must not be changed. A network's own
 * input is x/√(σ² + 1), which for samplers of the timestep family is their x_vp: what has to act "before denoising", such
 * as an inpainting mask, acts there.
 */
export interface Denoiser<E = never, R = never> {
  (x: Float32Array, sigma: number): Effect.Effect<Float32Array, E, R>
  /**
   * The prediction without the prompt that the last call made, valid as long as its answer. Only samplers with
   * `needsUnconditional` (CFG++) ask for it.
   */
  readonly unconditional?: () => Float32Array
}

/**
 * Fills `out` with the next draw of unit noise. Brownian sources answer for the interval from `sigma` to `sigmaNext`, all
 * others take no notice of it.
 */
export type NoiseSource = (out: Float32Array, sigma: number, sigmaNext: number) => void

/** What an observer learns after a step. The buffers are live: copy what must outlast the call. */
export interface Step {
  /** Steps made so far: 1 after the first. */
  readonly step: number
  /** Steps in all. DPM adaptive, which cannot know, gives an estimate that is right at the end. */
  readonly steps: number
  /** Noise level that `x` has now. */
  readonly sigma: number
  readonly x: Float32Array
  /** The latest prediction of the latents without noise. */
  readonly denoised: Float32Array
}

/** What can be set on a sampler. A sampler reads only the options of its family. */
export interface SamplerOptions {
  /** Share of fresh noise in ancestral, SDE and DDIM steps: 1 by default, 0 for the DDIM ones. */
  readonly eta: number
  /** Noise added before a step of Euler, Heun and DPM2, over all steps together (arXiv:2206.00364, alg. 2). */
  readonly sChurn: number
  /** Levels between which `sChurn` acts; an `sTmax` of 0 means no upper bound. */
  readonly sTmin: number
  readonly sTmax: number
  /** Factor on every noise draw. */
  readonly sNoise: number
  /** Order of LMS (4), UniPC (3) and DPM adaptive (3, or 2). Too high an order for the steps is lowered. */
  readonly order: number
  /** B(h) of UniPC. */
  readonly variant: "bh1" | "bh2"
  /** How UniPC spaces its times. */
  readonly skipType: "time_uniform" | "time_quadratic" | "logSNR"
  /** Whether UniPC lowers its order for the last steps. */
  readonly lowerOrderFinal: boolean
  /** Relative and absolute tolerance of DPM adaptive, and its first step in ln σ. */
  readonly rtol: number
  readonly atol: number
  readonly firstStep: number
  /** Whether LCM puts the boundary scalings of its paper around the denoiser. */
  readonly lcmBoundary: boolean
  /** Whether `x` is a picture with noise (img2img): UniPC then starts at the last of the timesteps, not of all. */
  readonly fromImage: boolean
}

/** What options are when neither the caller nor the sampler says otherwise. */
export const defaultOptions: SamplerOptions = {
  eta: 1,
  sChurn: 0,
  sTmin: 0,
  sTmax: 0,
  sNoise: 1,
  order: 3,
  variant: "bh1",
  skipType: "time_uniform",
  lowerOrderFinal: true,
  rtol: 0.05,
  atol: 0.0078,
  firstStep: 0.05,
  lcmBoundary: true,
  fromImage: false
}

/** What a method works with during one run. */
export interface Run<E, R> {
  /** The latents, changed in place. */
  readonly x: Float32Array
  /** Levels to visit, descending; of at least two. Empty for the timestep family. */
  readonly sigmas: Float64Array
  /** Training timesteps, ascending. Empty for the others. */
  readonly timesteps: Int32Array
  readonly noiseSchedule: NoiseSchedule.NoiseSchedule
  readonly options: SamplerOptions
  /** D(x, σ). */
  readonly denoise: (x: Float32Array, sigma: number) => Effect.Effect<Float32Array, E, R>
  /** The last call's prediction without the prompt. */
  readonly unconditional: () => Float32Array
  /** The next noise draw, in a buffer that the next draw overwrites. */
  readonly draw: (sigma: number, sigmaNext: number) => Float32Array
  /** A buffer of the size of `x`, filled with 0. Taken before the first step, never during one. */
  readonly buffer: () => Float32Array
  readonly onStep: (step: Step) => Effect.Effect<void, E, R>
}

/** An update rule. All samplers have this one signature. */
export type Method = <E, R>(run: Run<E, R>) => Effect.Effect<void, E, R>

/**
 * When a sampler draws noise: never (`none`); with `sChurn`; with `eta`, as independent draws (`ancestral`) or along a
 * path (`brownian`, see `Brownian`); at every step but the last (`renoise`); or between the restarts of Restart.
 */
export type NoiseKind = "none" | "churn" | "ancestral" | "brownian" | "renoise" | "restart"

/** A sampler: how it is called, what it needs, and its update rule. */
export interface Sampler {
  /** As in requests and infotexts. */
  readonly name: string
  readonly aliases: ReadonlyArray<string>
  /** Remarks in the form of stable-diffusion-webui's API, string-valued. */
  readonly options: Readonly<Record<string, string>>
  /** Options that differ from `defaultOptions`. */
  readonly defaults: Partial<SamplerOptions>
  /** What the schedule `Automatic` stands for. */
  readonly defaultScheduler: SchedulerName | "lcm_automatic"
  /** Whether the infotext tells of the eta noise seed delta. */
  readonly usesEnsd: boolean
  /** Whether a step (but the last) calls the denoiser twice. */
  readonly secondOrder: boolean
  /** Whether the schedule is made one level longer and loses the last before 0. */
  readonly discardNextToLastSigma: boolean
  readonly noise: NoiseKind
  /** What it walks over: noise levels of its own choosing, or training timesteps with latents of variance 1. */
  readonly space: "sigma" | "timestep"
  /**
   * Whether it chooses its levels itself and takes from a list only its length and its ends (DPM fast, DPM adaptive). In
   * txt2img the ends are then the model's, whatever the schedule.
   */
  readonly ownLevels: boolean
  /** Whether the denoiser must give its `unconditional` as well (CFG++). */
  readonly needsUnconditional: boolean
  /** What the denoiser's guidance scale is the user's divided by: 12.5 for CFG++, 1 for all others. */
  readonly guidanceDivisor: number
  /** Timestep at which a network is to see a noise level. */
  readonly timestep: (schedule: NoiseSchedule.NoiseSchedule, sigma: number) => number
  readonly method: Method
}

/** Input that no sampler can work with. The message says what to change. */
export class SamplerInputError extends Schema.TaggedError<SamplerInputError>()("SamplerInputError", {
  sampler: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.sampler} cannot sample: ${this.reason}`
  }
}

/**
 * Makes one step after the other and tells the observer of each.
 *
 * `reached[i]` is the level after step i; there are as many steps as levels. `step` changes `run.x` and gives the latest
 * denoised prediction.
 */
export const drive: <E, R>(
  run: Run<E, R>,
  reached: ArrayLike<number>,
  step: (i: number) => Effect.Effect<Float32Array, E, R>
) => Effect.Effect<void, E, R> = Effect.fnUntraced(function*(run, reached, step) {
  const steps = reached.length
  for (let i = 0; i < steps; i++) {
    const denoised = yield* step(i)
    yield* run.onStep({ step: i + 1, steps, sigma: at(reached, i), x: run.x, denoised })
  }
})

/** `drive` over the run's sigmas: `step` gets the level before and after. */
export const eachSigma = <E, R>(
  run: Run<E, R>,
  step: (sigma: number, next: number, i: number) => Effect.Effect<Float32Array, E, R>
): Effect.Effect<void, E, R> =>
  drive(run, run.sigmas.subarray(1), (i) => step(at(run.sigmas, i), at(run.sigmas, i + 1), i))

/**
 * Splits a step from σ to σ' into a deterministic part down to `down` and fresh noise `up`, so that down² + up² = σ'².
 * eta 0 gives σ' and no noise.
 */
export const ancestralSplit = (
  sigma: number,
  next: number,
  eta: number
): { readonly down: number; readonly up: number } => {
  if (eta === 0 || next === 0) return { down: next, up: 0 }
  const up = Math.min(next, eta * Math.sqrt(next ** 2 * (sigma ** 2 - next ** 2) / sigma ** 2))
  return { down: Math.sqrt(Math.max(0, next ** 2 - up ** 2)), up }
}

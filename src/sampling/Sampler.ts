/**
 * The definition of a sampler and of the state it works on.
 *
 * A `Sampler` is a description plus one `Method`: a function that takes the state of a sampling loop and turns its `x`
 * from noise into the latents of an image. The method contains only the update rule of its paper; `drive` runs the
 * steps and notifies the observer of each.
 *
 * One denoiser drives every sampler. It is the D(x, σ) of Karras et al. (arXiv:2206.00364, eq. 2-3), which sees latents
 * whose noise has standard deviation σ ("variance exploding"). Samplers of the timestep family keep latents of variance
 * 1 ("variance preserving"): x_vp = √ᾱ · x_ve with ᾱ = 1/(1 + σ²). They call the same denoiser with x_ve and derive
 * the noise from its prediction: ε = (x_ve - D)/σ.
 *
 * All latents are flat `Float32Array`s of `[batch, channels, height/8, width/8]`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import { at, combine } from "./Buffers.ts"
import type { AncestralSplit, NoiseProcess } from "./NoiseProcess.ts"
import type { SchedulerName } from "./Schedules.ts"

/**
 * Predicts the denoised latents from latents with noise of level σ.
 *
 * The returned buffer belongs to the denoiser and is valid until its next call. `x` must not be changed. A network's
 * own input is x/√(σ² + 1), which for samplers of the timestep family is their x_vp: anything that acts "before
 * denoising", such as an inpainting mask, acts there.
 */
export interface Denoiser<E = never, R = never> {
  (x: Float32Array, sigma: number): Effect.Effect<Float32Array, E, R>
  /**
   * The unconditional prediction of the last call, valid as long as its result. Only samplers with `needsUnconditional`
   * (CFG++) use it.
   */
  readonly unconditional?: () => Float32Array
}

/**
 * Fills `out` with the next draw of unit noise. Brownian sources draw for the interval from `sigma` to `sigmaNext`; all
 * others ignore it.
 */
export type NoiseSource = (out: Float32Array, sigma: number, sigmaNext: number) => void

/** What an observer receives after a step. The buffers are reused: copy anything that must outlast the call. */
export interface Step {
  /** Steps completed: 1 after the first. */
  readonly step: number
  /** Total steps. DPM adaptive gives an estimate that is exact only at the end. */
  readonly steps: number
  /** Current noise level of `x`. */
  readonly sigma: number
  readonly x: Float32Array
  /** The latest denoised prediction. */
  readonly denoised: Float32Array
}

/** Options of a sampler. Each sampler reads only those of its family. */
export interface SamplerOptions {
  /** Share of fresh noise in ancestral, SDE and DDIM steps: 1 by default, 0 for DDIM samplers. */
  readonly eta: number
  /** Total churn of Euler, Heun and DPM2, spread over all steps (arXiv:2206.00364, alg. 2). */
  readonly sChurn: number
  /** Levels between which `sChurn` acts; an `sTmax` of 0 means no upper bound. */
  readonly sTmin: number
  readonly sTmax: number
  /** Factor on every noise draw. */
  readonly sNoise: number
  /** Order of LMS (4), UniPC (3) and DPM adaptive (3, or 2). An order too high for the number of steps is lowered. */
  readonly order: number
  /** UniPC's B(h). */
  readonly variant: "bh1" | "bh2"
  /** UniPC's time spacing. */
  readonly skipType: "time_uniform" | "time_quadratic" | "logSNR"
  /** Whether UniPC lowers its order for the last steps. */
  readonly lowerOrderFinal: boolean
  /** Relative and absolute tolerance of DPM adaptive, and its first step in ln σ. */
  readonly rtol: number
  readonly atol: number
  readonly firstStep: number
  /** Whether LCM applies its boundary scalings to the denoiser. */
  readonly lcmBoundary: boolean
  /**
   * Whether `x` is a noisy image (img2img): UniPC then starts at the last given timestep instead of the last of all.
   */
  readonly fromImage: boolean
}

/** Defaults of the options. A sampler's own defaults and the caller's options override them. */
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

/** The state of one sampling loop. */
export interface Run<E, R> {
  /** The latents, updated in place. */
  readonly x: Float32Array
  /** Levels to visit, descending, at least two. Empty for timestep samplers. */
  readonly sigmas: Float64Array
  /** Training timesteps, ascending. Empty for sigma samplers. */
  readonly timesteps: Int32Array
  readonly process: NoiseProcess
  readonly options: SamplerOptions
  /** D(x, σ). */
  readonly denoise: (x: Float32Array, sigma: number) => Effect.Effect<Float32Array, E, R>
  /** The unconditional prediction of the last call. */
  readonly unconditional: () => Float32Array
  /** The next noise draw, in a buffer that the following draw overwrites. */
  readonly draw: (sigma: number, sigmaNext: number) => Float32Array
  /** A zero-filled buffer as long as `x`. Allocated before the first step, never during one. */
  readonly buffer: () => Float32Array
  readonly onStep: (step: Step) => Effect.Effect<void, E, R>
}

/** An update rule. Every sampler has this signature. */
export type Method = <E, R>(run: Run<E, R>) => Effect.Effect<void, E, R>

/**
 * When a sampler draws noise: never (`none`); with `sChurn`; with `eta`, as independent draws (`ancestral`) or along a
 * path (`brownian`, see `Brownian`); at every step but the last (`renoise`); or between the restarts of Restart.
 */
export type NoiseKind = "none" | "churn" | "ancestral" | "brownian" | "renoise" | "restart"

/** A sampler: its names, what it needs, and its update rule. */
export interface Sampler {
  /** The name in requests and infotexts. */
  readonly name: string
  readonly aliases: ReadonlyArray<string>
  /** Properties as stable-diffusion-webui's API reports them, string-valued. */
  readonly options: Readonly<Record<string, string>>
  /** Defaults that differ from `defaultOptions`. */
  readonly defaults: Partial<SamplerOptions>
  /** The schedule that `Automatic` selects. */
  readonly defaultScheduler: SchedulerName | "lcm_automatic"
  /** Whether infotexts record the eta noise seed delta. */
  readonly usesEnsd: boolean
  /** Whether every step but the last calls the denoiser twice. */
  readonly secondOrder: boolean
  /** Whether the schedule is built one level longer and its last level above 0 is discarded. */
  readonly discardNextToLastSigma: boolean
  readonly noise: NoiseKind
  /**
   * Whether requests can scale its noise with `s_noise`. stable-diffusion-webui passes that to some samplers only: to
   * those with churn, the SDE ones, DPM++ 2S a, DPM2 a and DPM fast.
   */
  readonly scalesNoise: boolean
  /** What it steps through: noise levels (sigma), or training timesteps with latents of variance 1. */
  readonly space: "sigma" | "timestep"
  /**
   * Whether it chooses its own levels and uses only the length and ends of a list (DPM fast, DPM adaptive). In txt2img
   * the ends are then those of the model with any schedule.
   */
  readonly ownLevels: boolean
  /** Whether it needs the denoiser's `unconditional` prediction (CFG++). */
  readonly needsUnconditional: boolean
  /** Divisor of the user's guidance scale: 12.5 for CFG++, 1 for all others. */
  readonly guidanceDivisor: number
  /** The timestep that a network receives for a noise level. */
  readonly timestep: (process: NoiseProcess, sigma: number) => number
  readonly method: Method
}

/** Invalid input to a sampler. The message says what to change. */
export class SamplerInputError extends Schema.TaggedError<SamplerInputError>()("SamplerInputError", {
  sampler: Schema.String,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `${this.sampler} cannot sample: ${this.reason}`
  }
}

/**
 * Runs the steps in order and notifies the observer of each.
 *
 * `reached[i]` is the level after step i; there are as many steps as levels. `step` updates `run.x` and returns the
 * latest denoised prediction.
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

/** `drive` over the sigmas: `step` receives the level before and after it. */
export const eachSigma = <E, R>(
  run: Run<E, R>,
  step: (sigma: number, next: number, i: number) => Effect.Effect<Float32Array, E, R>
): Effect.Effect<void, E, R> =>
  drive(run, run.sigmas.subarray(1), (i) => step(at(run.sigmas, i), at(run.sigmas, i + 1), i))

/** Takes fresh noise into `x` after the part of a step without it; draws none where the split has none. */
export const renoise = <E, R>(
  run: Run<E, R>,
  x: Float32Array,
  { keep, up }: AncestralSplit,
  sigma: number,
  next: number
): void => {
  if (up > 0) combine(x, keep, x, up * run.options.sNoise, run.draw(sigma, next))
}

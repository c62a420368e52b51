/**
 * All samplers by name, and the function that runs them.
 *
 * `get` and `parseName` find a sampler, `plan` computes the noise levels it visits and how its initial latents are
 * mixed, and `sample` runs it. Names, aliases, order and properties are those of stable-diffusion-webui 1.10.1. Euler
 * CFG++, which the webui does not have, comes last.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { at } from "./Buffers.ts"
import { ddim, ddimCfgPlusPlus, plms } from "./Ddim.ts"
import { dpmpp2m, dpmpp2mSde, dpmpp2sAncestral, dpmpp3mSde, dpmppSde } from "./DpmPlusPlus.ts"
import { dpmAdaptive, dpmFast } from "./DpmSolver.ts"
import { euler, eulerAncestral, eulerCfgPlusPlus } from "./Euler.ts"
import { dpm2, dpm2Ancestral, heun } from "./Heun.ts"
import { lcm } from "./Lcm.ts"
import { lms } from "./Lms.ts"
import * as NoiseProcess from "./NoiseProcess.ts"
import * as NoiseSchedule from "./NoiseSchedule.ts"
import { restart } from "./Restart.ts"
import {
  defaultOptions,
  type Denoiser,
  type Method,
  type NoiseKind,
  type NoiseSource,
  type Run,
  type Sampler,
  SamplerInputError,
  type SamplerOptions,
  type Step
} from "./Sampler.ts"
import * as Schedules from "./Schedules.ts"
import { uniPc } from "./UniPc.ts"

export {
  type Denoiser,
  type NoiseKind,
  type NoiseSource,
  type Sampler,
  SamplerInputError,
  type SamplerOptions,
  type Step
} from "./Sampler.ts"

interface Definition extends Partial<Omit<Sampler, "name" | "aliases" | "options" | "method">> {
  readonly solverType?: "heun"
}

const define = (
  name: string,
  aliases: ReadonlyArray<string>,
  method: Method,
  { solverType, ...definition }: Definition = {}
): Sampler => {
  const sampler: Omit<Sampler, "options"> = {
    name,
    aliases,
    method,
    defaults: {},
    defaultScheduler: "automatic",
    usesEnsd: false,
    secondOrder: false,
    discardNextToLastSigma: false,
    noise: "none",
    scalesNoise: false,
    space: "sigma",
    ownLevels: false,
    needsUnconditional: false,
    guidanceDivisor: 1,
    timestep: ({ timestep }, sigma) => timestep(sigma),
    ...definition
  }
  const { defaultScheduler } = sampler
  return {
    ...sampler,
    options: {
      ...(defaultScheduler !== "automatic" && defaultScheduler !== "lcm_automatic" && { scheduler: defaultScheduler }),
      ...(sampler.discardNextToLastSigma && { discard_next_to_last_sigma: "True" }),
      ...(sampler.usesEnsd && { uses_ensd: "True" }),
      ...(sampler.secondOrder && { second_order: "True" }),
      ...(sampler.noise === "brownian" && { brownian_noise: "True" }),
      ...(solverType && { solver_type: solverType })
    }
  }
}

/** All samplers, in list order. */
export const all: ReadonlyArray<Sampler> = [
  define("DPM++ 2M", ["k_dpmpp_2m"], dpmpp2m, { defaultScheduler: "karras" }),
  define("DPM++ SDE", ["k_dpmpp_sde"], dpmppSde, {
    defaultScheduler: "karras",
    secondOrder: true,
    noise: "brownian",
    scalesNoise: true
  }),
  define("DPM++ 2M SDE", ["k_dpmpp_2m_sde"], dpmpp2mSde("midpoint"), {
    defaultScheduler: "exponential",
    noise: "brownian",
    scalesNoise: true
  }),
  define("DPM++ 2M SDE Heun", ["k_dpmpp_2m_sde_heun"], dpmpp2mSde("heun"), {
    defaultScheduler: "exponential",
    noise: "brownian",
    scalesNoise: true,
    solverType: "heun"
  }),
  define("DPM++ 2S a", ["k_dpmpp_2s_a"], dpmpp2sAncestral, {
    defaultScheduler: "karras",
    usesEnsd: true,
    secondOrder: true,
    noise: "ancestral",
    scalesNoise: true
  }),
  define("DPM++ 3M SDE", ["k_dpmpp_3m_sde"], dpmpp3mSde, {
    defaultScheduler: "exponential",
    discardNextToLastSigma: true,
    noise: "brownian",
    scalesNoise: true
  }),
  define("Euler a", ["k_euler_a", "k_euler_ancestral"], eulerAncestral, { usesEnsd: true, noise: "ancestral" }),
  define("Euler", ["k_euler"], euler, { noise: "churn", scalesNoise: true }),
  define("LMS", ["k_lms"], lms, { defaults: { order: 4 } }),
  define("Heun", ["k_heun"], heun, { secondOrder: true, noise: "churn", scalesNoise: true }),
  define("DPM2", ["k_dpm_2"], dpm2, {
    defaultScheduler: "karras",
    discardNextToLastSigma: true,
    secondOrder: true,
    noise: "churn",
    scalesNoise: true
  }),
  define("DPM2 a", ["k_dpm_2_a"], dpm2Ancestral, {
    defaultScheduler: "karras",
    discardNextToLastSigma: true,
    usesEnsd: true,
    secondOrder: true,
    noise: "ancestral",
    scalesNoise: true
  }),
  define("DPM fast", ["k_dpm_fast"], dpmFast, {
    usesEnsd: true,
    noise: "ancestral",
    scalesNoise: true,
    ownLevels: true
  }),
  define("DPM adaptive", ["k_dpm_ad"], dpmAdaptive, { usesEnsd: true, noise: "ancestral", ownLevels: true }),
  define("Restart", ["restart"], restart, { defaultScheduler: "karras", secondOrder: true, noise: "restart" }),
  define("DDIM", ["ddim"], ddim, { space: "timestep", noise: "ancestral", defaults: { eta: 0 } }),
  define("DDIM CFG++", ["ddim_cfgpp"], ddimCfgPlusPlus, {
    space: "timestep",
    noise: "ancestral",
    defaults: { eta: 0 },
    needsUnconditional: true,
    guidanceDivisor: 12.5
  }),
  define("PLMS", ["plms"], plms, { space: "timestep" }),
  define("UniPC", ["unipc"], uniPc, { space: "timestep" }),
  define("LCM", ["k_lcm"], lcm, {
    defaultScheduler: "lcm_automatic",
    noise: "renoise",
    // At the nearest of the levels that such models are distilled on.
    timestep: ({ levels, timestep }, sigma) => timestep(at(levels.sigmas, NoiseSchedule.sigmaToLcmT(levels, sigma)))
  }),
  define("Euler CFG++", ["euler_cfgpp"], eulerCfgPlusPlus, { needsUnconditional: true, guidanceDivisor: 12.5 })
]

// Ignores case, separators, a leading "k_" and the spelling of "++": "dpmpp_2m" is "DPM++ 2M".
const key = (name: string): string =>
  name.trim().toLowerCase().replace(/^k_/, "").replaceAll("++", "pp").replaceAll(/[\s_-]/g, "")

const named = new Map(all.flatMap((sampler) => [sampler.name, ...sampler.aliases].map((name) => [key(name), sampler])))

/** Finds a sampler by name or alias, in any case and spelling. */
export const get = (name: string): Option.Option<Sampler> => Option.fromUndefinedOr(named.get(key(name)))

/** A sampler, and the schedule named after it. */
export interface ParsedName {
  readonly sampler: Sampler
  readonly scheduler: Option.Option<Schedules.Scheduler>
}

/**
 * Parses a sampler name that may end with a schedule: `DPM++ 2M Karras`, `Euler a SGM Uniform`.
 *
 * The longest ending that is the name, label or alias of a schedule wins, provided a sampler name precedes it.
 */
export const parseName = (name: string): Option.Option<ParsedName> => {
  const whole = get(name)
  if (Option.isSome(whole)) return Option.some({ sampler: whole.value, scheduler: Option.none() })
  const words = name.trim().split(/[\s_]+/)
  for (let i = 1; i < words.length; i++) {
    const scheduler = Schedules.get(words.slice(i).join(" "))
    const sampler = get(words.slice(0, i).join("_"))
    if (Option.isSome(scheduler) && Option.isSome(sampler)) return Option.some({ sampler: sampler.value, scheduler })
  }
  return Option.none()
}

/** What `plan` starts from: a schedule's options without those that the sampler knows better. */
export interface PlanOptions extends Omit<Schedules.SigmaOptions, "alignYourSteps" | "automatic" | "noiseSchedule"> {
  readonly sampler: Sampler
  /** Defaults to Stable Diffusion's. */
  readonly process?: NoiseProcess.NoiseProcess
  /** Set for img2img and second passes, which start from an image. */
  readonly image?: {
    /** Denoising strength, 0 to 1. */
    readonly strength: number
    /** Whether all `steps` are made at any strength. */
    readonly fixSteps?: boolean
  }
  /** Whether the initial noise is scaled by √(1 + σ²) instead of σ. */
  readonly sgmNoiseMultiplier?: boolean
}

/** The noise levels to visit and the mix of the initial latents. Pass its fields to `sample` unchanged. */
export interface Plan {
  readonly sampler: Sampler
  /** For sigma samplers. Empty for others, and when there is nothing to do: the image stays as it is. */
  readonly sigmas: Float64Array
  /** For timestep samplers; empty for others. */
  readonly timesteps: Int32Array
  readonly process: NoiseProcess.NoiseProcess
  /** Initial latents are image · (latents of the image) + noise · (unit noise). */
  readonly start: NoiseProcess.Mix
}

/** Computes the levels that a sampler visits and how its latents start. */
export const plan = (options: PlanOptions): Plan => {
  const { image, process = NoiseProcess.stableDiffusion, sampler, ...asked } = options
  const { levels } = process
  const cut = image && Schedules.img2img({ steps: options.steps, ...image })
  const nothing = { sampler, process, sigmas: new Float64Array(), timesteps: new Int32Array() }
  if (cut?.denoisingSteps === 0) return { ...nothing, start: { image: 1, noise: 0 } }
  const steps = cut?.scheduleSteps ?? options.steps

  if (sampler.space === "timestep") {
    const timesteps = Schedules.timesteps(steps, NoiseSchedule.size(levels))
    if (cut === undefined) return { ...nothing, timesteps, start: { image: 0, noise: 1 } }
    const alpha = at(levels.alphasCumprod, at(timesteps, Math.min(cut.tEnc, timesteps.length - 1)))
    return {
      ...nothing,
      timesteps: timesteps.subarray(0, cut.tEnc),
      start: { image: Math.sqrt(alpha), noise: Math.sqrt(1 - alpha) }
    }
  }

  const whole = Schedules.sigmas({
    ...asked,
    steps,
    noiseSchedule: levels,
    alignYourSteps: process.alignYourSteps,
    ...(sampler.ownLevels && cut === undefined && { scheduler: "automatic" as const }),
    automatic: sampler.defaultScheduler,
    discardNextToLast: options.discardNextToLast === true || sampler.discardNextToLastSigma
  })
  const sigmas = cut === undefined ? whole : whole.subarray(Math.min(cut.firstSigma, whole.length - 2))
  return {
    ...nothing,
    sigmas,
    start: process.start(at(sigmas, 0), {
      fromImage: cut !== undefined,
      sgmNoiseMultiplier: options.sgmNoiseMultiplier === true
    })
  }
}

/** Input of `sample`. */
export interface SampleInput<E = never, R = never, E2 = never, R2 = never> {
  /** A sampler, or its name. */
  readonly sampler: Sampler | string
  /** Levels to visit, descending; for sigma samplers. */
  readonly sigmas?: ArrayLike<number>
  /** Training timesteps, ascending; for timestep samplers. */
  readonly timesteps?: ArrayLike<number>
  /**
   * Initial latents, `[batch, channels, height/8, width/8]`; not modified. Noise of standard deviation `sigmas[0]` for
   * sigma samplers, of variance 1 for timestep samplers, or a noisy image (see `Plan`).
   */
  readonly x: Float32Array
  readonly denoiser: Denoiser<E, R>
  /** Source of fresh noise. Optional for samplers that draw none. */
  readonly noise?: NoiseSource
  readonly options?: Partial<SamplerOptions>
  /** Noise process of the model. Defaults to Stable Diffusion's. */
  readonly process?: NoiseProcess.NoiseProcess
  /** Runs after every step, before the next one. */
  readonly onStep?: (step: Step) => Effect.Effect<void, E2, R2>
}

/**
 * Runs a sampler from initial latents to the latents of an image, in a new buffer.
 *
 * All buffers are allocated before the first step. Sampling can be interrupted between steps and in the denoiser.
 * Results of timestep samplers have variance 1 and the (small) noise level of their first timestep; decode them as they
 * are.
 *
 * Fails with the errors of the denoiser and `onStep`, and with `SamplerInputError` for invalid input.
 */
export const sample: <E, R, E2 = never, R2 = never>(
  input: SampleInput<E, R, E2, R2>
) => Effect.Effect<Float32Array, E | E2 | SamplerInputError, R | R2> = Effect.fnUntraced(function*<
  E,
  R,
  E2,
  R2
>(input: SampleInput<E, R, E2, R2>) {
  const { denoiser, noise, onStep, process = NoiseProcess.stableDiffusion } = input
  const found = typeof input.sampler === "string" ? get(input.sampler) : Option.some(input.sampler)
  if (Option.isNone(found)) {
    return yield* new SamplerInputError({
      sampler: `"${String(input.sampler)}"`,
      reason: `no sampler has this name. Known: ${all.map(({ name }) => name).join(", ")}.`
    })
  }
  const sampler = found.value
  const options: SamplerOptions = { ...defaultOptions, ...sampler.defaults, ...input.options }
  const sigmas = Float64Array.from(sampler.space === "sigma" ? input.sigmas ?? [] : [])
  const timesteps = Int32Array.from(sampler.space === "timestep" ? input.timesteps ?? [] : [])

  const problem = checkOptions(options) ?? checkInput(sampler, input, options) ??
    (sampler.space === "sigma" ? problemOfSigmas(sigmas) : checkTimesteps(input.timesteps, process.levels))
  if (problem !== undefined) return yield* new SamplerInputError({ sampler: sampler.name, reason: problem })

  const x = new Float32Array(input.x)
  const drawn = new Float32Array(noise === undefined ? 0 : x.length)
  const run: Run<E | E2, R | R2> = {
    x,
    sigmas,
    timesteps,
    process,
    options,
    denoise: denoiser,
    unconditional: () => denoiser.unconditional?.() ?? x,
    draw: (sigma, sigmaNext) => {
      noise?.(drawn, sigma, sigmaNext)
      return drawn
    },
    buffer: () => new Float32Array(x.length),
    onStep: onStep ?? (() => Effect.void)
  }
  yield* sampler.method(run)
  return x
})

const checkOptions = (options: SamplerOptions): string | undefined => {
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== "number") continue
    if (Number.isNaN(value) || value < 0 || (value === Infinity && name !== "sTmax")) {
      return `${name} is ${value}. Give a number of at least 0.`
    }
  }
  return options.rtol > 0 || options.atol > 0
    ? undefined
    : "rtol and atol are both 0. Give at least one of them above 0."
}

const checkInput = <E, R, E2, R2>(
  { needsUnconditional, noise, space }: Sampler,
  input: SampleInput<E, R, E2, R2>,
  options: SamplerOptions
): string | undefined => {
  if (input.x.length === 0) return "the latents are empty. Give [batch, channels, height/8, width/8] values."
  if (needsUnconditional && input.denoiser.unconditional === undefined) {
    return "the denoiser gives no unconditional prediction. Give it an \"unconditional\", or take another sampler."
  }
  if (input.noise === undefined && drawsNoise(noise, options)) {
    return "it draws noise, and there is no source for it. Give a noise source, or set eta and sChurn to 0."
  }
  if (space === "sigma" && input.sigmas === undefined) {
    return "it walks over noise levels, and there are none. Give sigmas."
  }
  if (space === "timestep" && input.timesteps === undefined) {
    return "it walks over timesteps, and there are none. Give timesteps."
  }
  return undefined
}

const drawsNoise = (kind: NoiseKind, { eta, sChurn }: SamplerOptions): boolean => {
  switch (kind) {
    case "none":
      return false
    case "churn":
      return sChurn > 0
    case "ancestral":
    case "brownian":
      return eta > 0
    case "renoise":
    case "restart":
      return true
  }
}

/** Describes what is wrong with a list of noise levels; `undefined` when it is valid. */
export const problemOfSigmas = (sigmas: Float64Array): string | undefined => {
  if (sigmas.length < 2) return `there are ${sigmas.length} sigmas. Give at least two, for one step.`
  const wrong = sigmas.findIndex((sigma, i) =>
    !Number.isFinite(sigma) || sigma < 0 || (i > 0 && sigma >= at(sigmas, i - 1))
  )
  return wrong === -1
    ? undefined
    : `sigmas[${wrong}] is ${at(sigmas, wrong)}. Give finite sigmas that fall from step to step, down to 0 at most; ` +
      "fewer steps may be enough."
}

const checkTimesteps = (
  timesteps: ArrayLike<number> | undefined,
  levels: NoiseSchedule.NoiseSchedule
): string | undefined => {
  const list = Array.from(timesteps ?? [])
  const size = NoiseSchedule.size(levels)
  const wrong = list.findIndex((t, i) => !Number.isInteger(t) || t < 0 || t >= size || (i > 0 && t <= at(list, i - 1)))
  return wrong === -1
    ? undefined
    : `timesteps[${wrong}] is ${at(list, wrong)}. Give ascending whole numbers from 0 to ${size - 1}.`
}

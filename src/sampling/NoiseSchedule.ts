/**
 * The noise levels that a model was trained on.
 *
 * Training mixes an image with noise at timesteps 0 to T - 1 (T is 1000 for Stable Diffusion). For each timestep a
 * `NoiseSchedule` holds ᾱ (the image's share of the variance) and σ = √((1 - ᾱ)/ᾱ), the level used in sampling. σ and
 * timesteps convert both ways, also between the trained levels.
 *
 * Sources: Ho et al., "Denoising Diffusion Probabilistic Models", arXiv:2006.11239, sec. 2; the field names and the
 * three curves of diffusers' `scheduler_config.json`; k-diffusion's `DiscreteSchedule` for the conversions.
 */
import { at } from "./Buffers.ts"

/** Noise levels by training timestep, all of length T. */
export interface NoiseSchedule {
  /** ᾱ: near 1 at timestep 0, near 0 at the last. */
  readonly alphasCumprod: Float64Array
  /** σ, ascending. */
  readonly sigmas: Float64Array
  /** ln σ, ascending. */
  readonly logSigmas: Float64Array
  readonly sigmaMin: number
  readonly sigmaMax: number
}

/** The part of `scheduler_config.json` that defines the noise levels. Defaults are those of Stable Diffusion. */
export interface NoiseScheduleOptions {
  readonly beta_start?: number
  readonly beta_end?: number
  readonly num_train_timesteps?: number
  readonly beta_schedule?: "scaled_linear" | "linear" | "squaredcos_cap_v2"
  /** Explicit β values, in place of a curve. */
  readonly trained_betas?: ReadonlyArray<number> | null
  /** Whether ᾱ is rescaled so that the last timestep is (almost) pure noise. */
  readonly rescale_betas_zero_snr?: boolean
}

// √ᾱ of the last level becomes 0 with zero terminal SNR, and σ infinite. This is the ᾱ that stable-diffusion-webui
// 1.10.1 uses instead; σ is then 4518.76.
const almostZero = 4.8973451890853435e-8

const cosine = (t: number): number => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2

const betasOf = (config: NoiseScheduleOptions): Float64Array => {
  if (config.trained_betas) return Float64Array.from(config.trained_betas)
  const start = config.beta_start ?? 0.00085
  const end = config.beta_end ?? 0.012
  const count = config.num_train_timesteps ?? 1000
  const along = (i: number, a: number, b: number) => count === 1 ? a : a + (i / (count - 1)) * (b - a)
  switch (config.beta_schedule ?? "scaled_linear") {
    case "linear":
      return Float64Array.from({ length: count }, (_, i) => along(i, start, end))
    case "scaled_linear":
      return Float64Array.from({ length: count }, (_, i) => along(i, Math.sqrt(start), Math.sqrt(end)) ** 2)
    case "squaredcos_cap_v2":
      return Float64Array.from(
        { length: count },
        (_, i) => Math.min(1 - cosine((i + 1) / count) / cosine(i / count), 0.999)
      )
  }
}

/** Makes the schedule described by a configuration. */
export const make = (config: NoiseScheduleOptions = {}): NoiseSchedule => {
  let product = 1
  const alphasCumprod = betasOf(config).map((beta) => product *= 1 - beta)
  return fromAlphasCumprod(config.rescale_betas_zero_snr === true ? zeroTerminalSnr(alphasCumprod) : alphasCumprod)
}

/** Makes a schedule from ᾱ values, in order of increasing noise. */
export const fromAlphasCumprod = (alphasCumprod: Float64Array): NoiseSchedule => {
  const sigmas = alphasCumprod.map((alpha) => Math.sqrt((1 - alpha) / alpha))
  return {
    alphasCumprod,
    sigmas,
    logSigmas: sigmas.map(Math.log),
    sigmaMin: at(sigmas, 0),
    sigmaMax: at(sigmas, sigmas.length - 1)
  }
}

/**
 * Shifts and scales ᾱ so that its last value is (almost) 0 and its first is unchanged, as v-prediction models with zero
 * terminal SNR are trained (Lin et al., arXiv:2305.08891, alg. 1).
 */
export const zeroTerminalSnr = (alphasCumprod: Float64Array): Float64Array => {
  const first = Math.sqrt(at(alphasCumprod, 0))
  const last = Math.sqrt(at(alphasCumprod, alphasCumprod.length - 1))
  const bent = alphasCumprod.map((alpha) => ((Math.sqrt(alpha) - last) * first / (first - last)) ** 2)
  bent[bent.length - 1] = almostZero
  return bent
}

/** Stable Diffusion 1, 2 and XL: σ from 0.0292 to 14.61. */
export const stableDiffusion: NoiseSchedule = make()

/** Number of training timesteps. */
export const size = (schedule: NoiseSchedule): number => schedule.sigmas.length

// The index k of the greatest value that is not above `value`, between 0 and length - 2.
const floorIndex = (values: Float64Array, value: number): number => {
  let low = 0
  let high = values.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (at(values, middle) <= value) low = middle
    else high = middle
  }
  return low
}

/** Timestep of a noise level: linear in ln σ between trained levels, clamped to [0, T - 1]. */
export const sigmaToT = (schedule: NoiseSchedule, sigma: number): number => {
  const { logSigmas } = schedule
  if (logSigmas.length < 2) return 0
  const wanted = Math.log(sigma)
  const k = floorIndex(logSigmas, wanted)
  const below = at(logSigmas, k)
  return k + Math.min(1, Math.max(0, (wanted - below) / (at(logSigmas, k + 1) - below)))
}

/** Timestep of the trained level nearest in ln σ: an integer. */
export const sigmaToTQuantized = (schedule: NoiseSchedule, sigma: number): number => {
  const { logSigmas } = schedule
  if (logSigmas.length < 2) return 0
  const wanted = Math.log(sigma)
  const k = floorIndex(logSigmas, wanted)
  return wanted - at(logSigmas, k) <= at(logSigmas, k + 1) - wanted ? k : k + 1
}

/**
 * Noise level at a timestep, which may be fractional: linear in ln σ, clamped to [0, T - 1]. The inverse of `sigmaToT`.
 */
export const tToSigma = (schedule: NoiseSchedule, t: number): number => {
  const { logSigmas, sigmas } = schedule
  const clamped = Math.min(Math.max(t, 0), sigmas.length - 1)
  const k = Math.floor(clamped)
  const share = clamped - k
  return share === 0 ? at(sigmas, k) : Math.exp((1 - share) * at(logSigmas, k) + share * at(logSigmas, k + 1))
}

/** ᾱ of a noise level: 1/(1 + σ²). */
export const alphaBar = (sigma: number): number => 1 / (1 + sigma * sigma)

// Latent consistency models are distilled on 50 of the levels: every 20th of 1000, the last one among them.
const lcmLevels = 50

/** Training timesteps between two levels of a latent consistency model. */
export const lcmStride = (schedule: NoiseSchedule): number => Math.max(1, Math.floor(size(schedule) / lcmLevels))

/** Timestep of the latent consistency level nearest in ln σ: for T = 1000 one of 19, 39, ..., 999. */
export const sigmaToLcmT = (schedule: NoiseSchedule, sigma: number): number => {
  const { logSigmas } = schedule
  const stride = lcmStride(schedule)
  const wanted = Math.log(sigma)
  let nearest = stride - 1
  for (let t = nearest; t < logSigmas.length; t += stride) {
    if (Math.abs(at(logSigmas, t) - wanted) < Math.abs(at(logSigmas, nearest) - wanted)) nearest = t
  }
  return nearest
}

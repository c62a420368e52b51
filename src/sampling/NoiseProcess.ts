/**
 * How a model's training mixes images with noise, and what its network predicts of the mix.
 *
 * Samplers know a model's noise by its level σ alone. A `NoiseProcess` says what σ means to the network: which timestep
 * it is given, what it sees of the latents, how its output becomes clean latents, how sampling starts, and how a step
 * takes fresh noise in.
 */
import { combine, scale } from "./Buffers.ts"
import * as NoiseSchedule from "./NoiseSchedule.ts"
import * as Prediction from "./Prediction.ts"

/** Weights of an image's latents and of unit noise. */
export interface Mix {
  readonly image: number
  readonly noise: number
}

/** A step from σ to σ' that takes fresh noise in: go to `down` without noise, then x becomes keep·x + up·n. */
export interface AncestralSplit {
  readonly down: number
  readonly keep: number
  readonly up: number
}

export interface NoiseProcess {
  /** The trained levels, from which schedules choose. */
  readonly levels: NoiseSchedule.NoiseSchedule
  /** The table of Align Your Steps that was optimised for models of this kind. */
  readonly alignYourSteps: "sd1" | "sdxl"
  /** The network's input for a level. */
  readonly timestep: (sigma: number) => number
  /** What the network sees of latents with noise of level σ; `out` may be `x`. */
  readonly input: (out: Float32Array, x: Float32Array, sigma: number) => void
  /**
   * Clean latents from the network's output for `x` at σ. `seen` is what the network saw where that is not the input of
   * `x` alone: the noise in it is then taken out of `x`. `out` must not be `x` or `seen`.
   */
  readonly denoised: (
    out: Float32Array,
    x: Float32Array,
    output: Float32Array,
    sigma: number,
    seen?: Float32Array
  ) => void
  /** Where sampling starts at σ: from noise, or with `fromImage` from latents with noise on them. */
  readonly start: (
    sigma: number,
    options: {
      readonly fromImage: boolean
      /** Whether noise alone has the standard deviation of noise on an image, √(1 + σ²). */
      readonly sgmNoiseMultiplier: boolean
    }
  ) => Mix
  /** `eta` 0 takes no noise in. */
  readonly ancestralSplit: (sigma: number, next: number, eta: number) => AncestralSplit
  /** The same with levels of zero terminal SNR: the last one is (almost) pure noise. */
  readonly zeroTerminalSnr: () => NoiseProcess
}

/** A process of betas: its levels, and what the network predicts. */
export interface BetaProcessOptions extends NoiseSchedule.NoiseScheduleOptions {
  /** `epsilon` when left out. */
  readonly prediction_type?: Prediction.PredictionType
  readonly alignYourSteps?: NoiseProcess["alignYourSteps"]
}

/**
 * The process of Stable Diffusion 1, 2 and XL: latents with noise of standard deviation σ, of which the network sees
 * x/√(σ² + 1) and a timestep between 0 and T - 1.
 *
 * Sources: Ho et al., arXiv:2006.11239; Karras et al., arXiv:2206.00364, for x + σ·n as the form that samplers walk.
 */
export const ofBetas = (options: BetaProcessOptions = {}): NoiseProcess => {
  const { alignYourSteps = "sd1", prediction_type: prediction = "epsilon" } = options
  const levels = NoiseSchedule.make(options)
  let zeroTerminalSnr: NoiseProcess | undefined
  return {
    levels,
    alignYourSteps,
    timestep: (sigma) => NoiseSchedule.sigmaToT(levels, sigma),
    input: Prediction.networkInput,
    denoised: (out, x, output, sigma, seen) => {
      if (seen === undefined || prediction !== "v_prediction") {
        return Prediction.denoised(prediction, out, x, output, sigma)
      }
      Prediction.epsilonOfVelocity(out, seen, output, NoiseSchedule.alphaBar(sigma))
      Prediction.fromEpsilon(out, x, out, sigma)
    },
    start: (sigma, { fromImage, sgmNoiseMultiplier }) =>
      fromImage
        ? { image: 1, noise: sigma }
        : { image: 0, noise: sgmNoiseMultiplier ? Math.sqrt(1 + sigma ** 2) : sigma },
    ancestralSplit,
    zeroTerminalSnr: () => zeroTerminalSnr ??= ofBetas({ ...options, rescale_betas_zero_snr: true })
  }
}

/**
 * Splits a step from σ to σ' into a part without noise down to `down` and fresh noise `up`, so that down² + up² = σ'².
 */
const ancestralSplit = (sigma: number, next: number, eta: number): AncestralSplit => {
  if (eta === 0 || next === 0) return { down: next, keep: 1, up: 0 }
  const up = Math.min(next, eta * Math.sqrt(next ** 2 * (sigma ** 2 - next ** 2) / sigma ** 2))
  return { down: Math.sqrt(Math.max(0, next ** 2 - up ** 2)), keep: 1, up }
}

/** Stable Diffusion 1 and XL, which predict noise. */
export const stableDiffusion: NoiseProcess = ofBetas()

/**
 * The process of Karras et al. (arXiv:2206.00364, table 1, EDM) with the latents' own deviation 0.5, as Playground 2.5
 * was trained: levels from 0.002 to 80, evenly spaced in ln σ.
 */
export const edm = ({ alignYourSteps }: Pick<NoiseProcess, "alignYourSteps">): NoiseProcess => {
  const [deviation, sigmaMin, sigmaMax, count] = [0.5, 0.002, 80, 1000]
  const step = Math.log(sigmaMax / sigmaMin) / (count - 1)
  const sigmas = Float64Array.from({ length: count }, (_, t) => sigmaMin * Math.exp(t * step))
  const levels = NoiseSchedule.fromAlphasCumprod(sigmas.map(NoiseSchedule.alphaBar))
  const total = (sigma: number) => Math.sqrt(sigma ** 2 + deviation ** 2)
  const process: NoiseProcess = {
    levels,
    alignYourSteps,
    timestep: (sigma) => Math.log(sigma) / 4,
    input: (out, x, sigma) => scale(out, 1 / total(sigma), x),
    denoised: (out, x, output, sigma) =>
      combine(out, (deviation / total(sigma)) ** 2, x, sigma * deviation / total(sigma), output),
    start: (sigma, { fromImage }) => ({ image: fromImage ? 1 : 0, noise: sigma }),
    ancestralSplit,
    zeroTerminalSnr: () => process
  }
  return process
}

/**
 * The noise levels that a pass will visit, as request and settings have them.
 */
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import { totalSteps } from "../prompt/PromptSchedule.ts"
import * as NoiseSchedule from "../sampling/NoiseSchedule.ts"
import * as Samplers from "../sampling/Samplers.ts"
import * as Schedules from "../sampling/Schedules.ts"

export interface Options {
  readonly model: LoadedModel
  readonly opts: OptionsSnapshot
  readonly sampler: Samplers.Sampler
  readonly scheduler: Schedules.Scheduler
  readonly steps: number
  /** For a pass that starts from a picture. */
  readonly image?: { readonly strength: number; readonly fixSteps: boolean } | undefined
}

/** The noise levels of a model, bent to end in pure noise if the settings say so. */
const noiseScheduleOf = (model: LoadedModel, opts: OptionsSnapshot): NoiseSchedule.NoiseSchedule =>
  NoiseSchedule.make(
    opts.sd_noise_schedule === "Zero Terminal SNR" ? { ...model.noise, rescale_betas_zero_snr: true } : model.noise
  )

/** Levels and start of a pass. */
export const plan = ({ image, model, opts, sampler, scheduler, steps }: Options): Samplers.Plan =>
  Samplers.plan({
    sampler,
    scheduler,
    noiseSchedule: noiseScheduleOf(model, opts),
    steps,
    sgmNoiseMultiplier: opts.sgm_noise_multiplier,
    discardNextToLast: opts.always_discard_next_to_last_sigma,
    betaAlpha: opts.beta_dist_alpha,
    betaBeta: opts.beta_dist_beta,
    alignYourSteps: model.family.startsWith("sdxl") ? "sdxl" : "sd1",
    ...(opts.sigma_min > 0 && { sigmaMin: opts.sigma_min }),
    ...(opts.sigma_max > 0 && { sigmaMax: opts.sigma_max }),
    ...(opts.rho > 0 && { rho: opts.rho }),
    ...(image && { image })
  })

/** Calls of the network that the steps need which are really made: of img2img, those behind the strength's cut. */
export const callsMade = ({ image, sampler, steps }: Pick<Options, "image" | "sampler" | "steps">): number =>
  totalSteps(image === undefined ? steps : Math.max(1, Schedules.img2img({ steps, ...image }).denoisingSteps), sampler)

/** What is wrong with levels that cannot be walked, or nothing. */
export const problemOf = ({ sampler, sigmas }: Samplers.Plan): string | undefined =>
  sampler.space === "sigma" && sigmas.length > 0 ? Samplers.problemOfSigmas(sigmas) : undefined

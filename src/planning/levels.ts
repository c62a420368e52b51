/**
 * The noise levels that a pass visits, as request and settings have them.
 */
import type { ModelInfo } from "../model/ModelInfo.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import { totalSteps } from "../prompt/PromptSchedule.ts"
import type { NoiseProcess } from "../sampling/NoiseProcess.ts"
import * as Samplers from "../sampling/Samplers.ts"
import * as Schedules from "../sampling/Schedules.ts"
import type { Problems } from "./Problems.ts"
import type { PassPlan } from "./RunPlan.ts"

/**
 * Levels to visit, how the first latents are mixed, and how often the network is called: data alone, so that plans can
 * be compared and written down.
 */
export interface PassLevels extends Omit<Samplers.Plan, "process"> {
  /** Calls of the network, as the steps that are really made need them. */
  readonly calls: number
}

export interface LevelsInputs {
  readonly pass: Pick<PassPlan, "sampler" | "scheduler" | "steps">
  readonly model: ModelInfo
  readonly opts: OptionsSnapshot
  /** For a pass that starts from an image: the denoising strength, and whether it makes all steps at any strength. */
  readonly image: { readonly strength: number; readonly fixSteps: boolean } | undefined
}

/** The noise process of a pass on a model. */
export const processOf = (noise: NoiseProcess, opts: OptionsSnapshot): NoiseProcess =>
  opts.sd_noise_schedule === "Zero Terminal SNR" ? noise.zeroTerminalSnr() : noise

/** Levels of a pass; absent where sampler, scheduler or noise process are only known to another server. */
export const planLevels = ({ image, model, opts, pass }: LevelsInputs): PassLevels | undefined => {
  const { sampler, scheduler, steps } = pass
  if (model.noise === undefined || !("method" in sampler) || !("defaultRho" in scheduler)) return undefined
  const { process: _, ...plan } = Samplers.plan({
    sampler,
    scheduler,
    process: processOf(model.noise, opts),
    steps,
    sgmNoiseMultiplier: opts.sgm_noise_multiplier,
    discardNextToLast: opts.always_discard_next_to_last_sigma,
    betaAlpha: opts.beta_dist_alpha,
    betaBeta: opts.beta_dist_beta,
    ...(opts.sigma_min > 0 && { sigmaMin: opts.sigma_min }),
    ...(opts.sigma_max > 0 && { sigmaMax: opts.sigma_max }),
    ...(opts.rho > 0 && { rho: opts.rho }),
    ...(image && { image })
  })
  // Of img2img, the steps after the strength's cut are made.
  const made = image === undefined ? steps : Math.max(1, Schedules.img2img({ steps, ...image }).denoisingSteps)
  return { ...plan, calls: totalSteps(made, sampler) }
}

/** What is wrong with levels that cannot be walked: settings, or too few steps. */
export const levelProblems = (levels: PassLevels | undefined, opts: OptionsSnapshot): Problems => {
  if (levels === undefined || levels.sampler.space !== "sigma" || levels.sigmas.length === 0) return []
  const message = Samplers.problemOfSigmas(levels.sigmas)
  if (message === undefined) return []
  const settings = (["sigma_min", "sigma_max", "rho"] as const).filter((name) => opts[name] > 0)
  const paths = settings.length === 0 ? ["scheduler"] : settings.map((name) => `override_settings.${name}`)
  return paths.map((path) => ({ path, message }))
}

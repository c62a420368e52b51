/** Samplers and schedules compared with the reference values. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as NoiseSchedule from "../../src/sampling/NoiseSchedule.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import { distance, optionsOf, run, sigmaSpace, startNoise, timestepSpace } from "../sampling/fixtures.ts"
import * as references from "../sampling/references.ts"
import {
  type Difference,
  differences,
  exact,
  measured,
  type Measurement,
  type Proof,
  relative,
  scientific
} from "./Measurement.ts"

const goldenTest = "test/sampling/Samplers.golden.test.ts"
const proofs = {
  sigma: { file: goldenTest, title: "samplers over noise levels agree with k-diffusion" },
  timestep: { file: goldenTest, title: "samplers over timesteps agree with stable-diffusion-webui" }
} satisfies Record<string, Proof>

// The final latents of a case.
const sigmaCase = Effect.fnUntraced(function*(expected: typeof sigmaSpace.cases[number]) {
  const { atol: allowed, n, params, sampler } = expected
  const sigmas = expected.sigmas ?? (n === null
    ? [params.sigma_max ?? NaN, params.sigma_min ?? NaN]
    : Schedules.sigmas({
      scheduler: "karras",
      steps: n,
      sigmaMin: params.sigma_min ?? NaN,
      sigmaMax: params.sigma_max ?? NaN
    }))
  const { x } = yield* run({
    sampler,
    sigmas,
    x: startNoise(sigmas[0] ?? NaN),
    options: optionsOf(params),
    ...(params.cond_scale !== undefined && { guidance: params.cond_scale })
  })
  return { sampler, difference: { deviation: distance(x, expected.final_x), allowed } }
})

const timestepCase = Effect.fnUntraced(function*(expected: typeof timestepSpace.cases[number]) {
  const { atol: allowed, params, sampler, timesteps } = expected
  const { x } = yield* run({
    sampler,
    timesteps,
    x: startNoise(1),
    options: optionsOf(params),
    ...(params.cond_scale !== undefined && { guidance: params.cond_scale / 12.5 })
  })
  return { sampler, difference: { deviation: distance(x, expected.final_x), allowed } }
})

const span = (values: ReadonlyArray<number>): string => {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return least === most ? scientific(least) : `${scientific(least)} to ${scientific(most)}`
}

/** Every sampler, in list order. */
export const samplers = Effect.gen(function*() {
  const found: Array<{ readonly sampler: string; readonly difference: Difference }> = [
    ...(yield* Effect.forEach(sigmaSpace.cases, sigmaCase)),
    ...(yield* Effect.forEach(timestepSpace.cases, timestepCase))
  ]
  return Samplers.all.map(({ name, space }) => {
    const own = found.filter(({ sampler }) => sampler === name).map(({ difference }) => difference)
    return measured(name, span(own.map(({ allowed }) => allowed)), proofs[space], own.map((difference) => [difference]))
  })
})

const lists = references.schedules()

type Case = typeof lists.cases[number]

const ofLcm = "LCM automatic"
const schedulesTest = "test/sampling/Schedules.test.ts"
const sigmasProof: Proof = { file: schedulesTest, title: "Schedules.sigmas agrees with stable-diffusion-webui" }

const sigmasOf = ({ n, params, scheduler, sigma_max, sigma_min }: Case) =>
  Schedules.sigmas({
    scheduler: Option.getOrThrow(Schedules.get(scheduler === ofLcm ? "Automatic" : scheduler)),
    ...(scheduler === ofLcm && { automatic: "lcm_automatic" }),
    steps: n,
    ...(sigma_min !== "model" && { sigmaMin: sigma_min }),
    ...(sigma_max !== "model" && { sigmaMax: sigma_max }),
    ...(params.rho !== undefined && { rho: params.rho }),
    ...(params.alpha !== undefined && { betaAlpha: params.alpha }),
    ...(params.beta !== undefined && { betaBeta: params.beta }),
    ...(params.model === "sdxl" && { alignYourSteps: "sdxl" }),
    ...(params.discard_next_to_last !== undefined && { discardNextToLast: params.discard_next_to_last })
  })

/** Every schedule in list order, the one that LCM uses for Automatic, timesteps, and the first step of img2img. */
export const schedules = (): ReadonlyArray<Measurement> => {
  const rel = lists.tolerance.rel_vs_sigmas
  const of = (scheduler: string, name: string, as: Partial<Case> = {}) =>
    measured(
      name,
      `${scientific(rel)} of each value`,
      sigmasProof,
      lists.cases.filter((expected) => expected.scheduler === scheduler).map((expected) =>
        relative(sigmasOf({ ...expected, ...as }), expected.sigmas, rel)
      )
    )
  return [
    // Automatic means Uniform, unless a sampler has its own schedule.
    ...Schedules.all.map(({ label, name }) =>
      name === "uniform" ? of("Automatic", label, { scheduler: label }) : of(label, label)
    ),
    of(ofLcm, "Automatic for LCM"),
    measured(
      "Timesteps of DDIM, PLMS and UniPC",
      "none",
      { file: schedulesTest, title: "Schedules.timesteps" },
      lists.timesteps.cases.map(({ n, timesteps }) => exact(Schedules.timesteps(n), timesteps))
    ),
    measured(
      "First step of img2img",
      "none",
      { file: schedulesTest, title: "Schedules.img2img" },
      lists.img2img.cases.map((expected) => {
        const { denoisingSteps, firstSigma, scheduleSteps, tEnc } = Schedules.img2img({
          steps: expected.steps,
          strength: expected.strength,
          fixSteps: expected.fix_steps
        })
        const { denoising_steps, first_sigma_index, schedule_steps, t_enc } = expected
        return exact([scheduleSteps, tEnc, firstSigma, denoisingSteps], [
          schedule_steps,
          t_enc,
          first_sigma_index,
          denoising_steps
        ])
      })
    )
  ]
}

const levels = references.noiseSchedule()

/** The noise levels of the model, and conversions between sigmas and timesteps. */
export const noiseLevels = (): ReadonlyArray<Measurement> => {
  const { alphas_cumprod_rel, sigma_rel, t_abs } = levels.tolerance
  const { sigmaToT, sigmaToTQuantized, stableDiffusion, tToSigma } = NoiseSchedule
  const zero = NoiseSchedule.make({ rescale_betas_zero_snr: true })
  const file = "test/sampling/NoiseSchedule.test.ts"
  const share = (rel: number) => `${scientific(rel)} of each value`
  return [
    measured(
      "ᾱ of Stable Diffusion",
      share(alphas_cumprod_rel),
      { file, title: "holds Stable Diffusion's 1000 noise levels" },
      levels.alphas_cumprod.map(({ alpha_bar, index }) =>
        relative([stableDiffusion.alphasCumprod[index] ?? NaN], [alpha_bar], alphas_cumprod_rel)
      )
    ),
    measured(
      "σ of Stable Diffusion",
      share(sigma_rel),
      { file, title: "holds Stable Diffusion's 1000 noise levels" },
      levels.alphas_cumprod.map(({ index, sigma }) =>
        relative([stableDiffusion.sigmas[index] ?? NaN], [sigma], sigma_rel)
      )
    ),
    measured(
      "ᾱ with zero terminal SNR",
      share(alphas_cumprod_rel),
      { file, title: "bends to zero terminal signal" },
      levels.zero_terminal_snr.values.map(({ alpha_bar, index }) =>
        relative([zero.alphasCumprod[index] ?? NaN], [alpha_bar], alphas_cumprod_rel)
      )
    ),
    measured(
      "Timestep of a sigma",
      scientific(t_abs),
      { file, title: "turns levels into timesteps, clamped at both ends" },
      levels.sigma_to_t.map(({ sigma, t }) => differences([sigmaToT(stableDiffusion, sigma)], [t], { abs: t_abs }))
    ),
    measured(
      "Nearest timestep of a sigma",
      "none",
      { file, title: "rounds to the nearest level when quantized" },
      levels.sigma_to_t.map(({ sigma, t_quantized }) =>
        exact([sigmaToTQuantized(stableDiffusion, sigma)], [t_quantized])
      )
    ),
    measured(
      "Sigma of a timestep",
      share(sigma_rel),
      { file, title: "turns timesteps, whole or not, into levels" },
      levels.t_to_sigma.map(({ sigma, t }) => relative([tToSigma(stableDiffusion, t)], [sigma], sigma_rel))
    )
  ]
}

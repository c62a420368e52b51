import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as NoiseSchedule from "../../src/sampling/NoiseSchedule.ts"
import * as references from "./references.ts"

const reference = references.noiseSchedule()

const rel = (value: number, share: number) => Math.abs(value) * share
const { stableDiffusion, sigmaToT, sigmaToTQuantized, tToSigma } = NoiseSchedule

describe("NoiseSchedule", () => {
  it("holds Stable Diffusion's 1000 noise levels", () => {
    assert.strictEqual(NoiseSchedule.size(stableDiffusion), 1000)
    for (const { alpha_bar, index, sigma, sigma_f32 } of reference.alphas_cumprod) {
      assert.closeTo(stableDiffusion.alphasCumprod[index] ?? NaN, alpha_bar, rel(alpha_bar, 1e-12))
      assert.closeTo(stableDiffusion.sigmas[index] ?? NaN, sigma, rel(sigma, 1e-12))
      assert.closeTo(stableDiffusion.logSigmas[index] ?? NaN, Math.log(sigma), 1e-11)
      assert.closeTo(stableDiffusion.sigmas[index] ?? NaN, sigma_f32, rel(sigma_f32, reference.tolerance.sigma_rel))
    }
    assert.closeTo(stableDiffusion.sigmaMin, reference.model_sigmas.min, 1e-12)
    assert.closeTo(stableDiffusion.sigmaMax, reference.model_sigmas.max, 1e-10)
  })

  it("turns levels into timesteps, clamped at both ends", () => {
    for (const expected of reference.sigma_to_t) {
      const t = sigmaToT(stableDiffusion, expected.sigma)
      assert.closeTo(t, expected.t, 1e-8, `t of ${expected.sigma}`)
      assert.closeTo(tToSigma(stableDiffusion, t), expected.sigma_back, rel(expected.sigma_back, 1e-10))
    }
    assert.strictEqual(sigmaToT(stableDiffusion, 0), 0)
    assert.strictEqual(sigmaToT(stableDiffusion, Infinity), 999)
  })

  it("rounds to the nearest level when quantized", () => {
    for (const expected of reference.sigma_to_t) {
      const t = sigmaToTQuantized(stableDiffusion, expected.sigma)
      assert.strictEqual(t, expected.t_quantized, `t of ${expected.sigma}`)
      assert.closeTo(tToSigma(stableDiffusion, t), expected.sigma_back_quantized, rel(expected.sigma, 1))
      assert.strictEqual(tToSigma(stableDiffusion, t), stableDiffusion.sigmas[t])
    }
  })

  it("turns timesteps, whole or not, into levels", () => {
    for (const expected of reference.t_to_sigma) {
      assert.closeTo(tToSigma(stableDiffusion, expected.t), expected.sigma, rel(expected.sigma, 1e-10))
      assert.closeTo(sigmaToT(stableDiffusion, tToSigma(stableDiffusion, expected.t)), expected.t_back, 1e-8)
    }
  })

  it.prop("brings every level inside its range back from its timestep", { share: unitInterval() }, ({ share }) => {
    const sigma = stableDiffusion.sigmaMin * (stableDiffusion.sigmaMax / stableDiffusion.sigmaMin) ** share
    assert.closeTo(tToSigma(stableDiffusion, sigmaToT(stableDiffusion, sigma)), sigma, sigma * 1e-9)
  })

  it("bends to zero terminal signal", () => {
    const schedule = NoiseSchedule.make({ rescale_betas_zero_snr: true })
    for (const { alpha_bar, index, sigma } of reference.zero_terminal_snr.values) {
      assert.closeTo(schedule.alphasCumprod[index] ?? NaN, alpha_bar, rel(alpha_bar, 1e-8))
      assert.closeTo(schedule.sigmas[index] ?? NaN, sigma, rel(sigma, 1e-8))
    }
  })

  it("reads the other curves of a scheduler_config.json", () => {
    const linear = NoiseSchedule.make({ beta_schedule: "linear", beta_start: 1e-4, beta_end: 0.02 })
    assert.closeTo(linear.alphasCumprod[0] ?? NaN, 0.9999, 1e-12)
    assert.closeTo(linear.alphasCumprod[999] ?? NaN, 4.0358e-5, 1e-8)
    const cosine = NoiseSchedule.make({ beta_schedule: "squaredcos_cap_v2", num_train_timesteps: 100 })
    assert.strictEqual(NoiseSchedule.size(cosine), 100)
    assert.isTrue(cosine.sigmas.every((sigma, i) => sigma > (cosine.sigmas[i - 1] ?? 0)))
    const trained = NoiseSchedule.make({ trained_betas: [0.1, 0.5] })
    assert.closeTo(trained.alphasCumprod[0] ?? NaN, 0.9, 1e-15)
    assert.closeTo(trained.alphasCumprod[1] ?? NaN, 0.45, 1e-15)
  })

  it("rounds to the 50 levels of latent consistency models", () => {
    assert.strictEqual(NoiseSchedule.sigmaToLcmT(stableDiffusion, 100), 999)
    assert.strictEqual(NoiseSchedule.sigmaToLcmT(stableDiffusion, 0), 19)
    assert.strictEqual(NoiseSchedule.sigmaToLcmT(stableDiffusion, tToSigma(stableDiffusion, 505)), 499)
  })
})

function unitInterval() {
  return Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
}

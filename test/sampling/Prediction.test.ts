import { assert, describe, it } from "@effect/vitest"
import * as NoiseSchedule from "../../src/sampling/NoiseSchedule.ts"
import * as Prediction from "../../src/sampling/Prediction.ts"
import { assertClose, schedule } from "./fixtures.ts"
import * as references from "./references.ts"

const reference = references.prediction()

const { abs, rel } = reference.tolerance
const made = (length: number, write: (out: Float32Array) => void) => {
  const out = new Float32Array(length)
  write(out)
  return out
}

describe("from a network's output at a noise level", () => {
  for (const expected of reference.sigma_space) {
    const { model_output, sigma } = expected
    const x = Float32Array.from(expected.x)
    const output = Float32Array.from(model_output)
    const of = (type: Prediction.PredictionType) =>
      made(x.length, (out) => Prediction.denoised(type, out, x, output, sigma))

    it(`σ = ${sigma}: what the network sees`, () => {
      const input = made(x.length, (out) => Prediction.networkInput(out, x, sigma))
      assertClose(input, expected.model_input, { rel, abs })
      assert.closeTo(NoiseSchedule.sigmaToT(schedule, sigma), expected.t, 1e-8)
      assert.strictEqual(NoiseSchedule.sigmaToTQuantized(schedule, sigma), expected.t_quantized)
    })
    // x and ε come in single precision; what that loses grows with σ.
    const lost = abs + sigma * 1e-7
    it(`σ = ${sigma}: noise to picture`, () =>
      assertClose(of("epsilon"), expected.denoised_if_epsilon, { rel, abs: lost }))
    it(`σ = ${sigma}: velocity to picture`, () => assertClose(of("v_prediction"), expected.denoised_if_v, { rel, abs }))
    it(`σ = ${sigma}: picture to picture`, () => assertClose(of("sample"), model_output, { rel: 1e-7 }))
  }
})

describe("from a network's velocity at a timestep", () => {
  for (const expected of reference.timestep_space) {
    const { alpha_bar, t } = expected
    const x = Float32Array.from(expected.x)
    const v = Float32Array.from(expected.v)

    it(`t = ${t}`, () => {
      assert.closeTo(schedule.alphasCumprod[t] ?? NaN, alpha_bar, 1e-12)
      const epsilon = made(x.length, (out) => Prediction.epsilonOfVelocity(out, x, v, alpha_bar))
      assertClose(epsilon, expected.eps_from_v, { rel, abs })
    })
  }
})

describe("the boundary scalings of latent consistency models", () => {
  for (const { c_out, c_skip, timestep } of reference.lcm_boundary) {
    it(`t = ${timestep}`, () => {
      const { out, skip } = Prediction.lcmBoundary(timestep)
      assert.closeTo(out, c_out, 1e-12)
      assert.closeTo(skip, c_skip, 1e-12)
    })
  }
})

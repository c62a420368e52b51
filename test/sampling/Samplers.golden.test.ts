import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedules from "../../src/sampling/Schedules.ts"
import {
  assertClose,
  countedNoise,
  distance,
  optionsOf,
  problem,
  run,
  sigmaSpace,
  startNoise,
  timestepSpace
} from "./fixtures.ts"

describe("the reference's noise", () => {
  it("is indexed as the reference indexes it", () => {
    const { noise } = countedNoise()
    const out = new Float32Array(problem.mu.length)
    for (const expected of [problem.noise_k0, problem.noise_k1]) {
      noise(out, 1, 0)
      assert.isBelow(distance(out, expected), 1e-6)
    }
  })
})

describe("samplers over noise levels agree with k-diffusion", () => {
  for (const expected of sigmaSpace.cases) {
    it.effect(expected.id, () =>
      Effect.gen(function*() {
        const { params } = expected
        // DPM fast and DPM adaptive go from the first level to the last above 0, whatever lies between.
        const sigmas = expected.sigmas ?? (expected.n === null
          ? [params.sigma_max ?? NaN, params.sigma_min ?? NaN]
          : Schedules.sigmas({
            scheduler: "karras",
            steps: expected.n,
            sigmaMin: params.sigma_min ?? NaN,
            sigmaMax: params.sigma_max ?? NaN
          }))
        const { calls, draws, steps, x } = yield* run({
          sampler: expected.sampler,
          sigmas,
          x: startNoise(sigmas[0] ?? NaN),
          options: optionsOf(params),
          ...(params.cond_scale !== undefined && { guidance: params.cond_scale })
        })
        assert.isAtMost(distance(x, expected.final_x), expected.atol)
        assert.strictEqual(calls.length, expected.denoiser_calls)
        // DPM adaptive's step-size controller multiplies what single precision rounds.
        const rel = expected.sampler === "DPM adaptive" ? 0.05 : 1e-9
        assertClose(calls, expected.denoiser_sigmas, { rel }, "levels asked for")
        if (expected.noise_affects_result) {
          assert.strictEqual(draws.length, expected.noise_draws)
          for (const [i, interval] of (expected.noise_draw_sigmas ?? []).entries()) {
            assertClose(draws[i] ?? [], interval, { rel }, `interval of draw ${i}`)
          }
        }
        if (expected.info !== undefined) assert.strictEqual(steps.length, expected.info.n_accept)
        if (expected.x_after_step !== undefined) {
          assert.strictEqual(steps.length, expected.x_after_step.length)
          for (const [i, after] of expected.x_after_step.entries()) {
            assert.isAtMost(distance(steps[i]?.x ?? [], after), expected.atol * 10, `after step ${i + 1}`)
          }
        }
        assert.deepStrictEqual(steps.map(({ step }) => step), steps.map((_, i) => i + 1))
        assert.strictEqual(steps.at(-1)?.steps, steps.length)
      }))
  }
})

describe("samplers over timesteps agree with stable-diffusion-webui", () => {
  for (const expected of timestepSpace.cases) {
    it.effect(expected.id, () =>
      Effect.gen(function*() {
        const { params } = expected
        const { calls, draws, steps, x } = yield* run({
          sampler: expected.sampler,
          timesteps: expected.timesteps,
          x: startNoise(1),
          options: optionsOf(params),
          // The reference divides the user's scale itself.
          ...(params.cond_scale !== undefined && { guidance: params.cond_scale / 12.5 })
        })
        assert.isAtMost(distance(x, expected.final_x), expected.atol)
        assert.strictEqual(calls.length, expected.denoiser_calls)
        assertClose(calls, expected.model_calls.map(([, , sigma]) => sigma), { rel: 1e-9 }, "levels asked for")
        assert.strictEqual(steps.length, expected.updates)
        if (expected.noise_affects_result) assert.strictEqual(draws.length, expected.noise_draws)
        for (const [i, after] of (expected.x_after_step ?? []).entries()) {
          assert.isAtMost(distance(steps[i]?.x ?? [], after), expected.atol, `after step ${i + 1}`)
        }
      }))
  }
})

import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as BetaDistribution from "../../src/sampling/BetaDistribution.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import { assertClose } from "./fixtures.ts"
import * as references from "./references.ts"

const reference = references.schedules()

const scheduler = (name: string): Schedules.Scheduler => Option.getOrThrow(Schedules.get(name))

describe("Schedules.sigmas agrees with stable-diffusion-webui", () => {
  for (const { id, n, params, scheduler: name, sigma_max, sigma_min, sigmas, sigmas_f32 } of reference.cases) {
    it(id, () => {
      const lcm = name === "LCM automatic"
      const actual = Schedules.sigmas({
        scheduler: scheduler(lcm ? "Automatic" : name),
        ...(lcm && { automatic: "lcm_automatic" }),
        steps: n,
        ...(sigma_min !== "model" && { sigmaMin: sigma_min }),
        ...(sigma_max !== "model" && { sigmaMax: sigma_max }),
        ...(params.rho !== undefined && { rho: params.rho }),
        ...(params.alpha !== undefined && { betaAlpha: params.alpha }),
        ...(params.beta !== undefined && { betaBeta: params.beta }),
        ...(params.model === "sdxl" && { alignYourSteps: "sdxl" }),
        ...(params.discard_next_to_last !== undefined && { discardNextToLast: params.discard_next_to_last })
      })
      assertClose(actual, sigmas, { rel: 1e-9 })
      assertClose(actual, sigmas_f32, { rel: reference.tolerance.rel_vs_sigmas_f32 }, "in single precision")
    })
  }
})

describe("Schedules.timesteps", () => {
  for (const { n, timesteps } of reference.timesteps.cases) {
    it(`of ${n} steps`, () => assert.deepStrictEqual(Array.from(Schedules.timesteps(n)), timesteps))
  }

  it("holds one more where the stride does not divide training", () => {
    assert.deepStrictEqual(Array.from(Schedules.timesteps(3)), [1, 334, 667, 999])
    assert.deepStrictEqual(Array.from(Schedules.timesteps(2)), [1, 501])
  })

  it("has at most every timestep", () => {
    assert.strictEqual(Schedules.timesteps(1000).length, 1000)
    assert.strictEqual(Schedules.timesteps(5000).length, 1000)
  })
})

describe("Schedules.img2img", () => {
  for (const expected of reference.img2img.cases) {
    it(`of ${expected.steps} steps, strength ${expected.strength}${expected.fix_steps ? ", exact steps" : ""}`, () => {
      assert.deepStrictEqual(
        Schedules.img2img({ steps: expected.steps, strength: expected.strength, fixSteps: expected.fix_steps }),
        {
          scheduleSteps: expected.schedule_steps,
          tEnc: expected.t_enc,
          firstSigma: expected.first_sigma_index,
          denoisingSteps: expected.denoising_steps
        }
      )
    })
  }

  it("makes one step at strength 0, and none with exact steps", () => {
    assert.strictEqual(Schedules.img2img({ steps: 20, strength: 0 }).denoisingSteps, 1)
    assert.strictEqual(Schedules.img2img({ steps: 20, strength: 0, fixSteps: true }).denoisingSteps, 0)
  })

  it("stays finite however small the strength is", () => {
    assert.isBelow(Schedules.img2img({ steps: 20, strength: 1e-300, fixSteps: true }).scheduleSteps, 1e5)
  })
})

describe("Schedules by name", () => {
  it("are found by name, label and alias in any case", () => {
    for (const { aliases, label, name } of Schedules.all) {
      for (const spelling of [name, label, ...aliases]) {
        assert.strictEqual(scheduler(spelling.toUpperCase()).name, name)
        assert.strictEqual(scheduler(` ${spelling.toLowerCase()} `).name, name)
      }
    }
    assert.isTrue(Option.isNone(Schedules.get("turbo")))
  })

  it("are listed as stable-diffusion-webui lists them", () => {
    assert.deepStrictEqual(
      Schedules.all.map(({ aliases, defaultRho, label, name, needInnerModel }) => [
        name,
        label,
        aliases.join(),
        defaultRho,
        needInnerModel
      ]),
      [
        ["automatic", "Automatic", "", -1, false],
        ["uniform", "Uniform", "", -1, true],
        ["karras", "Karras", "", 7, false],
        ["exponential", "Exponential", "", -1, false],
        ["polyexponential", "Polyexponential", "", 1, false],
        ["sgm_uniform", "SGM Uniform", "SGMUniform", -1, true],
        ["kl_optimal", "KL Optimal", "", -1, false],
        ["align_your_steps", "Align Your Steps", "", -1, false],
        ["simple", "Simple", "", -1, true],
        ["normal", "Normal", "", -1, true],
        ["ddim", "DDIM", "", -1, true],
        ["beta", "Beta", "", -1, true]
      ]
    )
  })

  it("take Automatic for the sampler's own", () => {
    const own = (name: string, given = "Automatic") =>
      Schedules.forSampler(scheduler(given), Option.getOrThrow(Samplers.get(name))).label
    assert.strictEqual(own("DPM++ 2M"), "Karras")
    assert.strictEqual(own("DPM++ 2M SDE"), "Exponential")
    assert.strictEqual(own("Euler a"), "Automatic")
    assert.strictEqual(own("LCM"), "Automatic")
    assert.strictEqual(own("DPM++ 2M", "Beta"), "Beta")
  })

  it.prop(
    "give falling levels for any number of steps",
    {
      scheduler: Schema.Literals(Schedules.all.map(({ name }) => name)),
      steps: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 150 }))
    },
    ({ scheduler, steps }) => {
      const sigmas = Schedules.sigmas({ scheduler, steps })
      assert.isAtLeast(sigmas.length, 2)
      assert.isTrue(sigmas.every((sigma, i) => Number.isFinite(sigma) && (i === 0 || sigma < (sigmas[i - 1] ?? NaN))))
      if (scheduler !== "ddim") assert.strictEqual(sigmas.length, steps + 1)
      if (scheduler !== "kl_optimal") assert.strictEqual(sigmas.at(-1), 0)
    }
  )
})

describe("BetaDistribution", () => {
  it("knows the closed forms", () => {
    assert.closeTo(BetaDistribution.cumulative(0.3, 1, 1), 0.3, 1e-14)
    assert.closeTo(BetaDistribution.cumulative(0.3, 2, 1), 0.09, 1e-14)
    assert.closeTo(BetaDistribution.cumulative(0.3, 0.5, 0.5), 2 / Math.PI * Math.asin(Math.sqrt(0.3)), 1e-13)
  })

  const shape = Schema.Finite.check(Schema.isBetween({ minimum: 0.4, maximum: 5 }))
  it.prop(
    "has a quantile that undoes its probability",
    { p: Schema.Finite.check(Schema.isBetween({ minimum: 0.001, maximum: 0.999 })), a: shape, b: shape },
    ({ a, b, p }) => {
      assert.closeTo(BetaDistribution.cumulative(BetaDistribution.quantile(p, a, b), a, b), p, 1e-9)
    }
  )
})

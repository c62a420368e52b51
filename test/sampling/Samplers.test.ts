import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Brownian from "../../src/sampling/Brownian.ts"
import * as NoiseProcess from "../../src/sampling/NoiseProcess.ts"
import * as NoiseSchedule from "../../src/sampling/NoiseSchedule.ts"
import * as Restart from "../../src/sampling/Restart.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import { distance, exactFlow, perfectDenoiser, run, schedule, startNoise } from "./fixtures.ts"

const sampler = (name: string) => Option.getOrThrow(Samplers.get(name))

describe("Samplers by name", () => {
  it("are listed as stable-diffusion-webui lists them, Euler CFG++ last", () => {
    const list = Samplers.all.map(({ aliases, name, options }) => [name, aliases.join(), { ...options }])
    const karras = { scheduler: "karras" }
    const exponential = { scheduler: "exponential", brownian_noise: "True" }
    assert.deepStrictEqual(list, [
      ["DPM++ 2M", "k_dpmpp_2m", karras],
      ["DPM++ SDE", "k_dpmpp_sde", { ...karras, second_order: "True", brownian_noise: "True" }],
      ["DPM++ 2M SDE", "k_dpmpp_2m_sde", exponential],
      ["DPM++ 2M SDE Heun", "k_dpmpp_2m_sde_heun", { ...exponential, solver_type: "heun" }],
      ["DPM++ 2S a", "k_dpmpp_2s_a", { ...karras, uses_ensd: "True", second_order: "True" }],
      ["DPM++ 3M SDE", "k_dpmpp_3m_sde", { ...exponential, discard_next_to_last_sigma: "True" }],
      ["Euler a", "k_euler_a,k_euler_ancestral", { uses_ensd: "True" }],
      ["Euler", "k_euler", {}],
      ["LMS", "k_lms", {}],
      ["Heun", "k_heun", { second_order: "True" }],
      ["DPM2", "k_dpm_2", { ...karras, discard_next_to_last_sigma: "True", second_order: "True" }],
      ["DPM2 a", "k_dpm_2_a", {
        ...karras,
        discard_next_to_last_sigma: "True",
        uses_ensd: "True",
        second_order: "True"
      }],
      ["DPM fast", "k_dpm_fast", { uses_ensd: "True" }],
      ["DPM adaptive", "k_dpm_ad", { uses_ensd: "True" }],
      ["Restart", "restart", { ...karras, second_order: "True" }],
      ["DDIM", "ddim", {}],
      ["DDIM CFG++", "ddim_cfgpp", {}],
      ["PLMS", "plms", {}],
      ["UniPC", "unipc", {}],
      ["LCM", "k_lcm", {}],
      ["Euler CFG++", "euler_cfgpp", {}]
    ])
  })

  it("are found by name and alias, in any case and spelling", () => {
    for (const { aliases, name } of Samplers.all) {
      for (const spelling of [name, ...aliases]) {
        assert.strictEqual(sampler(spelling.toUpperCase()).name, name)
        assert.strictEqual(sampler(` ${spelling.toLowerCase()} `).name, name)
      }
    }
    assert.strictEqual(sampler("dpmpp_2m").name, "DPM++ 2M")
    assert.strictEqual(sampler("euler_ancestral").name, "Euler a")
    assert.strictEqual(sampler("uni_pc").name, "UniPC")
    assert.isTrue(Option.isNone(Samplers.get("Euler b")))
    assert.isTrue(Option.isNone(Samplers.get("")))
  })

  const parsed: ReadonlyArray<[string, string, string | undefined]> = [
    ["DPM++ 2M Karras", "DPM++ 2M", "karras"],
    ["dpm++ 2m karras", "DPM++ 2M", "karras"],
    ["DPM++ 2M SDE", "DPM++ 2M SDE", undefined],
    ["DPM++ 2M SDE Heun Exponential", "DPM++ 2M SDE Heun", "exponential"],
    ["Euler a SGM Uniform", "Euler a", "sgm_uniform"],
    ["Euler a SGMUniform", "Euler a", "sgm_uniform"],
    ["Euler a Uniform", "Euler a", "uniform"],
    ["Euler Automatic", "Euler", "automatic"],
    ["Euler align_your_steps", "Euler", "align_your_steps"],
    ["Euler DDIM", "Euler", "ddim"],
    ["DDIM", "DDIM", undefined],
    ["LMS Karras", "LMS", "karras"],
    ["k_euler_a karras", "Euler a", "karras"]
  ]
  for (const [name, expected, scheduler] of parsed) {
    it(`"${name}" is ${expected}${scheduler === undefined ? "" : ` with ${scheduler}`}`, () => {
      const { sampler, scheduler: found } = Option.getOrThrow(Samplers.parseName(name))
      assert.strictEqual(sampler.name, expected)
      assert.strictEqual(Option.getOrUndefined(found)?.name, scheduler)
    })
  }

  it("are not made up", () => {
    for (const name of ["", "Karras", "Euler b Karras", "Euler Turbo", "Karras Euler"]) {
      assert.isTrue(Option.isNone(Samplers.parseName(name)), name)
    }
  })
})

/**
 * Errors against the exact flow of the test problem at 200 Karras steps, calls and order, as the references have them:
 * arrived at σmin and denoised once (a), or followed to σ = 0 (b).
 */
const converging: ReadonlyArray<{
  readonly name: string
  readonly denoised?: number
  readonly flow?: number
  readonly calls: number
  readonly order: number
}> = [
  { name: "Euler", denoised: 5.3e-3, flow: 6.4e-3, calls: 200, order: 1 },
  { name: "Euler a", denoised: 5.3e-3, flow: 6.4e-3, calls: 200, order: 1 },
  { name: "Heun", denoised: 7.9e-5, flow: 1.0e-3, calls: 399, order: 2 },
  { name: "DPM2", denoised: 4.6e-5, flow: 1.0e-3, calls: 399, order: 2 },
  { name: "DPM2 a", denoised: 4.6e-5, flow: 1.0e-3, calls: 399, order: 2 },
  { name: "DPM++ 2M", denoised: 7.7e-5, flow: 1.0e-3, calls: 200, order: 2 },
  { name: "DPM++ 2M SDE", denoised: 7.7e-5, flow: 1.0e-3, calls: 200, order: 2 },
  { name: "DPM++ 2M SDE Heun", denoised: 1.1e-4, flow: 9.7e-4, calls: 200, order: 2 },
  { name: "DPM++ 2S a", denoised: 4.5e-5, flow: 1.1e-3, calls: 399, order: 2 },
  { name: "DPM++ SDE", denoised: 4.5e-5, flow: 1.1e-3, calls: 399, order: 2 },
  { name: "DPM++ 3M SDE", denoised: 2.0e-5, flow: 1.1e-3, calls: 200, order: 1.9 }
]

const withinTenth = (actual: number, expected: number) => assert.closeTo(actual, expected, expected / 10)

describe("samplers over noise levels converge, without fresh noise", () => {
  const errors = Effect.fnUntraced(function*(name: string, steps: number) {
    const sigmas = Schedules.sigmas({ scheduler: "karras", steps })
    const start = startNoise(schedule.sigmaMax)
    const { calls, x } = yield* run({ sampler: name, sigmas, x: start, options: { eta: 0 } })
    const arrived = exactFlow(start, schedule.sigmaMax, schedule.sigmaMin)
    const denoised = yield* perfectDenoiser().denoiser(Float32Array.from(arrived), schedule.sigmaMin)
    return {
      calls: calls.length,
      denoised: distance(x, denoised),
      flow: distance(x, exactFlow(start, schedule.sigmaMax, 0))
    }
  })

  for (const expected of converging) {
    it.effect(`${expected.name}: order ${expected.order}`, () =>
      Effect.gen(function*() {
        const coarse = yield* errors(expected.name, 100)
        const fine = yield* errors(expected.name, 200)
        assert.strictEqual(fine.calls, expected.calls)
        if (expected.denoised !== undefined) withinTenth(fine.denoised, expected.denoised)
        if (expected.flow !== undefined) withinTenth(fine.flow, expected.flow)
        assert.closeTo(Math.log2(coarse.denoised / fine.denoised), expected.order, 0.15)
      }))
  }

  it.effect("LMS: its polynomial reaches σ = 0 by itself", () =>
    Effect.gen(function*() {
      const fine = yield* errors("LMS", 200)
      assert.strictEqual(fine.calls, 200)
      withinTenth(fine.denoised, 1.1e-3)
      // It extrapolates far beyond its last levels, which are close together: what single precision rounds grows by
      // 1000.
      assert.isBelow(fine.flow, 5e-4)
    }))

  const toLowest = (name: string, steps: number, options: Partial<Samplers.SamplerOptions>) =>
    Effect.gen(function*() {
      const sigmas = Schedules.sigmas({ scheduler: "karras", steps })
      const start = startNoise(schedule.sigmaMax)
      const { calls, x } = yield* run({ sampler: name, sigmas, x: start, options: { eta: 0, ...options } })
      return { calls: calls.length, error: distance(x, exactFlow(start, schedule.sigmaMax, schedule.sigmaMin)) }
    })

  it.effect("DPM fast ends at σmin, exact to single precision", () =>
    Effect.gen(function*() {
      const { calls, error } = yield* toLowest("DPM fast", 200, {})
      assert.strictEqual(calls, 200)
      assert.isBelow(error, 5e-6)
    }))

  it.effect("DPM adaptive spends calls on precision", () =>
    Effect.gen(function*() {
      const loose = yield* toLowest("DPM adaptive", 20, {})
      assert.strictEqual(loose.calls, 30)
      withinTenth(loose.error, 1.8e-2)
      const tight = yield* toLowest("DPM adaptive", 20, { rtol: 1e-5, atol: 1e-6 })
      assert.closeTo(tight.calls, 174, 9)
      assert.isBelow(tight.error, 3e-5)
    }))
})

describe("samplers over timesteps converge", () => {
  const error = Effect.fnUntraced(
    function*(name: string, steps: number, options: Partial<Samplers.SamplerOptions> = {}) {
      const timesteps = Schedules.timesteps(steps)
      const level = (t: number) => schedule.sigmas[t] ?? NaN
      // UniPC chooses its times itself, from the last to the first of all.
      const [first, last] = name === "UniPC" ? [999, 0] : [timesteps.at(-1) ?? NaN, timesteps[0] ?? NaN]
      const { calls, x } = yield* run({ sampler: name, timesteps, x: startNoise(1), options })
      const start = startNoise(Math.sqrt(1 + level(first) ** 2))
      const scale = Math.sqrt(NoiseSchedule.alphaBar(level(last)))
      const exact = exactFlow(start, level(first), level(last)).map((value) => value * scale)
      return { calls: calls.length, error: distance(x, exact) }
    }
  )

  it.effect("DDIM: order 1", () =>
    Effect.gen(function*() {
      const fine = yield* error("DDIM", 200)
      assert.strictEqual(fine.calls, 199)
      withinTenth(fine.error, 7.7e-3)
      assert.closeTo(Math.log2((yield* error("DDIM", 100)).error / fine.error), 1, 0.15)
    }))

  it.effect("PLMS: order 1.8", () =>
    Effect.gen(function*() {
      const fine = yield* error("PLMS", 200)
      assert.strictEqual(fine.calls, 200)
      withinTenth(fine.error, 4e-4)
      assert.closeTo(Math.log2((yield* error("PLMS", 100)).error / fine.error), 1.8, 0.2)
    }))

  it.effect("UniPC, evenly in time: order 1.35", () =>
    Effect.gen(function*() {
      for (const [variant, expected] of [["bh1", 2.0e-3], ["bh2", 2.1e-3]] as const) {
        const fine = yield* error("UniPC", 200, { variant })
        assert.strictEqual(fine.calls, 200)
        withinTenth(fine.error, expected)
        const coarse = yield* error("UniPC", 100, { variant })
        assert.closeTo(Math.log2(coarse.error / fine.error), 1.35, 0.2)
      }
    }))

  it.effect("UniPC, evenly in the signal-to-noise ratio: exact to single precision", () =>
    Effect.gen(function*() {
      for (const variant of ["bh1", "bh2"] as const) {
        assert.isBelow((yield* error("UniPC", 200, { variant, skipType: "logSNR" })).error, 5e-6)
      }
    }))
})

describe("Samplers.plan", () => {
  it("takes the sampler's schedule for Automatic, one level longer where the sampler wants it", () => {
    assert.deepStrictEqual(
      Samplers.plan({ sampler: sampler("DPM++ 2M"), steps: 5 }).sigmas,
      Schedules.sigmas({ scheduler: "karras", steps: 5 })
    )
    assert.deepStrictEqual(
      Samplers.plan({ sampler: sampler("DPM2"), scheduler: "exponential", steps: 5 }).sigmas,
      Schedules.sigmas({ scheduler: "exponential", steps: 5, discardNextToLast: true })
    )
    assert.deepStrictEqual(
      Samplers.plan({ sampler: sampler("LCM"), steps: 4 }).sigmas,
      Schedules.sigmas({ automatic: "lcm_automatic", steps: 4 })
    )
  })

  it("takes all of the model's levels for samplers that choose their own, whatever the schedule", () => {
    for (const name of ["DPM fast", "DPM adaptive"]) {
      const { sigmas } = Samplers.plan({ sampler: sampler(name), scheduler: "sgm_uniform", steps: 5 })
      assert.strictEqual(sigmas.length, 6)
      assert.strictEqual(sigmas[0], schedule.sigmaMax)
      assert.strictEqual(sigmas[4], schedule.sigmaMin)
    }
  })

  it("starts from noise of the first level, or of variance 1", () => {
    const { sigmas, start } = Samplers.plan({ sampler: sampler("Euler"), steps: 5 })
    assert.deepStrictEqual(start, { image: 0, noise: sigmas[0] ?? NaN })
    const sgm = Samplers.plan({ sampler: sampler("Euler"), steps: 5, sgmNoiseMultiplier: true })
    assert.closeTo(sgm.start.noise, Math.sqrt(1 + (sigmas[0] ?? NaN) ** 2), 1e-12)
    assert.deepStrictEqual(Samplers.plan({ sampler: sampler("DDIM"), steps: 5 }).start, { image: 0, noise: 1 })
  })

  it("cuts the schedule for img2img and starts from the image with noise", () => {
    const whole = Schedules.sigmas({ scheduler: "karras", steps: 20 })
    const { sigmas, start } = Samplers.plan({ sampler: sampler("DPM++ 2M"), steps: 20, image: { strength: 0.75 } })
    assert.deepStrictEqual(sigmas, whole.slice(4))
    assert.deepStrictEqual(start, { image: 1, noise: whole[4] ?? NaN })

    const fixed = Samplers.plan({ sampler: sampler("Euler"), steps: 20, image: { strength: 0.75, fixSteps: true } })
    assert.strictEqual(fixed.sigmas.length, 21)

    const ddim = Samplers.plan({ sampler: sampler("DDIM"), steps: 20, image: { strength: 0.5 } })
    assert.deepStrictEqual(ddim.timesteps, Schedules.timesteps(20).slice(0, 10))
    assert.closeTo(ddim.start.image ** 2, schedule.alphasCumprod[501] ?? NaN, 1e-12)
    assert.closeTo(ddim.start.image ** 2 + ddim.start.noise ** 2, 1, 1e-12)
  })

  it("has nothing to do for strength 0 with exact steps", () => {
    const plan = Samplers.plan({ sampler: sampler("Euler"), steps: 20, image: { strength: 0, fixSteps: true } })
    assert.strictEqual(plan.sigmas.length, 0)
    assert.deepStrictEqual(plan.start, { image: 1, noise: 0 })
  })

  const noise = Brownian.make({ seeds: [1], size: 64 })
  it.effect.prop(
    "and sample go together for every sampler, schedule and number of steps, from noise and from images",
    {
      name: Schema.Literals(Samplers.all.map(({ name }) => name)),
      scheduler: Schema.Literals(Schedules.all.map(({ name }) => name)),
      steps: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })),
      strength: Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
      eta: Schema.Literals([0, 0.5, 1]),
      sChurn: Schema.Literals([0, 3])
    },
    Effect.fnUntraced(function*({ eta, name, sChurn, scheduler, steps, strength }) {
      const { start, ...plan } = Samplers.plan({
        sampler: sampler(name),
        scheduler,
        steps,
        ...(strength !== null && { image: { strength } })
      })
      const { denoiser } = perfectDenoiser(0.6)
      let made = 0
      const x = yield* Samplers.sample({
        ...plan,
        x: startNoise(start.noise),
        denoiser,
        noise,
        options: { eta, sChurn, fromImage: strength !== null },
        onStep: ({ step, steps, x }) =>
          Effect.sync(() => {
            made++
            assert.strictEqual(step, made)
            assert.isAtMost(step, steps)
            assert.isTrue(x.every(Number.isFinite))
          })
      })
      assert.isTrue(x.every(Number.isFinite))
    }),
    { arbitrary: { runs: 300 } }
  )
})

const euler = { sampler: "Euler", sigmas: [2, 1, 0], x: Float32Array.of(1, 2) }
const still: Samplers.Denoiser = (x) => Effect.succeed(x)

describe("Samplers.sample", () => {
  it.effect("leaves the first latents as they were, and gives new ones", () =>
    Effect.gen(function*() {
      const x = Float32Array.of(1, 2)
      const result = yield* Samplers.sample({ ...euler, x, denoiser: () => Effect.succeed(new Float32Array(2)) })
      assert.deepStrictEqual(x, Float32Array.of(1, 2))
      assert.deepStrictEqual(result, new Float32Array(2))
    }))

  for (const { name, needsUnconditional, space } of Samplers.all) {
    it.effect(`${name} works in the same few buffers at every step`, () =>
      Effect.gen(function*() {
        const buffersOf = Effect.fnUntraced(function*(steps: number) {
          const { denoiser } = perfectDenoiser(needsUnconditional ? 0.6 : undefined)
          const asked = new Set<Float32Array>()
          const drawn = new Set<Float32Array>()
          const seen = new Set<Float32Array>()
          const spy = (x: Float32Array, sigma: number) => {
            asked.add(x)
            return denoiser(x, sigma)
          }
          yield* Samplers.sample({
            sampler: name,
            ...(space === "sigma"
              ? { sigmas: Schedules.sigmas({ scheduler: "karras", steps }) }
              : { timesteps: Schedules.timesteps(steps) }),
            x: startNoise(1),
            denoiser: Object.assign(spy, denoiser),
            noise: (out) => void drawn.add(out),
            options: { eta: 1, sChurn: 1 },
            onStep: ({ x }) => Effect.sync(() => void seen.add(x))
          })
          assert.strictEqual(seen.size, 1)
          assert.isAtMost(drawn.size, 1)
          return asked.size
        })
        const few = yield* buffersOf(6)
        assert.isAtMost(few, 2)
        assert.strictEqual(yield* buffersOf(40), few)
      }))
  }

  it.effect("fails with what the denoiser fails with", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Samplers.sample({ ...euler, denoiser: () => Effect.fail("no network") }))
      assert.strictEqual(error, "no network")
    }))

  it.effect("stops where the observer fails", () =>
    Effect.gen(function*() {
      let calls = 0
      const denoiser: Samplers.Denoiser = (x) => Effect.sync(() => (calls++, x))
      const onStep = () => Effect.fail("enough")
      assert.strictEqual(yield* Effect.flip(Samplers.sample({ ...euler, denoiser, onStep })), "enough")
      assert.strictEqual(calls, 1)
    }))

  it.effect("can be interrupted in the denoiser", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Samplers.sample({ ...euler, denoiser: () => Effect.never }))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect("does not hang on predictions that are no numbers", () =>
    Effect.gen(function*() {
      const nothing = new Float32Array(2).fill(NaN)
      const x = yield* Samplers.sample({
        ...euler,
        sampler: "DPM adaptive",
        denoiser: () => Effect.succeed(nothing),
        options: { eta: 0 }
      })
      assert.isTrue(x.every(Number.isNaN))
    }))

  it.effect("does not hang on tolerances that nothing meets", () =>
    Effect.gen(function*() {
      const { calls } = yield* run({
        sampler: "DPM adaptive",
        sigmas: [14.6, 0.03, 0],
        x: startNoise(14.6),
        options: { eta: 0, rtol: 0, atol: 1e-30 }
      })
      assert.isAtMost(calls.length, 3 * 4200)
    }))

  it.effect("denoises at once where DPM fast and DPM adaptive have no way to go", () =>
    Effect.gen(function*() {
      const picture = Float32Array.of(7, 8)
      for (const sampler of ["DPM fast", "DPM adaptive"]) {
        const denoiser: Samplers.Denoiser = () => Effect.succeed(picture)
        const x = yield* Samplers.sample({ ...euler, sampler, sigmas: [2, 0], denoiser, options: { eta: 0 } })
        assert.deepStrictEqual(x, picture)
      }
    }))

  it.effect("lowers UniPC's order for few steps", () =>
    Effect.gen(function*() {
      for (const steps of [1, 2]) {
        const { calls, x } = yield* run({ sampler: "UniPC", timesteps: Schedules.timesteps(steps), x: startNoise(1) })
        assert.strictEqual(calls.length, steps)
        assert.isTrue(x.every(Number.isFinite))
      }
    }))

  it.effect("starts UniPC at an image's own level when asked to", () =>
    Effect.gen(function*() {
      const timesteps = Schedules.timesteps(20).subarray(0, 10)
      const { calls } = yield* run({ sampler: "UniPC", timesteps, x: startNoise(1), options: { fromImage: true } })
      assert.closeTo(calls[0] ?? NaN, schedule.sigmas[451] ?? NaN, 1e-9)
    }))

  it.effect("gives timestep samplers' networks whole timesteps", () =>
    Effect.gen(function*() {
      const { calls } = yield* run({ sampler: "DDIM", timesteps: Schedules.timesteps(20), x: startNoise(1) })
      for (const sigma of calls) {
        const t = sampler("DDIM").timestep(NoiseProcess.stableDiffusion, sigma)
        assert.closeTo(t, Math.round(t), 1e-9)
      }
    }))

  const wrong: ReadonlyArray<[string, Partial<Samplers.SampleInput>, RegExp]> = [
    ["an unknown sampler", { sampler: "Eulr" }, /no sampler has this name/],
    ["no latents", { x: new Float32Array() }, /latents are empty/],
    ["no sigmas", { sigmas: [] }, /at least two/],
    ["a single sigma", { sigmas: [1] }, /at least two/],
    ["a sigma that is no number", { sigmas: [2, NaN, 0] }, /sigmas\[1\] is NaN/],
    ["an infinite sigma", { sigmas: [Infinity, 1, 0] }, /sigmas\[0\] is Infinity/],
    ["a negative sigma", { sigmas: [2, 1, -1] }, /sigmas\[2\] is -1/],
    ["sigmas that rise", { sigmas: [1, 2, 0] }, /sigmas\[1\] is 2/],
    ["sigmas that stay", { sigmas: [2, 2, 0] }, /fall from step to step/],
    ["timesteps that fall", { sampler: "DDIM", timesteps: [5, 1] }, /timesteps\[1\] is 1/],
    ["timesteps beyond training", { sampler: "DDIM", timesteps: [1, 1000] }, /0 to 999/],
    ["sigmas for a timestep sampler", { sampler: "DDIM" }, /Give timesteps/],
    ["an option that is no number", { options: { sNoise: NaN } }, /sNoise is NaN/],
    ["a negative option", { options: { eta: -1 } }, /eta is -1/],
    ["tolerances of 0", { sampler: "DPM adaptive", options: { rtol: 0, atol: 0 } }, /rtol and atol/],
    ["noise from nowhere", { sampler: "Euler a" }, /Give a noise source/],
    ["CFG++ without an unconditional prediction", { sampler: "Euler CFG++" }, /gives no unconditional prediction/]
  ]
  for (const [name, input, message] of wrong) {
    it.effect(`refuses ${name}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Samplers.sample({ ...euler, denoiser: still, ...input }))
        assert.strictEqual(error._tag, "SamplerInputError")
        assert.match(error.message, message)
      }))
  }

  it.effect("refuses timesteps for a sigma sampler", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Samplers.sample({ sampler: "Euler", timesteps: [1, 501], x: euler.x, denoiser: still })
      )
      assert.match(error.message, /Give sigmas/)
    }))
})

describe("Restart.walk", () => {
  const jumps = ({ from, to }: ReturnType<typeof Restart.walk>) =>
    from.filter((sigma, i) => i > 0 && sigma !== to[i - 1])

  for (const [steps, restarts] of [[19, 0], [20, 1], [35, 1], [36, 2], [60, 2]] as const) {
    it(`makes ${steps} steps with ${restarts} restarts`, () => {
      const walk = Restart.walk(Schedules.sigmas({ scheduler: "karras", steps }))
      assert.strictEqual(walk.from.length, steps)
      assert.strictEqual(walk.to.length, steps)
      assert.strictEqual(jumps(walk).length, restarts)
      assert.strictEqual(walk.to.at(-1), 0)
    })
  }

  it("does not restart above where it began", () => {
    const walk = Restart.walk(Schedules.sigmas({ scheduler: "karras", steps: 20, sigmaMax: 0.05 }))
    assert.strictEqual(jumps(walk).length, 0)
  })
})

import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { readMetadata } from "../../src/images/Metadata.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import { ModelFaults, SavedImages, TestModel, TestRuntime } from "../../src/testing/index.ts"

type Input = Parameters<typeof Txt2Img.make>[0]

const run = (input: Input = {}) => processImages(Txt2Img.make({ prompt: "a cat", seed: 1, steps: 8, ...input }))

const failure = (input: Input) => Effect.flip(run(input))

layer(TestRuntime.layer())("the pipeline", (it) => {
  it.effect.each(Samplers.all.map(({ name }) => name))(
    "makes the same picture again with %s",
    (sampler_name) =>
      Effect.gen(function*() {
        const [first, again, other] = [
          yield* run({ sampler_name }),
          yield* run({ sampler_name }),
          yield* run({ sampler_name, seed: 2 })
        ]
        assert.deepStrictEqual(first.images[0]?.bytes, again.images[0]?.bytes)
        assert.notDeepEqual(first.images[0]?.pixels, other.images[0]?.pixels)
      })
  )

  it.effect.each(Samplers.all.filter(({ name }) => name !== "DPM adaptive").map(({ name }) => name))(
    "makes picture i of a request from seed + i, whatever its neighbours are, with %s",
    (sampler_name) =>
      Effect.gen(function*() {
        const together = yield* run({ sampler_name, batch_size: 3, n_iter: 2, seed: 10 })
        assert.deepStrictEqual(
          together.images.map(({ index, seed }) => [index, seed]),
          [[0, 10], [1, 11], [2, 12], [3, 13], [4, 14], [5, 15]]
        )
        for (const image of together.images) {
          const { images: [alone] } = yield* run({ sampler_name, seed: image.seed })
          assert.deepStrictEqual(image.pixels, alone?.pixels)
        }
      })
  )

  it.effect("scales the noise of the samplers that stable-diffusion-webui lets scale it, and says so", () =>
    Effect.gen(function*() {
      const scaled: Array<string> = []
      for (const { name } of Samplers.all) {
        const [plain, more] = [
          yield* run({ sampler_name: name, eta: 1, s_churn: 5 }),
          yield* run({ sampler_name: name, eta: 1, s_churn: 5, s_noise: 1.5 })
        ]
        const [image, other] = [plain.images[0], more.images[0]]
        const differs = Buffer.compare(image?.pixels ?? new Uint8Array(), other?.pixels ?? new Uint8Array()) !== 0
        assert.strictEqual(other?.infotext.includes("Sigma noise: 1.5"), differs, name)
        if (differs) scaled.push(name)
      }
      assert.deepStrictEqual(scaled, [
        "DPM++ SDE",
        "DPM++ 2M SDE",
        "DPM++ 2M SDE Heun",
        "DPM++ 2S a",
        "DPM++ 3M SDE",
        "Euler",
        "Heun",
        "DPM2",
        "DPM2 a",
        "DPM fast"
      ])
    }))

  it.effect("draws a random seed for -1, and says which", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* run({ seed: -1, batch_size: 2 }), yield* run({ seed: -1 })]
      const seed = Number(first.images[0]?.seed ?? -1)
      assert.isAtLeast(seed, 0)
      assert.strictEqual(first.images[1]?.seed, seed + 1)
      assert.notStrictEqual(seed, second.images[0]?.seed)
      assert.include(first.images[0]?.infotext, `Seed: ${seed}`)
      const { images: [again] } = yield* run({ seed })
      assert.deepStrictEqual(again?.bytes, first.images[0]?.bytes)
    }))

  it.effect("names the settings that make no schedule, before anything is made", () =>
    Effect.gen(function*() {
      const paths = (override_settings: NonNullable<Input>["override_settings"] & object) =>
        Effect.map(failure({ scheduler: "karras", override_settings }), (error) => {
          assert(error._tag === "InvalidProcessing")
          return error.problems.map(({ path }) => path)
        })
      assert.deepStrictEqual(yield* paths({ sigma_min: 20 }), ["override_settings.sigma_min"])
      assert.deepStrictEqual(yield* paths({ sigma_min: 1, sigma_max: 0.5 }), [
        "override_settings.sigma_min",
        "override_settings.sigma_max"
      ])
    }))

  it.effect("takes no path for the name of a model from a request", () =>
    Effect.gen(function*() {
      const error = yield* failure({ override_settings: { sd_model_checkpoint: "../../etc" } })
      assert(error._tag === "InvalidProcessing")
      assert.deepStrictEqual(error.problems.map(({ path }) => path), ["override_settings.sd_model_checkpoint"])
      assert.strictEqual((yield* failure({ refiner_checkpoint: "/etc" }))._tag, "InvalidProcessing")
      assert.strictEqual(
        (yield* failure({ enable_hr: true, hr_checkpoint_name: "..\\models" }))._tag,
        "InvalidProcessing"
      )
    }))

  it.effect("stores the infotext in the image", () =>
    Effect.gen(function*() {
      const { images: [image] } = yield* run({
        sampler_name: "DPM++ 2M",
        negative_prompt: "blurry",
        cfg_scale: 4,
        width: 72,
        height: 64
      })
      assert.isDefined(image)
      assert.strictEqual((yield* readMetadata(image.bytes)).infotext, image.infotext)
      assert.match(
        image.infotext,
        /^a cat\nNegative prompt: blurry\nSteps: 8, Sampler: DPM\+\+ 2M, Schedule type: Karras, CFG scale: 4.0, Seed: 1, Size: 72x64, Model hash: 7e57000000, Model: test-model, RNG: CPU, Version: serena-/
      )
    }))

  it.effect("leaves out of the infotext what the settings say", () =>
    Effect.gen(function*() {
      const { images: [image] } = yield* run({
        override_settings: {
          add_model_hash_to_info: false,
          add_model_name_to_info: false,
          add_version_to_infotext: false
        }
      })
      assert.notMatch(image?.infotext ?? "", /Model|Version/)
    }))

  it.effect("draws other noise from the NVIDIA source, and names it", () =>
    Effect.gen(function*() {
      const from = (randn_source: "CPU" | "GPU" | "NV") => run({ override_settings: { randn_source } })
      const [cpu, gpu, nv] = [yield* from("CPU"), yield* from("GPU"), yield* from("NV")]
      assert.notDeepEqual(cpu.images[0]?.pixels, nv.images[0]?.pixels)
      assert.deepStrictEqual(cpu.images[0]?.pixels, gpu.images[0]?.pixels)
      assert.include(nv.images[0]?.infotext, "RNG: NV")
      assert.notInclude(gpu.images[0]?.infotext, "RNG")
    }))

  it.effect("keeps the negative prompt away, and does without it at CFG scale 1", () =>
    Effect.gen(function*() {
      const [plain, kept] = [yield* run(), yield* run({ negative_prompt: "blue" })]
      assert.notDeepEqual(plain.images[0]?.pixels, kept.images[0]?.pixels)
      const [unguided, same] = [yield* run({ cfg_scale: 1 }), yield* run({ cfg_scale: 1, negative_prompt: "blue" })]
      assert.deepStrictEqual(unguided.images[0]?.pixels, same.images[0]?.pixels)
    }))

  it.effect("reads a prompt of 200 words to its last one, and the negative prompt as well", () =>
    Effect.gen(function*() {
      const words = Array.from({ length: 200 }, (_, i) => `word${i}`)
      const [whole, ends] = [words.join(" "), [...words.slice(0, -1), "otherwise"].join(" ")]
      const runs = [
        yield* run({ prompt: whole }),
        yield* run({ prompt: ends }),
        yield* run({ prompt: words.slice(0, 75).join(" ") }),
        yield* run({ negative_prompt: whole }),
        yield* run({ negative_prompt: ends })
      ]
      for (const { warnings } of runs) assert.deepStrictEqual(warnings, [])
      const pictures = runs.map(({ images: [image] }) => Buffer.from(image?.pixels ?? []).toString("base64"))
      assert.strictEqual(new Set(pictures).size, runs.length)
      const { images: [again] } = yield* run({ prompt: whole })
      assert.deepStrictEqual(again?.pixels, runs[0]?.images[0]?.pixels)
    }))

  it.effect("guides by prompts of different lengths", () =>
    Effect.gen(function*() {
      const long = Array.from({ length: 100 }, (_, i) => `word${i}`).join(" ")
      const [first, second] = [
        yield* run({ prompt: "a cat", negative_prompt: long }),
        yield* run({ prompt: long, negative_prompt: "a cat" })
      ]
      assert.notDeepEqual(first.images[0]?.pixels, second.images[0]?.pixels)
    }))

  it.effect("makes other sizes, wide and tall", () =>
    Effect.gen(function*() {
      const { images: [image] } = yield* run({ width: 136, height: 24 })
      assert.deepStrictEqual([image?.width, image?.height, image?.pixels.length], [136, 24, 136 * 24 * 3])
    }))

  it.effect("names every size that the model cannot make, and the nearest that it can", () =>
    Effect.gen(function*() {
      const error = yield* failure({ width: 100, height: 12 })
      assert.strictEqual(error._tag, "InvalidProcessing")
      assert.include(error.message, "width: 100 is not a multiple of 8, as test-model needs it; 96 and 104 are")
      assert.include(error.message, "height: 12 is not a multiple of 8, as test-model needs it; 8 and 16 are")
    }))

  it.effect("refuses what is over the limits before it takes memory", () =>
    Effect.gen(function*() {
      const before = process.memoryUsage().arrayBuffers
      const error = yield* failure({ width: 1_000_000, height: 1_000_000, batch_size: 1000, steps: 10_000 })
      assert.strictEqual(error._tag, "InvalidProcessing")
      for (const field of ["width", "height", "batch_size", "steps"]) assert.include(error.message, `${field}: `)
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 1_000_000)
    }))

  it.effect("names the nearest sampler or schedule for a name that nothing has", () =>
    Effect.gen(function*() {
      const sampler = yield* failure({ sampler_name: "Eulr a" })
      assert.strictEqual(sampler._tag, "UnknownSampler")
      assert.include(sampler.message, "Did you mean \"Euler a\"?")
      const scheduler = yield* failure({ scheduler: "Karas" })
      assert.strictEqual(scheduler._tag, "UnknownScheduler")
      assert.include(scheduler.message, "Did you mean \"Karras\"?")
    }))

  it.effect("makes several requests at once as it makes each alone", () =>
    Effect.gen(function*() {
      const seeds = Array.from({ length: 10 }, (_, seed) => seed)
      const alone = yield* Effect.forEach(seeds, (seed) => run({ seed }))
      const together = yield* Effect.forEach(seeds, (seed) => run({ seed }), { concurrency: "unbounded" })
      for (const [i, { images }] of together.entries()) {
        assert.deepStrictEqual(images[0]?.bytes, alone[i]?.images[0]?.bytes)
      }
    }))

  it.effect("saves what it gives, unless asked not to", () =>
    Effect.gen(function*() {
      const { clear, files } = yield* SavedImages
      yield* clear
      const { images } = yield* run({ n_iter: 2 })
      assert.deepStrictEqual([...yield* files], images.map(({ bytes, path }) => [path, bytes]))
      yield* clear
      const unsaved = yield* run({ override_settings: { samples_save: false } })
      assert.isUndefined(unsaved.images[0]?.path)
      assert.strictEqual((yield* files).size, 0)
    }))
})

describe("the pipeline", () => {
  it.effect("refuses seeds that cannot be counted up from, and counts on over 2^53", () =>
    Effect.gen(function*() {
      const seed = 18446744073709551615n
      const error = yield* Effect.flip(run({ seed, batch_size: 2 }))
      assert.strictEqual(error._tag, "InvalidProcessing")
      assert.include(error.message, "seed: 18446744073709551615 is over 18446744073709551614")
      assert.strictEqual((yield* run({ seed, steps: 1 })).images[0]?.seed, seed)
      const { images } = yield* run({ seed: Number.MAX_SAFE_INTEGER, steps: 1, batch_size: 2 })
      assert.deepStrictEqual(images.map(({ seed }) => seed), [9007199254740991, 9007199254740992n])
    }).pipe(Effect.provide(TestRuntime.layer())))

  it.effect("tells a mistyped schedule behind a sampler's name from a mistyped sampler", () =>
    Effect.gen(function*() {
      const schedule = yield* Effect.flip(run({ sampler_name: "DPM++ 2M Karas" }))
      assert.strictEqual(schedule._tag, "UnknownScheduler")
      assert.include(schedule.message, "Did you mean \"Karras\"?")
      const sampler = yield* Effect.flip(run({ sampler_name: "DPM++ 2N" }))
      assert.strictEqual(sampler._tag, "UnknownSampler")
    }).pipe(Effect.provide(TestRuntime.layer())))

  it.effect("measures the model's own size against the limits, too", () =>
    Effect.gen(function*() {
      const error = yield* failure({})
      assert.strictEqual(error._tag, "InvalidProcessing")
      assert.include(error.message, "width: 64 is over the limit of 32 pixels")
    }).pipe(Effect.provide(TestRuntime.layer({ cmdOpts: { limits: Limits.make({ max_width: 32 }) } }))))

  it.effect.each(["embed", { step: 1 }, { step: 8 }, "decode"] as const)(
    "fails with the network's error at %j, and makes the same picture afterwards",
    (place) =>
      Effect.gen(function*() {
        const expected = yield* Effect.provide(run(), TestRuntime.layer())
        const model = ModelFaults.outOfMemory(place, { times: 1 })(TestModel.make())
        yield* Effect.gen(function*() {
          assert.strictEqual((yield* failure({}))._tag, "InferenceError")
          assert.deepStrictEqual((yield* run()).images[0]?.bytes, expected.images[0]?.bytes)
        }).pipe(Effect.provide(TestRuntime.layer({ model })))
      })
  )

  it.effect("calls the network once for each step, with both prompts of all images together", () =>
    Effect.gen(function*() {
      const model = TestModel.make()
      const calls: Array<number> = []
      const watched = TestModel.make({
        denoising: (shape) =>
          Effect.map(model.denoising(shape), (call) => ({
            ...call,
            run: (t) => Effect.andThen(Effect.sync(() => calls.push(shape.batch)), call.run(t))
          }))
      })
      yield* run({ batch_size: 3, n_iter: 2, steps: 4 }).pipe(Effect.provide(TestRuntime.layer({ model: watched })))
      assert.deepStrictEqual(calls, Array.from({ length: 8 }, () => 6))
    }))

  it.effect("runs next to others while a call of the network goes on", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 3 }, { inFlight: true, times: 1 })
      yield* Effect.gen(function*() {
        const slow = yield* Effect.forkChild(run())
        yield* hanging
        const quick = yield* run()
        assert.isUndefined(slow.pollUnsafe())
        yield* release
        assert.deepStrictEqual((yield* Fiber.join(slow)).images[0]?.bytes, quick.images[0]?.bytes)
      }).pipe(Effect.provide(TestRuntime.layer({ model: fault(TestModel.make()) })))
    }))
})

import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { SavedImages, TestModel, TestRuntime } from "../../src/testing/index.ts"
import * as recordingModel from "./recordingModel.ts"

type Input = NonNullable<Parameters<typeof Txt2Img.make>[0]>

const run = (input: Input = {}, runId?: string) =>
  processImages(Txt2Img.make({ prompt: "a cat", seed: 1, steps: 6, enable_hr: true, ...input }), { runId })

const only = (input: Input = {}) =>
  Effect.map(run(input), ({ images: [image] }) => {
    assert.isDefined(image)
    return image
  })

layer(TestRuntime.layer())("hires fix", (it) => {
  it.effect.each(["Latent", "latent (NEAREST-exact)", "Latent (bicubic antialiased)", "None", "Lanczos", "nearest"])(
    "makes a larger picture by way of %s",
    (hr_upscaler) =>
      Effect.gen(function*() {
        const { height, infotext, pixels, width } = yield* only({ hr_scale: 1.5, hr_upscaler })
        assert.deepStrictEqual([width, height, pixels.length], [96, 96, 96 * 96 * 3])
        assert.include(infotext, "Size: 64x64")
        assert.match(infotext, /Denoising strength: 0.75, .*Hires upscale: 1.5, Hires upscaler: /)
      })
  )

  it.effect("makes the size that is asked for, cut to what the model can make", () =>
    Effect.gen(function*() {
      const size = (input: Input) => Effect.map(only(input), ({ height, width }) => [width, height])
      assert.deepStrictEqual(yield* size({ hr_resize_x: 96, hr_resize_y: 80 }), [96, 80])
      assert.deepStrictEqual(yield* size({ hr_resize_x: 100 }), [96, 96])
      assert.deepStrictEqual(yield* size({ hr_scale: 1.2 }), [72, 72])
    }))

  it.effect("has prompts, steps, sampler and schedule of its own, and tells of them", () =>
    Effect.gen(function*() {
      const { infotext } = yield* only({
        hr_prompt: "a dog, \"big\"",
        hr_negative_prompt: "x",
        hr_sampler_name: "Heun",
        hr_scheduler: "karras",
        hr_second_pass_steps: 3,
        denoising_strength: 0.5
      })
      assert.match(
        infotext,
        /Denoising strength: 0.5, .*Hires sampler: Heun, Hires prompt: "a dog, \\"big\\"", Hires negative prompt: x, Hires schedule type: Karras, Hires upscale: 2.0, Hires steps: 3, Hires upscaler: Latent/
      )
    }))

  it.effect("makes all steps of the second pass, and goes on counting the prompt's", () =>
    Effect.gen(function*() {
      const { asked, model } = recordingModel.make()
      const prompt = "[cat:dog:1.5]"
      yield* run({ prompt, cfg_scale: 1 }).pipe(Effect.provide(TestRuntime.layer({ model })))
      const texts = recordingModel.numbered(asked.map(({ texts: [text = ""] }) => text))
      assert.deepStrictEqual(texts, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    }))

  it.effect("leaves the enlarged image as it is at strength 0", () =>
    Effect.gen(function*() {
      const [still, moved] = [
        yield* only({ denoising_strength: 0, hr_upscaler: "Nearest" }),
        yield* only({ denoising_strength: 0.5, hr_upscaler: "Nearest" })
      ]
      const plain = yield* only({ enable_hr: false })
      // The test model's pictures are squares of 8 pixels, which the nearest pixel makes squares of 16.
      for (const [x, y] of [[4, 4], [40, 90], [100, 64]] as const) {
        for (let channel = 0; channel < 3; channel++) {
          const small = plain.pixels[((y >> 1) * 64 + (x >> 1)) * 3 + channel] ?? NaN
          assert.closeTo(still.pixels[(y * 128 + x) * 3 + channel] ?? NaN, small, 12)
        }
      }
      assert.notDeepEqual(still.pixels, moved.pixels)
    }))

  it.effect("counts two jobs for each round", () =>
    Effect.gen(function*() {
      const runs = yield* Runs
      const watching = yield* Effect.forkChild(Stream.runCollect(runs.watch("jobs")), { startImmediately: true })
      yield* run({ n_iter: 2 }, "jobs")
      const seen = yield* Fiber.join(watching)
      assert.isTrue(seen.some(({ passCount }) => passCount === 4))
      assert.strictEqual(Math.max(...seen.map(({ passesDone }) => passesDone)), 4)
    }))

  it.effect("names what it cannot work with", () =>
    Effect.gen(function*() {
      const unknown = yield* Effect.flip(run({ hr_upscaler: "Lancos" }))
      assert.strictEqual(unknown._tag, "UnknownUpscaler")
      assert.include(unknown.message, "Did you mean \"Lanczos\"?")
      assert.strictEqual((yield* Effect.flip(run({ hr_sampler_name: "Oiler" })))._tag, "UnknownSampler")
      const large = yield* Effect.flip(run({ hr_scale: 16, width: 512 }))
      assert(large._tag === "InvalidProcessing")
    }))

  it.effect("keeps the image of the first pass when a setting says so", () =>
    Effect.gen(function*() {
      const { clear, files } = yield* SavedImages
      yield* clear
      yield* run({ override_settings: { save_images_before_highres_fix: true } })
      assert.deepStrictEqual([...(yield* files).keys()].map((path) => path.replace(/.*\//, "")), [
        "00000-1-before-highres-fix.png",
        "00001-1.png"
      ])
    }))
})

describe("an interrupted second pass", () => {
  it.live("gives the image of the first pass when that was not finished", () =>
    Effect.gen(function*() {
      const model = TestModel.make({ stepDuration: 1 })
      const program = Effect.gen(function*() {
        const runs = yield* Runs
        const fiber = yield* Effect.forkChild(run({}, "stopped"), { startImmediately: true })
        yield* runs.watch("stopped").pipe(
          Stream.filter(({ samplingStep }) => samplingStep >= 3),
          Stream.runHead
        )
        for (const state of yield* runs.list) yield* state.interrupt
        return yield* Fiber.join(fiber)
      })
      const { images: [image], interrupted } = yield* program.pipe(
        Effect.provide(TestRuntime.layer({ model }))
      )
      assert.isTrue(interrupted)
      assert.deepStrictEqual([image?.width, image?.complete], [64, false])
    }))
})

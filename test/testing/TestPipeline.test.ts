import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { InferenceError } from "../../src/model/ModelError.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestModel, TestPipeline, TestRuntime } from "../../src/testing/index.ts"

const processing = Txt2Img.make({ prompt: "a cat", negative_prompt: "dog", seed: 7, batch_size: 2, n_iter: 2 })

describe("TestPipeline", () => {
  it.effect("makes as many images as were asked for, of the model's size, with seeds that count on", () =>
    Effect.gen(function*() {
      const { images, interrupted, warnings } = yield* processImages(processing)
      assert.deepStrictEqual(images.map(({ index, seed }) => [index, seed]), [[0, 7], [1, 8], [2, 9], [3, 10]])
      for (const { bytes, complete, height, path, pixels, prompt, width } of images) {
        assert.deepStrictEqual({ complete, height, path, prompt, width }, {
          complete: true,
          height: 64,
          path: undefined,
          prompt: "a cat",
          width: 128
        })
        assert.strictEqual(pixels.length, 64 * 128 * 3)
        assert.isEmpty(bytes)
      }
      assert.isFalse(interrupted)
      assert.isEmpty(warnings)
    }).pipe(
      Effect.provide(
        TestRuntime.layer({
          pipeline: TestPipeline.layer(),
          model: TestModel.make({ defaultSize: { width: 128, height: 64 } })
        })
      )
    ))

  it.effect("writes an infotext", () =>
    Effect.gen(function*() {
      const { images } = yield* processImages(processing)
      assert.strictEqual(
        images[1]?.infotext,
        "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler, Schedule type: Automatic, CFG scale: 7.0, Seed: 8, " +
          "Size: 64x64, Model: test-model"
      )
    }).pipe(Effect.provide(TestRuntime.layer({ pipeline: TestPipeline.layer() }))))

  it.effect("gives images of one colour each, by their seeds", () =>
    Effect.gen(function*() {
      const { images } = yield* processImages(processing)
      const colours = images.map(({ pixels }) => {
        const colour = pixels.slice(0, 3)
        assert.isTrue(pixels.every((value, i) => value === colour[i % 3]))
        return colour.join()
      })
      assert.strictEqual(new Set(colours).size, images.length)
    }).pipe(Effect.provide(TestRuntime.layer({ pipeline: TestPipeline.layer() }))))

  it.effect("takes the seed 0 for a random one, so that every run is the same", () =>
    Effect.gen(function*() {
      const random = Txt2Img.make({ prompt: "a cat", seed: -1 })
      const { images } = yield* processImages(random)
      assert.deepStrictEqual(images.map(({ seed }) => seed), [0])
      assert.deepStrictEqual(images, (yield* processImages(random)).images)
    }).pipe(Effect.provide(TestRuntime.layer({ pipeline: TestPipeline.layer() }))))

  it.effect("has each stage replaced that is given", () => {
    const error = new InferenceError({ file: "unet", reason: "out of memory" })
    return Effect.gen(function*() {
      assert.strictEqual(yield* Effect.flip(processImages(processing)), error)
    }).pipe(Effect.provide(TestRuntime.layer({
      pipeline: TestPipeline.layer({
        execute: () => Effect.fail(error)
      })
    })))
  })
})

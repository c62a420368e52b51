import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { LoadedModel, MemoryEstimate, MemoryEstimates } from "../../src/model/LoadedModel.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestModel, TestRuntime } from "../../src/testing/index.ts"

type Input = Parameters<typeof Txt2Img.make>[0]

const MiB = 2 ** 20

/**
 * A model whose calls take a MiB for each latent value of each row, and what was asked of it. There are so many MiB,
 * and one in addition for the images.
 */
const modelWith = (available: number, decoding = available) => {
  const calls: Array<{ readonly batch: number; readonly rowsAtOnce: number | undefined }> = []
  const estimate = (needed: number, available: number): Effect.Effect<MemoryEstimate> =>
    Effect.succeed({ needed: needed * MiB, available: (available + 1) * MiB, limit: "max-memory" })
  const plain = TestModel.make()
  const model: LoadedModel = {
    ...plain,
    estimates: {
      denoising: ({ batch, height, width }) => estimate(batch * height * width, available),
      decode: ({ height, width }) => estimate(height * width, decoding),
      encode: ({ height, width }) => estimate(height * width, available)
    },
    denoising: (shape) => {
      calls.push({ batch: shape.batch, rowsAtOnce: shape.rowsAtOnce })
      return plain.denoising(shape)
    }
  }
  return { calls, model }
}

const run = (model: LoadedModel, input: Input) =>
  processImages(Txt2Img.make({ prompt: "a cat", seed: 1, steps: 2, width: 128, height: 64, ...input })).pipe(
    Effect.provide(TestRuntime.layer({ model }))
  )

describe("a run whose networks need memory", () => {
  it.effect("goes through the network at once where it fits", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(4 * 8 * 16)
      yield* run(model, { batch_size: 2 })
      assert.deepStrictEqual(calls, [{ batch: 4, rowsAtOnce: 4 }])
    }))

  it.effect("goes through it in as many rows as fit, and makes the same images", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(3 * 8 * 16)
      const { images } = yield* run(model, { batch_size: 2 })
      assert.deepStrictEqual(calls, [{ batch: 4, rowsAtOnce: 3 }])
      const whole = yield* run(modelWith(Infinity).model, { batch_size: 2 })
      assert.deepStrictEqual(images.map(({ bytes }) => bytes), whole.images.map(({ bytes }) => bytes))
    }))

  it.effect("goes through it row by row where too many do not fit, and no more is known than that", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(3 * 8 * 16)
      const { estimates } = model
      const denoising: MemoryEstimates["denoising"] = (shape) =>
        shape.batch === 1 ? Effect.undefined : estimates?.denoising(shape) ?? Effect.undefined
      yield* run({ ...model, ...(estimates && { estimates: { ...estimates, denoising } }) }, { batch_size: 2 })
      assert.deepStrictEqual(calls, [{ batch: 4, rowsAtOnce: 1 }])
    }))

  it.effect("is refused with the numbers where not one row fits, before anything is sampled", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(100)
      const error = yield* Effect.flip(run(model, { batch_size: 2 }))
      assert.deepInclude(error, { _tag: "NotEnoughMemory", step: "sampling", needed: 128 * MiB, available: 101 * MiB })
      assert.match(
        error.message,
        /^The run does not fit in memory: sampling 128x64 pixels with test-model needs .* GiB, .*--max-memory\.$/
      )
      assert.deepStrictEqual(calls, [])
    }))

  it.effect("is refused where its images could not be decoded, and says what helps", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(1000, 100)
      const error = yield* Effect.flip(run(model, {}))
      assert.deepInclude(error, { _tag: "NotEnoughMemory", step: "decoding", needed: 128 * MiB })
      assert.include(error.message, "vae_tile_threshold")
      assert.deepStrictEqual(calls, [])
    }))

  it.effect("is refused for its second pass before the first one", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(400)
      const error = yield* Effect.flip(run(model, { enable_hr: true, hr_scale: 2 }))
      assert.deepInclude(error, { _tag: "NotEnoughMemory", step: "sampling", width: 256, height: 128 })
      assert.deepStrictEqual(calls, [])
    }))

  it.effect("is refused where all of its images would not fit in the end, and says so", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(130)
      assert.lengthOf((yield* run(model, { n_iter: 40 })).images, 40)
      calls.length = 0
      const error = yield* Effect.flip(run(model, { n_iter: 100 }))
      // Pixels and file of each image, and a raster that is being decoded.
      const images = 128 * 64 * 3 * (100 * 2 + 4)
      assert.deepInclude(error, { _tag: "NotEnoughMemory", step: "sampling", needed: 128 * MiB, images })
      assert.match(error.message, /needs 0\.13 GiB, its images 0\.00 GiB, and 0\.13 GiB .* Try fewer images, /)
      assert.deepStrictEqual(calls, [])
    }))

  it.effect("fits in tiles", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(100, 1000)
      yield* run(model, { override_settings: { latent_tile_size: 64, latent_tile_overlap: 16 } })
      assert.deepStrictEqual(calls, [{ batch: 2, rowsAtOnce: 1 }])
    }))
})

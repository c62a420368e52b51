import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { LoadedModel, MemoryEstimate } from "../../src/model/LoadedModel.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestModel, TestRuntime } from "../../src/testing/index.ts"

type Input = Parameters<typeof Txt2Img.make>[0]

/** A model whose calls take a byte for each latent value of each row, and what was asked of it. */
const modelWith = (available: number, decoding = available) => {
  const calls: Array<{ readonly batch: number; readonly rowsAtOnce: number | undefined }> = []
  const estimate = (needed: number, available: number): Effect.Effect<MemoryEstimate> =>
    Effect.succeed({ needed, available, limit: "max-memory" })
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

  it.effect("is refused with the numbers where not one row fits, before anything is sampled", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(100)
      const error = yield* Effect.flip(run(model, { batch_size: 2 }))
      assert.deepInclude(error, { _tag: "NotEnoughMemory", step: "sampling", needed: 128, available: 100 })
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
      assert.deepInclude(error, { _tag: "NotEnoughMemory", step: "decoding", needed: 128 })
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

  it.effect("fits in tiles", () =>
    Effect.gen(function*() {
      const { calls, model } = modelWith(100, 1000)
      yield* run(model, { override_settings: { latent_tile_size: 64, latent_tile_overlap: 16 } })
      assert.deepStrictEqual(calls, [{ batch: 2, rowsAtOnce: 1 }])
    }))
})

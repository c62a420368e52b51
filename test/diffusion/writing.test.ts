import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as DiffusionPipeline from "../../src/diffusion/DiffusionPipeline.ts"
import { SaveError } from "../../src/images/ImageError.ts"
import { ImageStore } from "../../src/images/ImageStore.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { ModelFaults, SavedImages, TestModel, TestRuntime } from "../../src/testing/index.ts"

const request = Txt2Img.make({ prompt: "a cat", seed: 1, steps: 2, width: 64, height: 64, n_iter: 4 })

/** A disk on which the image of a number cannot be saved. */
const fullAt = (number: number) => {
  let saves = 0
  const layer = Layer.effect(
    ImageStore,
    Effect.map(ImageStore, (store) =>
      ImageStore.of({
        ...store,
        save: (file) =>
          ++saves === number
            ? Effect.fail(new SaveError({ path: file.folder, reason: "no space is left" }))
            : store.save(file)
      }))
  )
  return { pipeline: DiffusionPipeline.layer.pipe(Layer.provide(layer)), saves: () => saves }
}

describe("The images of a run", () => {
  it.live("are saved batch by batch, while the next batch is sampled", () =>
    Effect.gen(function*() {
      // The denoising of the third batch hangs.
      let batches = 0
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
      const plain = TestModel.make()
      const faulty = fault(plain)
      const model = TestModel.make({
        denoising: (shape) => ++batches === 3 ? faulty.denoising(shape) : plain.denoising(shape)
      })
      yield* Effect.gen(function*() {
        const running = yield* Effect.forkChild(processImages(request, { runId: "four" }))
        yield* hanging
        const { files } = yield* SavedImages
        const { watch } = yield* Runs
        const progress = yield* watch("four").pipe(
          Stream.filter(({ images }) => images.length === 2),
          Stream.runHead
        )
        assert.deepStrictEqual(
          Option.getOrThrow(progress).images.map(({ path, seed }) => [path, seed]),
          [...(yield* files).keys()].map((path, i) => [path, i + 1])
        )
        assert.strictEqual((yield* files).size, 2)
        yield* release
        const { images } = yield* Fiber.join(running)
        assert.strictEqual(images.length, 4)
        assert.strictEqual((yield* files).size, 4)
      }).pipe(Effect.provide(TestRuntime.layer({ model })))
    }))

  it.live("are safe when a later one cannot be saved, and the run ends at once", () =>
    Effect.gen(function*() {
      const { pipeline, saves } = fullAt(2)
      let batches = 0
      const plain = TestModel.make()
      const model = TestModel.make({
        denoising: (shape) => {
          batches++
          return plain.denoising(shape)
        }
      })
      const error = yield* Effect.flip(Effect.provide(processImages(request), TestRuntime.layer({ model, pipeline })))
      assert.strictEqual(error._tag, "SaveError")
      assert.include(error.message, "1 image of this run is saved.")
      assert.strictEqual(saves(), 2)
      // The third batch may have begun beside the second one's save; the fourth never does.
      assert.isAtMost(batches, 3)
    }))

  it.live("are named by the error of a later save: those of the same batch, and all when it is the grid's", () =>
    Effect.gen(function*() {
      const inOneBatch = Txt2Img.make({ ...request, n_iter: 1, batch_size: 4 })
      for (const [nth, count] of [[3, 2], [5, 4]] as const) {
        const { pipeline } = fullAt(nth)
        const opts = { grid_save: true }
        const error = yield* Effect.flip(
          Effect.provide(processImages(inOneBatch), TestRuntime.layer({ opts, pipeline }))
        )
        assert(error._tag === "SaveError")
        assert.lengthOf(error.saved ?? [], count)
        assert.include(error.message, `${count} images of this run are saved.`)
      }
    }))
})

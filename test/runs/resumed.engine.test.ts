import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { extraImagesOf } from "../../src/runner/Processed.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import { finishedOf } from "../../src/runs/finished.ts"
import { SavedImages, TestModel, TestRuntime } from "../../src/testing/index.ts"
import { blobs, Case, kept, requestOf, shown } from "./resuming.ts"

describe("a run that goes on after images of an earlier attempt", () => {
  it.effect.prop(
    "gives the very same images, texts, masks and grid, makes only the other batches, and saves no image twice",
    [Case],
    ([one]) =>
      Effect.gen(function*() {
        let calls = 0
        const model = TestModel.make()
        const counted = TestModel.make({
          denoising: (shape) =>
            Effect.map(model.denoising(shape), (call) => ({
              ...call,
              run: (t) => Effect.andThen(Effect.sync(() => calls++), call.run(t))
            }))
        })
        yield* Effect.gen(function*() {
          const images = yield* SavedImages
          const request = yield* requestOf(one, { saves: true, size: 32 })
          const whole = yield* processImages(request, { runId: "r1" })
          const saved = yield* images.files
          const callsOfBatch = calls / one.n_iter
          const count = Math.min(one.done, whole.images.length)
          const finished = yield* finishedOf(yield* kept(whole, count))
          assert.strictEqual(finished.length, count)

          yield* images.clear
          calls = 0
          const resumed = yield* processImages(request, { runId: "r1", finished })
          assert.deepStrictEqual(shown(resumed), shown(whole))
          assert.strictEqual(calls, callsOfBatch * (one.n_iter - Math.floor(count / one.batch_size)))
          const paths = new Set([
            ...finished.map(({ written }) => written?.file.path),
            ...finished.flatMap(extraImagesOf).map(({ path }) => path)
          ])
          const isSource = (path: string) => path.includes("init")
          assert.deepStrictEqual(
            resumed.images.slice(0, count).map(({ path }) => path),
            whole.images.slice(0, count).map(({ path }) => path)
          )
          assert.strictEqual(
            (yield* images.files).size,
            [...saved.keys()].filter((path) => !paths.has(path) && (count === 0 || !isSource(path))).length
          )
        }).pipe(Effect.provide(Layer.merge(TestRuntime.layer({ model: counted }), blobs)))
      }),
    { arbitrary: { runs: 20 } }
  )

  it.effect("keeps the seeds that were drawn when it began", () =>
    Effect.gen(function*() {
      for (const isVaried of [false, true]) {
        const request = Txt2Img.make({
          steps: 2,
          n_iter: 3,
          batch_size: 2,
          ...(isVaried && { subseed_strength: 0.5 })
        })
        const whole = yield* processImages(request)
        const finished = yield* finishedOf(yield* kept(whole, 4))
        assert.deepStrictEqual(shown(yield* processImages(request, { finished })), shown(whole))
      }
    }).pipe(Effect.provide(Layer.merge(TestRuntime.layer(), blobs))))

  it.effect("shows from its beginning what is finished, and counts its passes", () =>
    Effect.gen(function*() {
      const request = Txt2Img.make({ steps: 2, n_iter: 3, seed: 1 })
      const whole = yield* processImages(request)
      const finished = yield* finishedOf(yield* kept(whole, 2))
      const runs = yield* Runs
      const seen: Array<readonly [images: number, passesDone: number]> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(runs.watch("r2"), ({ images, passesDone }) =>
          Effect.sync(() => seen.push([images.length, passesDone]))),
        { startImmediately: true }
      )
      yield* processImages(request, { runId: "r2", finished })
      yield* Fiber.join(reader)
      assert.isTrue(seen.every(([images]) =>
        images >= 2
      ))
      assert.deepStrictEqual(seen.at(-1), [3, 3])
    }).pipe(Effect.provide(Layer.merge(TestRuntime.layer(), blobs))))

  it.effect("makes an image again whose file is gone", () =>
    Effect.gen(function*() {
      const request = Txt2Img.make({ steps: 2, n_iter: 3, seed: 1 })
      const whole = yield* processImages(request)
      const record = yield* kept(whole, 2)
      yield* BlobStore.use(({ remove }) => remove(record.images.slice(0, 1).map(({ blob }) => blob)))
      const finished = yield* finishedOf(record)
      assert.deepStrictEqual(finished.map(({ index }) => index), [1])
      assert.deepStrictEqual(shown(yield* processImages(request, { finished })), shown(whole))
    }).pipe(Effect.provide(Layer.merge(TestRuntime.layer(), blobs))))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ImageDecoder } from "../../../src/images/ImageDecoder.ts"
import { Img2Img } from "../../../src/processing/Processing.ts"
import { BlobStore } from "../../../src/runs/BlobStore.ts"
import * as MemoryBlobStore from "../../../src/runs/MemoryBlobStore.ts"
import * as MemoryRunStore from "../../../src/runs/MemoryRunStore.ts"
import { RunQueue } from "../../../src/server/host/RunQueue.ts"
import { TestModel, TestRuntime } from "../../../src/testing/index.ts"
import * as PlainEncoder from "../../../src/testing/PlainEncoder.ts"
import { file, slopes } from "../../diffusion/pictures.ts"

/** Files that can only be read once the time of a run is over. */
const slowBlobs = Layer.effect(
  BlobStore,
  Effect.map(BlobStore, (store) => ({ ...store, get: (hash) => Effect.delay(store.get(hash), "400 millis") }))
).pipe(Layer.provide(MemoryBlobStore.layer))

const layer = RunQueue.layer({ maxRunSeconds: 0.1 }).pipe(
  Layer.provide(Layer.mergeAll(ImageDecoder.layer, PlainEncoder.layer, MemoryRunStore.layer, slowBlobs)),
  Layer.provide(TestRuntime.layer({ model: TestModel.make({ stepDuration: "1 minute" }) }))
)

describe("a run that takes too long", () => {
  it.live("is asked for what it has, also when its time is over before it can begin", () =>
    Effect.gen(function*() {
      const queue = yield* RunQueue
      const { result } = yield* queue.submitWaiting(
        Img2Img.make({ prompt: "a cat", init_images: [yield* file(slopes())], steps: 20, width: 64, height: 64 })
      )
      const { images, interrupted } = yield* result
      assert.isTrue(interrupted)
      assert.isFalse(images.some(({ complete }) => complete))
    }).pipe(Effect.provide(layer)))
})

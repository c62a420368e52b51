import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import * as MemoryBlobStore from "../../src/runs/MemoryBlobStore.ts"
import * as MemoryRunStore from "../../src/runs/MemoryRunStore.ts"
import type { RunEvent } from "../../src/runs/RunEvent.ts"
import { RunStore, RunStoreError } from "../../src/runs/RunStore.ts"
import { RunQueue } from "../../src/server/host/RunQueue.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import * as PlainEncoder from "../../src/testing/PlainEncoder.ts"

/** Writes of files that take long, and a store that fails the first time that it is to write what `fails` names. */
const layer = (fails: ReadonlyArray<RunEvent["_tag"]>) => {
  const open = new Set(fails)
  const runs = Layer.effect(
    RunStore,
    Effect.map(RunStore, (store) => ({
      ...store,
      append: (...[id, events, options]: Parameters<typeof store.append>) => {
        const wrong = events.find(({ _tag }) => open.delete(_tag))
        return wrong === undefined
          ? store.append(id, events, options)
          : Effect.fail(new RunStoreError({ where: "memory", reason: `no room for ${wrong._tag}`, advice: "Wait" }))
      }
    }))
  ).pipe(Layer.provide(MemoryRunStore.layer))
  const blobs = Layer.effect(
    BlobStore,
    Effect.map(BlobStore, (store) => ({
      ...store,
      put: (...args: Parameters<typeof store.put>) => Effect.delay(store.put(...args), 10)
    }))
  ).pipe(Layer.provide(MemoryBlobStore.layer))
  const stores = Layer.fresh(Layer.merge(runs, blobs))
  return RunQueue.layer().pipe(
    Layer.provideMerge(stores),
    Layer.provide(Layer.mergeAll(ImageDecoder.layer, PlainEncoder.layer, TestRuntime.layer()))
  )
}

describe("the images of a run", () => {
  it.live.each([{ fails: [] }, { fails: ["ImagesMade"] }, { fails: ["ImagesMade", "Done"] }] as const)(
    "are in its record once each, also where the first of $fails could not be written",
    ({ fails }) =>
      Effect.gen(function*() {
        const queue = yield* RunQueue
        const store = yield* RunStore
        const { run } = yield* queue.submit(
          Txt2Img.make({ prompt: "a cat", seed: 1, steps: 1, width: 64, height: 64, n_iter: 4 }),
          { keep: true }
        )
        yield* Stream.runDrain(queue.watch(run.id))
        const made = (yield* store.read(run.id, 0)).flatMap(({ event }) =>
          event._tag === "ImagesMade" ? event.images.map(({ index }) => index) : []
        )
        assert.deepStrictEqual(made, [0, 1, 2, 3])
        assert.lengthOf(yield* queue.images(run.id), 4)
      }).pipe(Effect.provide(layer(fails)))
  )
})

import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { Worker } from "node:worker_threads"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { ImageEncoder } from "../../src/images/ImageEncoder.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import * as MemoryBlobStore from "../../src/runs/MemoryBlobStore.ts"
import * as sqlite from "../../src/runs/sqlite.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { RunQueue } from "../../src/server/host/RunQueue.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import { sqlContract } from "./sqlContract.ts"
import { storeContract } from "./storeContract.ts"

const temporaryFile = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped({ prefix: "serena-runs-" })),
  (folder) => `${folder}/runs.db`
)

const layer = Layer.unwrap(Effect.map(temporaryFile, (file) => SqlRunStore.layerSqlite({ file })))

describe("runs in SQLite", () => {
  storeContract(Layer.provide(Layer.fresh(layer), NodeServices.layer), {
    live: false,
    pass: (time) => TestClock.adjust(time)
  })
  sqlContract({
    make: temporaryFile,
    store: (file) => SqlRunStore.layerSqlite({ file }),
    client: (file) => Layer.provide(Layer.effect(SqlClient, sqlite.make(file)), Reactivity.layer)
  })
})

/** The transactions that begin until the scope ends: whether each waits for the disk. */
const transactions = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const { postMessage } = Worker.prototype
      const waiting: Array<boolean> = []
      Worker.prototype.postMessage = function(message: unknown, ...rest) {
        const text = JSON.stringify(message)
        if (text.includes("BEGIN")) waiting.push(text.includes("synchronous = FULL"))
        return Reflect.apply(postMessage, this, [message, ...rest])
      }
      return { postMessage, waiting }
    }),
    ({ postMessage }) => Effect.sync(() => (Worker.prototype.postMessage = postMessage))
  ),
  ({ waiting }) => waiting
)

describe("a run in SQLite", () => {
  it.live("waits for the disk as it is accepted and as it ends, and not at all when its client waits", () =>
    Effect.gen(function*() {
      const began = yield* transactions
      const { result, submitWaiting } = yield* RunQueue
      const request = Txt2Img.make({ prompt: "a cat", seed: 1, steps: 2, width: 64, height: 64, batch_size: 3 })
      const waits = Effect.fnUntraced(function*(keep: boolean) {
        const before = began.length
        const { result: made, run } = yield* submitWaiting(request, { keep })
        assert.lengthOf((yield* made).images, 3)
        yield* result(run.id)
        return began.slice(before).filter((isSafe) => isSafe).length
      })
      assert.deepStrictEqual([yield* waits(false), yield* waits(true), yield* waits(false)], [0, 2, 0])
      assert.isAtLeast(began.length, 12)
    }).pipe(
      Effect.provide(
        RunQueue.layer().pipe(
          Layer.provide(
            Layer.fresh(Layer.mergeAll(ImageDecoder.layer, ImageEncoder.layer, layer, MemoryBlobStore.layer))
          ),
          Layer.provide(TestRuntime.layer()),
          Layer.provide(NodeServices.layer)
        )
      ),
      Effect.scoped
    ))
})

import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { Img2Img } from "../../src/processing/Processing.ts"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import { blobsOf } from "../../src/runs/RunRecord.ts"
import { RunStore } from "../../src/runs/RunStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { keepSent, processingOf, withoutImages } from "../../src/runs/stored.ts"
import { newRun } from "./newRun.ts"
import { bytesOf } from "./numberedBytes.ts"

/** The stores of a data folder. */
const stores = (folder: string) =>
  Layer.fresh(Layer.mergeAll(
    SqlRunStore.layerSqlite({ file: `${folder}/runs.sqlite` }),
    FolderBlobStore.layer({ folder: `${folder}/blobs` })
  ))

describe("a copy of the data folder, made while nothing runs", () => {
  it.live("opens elsewhere with every run and every image", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [folder, elsewhere] = yield* Effect.all([fs.makeTempDirectoryScoped(), fs.makeTempDirectoryScoped()])
      const requests = Array.from({ length: 5 }, (_, i) => Img2Img.make({ seed: i, init_images: [bytesOf(i % 3)] }))
      yield* Effect.gen(function*() {
        const { submit } = yield* RunStore
        for (const [i, request] of requests.entries()) {
          const sent = yield* keepSent(request, {})
          const seeds = { seed: request.seed, subseed: request.subseed }
          yield* submit(newRun(`r${i}`, { request: withoutImages(request), sent, seeds }), { queue: 10 })
        }
      }).pipe(Effect.provide(stores(folder)))
      const listed = Effect.flatMap(RunStore, ({ list }) => list({ limit: 10 }))
      const before = yield* Effect.provide(listed, stores(folder))

      for (const name of yield* fs.readDirectory(folder)) {
        if (name.startsWith("runs.sqlite") || name === "blobs") {
          yield* fs.copy(`${folder}/${name}`, `${elsewhere}/${name}`)
        }
      }
      yield* fs.remove(folder, { recursive: true })
      yield* Effect.gen(function*() {
        const after = yield* listed
        assert.deepStrictEqual(after, before)
        assert.strictEqual(after.runs.length, requests.length)
        const { get } = yield* BlobStore
        for (const run of after.runs) {
          yield* Effect.forEach(blobsOf(run), get)
          assert.deepStrictEqual(yield* processingOf(run), requests[Number(run.id.slice(1))])
        }
      }).pipe(Effect.provide(stores(elsewhere)))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

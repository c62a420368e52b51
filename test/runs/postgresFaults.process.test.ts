import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import { RunStore } from "../../src/runs/RunStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { cuttable } from "../reliability/cuttable.ts"
import { freePort } from "../server/sockets.ts"
import { done, image, newRun, newWorker } from "./newRun.ts"
import { bytesOf } from "./numberedBytes.ts"
import { postgres } from "./postgres.ts"

const open = (url: string, lease?: number) =>
  Effect.map(
    Layer.build(Layer.fresh(SqlRunStore.layerPostgres({ url: Redacted.make(url), lease }))),
    Context.get(RunStore)
  )

const bounds = { queue: 100 }

describe("runs in PostgreSQL, whose server fails", () => {
  it.live("are kept over a server that is killed and started again, and commands wait for it", () =>
    Effect.gen(function*() {
      const server = yield* postgres
      const address = yield* server.database
      const store = yield* open(address)
      yield* store.submit(newRun("a"), bounds)
      assert.isTrue(Option.isSome(yield* store.take(newWorker("w"))))
      for (const [id, end] of [["b", server.kill], ["c", server.stop]] as const) {
        yield* end
        const waiting = yield* Effect.forkChild(
          Effect.retry(store.submit(newRun(id), bounds), { while: ({ _tag }) => _tag === "RunStoreError" }),
          { startImmediately: true }
        )
        yield* server.start
        assert.isTrue((yield* Fiber.join(waiting)).isNew)
      }
      const { runs } = yield* store.list({ limit: 10 })
      assert.deepStrictEqual(runs.map(({ id, state }) => `${id} ${state}`), ["c queued", "b queued", "a running"])

      // Notifications come again too: at the latest from the next look.
      const heard = yield* Effect.forkChild(Stream.runHead(store.changes), { startImmediately: true })
      const other = yield* open(address)
      yield* other.append("b", [{ _tag: "Cancelled" }])
      assert.isTrue(Option.isSome(yield* Fiber.join(heard)))

      yield* server.stop
      const error = yield* Effect.flip(store.list({ limit: 1 }))
      assert.strictEqual(error.where, address.replace(":password@", "@"))
      assert.include(error.message, "Check that PostgreSQL runs at this address")
      yield* server.start
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("go to another worker when the network is cut in the middle of a transaction on them", () =>
    Effect.gen(function*() {
      const server = yield* postgres
      const address = yield* server.database
      const { port } = new URL(address)
      const wire = yield* cuttable(Number(port))
      const cutOff = yield* open(address.replace(`:${port}/`, `:${wire.port}/`))
      const lease = 1000
      const other = yield* open(address, lease)
      yield* cutOff.submit(newRun("a"), bounds)
      yield* cutOff.take(newWorker("w"))
      // Its row is locked for the rest of the transaction, which does not come.
      yield* wire.cutAfter("FOR UPDATE")
      yield* Effect.forkScoped(cutOff.append("a", [done], { attempt: 1 }), { startImmediately: true })
      yield* Effect.repeat(
        Effect.ignore(Effect.andThen(other.reclaim({ maxStrikes: 3 }), Effect.sleep(100))),
        { until: () => Effect.map(other.get("a"), (run) => Option.getOrThrow(run).state === "queued") }
      )
      const taken = Option.getOrThrow(yield* other.take(newWorker("v")))
      assert.deepStrictEqual([taken.id, taken.attempt], ["a", 2])
      yield* wire.join
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("are restored from a copy of the database that was made while it worked, and then of the files", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const server = yield* postgres
      const address = yield* server.database
      const store = yield* open(address)
      const files = (name: string) => FolderBlobStore.layer({ folder: `${folder}/${name}` })
      const made = yield* Effect.flatMap(BlobStore, ({ put }) => put(bytesOf(1))).pipe(Effect.provide(files("blobs")))
      yield* store.submit(newRun("done"), bounds)
      yield* store.take(newWorker("w"))
      yield* store.append("done", [{ _tag: "ImagesMade", images: [{ ...image(0), blob: made }], extras: [] }, done], {
        attempt: 1
      })
      yield* store.submit(newRun("waits"), bounds)
      const before = yield* store.list({ limit: 10 })

      const more = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 20 }, (_, i) => i), (i) => store.submit(newRun(`more ${i}`), bounds)),
        { startImmediately: true }
      )
      yield* server.backUp(`${folder}/database`)
      yield* fs.copy(`${folder}/blobs`, `${folder}/copied`)
      yield* Fiber.join(more)
      yield* store.submit(newRun("after"), bounds)

      yield* server.restore(`${folder}/database`)
      const { runs } = yield* (yield* open(address)).list({ limit: 100 })
      const ids = new Set(runs.map(({ id }) => id))
      assert.isFalse(ids.has("after"))
      assert.deepStrictEqual(runs.filter(({ id }) => before.runs.some((run) => run.id === id)), before.runs)
      const bytes = yield* Effect.flatMap(BlobStore, ({ get }) => get(made)).pipe(Effect.provide(files("copied")))
      assert.deepStrictEqual(bytes, bytesOf(1))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("are refused with a clear error, without the password, where the address is wrong", () =>
    Effect.gen(function*() {
      const server = yield* postgres
      const messageOf = (url: string) => Effect.map(Effect.flip(Effect.scoped(open(url))), ({ message }) => message)
      const wrong = yield* messageOf(server.url("postgres").replace(":password@", ":secret@"))
      assert.include(wrong, "it refuses the password. Correct user and password")
      const missing = yield* messageOf(server.url("nowhere"))
      assert.include(missing, "it has no such database. Make the database with createdb")
      const unreachable = yield* messageOf(`postgres://anna:secret@127.0.0.1:${yield* freePort}/runs`)
      assert.include(unreachable, "nothing listens there. Check that PostgreSQL runs")
      for (const message of [wrong, missing, unreachable]) assert.notInclude(message, "secret")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

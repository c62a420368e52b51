import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { globSync } from "node:fs"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import * as Serena from "../../src/Serena.ts"
import { start, temporaryFolder } from "../cli/process.ts"
import { postgres } from "../runs/postgres.ts"
import { cuttable } from "./cuttable.ts"
import { faults } from "./faults.ts"
import { type Answers, assertAll, assertLogs, assertWhole, clientOf, smallRuns } from "./smallRuns.ts"
import { numbers, trying } from "./trying.ts"

const { clocks, clusterKills, networkCut } = faults["Several machines"]

/** A database and a folder, and the processes that meet there. */
const cluster = Effect.gen(function*() {
  const database = yield* postgres
  const address = yield* database.database
  const blobs = yield* temporaryFolder
  // Processes of one thread each: threads that wait for work would keep the processors from the others.
  const places = (
    where = address
  ) => ["--database", where, "--blobs", blobs, "--max-attempts", "1000", "--threads", "1"]
  return {
    database,
    address,
    blobs,
    worker: (where?: string, env: Readonly<Record<string, string>> = {}) =>
      start(["worker", ...places(where)], { env }),
    serve: Effect.fnUntraced(function*(env: Readonly<Record<string, string>> = {}) {
      const server = yield* start(["serve", "--port", "0", "--queue", "200", ...places()], { env })
      return { ...server, client: clientOf(yield* server.printed(/http:\S+/)) }
    }),
    stores: Layer.mergeAll(
      SqlRunStore.layerPostgres({ url: Redacted.make(address) }),
      FolderBlobStore.layer({ folder: blobs, fleeting: "disk" })
    )
  }
})

// Shows a process another time of day than the machine's.
const [fakeTime] = globSync("/usr/lib/*/faketime/libfaketimeMT.so.1")

describe("runs of several machines", () => {
  trying({ ...clusterKills, times: 1 }, () =>
    Effect.gen(function*() {
      const { blobs, database, serve, stores, worker } = yield* cluster
      const runs = yield* smallRuns(100)
      const random = numbers(7)
      const answers: Answers = new Map()
      let front = yield* serve()
      const workers = [yield* worker(), yield* worker(), yield* worker()]
      const submit = Effect.fnUntraced(function*(upTo: number) {
        for (const run of runs.slice(0, upTo)) {
          // Also what was answered before, now and then.
          if (answers.has(run.key) && random(10) > 0) continue
          const id = yield* Effect.retry(front.client.submit(run), {
            while: () => Effect.succeed(true),
            schedule: Schedule.spaced(200)
          })
          answers.set(run.key, new Set([...answers.get(run.key) ?? [], id]))
        }
      })
      const standing = Effect.retry(Effect.suspend(() => front.client.standing), Schedule.spaced(200))
      /** Until so many more batches are made. */
      const more = Effect.fnUntraced(function*(count: number) {
        const { made } = yield* standing
        yield* Effect.repeat(standing, {
          until: (now) => now.made >= made + count || now.open === 0,
          schedule: Schedule.spaced(100)
        })
      })

      yield* submit(60)
      for (let time = 0; time < clusterKills.times; time++) {
        yield* more(1 + random(4))
        const victim = time % workers.length
        yield* workers[victim]?.send("SIGKILL") ?? Effect.void
        workers[victim] = yield* worker()
        if (time === 2) yield* Effect.andThen(database.stop, database.start)
        if (time === 4) {
          yield* front.send("SIGKILL")
          yield* front.end
          front = yield* serve()
          yield* submit(runs.length)
        }
      }
      yield* Effect.repeat(Effect.suspend(() => front.client.open), {
        until: (open) => open === 0,
        schedule: Schedule.spaced(200)
      })
      yield* Effect.provide(assertAll(front.client, runs, answers), Serena.layer())
      yield* assertWhole(blobs)
      const kept = yield* Effect.provide(assertLogs, stores)
      assert.isAbove(kept.reduce((sum, { attempt }) => sum + attempt - 1, 0), 0)
      // More than one has made some of it.
      assert.isAbove(new Set(kept.map(({ worker }) => worker)).size, 1)
    }).pipe(Effect.provide(NodeServices.layer)))

  trying({ ...networkCut, times: 1 }, () =>
    Effect.gen(function*() {
      const { address, blobs, serve, stores, worker } = yield* cluster
      const runs = yield* smallRuns(8)
      const answers: Answers = new Map()
      const { client } = yield* serve()
      const { port } = new URL(address)
      const wire = yield* cuttable(Number(port))
      yield* worker(address.replace(`:${port}/`, `:${wire.port}/`))
      for (const run of runs) answers.set(run.key, new Set([yield* client.submit(run)]))
      yield* Effect.repeat(client.standing, { until: ({ made }) => made > 0, schedule: Schedule.spaced(50) })
      yield* wire.cut
      const running = (yield* client.list).filter(({ status }) => status._tag === "Running")
      const held = new Set(running.map(({ id }) => id))
      // Its lease ends, and another worker goes on.
      yield* worker()
      yield* Effect.repeat(client.list, {
        until: (all) => all.every(({ id, status }) => !held.has(id) || status._tag === "Done"),
        schedule: Schedule.spaced(100)
      })
      yield* wire.join
      yield* Effect.repeat(client.open, { until: (open) => open === 0, schedule: Schedule.spaced(100) })
      yield* Effect.provide(assertAll(client, runs, answers), Serena.layer())
      yield* assertWhole(blobs)
      yield* Effect.provide(assertLogs, stores)
    }).pipe(Effect.provide(NodeServices.layer)))

  trying(
    clocks,
    () =>
      Effect.gen(function*() {
        const { address, blobs, serve, stores, worker } = yield* cluster
        const fs = yield* FileSystem.FileSystem
        const runs = yield* smallRuns(16)
        const answers: Answers = new Map()
        const file = `${yield* temporaryFolder}/offset`
        const jump = (offset: string) => fs.writeFileString(file, `${offset}\n`)
        yield* jump("+0")
        const jumping = {
          LD_PRELOAD: fakeTime ?? "",
          FAKETIME_TIMESTAMP_FILE: file,
          FAKETIME_NO_CACHE: "1",
          FAKETIME_DONT_FAKE_MONOTONIC: "1"
        }
        const { client } = yield* serve(jumping)
        yield* worker(address, jumping)
        yield* worker()
        for (const run of runs) answers.set(run.key, new Set([yield* client.submit(run)]))
        const made = (count: number) =>
          Effect.repeat(client.standing, { until: ({ made }) => made >= count, schedule: Schedule.spaced(50) })
        yield* made(2)
        yield* jump("+3d")
        yield* made(10)
        yield* jump("-3d")
        yield* made(18)
        yield* jump("+0")
        yield* Effect.repeat(client.open, { until: (open) => open === 0, schedule: Schedule.spaced(100) })
        yield* Effect.provide(assertAll(client, runs, answers), Serena.layer())
        yield* assertWhole(blobs)
        const kept = yield* Effect.provide(assertLogs, stores)
        assert.strictEqual(new Set(kept.map(({ worker }) => worker)).size, 2)
      }).pipe(Effect.provide(NodeServices.layer)),
    fakeTime === undefined ? "libfaketime is not installed" : undefined
  )
})

/**
 * Where the runs of a command are kept, and which of them it means.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"
import type { BlobStore } from "../../runs/BlobStore.ts"
import type { RunRecord } from "../../runs/RunRecord.ts"
import { type ListQuery, lostAfter, RunStore } from "../../runs/RunStore.ts"
import * as Stores from "../../runs/Stores.ts"
import { dataDirOf } from "../dataDir.ts"
import { RunsCommandError } from "../failures.ts"

/** The flags that say where. */
export interface Places {
  readonly dataDir: Option.Option<string>
  readonly database: Option.Option<string>
  readonly blobs: Option.Option<string>
}

/** Opens the stores for a command. Fails when no runs are kept there: it makes no database. */
export const withStores = (places: Places) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R | BlobStore | RunStore>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const database = Option.getOrUndefined(places.database)
    const dataDir = yield* dataDirOf(Option.getOrUndefined(places.dataDir))
    if (database === "memory") {
      const message = "runs in the memory of a server can only be reached through the server"
      return yield* new InvalidOptions({ problems: [{ path: "--database", message }] })
    }
    if (!Stores.isShared(database)) {
      const file = database ?? (dataDir === undefined ? undefined : path.join(dataDir, "runs.sqlite"))
      if (file === undefined || !(yield* Effect.orElseSucceed(fs.exists(file), () => false))) {
        return yield* new RunsCommandError({
          message: `No runs are kept in ${path.resolve(file ?? "runs.sqlite")}: there is no such file. ` +
            "Name the data folder of the server with --data-dir, or its database with --database."
        })
      }
    }
    return yield* Effect.provide(
      effect,
      Stores.layer({ database, blobs: Option.getOrUndefined(places.blobs), dataDir })
    )
  })

/** How many characters of an id are shown at least, and asked for. */
export const shortest = 8

/** The beginning of an id that people read and write. */
export const shortId = ({ id }: Pick<RunRecord, "id">): string => id.slice(0, shortest)

const beginning = /^[0-9a-f][0-9a-f-]{3,}$/i

/** The run that has an id or a task id, or the only one whose id begins with it. */
export const runNamed = Effect.fnUntraced(function*(name: string) {
  const store = yield* RunStore
  const exact = yield* store.get(name)
  if (Option.isSome(exact)) return exact.value
  const { next, runs } = beginning.test(name)
    ? yield* store.list({ idBegins: name.toLowerCase(), limit: 5 })
    : { next: undefined, runs: [] }
  const [run, ...others] = runs
  if (run === undefined) {
    const four = beginning.test(name) ? "" : " An id, its first four characters or more, or a task id names a run."
    return yield* new RunsCommandError({
      message: `No run has the id "${name}".${four} "serena runs list" shows those that are kept.`
    })
  }
  if (others.length === 0) return run
  const all = [...runs.map(({ id }) => id), ...(next === undefined ? [] : ["others"])]
  return yield* new RunsCommandError({
    message: `The ids of several runs begin with "${name}": ${all.join(", ")}. Write more of it.`
  })
})

/** All runs of a query, newest first. */
export const allRuns = Effect.fnUntraced(function*(query: Omit<ListQuery, "before" | "limit">, most = Infinity) {
  const store = yield* RunStore
  const found: Array<RunRecord> = []
  let before: string | undefined
  do {
    const { next, runs } = yield* store.list({ ...query, before, limit: Math.min(100, most - found.length) })
    found.push(...runs)
    before = next
  } while (before !== undefined && found.length < most)
  return found
})

/** Warns when no process that takes runs has reported for as long as a lost one. */
export const warnWithoutWorker = Effect.fnUntraced(function*(what: string) {
  const store = yield* RunStore
  const now = yield* Clock.currentTimeMillis
  const known = yield* store.workers
  if (known.some(({ seenAt, slots }) => slots > 0 && Math.abs(now - seenAt) <= lostAfter)) return
  yield* Console.error(`No server or worker runs on ${store.where}: ${what}`)
})

/** Does the same for each of the runs that are named. Says which failed, and fails with the last error. */
export const forEachNamed = Effect.fnUntraced(function*<E, R>(
  names: ReadonlyArray<string>,
  act: (run: RunRecord) => Effect.Effect<void, E | RunsCommandError, R>
) {
  let failed: RunsCommandError | undefined
  const seen = new Set<string>()
  for (const name of names) {
    yield* Effect.gen(function*() {
      const run = yield* runNamed(name)
      if (seen.has(run.id)) return
      seen.add(run.id)
      yield* act(run)
    }).pipe(Effect.catchIf((error) => error instanceof RunsCommandError, (error) =>
      Effect.gen(function*() {
        if (failed !== undefined) yield* Console.error(failed.message)
        failed = error
      })))
  }
  if (failed !== undefined) return yield* failed
})

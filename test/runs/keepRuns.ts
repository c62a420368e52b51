/**
 * A process that keeps runs in a database: a file of SQLite, or an address of PostgreSQL.
 *
 * - `keepRuns.ts <database> submit <prefix> <count>` prints the id of each run that is kept.
 * - `keepRuns.ts <database> take <worker>` takes runs until there are none, ends each, and prints its id.
 * - `keepRuns.ts <database> hold <worker>` takes one run, prints its id, and gives signs of life from then on.
 *
 * The message of what failed comes last.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { writeSync } from "node:fs"
import { beatEvery, RunStore } from "../../src/runs/RunStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { done, newRun, newWorker } from "./newRun.ts"

const [, , database = "", action = "", name = "", count = ""] = process.argv

/** A line that is out before the process goes on. */
const print = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const submit = Effect.gen(function*() {
  const store = yield* RunStore
  for (let number = 0; number < Number(count); number++) {
    const { run } = yield* store.submit(newRun(`${name}${number}`), { queue: 1_000_000 })
    yield* print(run.id)
  }
})

const take = Effect.gen(function*() {
  const store = yield* RunStore
  yield* store.beat(newWorker(name))
  while (true) {
    const run = yield* store.take(newWorker(name))
    if (Option.isNone(run)) return
    const { attempt, id } = run.value
    yield* store.append(id, [done], { attempt })
    yield* print(id)
  }
})

const hold = Effect.gen(function*() {
  const store = yield* RunStore
  yield* store.beat(newWorker(name))
  yield* print(Option.getOrThrow(yield* store.take(newWorker(name))).id)
  return yield* Effect.forever(Effect.andThen(store.beat(newWorker(name)), Effect.sleep(beatEvery)))
})

const layer = database.startsWith("postgres:")
  ? SqlRunStore.layerPostgres({ url: Redacted.make(database) })
  : SqlRunStore.layerSqlite({ file: database })

const program = action === "submit" ? submit : action === "take" ? take : hold

program.pipe(
  Effect.provide(Layer.provide(layer, NodeServices.layer)),
  Effect.catch(({ message }) => print(message)),
  NodeRuntime.runMain
)

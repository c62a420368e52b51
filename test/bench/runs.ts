/**
 * `npm run bench:runs`: what a durable run costs, and whether the queue stays flat when it is long.
 *
 *     npm run bench:runs -- [--queued 10000] [--json] [--keep]
 *
 * Runs of twenty clients for eight models are submitted, one after the other, to SQLite and to PostgreSQL, whose server
 * is started for this. Times are milliseconds of single calls: with a short queue, and with the long one.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { RunStore } from "../../src/runs/RunStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { done, image, newRun, newWorker, progressed } from "../runs/newRun.ts"
import { postgres } from "../runs/postgres.ts"
import { quantile } from "./median.ts"
import { begin, figure, reportFlags } from "./report.ts"

/** Milliseconds of one kind of call. */
export interface Figures {
  readonly store: string
  readonly call: string
  /** How many runs were queued, about. */
  readonly queued: number
  readonly p50: number
  readonly p99: number
}

const models = Array.from({ length: 8 }, (_, index) => `model-${index}`)

/** A run of one of twenty clients for one of eight models. */
const run = (number: number) =>
  newRun(`run-${number}`, {
    client: `client-${number * 7 % 20}`,
    cost: 1 + number % 5,
    needs: { model: models[number % models.length] ?? "", labels: [] }
  })

const timed = <A, E, R>(times: Array<number>, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const begun = performance.now()
    return Effect.tap(effect, () => Effect.sync(() => times.push(performance.now() - begun)))
  })

/** Measures a store that is empty. */
export const measure = Effect.fnUntraced(function*(name: string, longest: number, calls = 200) {
  const store = yield* RunStore
  const figures: Array<Figures> = []
  const worker = newWorker("worker", { models: models.slice(0, 6), loaded: models.slice(0, 2), slots: 2 })
  const bounds = { queue: longest * 2 }
  let submitted = 0

  const repeatedly = Effect.fnUntraced(function*<A, E, R>(
    call: string,
    queued: number,
    effect: (index: number) => Effect.Effect<A, E, R>,
    count = calls
  ) {
    const times: Array<number> = []
    for (let index = 0; index < count; index++) yield* timed(times, effect(index))
    figures.push({ store: name, call, queued, p50: quantile(times, 0.5), p99: quantile(times, 0.99) })
  })

  yield* store.beat(worker)
  for (const queued of [calls, longest]) {
    while (submitted < queued - calls) yield* store.submit(run(submitted++), bounds)
    yield* repeatedly("submit", queued, () => store.submit(run(submitted++), bounds))
    yield* repeatedly("list 50", queued, () => store.list({ limit: 50 }), calls / 4)
    yield* repeatedly("counts", queued, () => store.counts, calls / 4)
    yield* repeatedly("ahead", queued, (index) => store.ahead(`run-${submitted - 1 - index}`), calls / 4)
    const taken: Array<{ readonly id: string; readonly attempt: number }> = []
    yield* repeatedly("take", queued, () =>
      Effect.tap(store.take(worker), (found) =>
        Effect.sync(() => {
          if (found._tag === "Some") taken.push({ id: found.value.id, attempt: found.value.attempt })
        })), calls / 2)
    const reported = (index: number) => taken[index] ?? { id: "", attempt: 0 }
    yield* repeatedly("progress", queued, (index) => {
      const { attempt, id } = reported(index)
      return store.append(id, [progressed(index)], { attempt })
    }, taken.length)
    yield* repeatedly("end", queued, (index) => {
      const { attempt, id } = reported(index)
      return store.append(id, [{ _tag: "ImagesMade", images: [image(0)], extras: [] }, done], { attempt })
    }, taken.length)
  }
  return figures
})

/** Both stores, one after the other. */
export const measureAll = Effect.fnUntraced(function*(longest: number, calls?: number) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "serena-bench-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const sqlite = SqlRunStore.layerSqlite({ file: join(folder, "runs.db") })
  const ofSqlite = yield* Effect.provide(measure("SQLite", longest, calls), sqlite)
  const server = yield* postgres
  const url = Redacted.make(yield* server.database)
  const ofPostgres = yield* Effect.provide(
    measure("PostgreSQL", longest, calls),
    SqlRunStore.layerPostgres({ url })
  )
  return [...ofSqlite, ...ofPostgres]
})

if (import.meta.main) {
  const { values } = parseArgs({
    options: { ...reportFlags, queued: { type: "string", default: "10000" } }
  })
  const figures = await Effect.runPromise(
    measureAll(Number(values.queued)).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
  const report = begin("runs", "npm run bench:runs", values)
  for (const { call, p50, p99, queued, store } of figures) {
    const name = `${call}, ${store}, ${queued} queued`
    report.add(
      figure(`${name}: p50`, "ms", [p50], queued > 1000 && call === "submit" ? { target: 10 } : {}),
      figure(`${name}: p99`, "ms", [p99], queued > 1000 && call === "take" ? { target: 20 } : {})
    )
  }
  report.end()
}

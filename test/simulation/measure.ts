/**
 * What the statements of a cluster take on this machine: on a core of PostgreSQL, and until its answer.
 *
 * Each is a transaction as the store of runs makes it: a record of a few kilobytes, an event, and a notification.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import type { SqlError } from "effect/sql/SqlError"
import { readdirSync, readFileSync } from "node:fs"
import { postgres } from "../runs/postgres.ts"
import { type Parameters, type Statement, type StatementTimes } from "./cluster.ts"

const record = JSON.stringify({ request: { prompt: "a red circle on a blue background ".repeat(40) }, images: [] })
const event = JSON.stringify({ _tag: "Progressed", progress: { text: "Sampling", samplingStep: 7, samplingSteps: 20 } })

/** Seconds that the server's processes have spent on cores, by Linux's scheduler. */
const coreSeconds = (postmaster: number): number => {
  const isOwn = (pid: string) => {
    try {
      const [, parent] = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")
      return Number(pid) === postmaster || Number(parent) === postmaster
    } catch {
      return false
    }
  }
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isOwn(name)).reduce((sum, pid) => {
    try {
      return sum + Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e9
    } catch {
      return sum
    }
  }, 0)
}

const setUp = Effect.gen(function*() {
  const sql = yield* PgClient.PgClient
  yield* sql`CREATE TABLE runs (id text PRIMARY KEY, state text NOT NULL, priority integer NOT NULL,
    place double precision NOT NULL, worker text, record text NOT NULL)`
  yield* sql`CREATE INDEX ON runs (priority DESC, place, id) WHERE state = 'queued'`
  yield* sql`CREATE INDEX ON runs (worker) WHERE state = 'running'`
  yield* sql`CREATE TABLE run_events (run_id text NOT NULL, seq integer NOT NULL, event text NOT NULL,
    PRIMARY KEY (run_id, seq))`
  yield* sql`CREATE TABLE workers (id text PRIMARY KEY, seen_at double precision NOT NULL, worker text NOT NULL)`
  yield* sql`INSERT INTO workers SELECT 'worker ' || i, 1e15, ${record} FROM generate_series(1, 100) AS i`
  // The runs that a cluster keeps.
  yield* sql`INSERT INTO runs SELECT 'done ' || i, 'done', 0, i, NULL, ${record} FROM generate_series(1, 5000) AS i`
})

/** The transactions by their names; `i` counts them. */
const transactions = Effect.gen(function*() {
  const sql = yield* PgClient.PgClient
  let seq = 0
  const append = (id: string) =>
    Effect.andThen(
      sql`INSERT INTO run_events VALUES (${id}, ${++seq}, ${event})`,
      sql`SELECT pg_notify('runs', ${id})`
    )
  const change = (id: string, state: string) =>
    Effect.gen(function*() {
      yield* sql`SELECT record FROM runs WHERE id = ${id} FOR UPDATE`
      yield* sql`UPDATE runs SET state = ${state}, record = ${record} WHERE id = ${id}`
      yield* append(id)
    })
  const poll = sql`SELECT id, record FROM runs WHERE state = 'queued' ORDER BY priority DESC, place, id LIMIT 16
    FOR UPDATE SKIP LOCKED`
  const made: Readonly<Record<Statement, (i: number) => Effect.Effect<unknown, SqlError>>> = {
    poll: () => sql.withTransaction(poll),
    submit: (i) =>
      sql.withTransaction(
        Effect.andThen(
          sql`INSERT INTO runs VALUES (${`run ${i}`}, 'queued', 0, ${i}, NULL, ${record})`,
          append(`run ${i}`)
        )
      ),
    take: (i) =>
      sql.withTransaction(Effect.gen(function*() {
        yield* poll
        yield* sql`UPDATE runs SET state = 'running', worker = 'worker 1', record = ${record} WHERE id = ${`run ${i}`}`
        yield* append(`run ${i}`)
      })),
    progress: (i) =>
      sql.withTransaction(
        Effect.andThen(sql`SET LOCAL synchronous_commit = off`, change(`run ${i}`, "running"))
      ),
    images: (i) => sql.withTransaction(change(`run ${i}`, "running")),
    end: (i) => sql.withTransaction(change(`run ${i}`, "done")),
    beat: (i) => sql`UPDATE workers SET seen_at = 1e15 WHERE id = ${`worker ${1 + i % 100}`}`,
    reclaim: () => sql`SELECT id FROM workers WHERE seen_at < 1000`
  }
  return made
})

const repeats = 400
const listeners = 50

const percentile = (values: ReadonlyArray<number>, share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(share * values.length)] ?? 0

/** Measures every statement, on a server of its own. Milliseconds. */
export const measure: Effect.Effect<Pick<Parameters, "notification" | "times">, SqlError> = Effect.gen(function*() {
  const server = yield* postgres
  const url = Redacted.make(yield* server.make("serena"))
  return yield* Effect.gen(function*() {
    yield* setUp
    const sql = yield* PgClient.PgClient
    const [backend] = yield* sql<{ readonly pid: number }>`SELECT pg_backend_pid() AS pid`
    const stat = readFileSync(`/proc/${backend?.pid}/stat`, "utf8")
    const postmaster = Number(stat.replace(/^.*\) /s, "").split(" ")[1])
    const made = yield* transactions
    const repeated = Effect.fnUntraced(function*(statement: Statement) {
      const taken: Array<number> = []
      const before = coreSeconds(postmaster)
      for (let i = 0; i < repeats; i++) {
        const since = performance.now()
        yield* made[statement](i)
        taken.push(performance.now() - since)
      }
      const core = (coreSeconds(postmaster) - before) * 1000 / repeats
      const found: StatementTimes = { core, p50: percentile(taken, 0.5), p99: percentile(taken, 0.99) }
      return found
    })
    // The first compiles and fills caches. In the order of a run: what was submitted is taken, and so on.
    for (let i = 0; i < repeats; i++) yield* made.beat(i)
    const times = {
      poll: yield* repeated("poll"),
      submit: yield* repeated("submit"),
      take: yield* repeated("take"),
      progress: yield* repeated("progress"),
      images: yield* repeated("images"),
      end: yield* repeated("end"),
      beat: yield* repeated("beat"),
      reclaim: yield* repeated("reclaim")
    }
    const notified = Effect.gen(function*() {
      const before = coreSeconds(postmaster)
      for (let i = 0; i < repeats; i++) yield* sql`SELECT pg_notify('runs', 'run 1')`
      return (coreSeconds(postmaster) - before) * 1000 / repeats
    })
    const alone = yield* notified
    const heard = yield* Effect.scoped(Effect.gen(function*() {
      for (let i = 0; i < listeners; i++) {
        const listener = yield* PgClient.makeClient({ url })
        yield* listener.listen("runs")
      }
      return yield* notified
    }))
    return { notification: Math.max(0, heard - alone) / listeners, times }
  }).pipe(Effect.provide([PgClient.layer({ url, maxConnections: 1 }), Reactivity.layer]))
}).pipe(Effect.scoped)

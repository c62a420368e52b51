/**
 * Runs in a database: SQLite in the process by default, PostgreSQL for many machines.
 *
 * One implementation serves both. A row is locked, its record changed by `RunEvent.apply`, and both the record and the
 * event are written in the same transaction. Records of a format that this version does not know stay as they are:
 * they are neither shown nor taken, changed or removed.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { QueueFull } from "../contract/errors.ts"
import * as ProcessIdentity from "../core/ProcessIdentity.ts"
import { accepted } from "./accepted.ts"
import { wordsOf } from "./listQuery.ts"
import * as QueueOrder from "./QueueOrder.ts"
import { apply, type Logged, RunEvent } from "./RunEvent.ts"
import { blobsOf, format, isEnded, isFleeting, RunRecord, sizeOf } from "./RunRecord.ts"
import {
  type Counts,
  type Keep,
  type ListQuery,
  lostAfter,
  mostProgress,
  RunStore,
  RunStoreError,
  type RunStoreService,
  type StoredPreview,
  type Worker
} from "./RunStore.ts"
import * as Failure from "./sqlFailure.ts"
import * as sqlite from "./sqlite.ts"
import * as sqlSchema from "./sqlSchema.ts"

export interface StoreOptions {
  /** Milliseconds of silence after which a worker is lost. */
  readonly lease?: number | undefined
}

/** Milliseconds between two looks for changes that other processes have made to the same file. */
const sqlitePoll = 500

/** Milliseconds between two looks for changes whose notification was missed. */
const postgresPoll = 1000

/** Milliseconds for which a command waits for PostgreSQL, so that a cut network is no endless wait. */
const answerWithin = 10_000

/**
 * Milliseconds for which PostgreSQL waits within a transaction for the next statement. The transaction of a process
 * that is frozen or cut off would lock its run for others until the connection breaks, which takes hours.
 */
const silentWithin = 5000

/** Milliseconds after the end of a run for which the log keeps its progress. */
const progressKept = 5 * 60_000

/** Parameters of one statement. */
const atOnce = 500

/** Runs in a SQLite file of this machine, whose folder must exist. Several processes may use it. */
export const layerSqlite = (
  { file, lease }: StoreOptions & { readonly file: string }
): Layer.Layer<RunStore, RunStoreError, FileSystem.FileSystem> =>
  Layer.effect(
    RunStore,
    Effect.gen(function*() {
      const sql = yield* sqlite.make(file)
      const dataVersion = Effect.map(
        sql<{ readonly data_version: number }>`PRAGMA data_version`,
        ([row]) => row?.data_version ?? 0
      )
      return yield* make({
        sql,
        failures: Failure.sqliteFailures(file),
        lease,
        begin: { fleeting: sqlite.beginFleeting },
        isBounded: false,
        progressEvery: 100,
        notify: () => Effect.void,
        // The number changes with what other connections commit, and only with that.
        watch: Effect.fnUntraced(function*(publish) {
          let seen = yield* Effect.option(dataVersion)
          while (true) {
            yield* Effect.sleep(sqlitePoll)
            const now = yield* Effect.option(dataVersion)
            if (Option.isNone(now) || Option.isNone(seen) || now.value !== seen.value) yield* publish("")
            seen = now
          }
        })
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))

/** Runs in a PostgreSQL database that any number of machines share. */
export const layerPostgres = (
  { follows = true, lease, maxConnections = 10, url }: StoreOptions & {
    readonly url: Redacted.Redacted
    /** Whether it hears of the progress of runs that others execute: servers do, workers need not. True by default. */
    readonly follows?: boolean | undefined
    /** Most connections of this process. One of them waits for notifications. */
    readonly maxConnections?: number | undefined
  }
): Layer.Layer<RunStore, RunStoreError, FileSystem.FileSystem> =>
  Layer.effect(
    RunStore,
    Effect.gen(function*() {
      const failures = Failure.postgresFailures(addressOf(url))
      const sql = yield* Effect.mapError(
        PgClient.make({
          url,
          maxConnections: Math.max(2, maxConnections),
          applicationName: "serena",
          connectTimeout: answerWithin / 2,
          keepAlive: answerWithin,
          startupParameters: { idle_in_transaction_session_timeout: String(silentWithin) }
        }),
        (error) => Failure.explained(failures, error)
      )
      const sender = randomUUID().slice(0, 8)
      let heard = 0
      return yield* make({
        sql,
        failures,
        lease,
        begin: {},
        isBounded: true,
        progressEvery: 500,
        notify: (id, kind) =>
          Effect.asVoid(
            kind === "progress"
              ? sql`SELECT pg_notify(${channels.progress}, ${sender} || ' ' || 0 || ' ' || ${kind} || ' ' || ${id})`
              : sql`SELECT pg_notify(${channels.runs}, ${sender} || ' ' || nextval('run_changes') || ' ' ||
                  ${kind} || ' ' || ${id})`
          ),
        watch: (publish) => {
          const hear = (channel: string) =>
            Effect.scoped(Effect.gen(function*() {
              const notifications = yield* sql.listen(channel)
              yield* publish("")
              while (true) {
                const { payload } = yield* Queue.take(notifications)
                const [from, number, kind, id = ""] = payload.split(" ")
                heard = Math.max(heard, Number(number))
                if (from !== sender) yield* publish(id, kindOf(kind))
              }
            })).pipe(
              Effect.catchCause((cause) => Effect.logDebug("the notifications of the database have stopped", cause)),
              Effect.andThen(publish("")),
              Effect.delay(0),
              Effect.andThen(Effect.sleep(postgresPoll)),
              Effect.forever
            )
          const newest = sql<{ readonly last: number }>`SELECT last_value::float8 AS last FROM run_changes`.pipe(
            Effect.map(([row]) => row?.last ?? 0),
            Effect.timeoutOption(answerWithin),
            Effect.orElseSucceed(() => Option.none<number>())
          )
          // Numbers that were there a look ago, and of which nothing was heard, were missed.
          const poll = Effect.gen(function*() {
            let before = yield* newest
            while (true) {
              yield* Effect.sleep(postgresPoll)
              const now = yield* newest
              if (Option.isNone(now)) yield* publish("")
              else if (Option.isNone(before) || before.value > heard) {
                heard = Math.max(heard, Option.getOrElse(before, () => 0))
                yield* publish("")
              }
              before = now
            }
          })
          const listening = follows
            ? Effect.raceFirst(hear(channels.runs), hear(channels.progress))
            : hear(channels.runs)
          return Effect.raceFirst(listening, poll)
        }
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))

const channels = { runs: "serena_runs", progress: "serena_progress" }

/** What has changed: a run may wait that did not, one is further than before, or anything else. */
type Kind = "change" | "offer" | "progress"

const kindOf = (text: string | undefined): Kind => text === "change" || text === "progress" ? text : "offer"

/** An address for people: without a password and without parameters. */
const addressOf = (url: Redacted.Redacted): string => {
  const text = Redacted.value(url)
  if (!URL.canParse(text)) return "an address that is no URL"
  const { hostname, pathname, port, protocol, username } = new URL(text)
  return `${protocol}//${username === "" ? "" : `${username}@`}${hostname}${port === "" ? "" : `:${port}`}${pathname}`
}

interface Database extends StoreOptions {
  readonly sql: SqlClient.SqlClient
  readonly failures: Failure.Failures
  /** How a transaction begins that need not be safe on the disk; the usual way by default. */
  readonly begin: { readonly fleeting?: string | undefined }
  /** Whether an answer may never come. */
  readonly isBounded: boolean
  readonly progressEvery: number
  /** Within a transaction: announces a change to other processes. */
  readonly notify: (id: string, kind: Kind) => Effect.Effect<void, SqlError>
  /** Publishes the changes that others make, for ever. */
  readonly watch: (publish: (id: string, kind?: Kind) => Effect.Effect<unknown>) => Effect.Effect<void>
}

const StoredWorker = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  models: Schema.UndefinedOr(Schema.Array(Schema.String)),
  loaded: Schema.Array(Schema.String),
  labels: Schema.Array(Schema.String),
  slots: Schema.Finite,
  draining: Schema.Boolean,
  version: Schema.String
})

const Json = {
  record: Schema.fromJsonString(Schema.toCodecJson(RunRecord)),
  event: Schema.fromJsonString(Schema.toCodecJson(RunEvent)),
  worker: Schema.fromJsonString(Schema.toCodecJson(StoredWorker)),
  process: Schema.fromJsonString(ProcessIdentity.ProcessIdentity)
}

const decodeRecord = Schema.decodeUnknownOption(Json.record)
const encodeRecord = Schema.encodeEffect(Json.record)
const decodeEvent = Schema.decodeUnknownOption(Json.event)
const encodeEvent = Schema.encodeEffect(Json.event)
const decodeWorker = Schema.decodeUnknownOption(Json.worker)
const encodeWorker = Schema.encodeEffect(Json.worker)
const decodeProcess = Schema.decodeUnknownOption(Json.process)
const encodeProcess = Schema.encodeEffect(Json.process)
const decodeNeeds = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.NonEmptyArray(Schema.String)))

interface Stored {
  readonly record: string
  readonly last_event: number
  readonly now: number | null
}

/** A run that is about to change. */
interface Loaded {
  readonly run: RunRecord
  /** The number of its last event. */
  readonly seq: number
  readonly at: number
}

interface Candidate {
  readonly id: string
  readonly needs: string
  readonly bound: string
  readonly priority: number
  readonly place: number
  readonly submitted_at: number
}

interface WorkerRow {
  readonly id: string
  readonly started_at: number
  readonly seen_at: number
  readonly process: string | null
  readonly worker: string
}

const make = Effect.fnUntraced(function*(database: Database) {
  const { failures, lease = lostAfter, sql } = database
  const fs = yield* FileSystem.FileSystem
  const self = yield* ProcessIdentity.current
  const process = yield* Effect.orDie(encodeProcess(self))
  const scope = yield* Scope.Scope
  const changed = yield* PubSub.sliding<string>(4096)
  const offered = yield* PubSub.sliding<void>(1)
  // What may be anything may be an offer too.
  const publish = (id: string, kind: Kind = "offer") =>
    Effect.andThen(PubSub.publish(changed, id), kind === "offer" ? PubSub.publish(offered, undefined) : Effect.void)
  const isPostgres = sql.onDialectOrElse({ pg: () => true, orElse: () => false })

  // Interruption does not wait for what is stuck.
  const bounded = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    !database.isBounded ? effect : Effect.flatMap(
      Effect.forkIn(effect, scope),
      (fiber) =>
        Fiber.join(fiber).pipe(
          Effect.timeoutOrElse({ duration: answerWithin, orElse: () => Effect.fail(noAnswer()) }),
          Effect.onExit((exit) => exit._tag === "Success" ? Effect.void : Effect.forkIn(Fiber.interrupt(fiber), scope))
        )
    )
  const command = <A, E>(
    effect: (again: boolean) => Effect.Effect<A, E | SqlError>
  ): Effect.Effect<A, Exclude<E, SqlError> | RunStoreError> =>
    Failure.persistently<A, E | SqlError, never>(failures, (again) => bounded(effect(again)))
  const reading = <A>(effect: Effect.Effect<A, SqlError>) => command(() => effect)
  const writing = <A, E>(effect: (again: boolean) => Effect.Effect<A, E | SqlError>) =>
    command((again) => sql.withTransaction(effect(again)))
  // A machine that loses its power may lose it too.
  const writingFleeting = <A, E>(effect: (again: boolean) => Effect.Effect<A, E | SqlError>) =>
    command((again) =>
      sql.withTransaction(isPostgres ? Effect.andThen(withoutWaiting, effect(again)) : effect(again)).pipe(
        Effect.provideService(SqlClient.BeginTransaction, database.begin.fleeting)
      )
    )
  // The same for SQLite, all of whose users lose their power with the machine: none goes on with what is lost.
  const writingLocal = isPostgres ? writing : writingFleeting
  const withoutWaiting = sql`SELECT set_config('synchronous_commit', 'off', true)`

  const forUpdate = sql.literal(isPostgres ? "FOR UPDATE" : "")
  const skipLocked = sql.literal(isPostgres ? "FOR UPDATE SKIP LOCKED" : "")
  const contains = (column: string, text: string): Fragment =>
    isPostgres ? sql`strpos(${sql(column)}, ${text}) > 0` : sql`instr(${sql(column)}, ${text}) > 0`
  // Two at once would find the same place, or the last free one.
  const inTurn = isPostgres ? sql`SELECT pg_advisory_xact_lock(7306353)` : Effect.void
  // Machines are measured by one clock: the database's. SQLite has this machine's, which tests can set.
  const clock = sql.literal(isPostgres ? "floor(extract(epoch FROM clock_timestamp()) * 1000)::float8" : "NULL")
  const now = isPostgres
    ? Effect.map(sql<{ readonly now: number }>`SELECT ${clock} AS now`, ([row]) => row?.now ?? 0)
    : Clock.currentTimeMillis

  const announce = (id: string, kind: Kind = "change") =>
    Effect.andThen(database.notify(id, kind), sql.afterCommit(Effect.asVoid(publish(id, kind))))

  const decoded = (rows: ReadonlyArray<Pick<Stored, "record">>): ReadonlyArray<RunRecord> =>
    rows.flatMap(({ record }) => Option.toArray(decodeRecord(record)))

  // The record of a run, its last event, and the time. The row is locked.
  const loadWhere = (condition: Fragment, lock = forUpdate) =>
    Effect.map(
      Effect.zip(
        sql<Stored>`SELECT record, last_event, ${clock} AS now FROM runs WHERE ${condition} ${lock}`,
        Clock.currentTimeMillis
      ),
      ([[row], here]) =>
        row === undefined ? undefined : Option.getOrUndefined(
          Option.map(decodeRecord(row.record), (run) => ({ run, seq: row.last_event, at: row.now ?? here }))
        )
    )
  const load = (id: string) => loadWhere(sql`id = ${id} AND format = ${format}`)

  const isWritten = (id: string, token: string) =>
    Effect.map(
      sql`SELECT 1 AS found FROM run_events WHERE run_id = ${id} AND token = ${token}`,
      (rows) => rows.length > 0
    )

  // Applies the events that fit, and writes what they lead to. Undefined when none does.
  const change = Effect.fnUntraced(function*(
    { at, run: before, seq }: Loaded,
    events: ReadonlyArray<RunEvent>,
    { attempt, token = randomUUID() }: { readonly attempt?: number | undefined; readonly token?: string } = {}
  ) {
    let run = before
    const logged: Array<Logged> = []
    for (const event of events) {
      const after = apply(run, event, { at, attempt })
      if (after === undefined) continue
      run = after
      logged.push({ seq: seq + logged.length + 1, at, event })
    }
    const last = logged.at(-1)
    if (last === undefined) return undefined
    yield* sql`UPDATE runs SET ${sql.update(yield* columnsOf(run, last.seq))} WHERE id = ${run.id}`
    yield* log(run.id, logged, token)
    const known = blobsOf(before)
    const needed = blobsOf(run)
    yield* name(run.id, [...needed].filter((hash) => !known.has(hash)))
    for (const part of chunks([...known].filter((hash) => !needed.has(hash)), atOnce)) {
      yield* sql`DELETE FROM run_blobs WHERE run_id = ${run.id} AND ${sql.in("hash", part)}`
    }
    if (last.seq > mostProgress && logged.some(({ event }) => event._tag === "Progressed")) {
      yield* sql`DELETE FROM run_events WHERE run_id = ${run.id} AND kind = 'Progressed' AND seq <= (
        SELECT seq FROM run_events WHERE run_id = ${run.id} AND kind = 'Progressed'
        ORDER BY seq DESC LIMIT 1 OFFSET ${mostProgress}
      )`
    }
    if (isPostgres && isEnded(run)) yield* sql`DELETE FROM run_previews WHERE run_id = ${run.id}`
    const isOffer = run.state === "queued" && before.state !== "queued"
    const isProgress = logged.every(({ event }) => event._tag === "Progressed")
    yield* announce(run.id, isOffer ? "offer" : isProgress ? "progress" : "change")
    return run
  })

  const log = Effect.fnUntraced(function*(id: string, logged: ReadonlyArray<Logged>, token: string) {
    const rows: Array<Record<string, unknown>> = []
    for (const { at, event, seq } of logged) {
      const text = yield* Effect.orDie(encodeEvent(event))
      rows.push({ run_id: id, seq, at, kind: event._tag, token, event: text })
    }
    for (const part of chunks(rows, 100)) yield* sql`INSERT INTO run_events ${sql.insert(part)}`
  })

  const name = Effect.fnUntraced(function*(id: string, hashes: ReadonlyArray<string>) {
    for (const part of chunks(hashes, atOnce)) {
      const [first, ...others] = part
      const row = (hash: string): Record<string, unknown> => ({ hash, run_id: id })
      yield* sql`INSERT INTO run_blobs ${sql.insert([row(first), ...others.map(row)])} ON CONFLICT DO NOTHING`
    }
  })

  const newPlace = Effect.fnUntraced(function*({ client, cost }: Pick<RunRecord, "client" | "cost">) {
    const [row] = yield* sql<{ readonly clock: number; readonly last: number | null }>`SELECT
      (SELECT number FROM run_meta WHERE name = 'clock') AS clock,
      (SELECT max(place) FROM runs WHERE state = 'queued' AND client = ${plain(client)}) AS last`
    return QueueOrder.placeOf(cost, { clock: row?.clock ?? 0, last: row?.last ?? undefined })
  })

  const countOf = (rows: ReadonlyArray<{ readonly count: number }>): number => rows[0]?.count ?? 0

  const full = Effect.fnUntraced(function*(waiting: number) {
    const latest = yield* sql<{ readonly took: number }>`SELECT ended_at - started_at AS took FROM runs
      WHERE ended_at IS NOT NULL AND started_at IS NOT NULL ORDER BY ended_at DESC LIMIT ${QueueOrder.paceOf}`
    const running = countOf(
      yield* sql<{ readonly count: number }>`SELECT CAST(count(*) AS integer) AS count FROM runs
        WHERE state = 'running'`
    )
    const retryAfter = QueueOrder.retryAfter({ latest: latest.map(({ took }) => Math.max(0, took)), running, waiting })
    return new QueueFull({ waiting, retryAfter })
  })

  const submit: RunStoreService["submit"] = (asked, bounds) =>
    (isFleeting(asked) ? writingLocal : writing)((again) =>
      Effect.gen(function*() {
        yield* inTurn
        if (asked.key !== null) {
          const known = decoded(
            yield* sql<Stored>`SELECT record FROM runs
              WHERE submission_key = ${plain(asked.key)} AND format = ${format}`
          )[0]
          if (known !== undefined) return { run: known, isNew: again && known.id === asked.id }
        }
        if (again) {
          const written = yield* load(asked.id)
          if (written !== undefined) return { run: written.run, isNew: true }
        }
        const waiting = countOf(
          yield* sql<{ readonly count: number }>`SELECT CAST(count(*) AS integer) AS count
            FROM runs WHERE state = 'queued'`
        )
        if (waiting >= bounds.queue) return yield* (yield* full(waiting))
        const submittedAt = yield* now
        const run = accepted(asked, { place: yield* newPlace(asked), submittedAt })
        const row = { id: run.id, submission_key: run.key === null ? null : plain(run.key), format }
        yield* sql`INSERT INTO runs ${sql.insert({ ...row, ...yield* columnsOf(run, 1) })}`
        yield* log(run.id, [{ seq: 1, at: submittedAt, event: { _tag: "Submitted" } }], run.id)
        yield* name(run.id, [...blobsOf(run)])
        yield* announce(run.id, "offer")
        return { run, isNew: true }
      })
    )

  const isPaused = Effect.map(
    sql<{ readonly number: number }>`SELECT number FROM run_meta WHERE name = 'paused'`,
    ([row]) => row?.number === 1
  )

  const rowsOfWorkers = sql<
    WorkerRow
  >`SELECT id, started_at, seen_at, process, worker FROM workers ORDER BY started_at, id`

  const holds = (row: Pick<WorkerRow, "seen_at">, at: number) => Math.abs(at - row.seen_at) <= lease

  const loadedElsewhere = Effect.fnUntraced(function*(own: string, at: number) {
    const others = (yield* rowsOfWorkers).filter((row) => row.id !== own && holds(row, at))
      .flatMap(({ worker }) => Option.toArray(decodeWorker(worker)))
      .filter(({ draining, slots }) => !draining && slots > 0)
    return new Set(others.flatMap(({ loaded }) => loaded))
  })

  // The different needs of the queued runs of a worker, each found by one step in the index; none during a pause.
  const kindsOf = (worker: string) => {
    const queued = (bound: string) => sql`state = 'queued' AND format = ${format} AND bound = ${bound}`
    const first = (bound: string) => sql`(SELECT min(needs) FROM runs WHERE ${queued(bound)})`
    const next = (bound: string, kinds: Fragment) =>
      sql`(SELECT min(needs) FROM runs WHERE ${queued(bound)} AND needs > ${kinds}.needs)`
    const kinds = (name: Fragment, bound: string) =>
      sql`${name} (needs) AS (
        SELECT ${first(bound)} UNION ALL SELECT ${next(bound, name)} FROM ${name} WHERE ${name}.needs IS NOT NULL
      )`
    const [everyone, own] = [sql.literal("everyone"), sql.literal("own")]
    return sql<{ readonly bound: string; readonly needs: string }>`WITH RECURSIVE ${kinds(everyone, "")},
      ${kinds(own, worker)}
      SELECT bound, needs FROM (
        SELECT '' AS bound, needs FROM everyone UNION ALL SELECT ${worker} AS bound, needs FROM own
      ) AS found
      WHERE needs IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run_meta WHERE name = 'paused' AND number = 1)`
  }

  // The first queued runs that a worker can serve, the next one first.
  const candidates = Effect.fnUntraced(function*(worker: Worker) {
    const kinds = (yield* kindsOf(worker.id)).filter(({ bound, needs }) =>
      (bound !== "" || worker.slots > 0) && Option.exists(needsOf(needs), (needs) => QueueOrder.canServe(worker, needs))
    )
    const found: Array<Candidate> = []
    for (const part of chunks(kinds, 100)) {
      const firsts = part.map(({ bound, needs }) =>
        sql`SELECT * FROM (
          SELECT id, needs, bound, priority, place, submitted_at FROM runs
          WHERE state = 'queued' AND format = ${format} AND bound = ${bound} AND needs = ${needs}
          ORDER BY priority DESC, place, id LIMIT ${QueueOrder.window}
        ) AS firsts`
      )
      found.push(...yield* sql<Candidate>`${sql.join(" UNION ALL ", false)(firsts)}`)
    }
    return found.toSorted(QueueOrder.compare).slice(0, QueueOrder.window).flatMap((row) =>
      Option.toArray(Option.map(needsOf(row.needs), (needs) => ({
        id: row.id,
        needs,
        bound: row.bound === "" ? null : row.bound,
        submittedAt: row.submitted_at
      })))
    )
  })

  const write = Effect.fnUntraced(function*(worker: Worker, at: number) {
    const text = yield* Effect.orDie(encodeWorker(worker))
    yield* sql`INSERT INTO workers ${
      sql.insert({ id: worker.id, started_at: at, seen_at: at, process, worker: text })
    } ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, worker = excluded.worker`
  })

  // Takes a run if it still waits and no other worker is about to take it.
  const takeOne = (worker: Worker, id: string, token: string) =>
    writingLocal((again) =>
      Effect.gen(function*() {
        const loaded = yield* loadWhere(sql`id = ${id} AND state = 'queued' AND format = ${format}`, skipLocked)
        if (loaded === undefined) {
          // The answer to the first try may have been lost.
          const own = again && (yield* isWritten(id, token)) ? yield* load(id) : undefined
          return own?.run
        }
        const { run: { attempt, place } } = loaded
        yield* write(worker, loaded.at)
        const taken = yield* change(loaded, [{ _tag: "Taken", worker: worker.id, attempt: attempt + 1 }], { token })
        yield* sql`UPDATE run_meta SET number = ${place} WHERE name = 'clock' AND number < ${place}`
        return taken
      })
    )

  const take: RunStoreService["take"] = Effect.fnUntraced(function*(worker) {
    if (worker.draining) return Option.none()
    // Others may be faster with all of the first ones.
    for (let round = 0; round < 4; round++) {
      const found = yield* reading(Effect.gen(function*() {
        const first = yield* candidates(worker)
        if (first.length === 0) return { first, context: undefined }
        const at = yield* now
        return { first, context: { now: at, loadedElsewhere: yield* loadedElsewhere(worker.id, at) } }
      }))
      if (found.context === undefined) return Option.none()
      let { first } = found
      while (true) {
        const chosen = QueueOrder.choose(first, worker, found.context)
        if (chosen === undefined) break
        const taken = yield* takeOne(worker, chosen.id, randomUUID())
        if (taken !== undefined) return Option.some(taken)
        first = first.filter(({ id }) => id !== chosen.id)
      }
      if (first.length > 0) return Option.none()
    }
    return Option.none()
  })

  const append: RunStoreService["append"] = (id, events, { attempt, fleeting = false } = {}) => {
    const token = randomUUID()
    const isProgress = events.every(({ _tag }) => _tag === "Progressed")
    return (isProgress ? writingFleeting : fleeting ? writingLocal : writing)((again) =>
      Effect.gen(function*() {
        const stored = yield* load(id)
        if (stored === undefined) return Option.none()
        if (again && (yield* isWritten(id, token))) return Option.some(stored.run)
        return Option.fromUndefinedOr(yield* change(stored, events, { attempt, token }))
      })
    )
  }

  const get: RunStoreService["get"] = (key) =>
    reading(
      Effect.map(
        sql<Stored>`SELECT record FROM (
          SELECT record, 0 AS rank, number FROM runs WHERE id = ${key} AND format = ${format}
          UNION ALL
          SELECT * FROM (
            SELECT record, 1 AS rank, number FROM runs WHERE task_id = ${plain(key)} AND format = ${format}
            ORDER BY number DESC LIMIT 1
          ) AS named
        ) AS found ORDER BY rank LIMIT 1`,
        (rows) => Option.fromUndefinedOr(decoded(rows)[0])
      )
    )

  const list: RunStoreService["list"] = (query) =>
    reading(Effect.gen(function*() {
      const conditions = [sql`format = ${format}`, ...conditionsOf(query)]
      if (query.before !== undefined) {
        const [last] = yield* sql<{ readonly submitted_at: number; readonly number: number }>`SELECT
          submitted_at, CAST(number AS double precision) AS number FROM runs WHERE id = ${query.before}`
        if (last !== undefined) {
          conditions.push(sql`(submitted_at, number) < (${last.submitted_at}, ${last.number})`)
        }
      }
      const rows = yield* sql<Stored & { readonly id: string }>`SELECT id, record FROM runs
        WHERE ${sql.and(conditions)} ORDER BY submitted_at DESC, number DESC LIMIT ${query.limit + 1}`
      const shown = rows.slice(0, query.limit)
      return { runs: decoded(shown), next: rows.length > query.limit ? shown.at(-1)?.id : undefined }
    }))

  const conditionsOf = (query: ListQuery): ReadonlyArray<Fragment> => [
    ...(query.idBegins === undefined ? [] : [sql`substr(id, 1, ${query.idBegins.length}) = ${plain(query.idBegins)}`]),
    ...(query.states === undefined ? [] : [query.states.length === 0 ? sql`1 = 0` : sql.in("state", query.states)]),
    ...(query.model === undefined ? [] : [sql`model = ${plain(query.model)}`]),
    ...(query.client === undefined ? [] : [sql`client = ${plain(query.client)}`]),
    ...(query.starred === undefined ? [] : [sql`starred = ${query.starred ? 1 : 0}`]),
    ...(query.tag === undefined ? [] : [contains("tags", tagText([query.tag]))]),
    ...(query.from === undefined ? [] : [sql`submitted_at >= ${query.from}`]),
    ...(query.to === undefined ? [] : [sql`submitted_at < ${query.to}`]),
    ...wordsOf(query.search ?? "").map((word) => contains("words", plain(word)))
  ]

  const queued: RunStoreService["queued"] = (limit) =>
    reading(
      Effect.map(
        sql<Stored>`SELECT record FROM runs WHERE state = 'queued' AND format = ${format}
          ORDER BY priority DESC, place, id LIMIT ${limit}`,
        decoded
      )
    )

  // SQLite would look into every queued row otherwise.
  const byOrder = sql.literal(isPostgres ? "" : "INDEXED BY runs_order")
  const ahead: RunStoreService["ahead"] = (id) =>
    reading(Effect.gen(function*() {
      const [row] = yield* sql<Candidate>`SELECT id, priority, place FROM runs WHERE id = ${id} AND state = 'queued'`
      if (row === undefined) return undefined
      return countOf(
        yield* sql<{ readonly count: number }>`SELECT CAST((
          SELECT count(*) FROM runs WHERE state = 'running') + (
          SELECT count(*) FROM runs ${byOrder} WHERE state = 'queued' AND (priority > ${row.priority} OR
            (priority = ${row.priority} AND (place, id) < (${row.place}, ${row.id})))) AS integer) AS count`
      )
    }))

  const counts: RunStoreService["counts"] = reading(Effect.gen(function*() {
    const rows = yield* sql<{ readonly state: string; readonly count: number; readonly bytes: number }>`SELECT
      state, CAST(count(*) AS integer) AS count, sum(bytes) AS bytes FROM runs GROUP BY state`
    const [first] = yield* sql<{ readonly oldest: number | null }>`SELECT min(submitted_at) AS oldest FROM runs
      WHERE state = 'queued'`
    const of = (state: RunRecord["state"]) => rows.find((row) => row.state === state)?.count ?? 0
    const counts: Counts = {
      queued: of("queued"),
      running: of("running"),
      done: of("done"),
      interrupted: of("interrupted"),
      failed: of("failed"),
      cancelled: of("cancelled"),
      oldest: first?.oldest ?? undefined,
      bytes: rows.reduce((sum, { bytes, state }) => state === "queued" || state === "running" ? sum : sum + bytes, 0)
    }
    return counts
  }))

  const move: RunStoreService["move"] = (id, before) =>
    writing(() =>
      Effect.gen(function*() {
        yield* inTurn
        const waiting = yield* sql<Candidate>`SELECT id, priority, place FROM runs WHERE state = 'queued'
          ORDER BY priority DESC, place, id`
        const goal = QueueOrder.moved(waiting, id, before)
        const stored = goal === undefined ? undefined : yield* load(id)
        if (goal === undefined || stored === undefined) return false
        yield* change(stored, [{ _tag: "Moved", ...goal }])
        return true
      })
    )

  const retry: RunStoreService["retry"] = (id) => {
    const token = randomUUID()
    return writing((again) =>
      Effect.gen(function*() {
        yield* inTurn
        const stored = yield* load(id)
        if (stored === undefined) return Option.none()
        if (again && (yield* isWritten(id, token))) return Option.some(stored.run)
        const place = yield* newPlace(stored.run)
        return Option.fromUndefinedOr(yield* change(stored, [{ _tag: "Retried", place }], { token }))
      })
    )
  }

  const pause: RunStoreService["pause"] = (paused) =>
    writing(() =>
      Effect.andThen(sql`UPDATE run_meta SET number = ${paused ? 1 : 0} WHERE name = 'paused'`, announce("", "offer"))
    )

  const heldBy = (workerId: string) =>
    Effect.map(
      sql<{ readonly id: string }>`SELECT id FROM runs WHERE state = 'running' AND worker = ${workerId}`,
      (rows) => rows.map(({ id }) => id)
    )

  const beat: RunStoreService["beat"] = (worker) =>
    writingFleeting(() =>
      Effect.gen(function*() {
        yield* write(worker, yield* now)
        return new Set(yield* heldBy(worker.id))
      })
    )

  // Within a transaction: gives back the runs of workers that are not on the list.
  const giveBack = Effect.fnUntraced(function*(
    id: string,
    loss: { readonly lost: boolean; readonly maxStrikes: number }
  ) {
    const stored = yield* load(id)
    if (stored === undefined || stored.run.state !== "running") return undefined
    const [worker] = yield* sql`SELECT id FROM workers WHERE id = ${stored.run.worker}`
    if (worker !== undefined) return undefined
    return yield* change(stored, [QueueOrder.afterLoss(stored.run, loss)])
  })

  const endBound = Effect.gen(function*() {
    const orphans = yield* sql<{ readonly id: string }>`SELECT id FROM runs
      WHERE state = 'queued' AND bound <> '' AND format = ${format}
      AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = runs.bound)`
    for (const { id } of orphans) {
      const stored = yield* load(id)
      if (stored !== undefined) yield* change(stored, [{ _tag: "Cancelled" }])
    }
  })

  const leave: RunStoreService["leave"] = (workerId) =>
    writing(() =>
      Effect.gen(function*() {
        const held = yield* heldBy(workerId)
        yield* sql`DELETE FROM workers WHERE id = ${workerId}`
        for (const id of held) yield* giveBack(id, { lost: false, maxStrikes: Infinity })
        yield* endBound
      })
    )

  // Whether a worker is lost: it was silent for too long, or its process on this machine has ended.
  const isLost = Effect.fnUntraced(function*(row: WorkerRow, at: number) {
    if (!holds(row, at)) return true
    const identity = row.process === null ? undefined : Option.getOrUndefined(decodeProcess(row.process))
    if (isPostgres || identity === undefined || identity.place !== self.place) return false
    const status = yield* Effect.provideService(ProcessIdentity.statusOf(identity), FileSystem.FileSystem, fs)
    return status === "ended"
  })

  const reclaim: RunStoreService["reclaim"] = Effect.fnUntraced(function*({ maxStrikes }) {
    const isNeeded = yield* reading(Effect.gen(function*() {
      const at = yield* now
      const lost: Array<WorkerRow> = []
      for (const row of yield* rowsOfWorkers) if (yield* isLost(row, at)) lost.push(row)
      const orphans = yield* sql<{ readonly id: string }>`SELECT id FROM runs
        WHERE format = ${format} AND (state = 'running' OR (state = 'queued' AND bound <> ''))
        AND NOT EXISTS (
          SELECT 1 FROM workers WHERE workers.id = CASE state WHEN 'running' THEN runs.worker ELSE runs.bound END
        ) LIMIT 1`
      return { lost, any: lost.length > 0 || orphans.length > 0 }
    }))
    if (!isNeeded.any) return []
    return yield* writing(() =>
      Effect.gen(function*() {
        // One that has given a sign of life meanwhile stays.
        for (const { id, seen_at } of isNeeded.lost) {
          yield* sql`DELETE FROM workers WHERE id = ${id} AND seen_at = ${seen_at}`
        }
        const orphans = yield* sql<{ readonly id: string }>`SELECT id FROM runs
          WHERE state = 'running' AND format = ${format}
          AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = runs.worker) ORDER BY number`
        const back: Array<string> = []
        for (const { id } of orphans) {
          if ((yield* giveBack(id, { lost: true, maxStrikes })) !== undefined) back.push(id)
        }
        yield* endBound
        return back
      })
    )
  })

  const workers: RunStoreService["workers"] = reading(Effect.gen(function*() {
    const running = yield* sql<{ readonly id: string; readonly worker: string }>`SELECT id, worker FROM runs
      WHERE state = 'running' ORDER BY number`
    return (yield* rowsOfWorkers).flatMap((row) =>
      Option.toArray(Option.map(decodeWorker(row.worker), (worker) => ({
        ...worker,
        startedAt: row.started_at,
        seenAt: row.seen_at,
        runs: running.filter((run) => run.worker === row.id).map(({ id }) => id)
      })))
    )
  }))

  const beyond = Effect.fnUntraced(function*(keep: Keep) {
    const at = yield* now
    return (yield* sql<{ readonly id: string }>`SELECT id FROM (
      SELECT id, ended_at,
        sum(bytes) OVER (ORDER BY ended_at DESC, number ROWS UNBOUNDED PRECEDING) AS total,
        row_number() OVER (ORDER BY ended_at DESC, number) AS position
      FROM runs WHERE ended_at IS NOT NULL AND starred = 0 AND format = ${format}
    ) AS ended WHERE total > ${Math.min(keep.bytes, Number.MAX_VALUE)} OR position > ${
      Math.min(keep.runs, 2 ** 31)
    } OR abs(${at} - ended_at) >= ${Math.min(keep.time, Number.MAX_VALUE)}`).map(({ id }) => id)
  })

  const prune: RunStoreService["prune"] = Effect.fnUntraced(function*({ ids = [], keep }) {
    const old = keep === undefined ? [] : yield* reading(beyond(keep))
    const removed: Array<RunRecord> = []
    for (const part of chunks([...new Set([...ids, ...old])], atOnce)) {
      removed.push(
        ...yield* writing(() =>
          Effect.gen(function*() {
            const rows = yield* sql<Stored>`SELECT record FROM runs
              WHERE ${sql.in("id", part)} AND ended_at IS NOT NULL AND format = ${format} ${forUpdate}`
            const runs = decoded(rows).filter((run) => isEnded(run) && (!run.starred || ids.includes(run.id)))
            for (const gone of chunks(runs.map(({ id }) => id), atOnce)) {
              yield* sql`DELETE FROM run_events WHERE ${sql.in("run_id", gone)}`
              yield* sql`DELETE FROM run_blobs WHERE ${sql.in("run_id", gone)}`
              yield* sql`DELETE FROM runs WHERE ${sql.in("id", gone)}`
            }
            yield* Effect.forEach(runs, ({ id }) => announce(id), { discard: true })
            return runs
          })
        )
      )
    }
    yield* writingFleeting(() =>
      Effect.flatMap(now, (at) =>
        sql`DELETE FROM run_events WHERE kind = 'Progressed' AND run_id IN (
          SELECT id FROM runs WHERE ended_at < ${at - progressKept}
        )`)
    )
    return removed
  })

  const named: RunStoreService["named"] = (hashes) =>
    reading(Effect.gen(function*() {
      const found = new Set<string>()
      for (const part of chunks(hashes, atOnce)) {
        const rows = yield* sql<{ readonly hash: string }>`SELECT DISTINCT hash FROM run_blobs
          WHERE ${sql.in("hash", part)}`
        for (const { hash } of rows) found.add(hash)
      }
      return found
    }))

  const setPreview = (id: string, { height, png, step, width }: StoredPreview) =>
    writingFleeting(() =>
      Effect.gen(function*() {
        const row = { run_id: id, step, width, height, png }
        yield* sql`INSERT INTO run_previews ${sql.insert(row)} ON CONFLICT (run_id) DO UPDATE SET
          step = excluded.step, width = excluded.width, height = excluded.height, png = excluded.png`
        yield* announce(id, "progress")
      })
    )

  const getPreview = (id: string) =>
    reading(
      Effect.map(
        sql<StoredPreview>`SELECT step, width, height, png FROM run_previews WHERE run_id = ${id}`,
        ([row]) => Option.fromUndefinedOr(row)
      )
    )

  yield* Effect.flatMap(
    command(() => Effect.provideService(sqlSchema.migrate, SqlClient.SqlClient, sql)).pipe(
      Effect.catchTag("MigrationError", (error) => Effect.fail(Failure.migrationFailure(failures, error)))
    ),
    (version) =>
      version <= sqlSchema.version ? Effect.void : Effect.fail(
        new RunStoreError({
          where: failures.where,
          reason: "a newer version of Serena has changed its tables",
          advice: "Install that version here too, or use another database"
        })
      )
  )
  yield* Effect.forkScoped(database.watch(publish))

  return RunStore.of({
    outlives: true,
    where: failures.where,
    progressEvery: database.progressEvery,
    previews: isPostgres ? { set: setPreview, get: getPreview } : undefined,
    submit,
    take,
    append,
    read: (id, after) =>
      reading(
        Effect.map(
          sql<{ readonly seq: number; readonly at: number; readonly event: string }>`SELECT seq, at, event
            FROM run_events WHERE run_id = ${id} AND seq > ${after} ORDER BY seq`,
          (rows) =>
            rows.flatMap(({ at, event, seq }): ReadonlyArray<Logged> =>
              Option.toArray(Option.map(decodeEvent(event), (event) => ({ seq, at, event })))
            )
        )
      ),
    get,
    list,
    queued,
    ahead,
    counts,
    move,
    retry,
    paused: reading(isPaused),
    pause,
    beat,
    leave,
    reclaim,
    workers,
    prune,
    named,
    changes: Stream.fromPubSub(changed),
    offers: Stream.fromPubSub(offered)
  })
})

const noAnswer = () => {
  const message = "no answer came in time"
  return new SqlError({ reason: new ConnectionError({ cause: new Error(message), message }) })
}

const needsOf = (key: string) =>
  Option.map(decodeNeeds(key), ([model, ...labels]): RunRecord["needs"] => ({ model, labels }))

/** Text as both databases hold it in a column: PostgreSQL has no place for the character 0. */
const plain = (text: string): string => text.toWellFormed().replaceAll("\0", "\uFFFD")

// Within JSON, a comma before a quotation mark is between two texts only.
const tagText = (tags: ReadonlyArray<string>): string => tags.map((tag) => `,${JSON.stringify(tag)}`).join("")

const columnsOf = Effect.fnUntraced(function*(run: RunRecord, lastEvent: number) {
  const { negative_prompt, prompt } = run.request
  return {
    task_id: run.taskId === null ? null : plain(run.taskId),
    client: plain(run.client),
    model: plain(run.needs.model),
    needs: plain(QueueOrder.needsKey(run.needs)),
    bound: plain(run.bound ?? ""),
    priority: run.priority,
    place: run.place,
    state: run.state,
    submitted_at: run.submittedAt,
    started_at: run.startedAt,
    ended_at: run.endedAt,
    worker: run.worker === null ? null : plain(run.worker),
    starred: run.starred ? 1 : 0,
    tags: tagText(run.tags),
    words: plain(`${prompt}\n${negative_prompt}`.toLowerCase()),
    bytes: sizeOf(run),
    last_event: lastEvent,
    record: yield* Effect.orDie(encodeRecord(run))
  }
})

function* chunks<A>(items: ReadonlyArray<A>, size: number): Generator<readonly [A, ...Array<A>]> {
  for (let from = 0; from < items.length; from += size) {
    const [first, ...rest] = items.slice(from, from + size)
    if (first !== undefined) yield [first, ...rest]
  }
}

/**
 * A SQLite database as Effect's `SqlClient`, on Node's own `node:sqlite`.
 *
 * The database lives in a thread of its own, which waits for the disk: each statement is a message to it. Transactions
 * begin with the right to write (`BEGIN IMMEDIATE`), and a transaction that has been committed is on the disk (WAL,
 * `synchronous = FULL`), apart from those under `beginFleeting`.
 */
import * as Effect from "effect/Effect"
import type * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, ConnectionError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { Worker } from "node:worker_threads"
import * as WorkerCalls from "../core/WorkerCalls.ts"

/** What the thread needs to begin. */
export interface ThreadData {
  readonly file: string
  /** Milliseconds for which a statement waits for another process. */
  readonly busyFor: number
}

/** To the thread. A script is one or more statements without parameters and rows. */
export interface Request {
  readonly id: number
  readonly kind: "rows" | "values" | "script"
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
}

/** From the thread. `code` is SQLite's extended result code, 0 for none. */
export type Reply =
  & { readonly id: number; readonly inTransaction: boolean }
  & ({ readonly rows: ReadonlyArray<unknown> } | { readonly failure: string; readonly code: number })

/** Milliseconds for which a statement waits while another process writes. */
const busyFor = 5000

/** The statement that begins a transaction which may be lost with the machine, but not with the process. */
export const beginFleeting = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE"

const begin = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE"

const threadUrl = new URL(import.meta.url.endsWith(".ts") ? "./sqliteThread.ts" : "./sqliteThread.js", import.meta.url)

/** Opens a database file, which is made with the first statement. Its thread ends with the scope. */
export const make = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<SqlClient.SqlClient, never, Scope.Scope | Reactivity.Reactivity> {
  const thread = yield* Effect.acquireRelease(Effect.sync(() => threadOf(file)), ({ end }) => end)
  const acquirers = SqlClient.makeSqliteAcquirers({
    connection: thread.connection,
    semaphore: yield* Semaphore.make(1),
    isTransaction: ({ inTransaction }) => inTransaction()
  })
  return yield* SqlClient.make({
    ...acquirers,
    compiler: Statement.makeCompilerSqlite(),
    driver: "sqlite-thread",
    beginTransaction: begin,
    spanAttributes: [["db.system.name", "sqlite"]]
  })
})

interface ThreadConnection extends Connection {
  readonly inTransaction: () => boolean
}

interface Thread {
  readonly connection: Effect.Effect<ThreadConnection>
  readonly end: Effect.Effect<void>
}

const lost = (reason: string) =>
  Effect.fail(
    new SqlError({ reason: new ConnectionError({ cause: new Error(reason), message: `its thread ended: ${reason}` }) })
  )

// A thread that died is replaced: the database has rolled its transaction back.
const threadOf = (file: string): Thread => {
  const start = () => {
    const data: ThreadData = { file, busyFor }
    // Node 22 and 24 print a warning for this module, which is stable enough for its few functions that are used here.
    const execArgv = ["--disable-warning=ExperimentalWarning"]
    const calls = WorkerCalls.make<Request, SqlError>(new Worker(threadUrl, { execArgv, workerData: data }), lost)
    return { calls, connection: connectionOf(calls) }
  }
  let current: ReturnType<typeof start> | undefined
  return {
    connection: Effect.sync(() => {
      if (current?.calls.isAlive() !== true) current = start()
      return current.connection
    }),
    end: Effect.suspend(() => current?.calls.end ?? Effect.void)
  }
}

const connectionOf = (calls: WorkerCalls.WorkerCalls<Request, SqlError>): ThreadConnection => {
  let inTransaction = false
  const ask = (kind: Request["kind"], sql: string, params: ReadonlyArray<unknown>) =>
    Effect.flatMap(calls.ask<Reply>((id) => ({ id, kind, sql, params })), (reply) => {
      inTransaction = reply.inTransaction
      return "rows" in reply ? Effect.succeed(reply.rows) : Effect.fail(failed(reply.failure, reply.code))
    })
  const rows: Connection["execute"] = (sql, params, transformRows) =>
    Effect.map(ask("rows", sql, params), (found) => transformRows?.(found.filter(isObject)) ?? found)
  const values: Connection["executeValues"] = (sql, params) =>
    Effect.map(ask("values", sql, params), (found) => found.filter((row) => Array.isArray(row)))
  return {
    inTransaction: () => inTransaction,
    execute: rows,
    executeRaw: (sql, params) => ask("rows", sql, params),
    executeStream: (sql, params, transformRows) => Stream.fromIterableEffect(rows(sql, params, transformRows)),
    executeValues: values,
    executeValuesUnprepared: values,
    // What begins and ends transactions.
    executeUnprepared: (sql, params, transformRows) =>
      params.length === 0 ? ask("script", sql, params) : rows(sql, params, transformRows)
  }
}

const isObject = (row: unknown): row is object => typeof row === "object" && row !== null

const failed = (message: string, code: number): SqlError =>
  new SqlError({ reason: classifySqliteError(Object.assign(new Error(message), { code }), { message }) })

/**
 * The thread of a SQLite database: it executes one statement for each message. It is started by `sqlite.ts` only.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import type { Reply, Request, ThreadData } from "./sqlite.ts"

/** The result code of SQLite's for a file that another connection has locked (`SQLITE_BUSY`). */
const locked = 5

/** Prepared statements that are kept; each text is one. */
const mostStatements = 200

const { busyFor, file }: ThreadData = workerData
const statements = new Map<string, StatementSync>()
let opened: DatabaseSync | undefined

const pause = new Int32Array(new SharedArrayBuffer(4))

// Statements wait for other processes by themselves. The one that changes a new file to a log ahead of writes does not:
// it finds it locked while another process does the same.
const patiently = (statement: () => void): void => {
  const end = performance.now() + busyFor
  for (;;) {
    try {
      return statement()
    } catch (error) {
      if ((codeOf(error) & 0xff) !== locked || performance.now() > end) throw error
      Atomics.wait(pause, 0, 0, 10)
    }
  }
}

// A file that cannot be opened may be there for the next statement.
const database = (): DatabaseSync => {
  if (opened !== undefined) return opened
  const database = new DatabaseSync(file, { timeout: busyFor })
  try {
    // Whatever is wrong with the file shows here, before a statement is accepted.
    patiently(() => database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"))
  } catch (error) {
    database.close()
    throw error
  }
  opened = database
  return database
}

const prepared = (sql: string): StatementSync => {
  const known = statements.get(sql)
  if (known !== undefined) return known
  const statement = database().prepare(sql)
  const oldest = statements.keys().next()
  if (statements.size >= mostStatements && oldest.done !== true) statements.delete(oldest.value)
  statements.set(sql, statement)
  return statement
}

const isValue = (value: unknown): value is SQLInputValue =>
  value === null || typeof value === "number" || typeof value === "string" || typeof value === "bigint" ||
  value instanceof Uint8Array

const perform = ({ kind, params, sql }: Request): ReadonlyArray<unknown> => {
  if (kind === "script") {
    database().exec(sql)
    return []
  }
  const values = params.filter(isValue)
  if (values.length !== params.length) throw new Error(`a parameter is no value of SQLite: ${sql}`)
  const statement = prepared(sql)
  statement.setReturnArrays(kind === "values")
  // Rows have no prototype, which messages of threads do not keep anyway.
  return statement.all(...values)
}

// 0 for what did not come from SQLite.
const codeOf = (error: unknown): number =>
  error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode : 0

parentPort?.on("message", (request: Request) => {
  const { id } = request
  let reply: Reply
  try {
    reply = { id, rows: perform(request), inTransaction: opened?.isTransaction === true }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    reply = { id, failure: message, code: codeOf(error), inTransaction: opened?.isTransaction === true }
  }
  parentPort?.postMessage(reply)
})

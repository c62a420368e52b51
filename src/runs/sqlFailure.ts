/**
 * What went wrong with a database, in words; and what is tried again.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { MigrationError } from "effect/sql/Migrator"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { RunStoreError } from "./RunStore.ts"

/** Milliseconds for which a command is tried again while the database cannot be reached. */
export const retryFor = 5000

interface Explained {
  readonly reason: string
  readonly advice: string
}

/** How the errors of one kind of database are read. */
export interface Failures {
  /** The file or address, without a password. */
  readonly where: string
  readonly explain: (error: SqlError) => Explained
  /** Whether the same command may succeed a moment later. */
  readonly passes: (error: SqlError) => boolean
}

/** A code of an error, or of an error that caused it. */
const codes = (error: unknown, depth = 0): ReadonlyArray<string | number> => {
  if (typeof error !== "object" || error === null || depth > 6) return []
  const own = "code" in error && (typeof error.code === "string" || typeof error.code === "number") ? [error.code] : []
  const inner = [
    "reason" in error ? error.reason : undefined,
    "cause" in error ? error.cause : undefined,
    ...("errors" in error && Array.isArray(error.errors) ? error.errors : [])
  ]
  return [...own, ...inner.flatMap((part) => codes(part, depth + 1))]
}

const sqliteReasons: Readonly<Record<number, Explained>> = {
  3: {
    reason: "there is no permission to use it",
    advice: "Give this user the right to write the file and its folder"
  },
  5: {
    reason: "another process has kept it locked for too long",
    advice: "End the other process that uses the file, or wait, then try again"
  },
  8: { reason: "it is read-only", advice: "Give this user the right to write the file and its folder, then try again" },
  10: { reason: "the disk reports an error", advice: "Check the disk and its file system, then start again" },
  11: {
    reason: "the file is damaged",
    advice: "Restore it from a backup, or move it away to begin with an empty history, then start again"
  },
  13: { reason: "the disk is full", advice: "Free space on the disk, or keep fewer runs, then try again" },
  14: {
    reason: "it cannot be opened",
    advice: "Check that its folder exists and that this user may read and write both, then start again"
  },
  26: {
    reason: "the file is no SQLite database, or its beginning is damaged",
    advice: "Restore it from a backup, or move it away to begin with an empty history, then start again"
  }
}

/** Errors of SQLite's, by its result codes. */
export const sqliteFailures = (file: string): Failures => ({
  where: file,
  explain: (error) => {
    const code = codes(error).find((code) => typeof code === "number")
    return (code === undefined ? undefined : sqliteReasons[code & 0xff]) ??
      { reason: error.message, advice: "Check the file and its disk, then start again" }
  },
  // A thread that died is replaced. All else has waited for its time already.
  passes: (error) => error.message.startsWith("its thread ended")
})

const waitAdvice = "Check that PostgreSQL runs at this address and that no firewall is between, then try again"

const postgresReasons: Readonly<Record<string, Explained>> = {
  ECONNREFUSED: { reason: "nothing listens there", advice: waitAdvice },
  ENOTFOUND: { reason: "there is no host of this name", advice: "Correct the host in the address, then start again" },
  EAI_AGAIN: { reason: "the name of the host cannot be looked up now", advice: waitAdvice },
  ETIMEDOUT: { reason: "it does not answer", advice: waitAdvice },
  EHOSTUNREACH: { reason: "no route leads there", advice: waitAdvice },
  "28P01": { reason: "it refuses the password", advice: "Correct user and password in the address, then start again" },
  "28000": {
    reason: "it refuses this user",
    advice: "Allow the user in pg_hba.conf, or correct the address, then start again"
  },
  "3D000": {
    reason: "it has no such database",
    advice: "Make the database with createdb, or correct its name in the address, then start again"
  },
  "42501": {
    reason: "the user has too few rights",
    advice: "Grant the user the rights that the guide to clusters lists, then try again"
  },
  "25006": {
    reason: "it is read-only, as a standby is",
    advice: "Use the address of the primary server, then start again"
  },
  "53100": { reason: "the disk of the server is full", advice: "Free space on the disk of the server, then try again" },
  "53300": {
    reason: "it has no connection left",
    advice: "Raise max_connections of the server, or put a pooler before it, then try again"
  },
  "25P03": {
    reason: "this process was silent within a transaction for longer than it waits",
    advice: "Give this process more processors or less work, then try again"
  },
  "57P01": { reason: "it is shutting down", advice: waitAdvice },
  "57P02": { reason: "it has crashed and is recovering", advice: waitAdvice },
  "57P03": { reason: "it is starting or shutting down", advice: waitAdvice },
  "42P01": {
    reason: "a table of Serena is missing",
    advice: "Restore the database from a backup, or empty it, then start again"
  },
  XX001: { reason: "its data are damaged", advice: "Restore the database from a backup, then start again" },
  XX002: { reason: "its data are damaged", advice: "Restore the database from a backup, then start again" }
}

const passing = new Set<string | number>([
  "25P03",
  "53300",
  "57P01",
  "57P02",
  "57P03",
  "40001",
  "40P01",
  "55P03",
  "ECONNREFUSED"
])

/** Errors of PostgreSQL's, by its SQLSTATE and by the system's codes. */
export const postgresFailures = (where: string): Failures => ({
  where,
  explain: (error) => {
    const known = codes(error).map((code) => postgresReasons[code]).find((found) => found !== undefined)
    if (known !== undefined) return known
    switch (error.reason._tag) {
      case "AuthenticationError":
        return {
          reason: "it refuses user or password",
          advice: "Correct user and password in the address, then start again"
        }
      case "ConnectionError":
      case "StatementTimeoutError":
        return { reason: "it cannot be reached, or the connection broke", advice: waitAdvice }
      default:
        return { reason: error.message, advice: "Look into the log of the server, then try again" }
    }
  },
  passes: (error) => error.reason._tag === "ConnectionError" || codes(error).some((code) => passing.has(code))
})

// A transaction whose connection broke dies of its ROLLBACK.
const sqlErrorOf = (cause: Cause.Cause<unknown>): SqlError | undefined =>
  cause.reasons.map((reason) =>
    Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
  ).find(isSqlError)

/** The error of a database in the words of the store. */
export const explained = ({ explain, where }: Failures, error: SqlError): RunStoreError =>
  new RunStoreError({ where, ...explain(error) })

/**
 * A command, which is tried again for `retryFor` while the database is away. `again` is true from the second time on:
 * the first may have done all that it should, without an answer.
 */
export const persistently = <A, E, R>(
  failures: Failures,
  command: (again: boolean) => Effect.Effect<A, E | SqlError, R>
): Effect.Effect<A, Exclude<E, SqlError> | RunStoreError, R> =>
  Effect.gen(function*() {
    const begun = yield* Clock.currentTimeMillis
    let pause = 50
    for (let again = false;; again = true) {
      const exit = yield* Effect.exit(command(again))
      if (exit._tag === "Success") return exit.value
      const error = sqlErrorOf(exit.cause)
      if (error === undefined) return yield* Effect.failCause(withoutSql(exit.cause))
      const isLate = (yield* Clock.currentTimeMillis) - begun + pause > retryFor
      if (isLate || !failures.passes(error)) return yield* explained(failures, error)
      yield* Effect.sleep(pause)
      pause = Math.min(pause * 2, 500)
    }
  })

const withoutSql = <E>(cause: Cause.Cause<E | SqlError>): Cause.Cause<Exclude<E, SqlError>> =>
  Cause.fromReasons(
    cause.reasons.map((reason) =>
      Cause.isFailReason(reason)
        ? isOther<E>(reason.error) ? Cause.makeFailReason(reason.error) : Cause.makeDieReason(reason.error)
        : reason
    )
  )

const isOther = <E>(error: E | SqlError): error is Exclude<E, SqlError> => !isSqlError(error)

/** Failed migrations as errors of the database. */
export const migrationFailure = (failures: Failures, error: MigrationError): RunStoreError => {
  const inner = isSqlError(error.cause) ? error.cause : undefined
  return inner === undefined
    ? new RunStoreError({
      where: failures.where,
      reason: `its tables cannot be made: ${error.message}`,
      advice: "Look into the log, and report the bug with it"
    })
    : explained(failures, inner)
}

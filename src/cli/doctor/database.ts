/**
 * What `serena doctor` says of a PostgreSQL database of runs. It reads only.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import * as SqlSchema from "effect/sql/SqlSchema"
import { type Finding, ok, problem, warning } from "./Finding.ts"

/** What was found of the database. */
export interface FoundDatabase {
  readonly findings: ReadonlyArray<Finding>
  /** How far its clock is ahead of this machine's, in milliseconds; undefined where it was not reached. */
  readonly ahead: number | undefined
}

/** The address for people, without a password; undefined for a text that is no address of PostgreSQL. */
const addressOf = (database: string): string | undefined => {
  const url = URL.parse(database)
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol)) return undefined
  return `${url.protocol}//${url.username === "" ? "" : `${url.username}@`}${url.host}${url.pathname}`
}

const Server = Schema.Struct({
  version: Schema.String,
  number: Schema.NumberFromString,
  replica: Schema.Boolean,
  readOnly: Schema.Boolean,
  most: Schema.NumberFromString,
  open: Schema.NumberFromString,
  canCreate: Schema.Boolean,
  user: Schema.String
})
const Now = Schema.Struct({ now: Schema.NumberFromString })
const Table = Schema.Struct({ schema: Schema.String, name: Schema.String })
const Version = Schema.Struct({ version: Schema.NullOr(Schema.NumberFromString) })
const Missing = Schema.Struct({ name: Schema.String })

/** The oldest version of PostgreSQL that its makers still correct. */
const leastVersion = 14
/** Round trips that are measured, and milliseconds that one may take. */
const trips = 5
const usualTrip = 20
const mostTrip = 250

const look = Effect.fn("doctor.database.look")(function*(where: string, url: string) {
  const sql = yield* PgClient.makeClient({
    url: Redacted.make(url),
    connectTimeout: "5 seconds",
    applicationName: "serena doctor"
  })
  const one = <S extends Schema.Constraint>(Result: S, execute: Effect.Effect<ReadonlyArray<unknown>, SqlError>) =>
    SqlSchema.findOne({ Request: Schema.Void, Result, execute: () => execute })(undefined)
  const all = <S extends Schema.Constraint>(Result: S, execute: Effect.Effect<ReadonlyArray<unknown>, SqlError>) =>
    SqlSchema.findAll({ Request: Schema.Void, Result, execute: () => execute })(undefined)

  const taken: Array<number> = []
  const ahead: Array<number> = []
  for (let i = 0; i < trips; i++) {
    const before = yield* Clock.currentTimeMillis
    const since = yield* Clock.currentTimeNanos
    const { now } = yield* one(Now, sql`SELECT (extract(epoch FROM clock_timestamp()) * 1000)::text AS now`)
    const trip = Number((yield* Clock.currentTimeNanos) - since) / 1e6
    taken.push(trip)
    ahead.push(now - before - trip / 2)
  }
  const latency = taken.toSorted((a, b) => a - b)[Math.floor(trips / 2)] ?? 0
  const server = yield* one(
    Server,
    sql`SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number,
      pg_is_in_recovery() AS replica, current_setting('transaction_read_only') = 'on' AS "readOnly",
      current_setting('max_connections') AS most, (SELECT count(*) FROM pg_stat_activity)::text AS open,
      coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS "canCreate", current_user AS user`
  )
  // The table of migrations, whatever it is named, is the one that counts them.
  const [migrations] = yield* all(
    Table,
    sql`SELECT table_schema AS schema, table_name AS name FROM information_schema.columns
      WHERE column_name = 'migration_id' AND table_schema = ANY (current_schemas(false)) LIMIT 1`
  )
  const schema: Finding | undefined = migrations === undefined
    ? server.canCreate
      ? ok("database", "it holds no runs yet; the first server or worker makes its tables")
      : problem(
        "database",
        `${server.user} must not make tables, and there are none yet`,
        `Let its owner execute: GRANT CREATE ON SCHEMA public TO ${server.user};`
      )
    : undefined
  const made = migrations === undefined ? [] : yield* Effect.gen(function*() {
    const missing = yield* all(
      Missing,
      sql`SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ${migrations.schema}
        AND table_type = 'BASE TABLE' AND NOT (
          has_table_privilege(format('%I.%I', table_schema, table_name), 'SELECT') AND
          has_table_privilege(format('%I.%I', table_schema, table_name), 'INSERT') AND
          has_table_privilege(format('%I.%I', table_schema, table_name), 'UPDATE') AND
          has_table_privilege(format('%I.%I', table_schema, table_name), 'DELETE'))`
    )
    if (missing.length > 0) {
      return [
        problem(
          "database",
          `${server.user} must not read and write ${missing.map(({ name }) => name).join(", ")}`,
          `Let their owner execute: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ` +
            `${migrations.schema} TO ${server.user};`
        )
      ]
    }
    const { version } = yield* one(
      Version,
      sql`SELECT max(migration_id)::text AS version FROM ${sql(`${migrations.schema}.${migrations.name}`)}`
    )
    return [ok("database", `its tables are of version ${version ?? 0}, and ${server.user} reads and writes them`)]
  })
  const trip = `${where}, PostgreSQL ${server.version}, ${latency.toFixed(1)} ms for a round trip`
  const reached = latency > mostTrip
    ? problem("database", trip, "Runs will begin late and workers may lose theirs. Put the database nearer.")
    : latency > usualTrip
    ? warning("database", trip, "Every run waits for several. Put the database nearer.")
    : ok("database", trip)
  const findings: ReadonlyArray<Finding> = [
    reached,
    ...(server.number < leastVersion * 10_000
      ? [warning("database", `PostgreSQL ${server.version} is out of support`, `Use ${leastVersion} or newer.`)]
      : []),
    ...(server.replica || server.readOnly
      ? [
        problem(
          "database",
          server.replica ? "it is a replica, which cannot be written" : "it is read-only",
          "Name the primary server, or let the database be written."
        )
      ]
      : []),
    ...(server.open > server.most * 0.8
      ? [
        warning(
          "database",
          `${server.open} of ${server.most} connections are open`,
          "Raise max_connections, or put PgBouncer in front of the database."
        )
      ]
      : []),
    ...(schema === undefined ? [] : [schema]),
    ...made
  ]
  // The shortest trip knows the clock best.
  return { findings, ahead: ahead[taken.indexOf(Math.min(...taken))] }
})

const advices: Readonly<Partial<Record<SqlError["reason"]["_tag"], string>>> = {
  AuthenticationError: "Correct the user and the password, and see pg_hba.conf of the server.",
  AuthorizationError: "Give this user the right to connect and to use the schema.",
  ConnectionError: "See that the address is right, that PostgreSQL runs there, and that no firewall is in between."
}

const causeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause instanceof Error) return causeOf(error.cause)
  return "code" in error && error.message === "" ? String(error.code) : error.message
}

/** What is found of the database at an address such as `postgres://user@host/serena`. */
export const databaseFindings = Effect.fn("doctor.database")(function*(
  database: string
): Effect.fn.Return<FoundDatabase> {
  const where = addressOf(database)
  const failed = (found: string, advice: string): FoundDatabase => ({
    findings: [problem("database", found, advice)],
    ahead: undefined
  })
  if (where === undefined) {
    return failed("--database is no address of PostgreSQL", "Write it as postgres://user:password@host:5432/database.")
  }
  return yield* look(where, database).pipe(
    Effect.scoped,
    Effect.provide(Reactivity.layer),
    Effect.catchTags({
      SqlError: (error) =>
        Effect.succeed(
          failed(
            `${where}: ${causeOf(error).replace(/\.$/, "")}`,
            advices[error.reason._tag] ?? "Correct that and try again."
          )
        ),
      NoSuchElementError: () => Effect.succeed(failed(`${where} gave no answer`, "See its log.")),
      SchemaError: ({ message }) =>
        Effect.succeed(failed(`${where} answered unlike PostgreSQL: ${message}`, "Use PostgreSQL itself."))
    })
  )
})

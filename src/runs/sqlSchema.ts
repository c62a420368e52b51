/**
 * The tables of the store in SQLite and in PostgreSQL, and how they come to be.
 *
 * Columns repeat what runs are filtered and ordered by; the record in `record` is what counts. Times are milliseconds
 * since the epoch. Migrations run in one transaction that holds a lock, so that of several processes one runs them.
 */
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** The table of the migrations that have run. */
const table = "serena_migrations"

const first = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const serial = sql.literal(sql.onDialectOrElse({
    pg: () => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    orElse: () => "integer PRIMARY KEY AUTOINCREMENT"
  }))
  // Ids, needs and tags are compared byte by byte, as SQLite does.
  const text = sql.literal(sql.onDialectOrElse({ pg: () => `text COLLATE "C"`, orElse: () => "text" }))
  const real = sql.literal("double precision")
  yield* sql`CREATE TABLE runs (
    number ${serial},
    id ${text} NOT NULL UNIQUE,
    format integer NOT NULL,
    task_id ${text},
    submission_key ${text} UNIQUE,
    client ${text} NOT NULL,
    model ${text} NOT NULL,
    needs ${text} NOT NULL,
    bound ${text} NOT NULL,
    priority integer NOT NULL,
    place ${real} NOT NULL,
    state ${text} NOT NULL,
    submitted_at ${real} NOT NULL,
    started_at ${real},
    ended_at ${real},
    worker ${text},
    starred integer NOT NULL,
    tags ${text} NOT NULL,
    words ${text} NOT NULL,
    bytes ${real} NOT NULL,
    last_event integer NOT NULL,
    record text NOT NULL
  )`
  yield* sql`CREATE INDEX runs_task ON runs (task_id, number) WHERE task_id IS NOT NULL`
  yield* sql`CREATE INDEX runs_listed ON runs (submitted_at, number)`
  yield* sql`CREATE INDEX runs_state ON runs (state, bytes)`
  yield* sql`CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL`
  yield* sql`CREATE INDEX runs_running ON runs (worker) WHERE state = 'running'`
  yield* sql`CREATE INDEX runs_order ON runs (priority DESC, place, id) WHERE state = 'queued'`
  yield* sql`CREATE INDEX runs_oldest ON runs (submitted_at) WHERE state = 'queued'`
  yield* sql`CREATE INDEX runs_bound ON runs (bound) WHERE state = 'queued' AND bound <> ''`
  yield* sql`CREATE INDEX runs_client ON runs (client, place) WHERE state = 'queued'`
  yield* sql`CREATE INDEX runs_kind ON runs (format, bound, needs, priority DESC, place, id) WHERE state = 'queued'`
  yield* sql`CREATE TABLE run_events (
    run_id ${text} NOT NULL,
    seq integer NOT NULL,
    at ${real} NOT NULL,
    kind ${text} NOT NULL,
    token ${text} NOT NULL,
    event text NOT NULL,
    PRIMARY KEY (run_id, seq)
  )`
  yield* sql`CREATE INDEX run_events_progress ON run_events (run_id) WHERE kind = 'Progressed'`
  yield* sql`CREATE TABLE run_blobs (hash ${text} NOT NULL, run_id ${text} NOT NULL, PRIMARY KEY (hash, run_id))`
  yield* sql`CREATE INDEX run_blobs_run ON run_blobs (run_id)`
  yield* sql`CREATE TABLE workers (
    id ${text} PRIMARY KEY,
    started_at ${real} NOT NULL,
    seen_at ${real} NOT NULL,
    process text,
    worker text NOT NULL
  )`
  yield* sql`CREATE TABLE run_meta (name ${text} PRIMARY KEY, number ${real} NOT NULL)`
  yield* sql`INSERT INTO run_meta (name, number) VALUES ('clock', 0), ('paused', 0)`
  // The latest previews need not outlive the server.
  yield* sql.onDialectOrElse({
    pg: () =>
      sql`CREATE UNLOGGED TABLE run_previews (
        run_id ${text} PRIMARY KEY, step integer NOT NULL, width integer NOT NULL, height integer NOT NULL,
        png bytea NOT NULL
      )`,
    orElse: () => Effect.void
  })
  // Counts changes, for those who may have missed the notification of one.
  yield* sql.onDialectOrElse({ pg: () => sql`CREATE SEQUENCE run_changes`, orElse: () => Effect.void })
})

const migrations = { "1_runs": first }

/** The schema that this version makes and understands. */
export const version = Object.keys(migrations).length

/** Brings the tables up to date. Returns the version of their schema, which a newer program may have made. */
export const migrate: Effect.Effect<number, Migrator.MigrationError | SqlError, SqlClient.SqlClient> = Effect.gen(
  function*() {
    const sql = yield* SqlClient.SqlClient
    yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations), table })
    const [newest] = yield* sql<{ readonly id: number }>`SELECT max(migration_id) AS id FROM ${sql(table)}`
    return newest?.id ?? 0
  }
)

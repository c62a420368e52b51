import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { DatabaseSync } from "node:sqlite"
import { beginFleeting, make } from "../../src/runs/sqlite.ts"

const file = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped({ prefix: "serena-sqlite-" })),
  (folder) => `${folder}/test.db`
)

const test = <A, E>(
  name: string,
  trial: Effect.Effect<A, E, FileSystem.FileSystem | Reactivity.Reactivity | Scope.Scope>
) => it.live(name, () => Effect.provide(trial, Layer.merge(NodeServices.layer, Reactivity.layer)))

const values = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ readonly x: number }>`SELECT x FROM a ORDER BY x`, (rows) => rows.map(({ x }) => x))

describe("a SQLite database in a thread", () => {
  test(
    "keeps what a transaction has written, all or nothing",
    Effect.gen(function*() {
      const path = yield* file
      const sql = yield* make(path)
      yield* sql`CREATE TABLE a (x integer UNIQUE, y text, z blob)`
      yield* sql.withTransaction(sql`INSERT INTO a (x, y, z) VALUES (1, ${"ü"}, ${new Uint8Array([1, 2])})`)
      const failed = sql.withTransaction(
        Effect.andThen(sql`INSERT INTO a (x) VALUES (2)`, sql`INSERT INTO a (x) VALUES (1)`)
      )
      assert.strictEqual((yield* Effect.flip(failed)).reason._tag, "UniqueViolation")
      yield* sql.withTransaction(sql`INSERT INTO a (x) VALUES (3)`).pipe(
        Effect.provideService(SqlClient.BeginTransaction, beginFleeting)
      )
      assert.deepStrictEqual(yield* values(sql), [1, 3])
      assert.deepStrictEqual(yield* values(yield* make(path)), [1, 3])
      const [row] = yield* sql<{ readonly y: string; readonly z: Uint8Array }>`SELECT y, z FROM a WHERE x = 1`
      assert.deepStrictEqual([row?.y, row?.z], ["ü", new Uint8Array([1, 2])])
      assert.deepStrictEqual(yield* sql`SELECT x, y FROM a`.values, [[1, "ü"], [3, null]])
    })
  )

  test(
    "waits with a new file, too, until another process has ended its first transaction",
    Effect.gen(function*() {
      const path = yield* file
      const first = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(path)),
        (database) => Effect.sync(() => database.close())
      )
      first.exec("CREATE TABLE a (x integer); BEGIN IMMEDIATE; INSERT INTO a (x) VALUES (1)")
      const reading = yield* Effect.forkScoped(Effect.flatMap(make(path), values), { startImmediately: true })
      const early = yield* Effect.timeoutOption(Effect.exit(Fiber.join(reading)), "300 millis")
      assert.isTrue(Option.isNone(early))
      first.exec("COMMIT")
      assert.deepStrictEqual(yield* Fiber.join(reading), [1])
    })
  )

  test(
    "waits until another process, or another client, has ended its transaction",
    Effect.gen(function*() {
      const path = yield* file
      const one = yield* make(path)
      const other = yield* make(path)
      yield* one`CREATE TABLE a (x integer)`
      const add = (sql: SqlClient.SqlClient) =>
        sql.withTransaction(Effect.gen(function*() {
          const [row] = yield* sql<{ readonly next: number }>`SELECT count(*) AS next FROM a`
          yield* sql`INSERT INTO a (x) VALUES (${row?.next})`
        }))
      yield* Effect.forEach(Array.from({ length: 40 }, (_, index) => index % 2 === 0 ? one : other), add, {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(yield* values(one), Array.from({ length: 40 }, (_, index) => index))
    })
  )

  test(
    "ends a transaction that is interrupted, and goes on",
    Effect.gen(function*() {
      const sql = yield* make(yield* file)
      yield* sql`CREATE TABLE a (x integer)`
      const never = sql.withTransaction(Effect.andThen(sql`INSERT INTO a (x) VALUES (1)`, Effect.never))
      yield* Effect.timeoutOption(never, 50)
      yield* sql.withTransaction(sql`INSERT INTO a (x) VALUES (2)`)
      assert.deepStrictEqual(yield* values(sql), [2])
    })
  )

  test(
    "opens a file that was not there before as soon as it can be",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* file
      const sql = yield* make(`${path}/in/a/folder.db`)
      assert.strictEqual((yield* Effect.flip(sql`SELECT 1`)).reason._tag, "ConnectionError")
      yield* fs.makeDirectory(`${path}/in/a`, { recursive: true })
      assert.strictEqual((yield* sql`SELECT 1 AS one`).length, 1)
    })
  )
})

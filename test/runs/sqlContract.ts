/** What a `RunStore` in a database promises besides: several stores on one database. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { RunStore, type RunStoreError } from "../../src/runs/RunStore.ts"
import { done, newRun, newWorker, progressed } from "./newRun.ts"

const bounds = { queue: 1000 }

interface Databases<D> {
  /** An empty database. */
  readonly make: Effect.Effect<D, unknown, FileSystem.FileSystem | Scope.Scope>
  readonly store: (database: D) => Layer.Layer<RunStore, RunStoreError, FileSystem.FileSystem>
  readonly client: (database: D) => Layer.Layer<SqlClient, unknown>
}

/** The tests of stores on databases. */
export const sqlContract = <D>({ client, make, store }: Databases<D>): void => {
  const open = (database: D) => Effect.map(Layer.build(Layer.fresh(store(database))), Context.get(RunStore))
  const query = (database: D, text: string) =>
    Effect.scoped(
      Effect.provide(
        SqlClient.use((sql) => sql.unsafe<{ readonly id: string; readonly state: string }>(text)),
        Layer.fresh(client(database))
      )
    )
  const test = <A, E>(
    name: string,
    trial: (database: D) => Effect.Effect<A, E, FileSystem.FileSystem | Scope.Scope>
  ) => it.live(name, () => Effect.provide(Effect.flatMap(make, trial), NodeServices.layer))

  test("opens an empty database for all who come at once", (database) =>
    Effect.gen(function*() {
      const stores = yield* Effect.all(Array.from({ length: 5 }, () => open(database)), { concurrency: "unbounded" })
      for (const [number, { submit }] of stores.entries()) yield* submit(newRun(`r${number}`), bounds)
      for (const { counts } of stores) assert.strictEqual((yield* counts).queued, 5)
    }))

  test("keeps everything for the next process", (database) =>
    Effect.gen(function*() {
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const one = yield* open(database)
        yield* one.submit(newRun("a", { key: "k", taskId: "t" }), bounds)
        yield* one.submit(newRun("b"), bounds)
        yield* one.take(newWorker("w"))
        yield* one.append("a", [progressed(3)], { attempt: 1 })
        yield* one.pause(true)
        return [yield* one.get("a"), yield* one.read("a", 0), yield* one.workers, yield* one.list({ limit: 9 })]
      }))
      const other = yield* open(database)
      assert.deepStrictEqual(
        [yield* other.get("t"), yield* other.read("a", 0), yield* other.workers, yield* other.list({ limit: 9 })],
        before
      )
      assert.isTrue(yield* other.paused)
      assert.isFalse((yield* other.submit(newRun("c", { key: "k" }), bounds)).isNew)
    }))

  test("gives one run to two who submit with one key at once, and keeps the bound of the queue", (database) =>
    Effect.gen(function*() {
      const stores = [yield* open(database), yield* open(database)]
      for (let round = 0; round < 10; round++) {
        const results = yield* Effect.forEach(
          stores,
          ({ submit }, number) => submit(newRun(`r${round}.${number}`, { key: `k${round}` }), bounds),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(results.map(({ run }) => run.id)).size, 1)
        assert.strictEqual(results.filter(({ isNew }) => isNew).length, 1)
      }
      const tried = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, number) => number),
        (number) => Effect.option((stores[number % 2] ?? assert.fail()).submit(newRun(`s${number}`), { queue: 15 })),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(tried.filter(Option.isSome).length, 5)
    }))

  test("gives no run to two who take at once", (database) =>
    Effect.gen(function*() {
      const stores = [yield* open(database), yield* open(database), yield* open(database)]
      const [first = assert.fail()] = stores
      for (let number = 0; number < 30; number++) yield* first.submit(newRun(`r${number}`), bounds)
      const taken = yield* Effect.forEach(
        stores,
        (store, number) =>
          Effect.gen(function*() {
            const ids: Array<string> = []
            while (true) {
              const run = yield* store.take(newWorker(`w${number}`))
              if (Option.isNone(run)) return ids
              ids.push(run.value.id)
            }
          }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(taken.flat().length, 30)
      assert.strictEqual(new Set(taken.flat()).size, 30)
    }))

  test("tells the others of what has changed", (database) =>
    Effect.gen(function*() {
      const one = yield* open(database)
      const other = yield* open(database)
      const heard = yield* Effect.forkChild(
        Stream.runHead(Stream.filter(other.changes, (id) => id === "" || id === "a")),
        { startImmediately: true }
      )
      yield* one.submit(newRun("a"), bounds)
      assert.isTrue(Option.isSome(yield* Fiber.join(heard)))
    }))

  test("leaves alone what a newer version has written, and what nobody can read", (database) =>
    Effect.gen(function*() {
      const store = yield* open(database)
      for (const id of ["newer", "broken", "ended", "running", "known"]) yield* store.submit(newRun(id), bounds)
      yield* query(database, "UPDATE runs SET format = 2, record = '{\"format\":2}' WHERE id = 'newer'")
      yield* query(database, "UPDATE runs SET record = 'not JSON' WHERE id = 'broken'")
      yield* query(database, "UPDATE runs SET format = 2, state = 'done', ended_at = 0 WHERE id = 'ended'")
      yield* query(database, "UPDATE runs SET format = 2, state = 'running', worker = 'x' WHERE id = 'running'")
      assert.deepStrictEqual((yield* store.list({ limit: 10 })).runs.map(({ id }) => id), ["known"])
      assert.deepStrictEqual((yield* store.queued(10)).map(({ id }) => id), ["known"])
      assert.strictEqual(Option.getOrThrow(yield* store.take(newWorker("w"))).id, "known")
      assert.isTrue(Option.isNone(yield* store.take(newWorker("w"))))
      assert.deepStrictEqual(yield* store.reclaim({ maxStrikes: 3 }), [])
      assert.deepStrictEqual(yield* store.prune({ keep: { time: 0, bytes: 0, runs: 0 }, ids: ["ended"] }), [])
      for (const id of ["newer", "broken", "running"]) {
        assert.isTrue(Option.isNone(yield* store.get(id)))
        assert.isTrue(Option.isNone(yield* store.append(id, [{ _tag: "Cancelled" }, done])))
        assert.isTrue(Option.isNone(yield* store.retry(id)))
      }
      const rows = yield* query(database, "SELECT id, state FROM runs ORDER BY number")
      assert.deepStrictEqual(rows.map(({ id, state }) => ({ id, state })), [
        { id: "newer", state: "queued" },
        { id: "broken", state: "queued" },
        { id: "ended", state: "done" },
        { id: "running", state: "running" },
        { id: "known", state: "running" }
      ])
    }))

  test("refuses tables that a newer version has changed", (database) =>
    Effect.gen(function*() {
      yield* Effect.scoped(open(database))
      yield* query(database, "INSERT INTO serena_migrations (migration_id, name) VALUES (99, 'later')")
      const error = yield* Effect.flip(Effect.scoped(open(database)))
      assert.include(error.message, "newer version of Serena")
    }))
}

/** What every `RunStore` promises. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { QueueFull } from "../../src/contract/errors.ts"
import type { RunRecord } from "../../src/runs/RunRecord.ts"
import { lostAfter, mostProgress, type NewRun, RunStore } from "../../src/runs/RunStore.ts"
import { done, hash, image, newRun, newWorker, progressed } from "./newRun.ts"

const bounds = { queue: 100 }
const forgiving = { maxStrikes: 3 }

const submitAll = Effect.fnUntraced(function*(runs: ReadonlyArray<NewRun>) {
  const store = yield* RunStore
  for (const run of runs) yield* store.submit(run, bounds)
})

const takeAll = (worker = newWorker("w")) =>
  Effect.gen(function*() {
    const store = yield* RunStore
    const taken: Array<string> = []
    while (true) {
      const run = yield* store.take(worker)
      if (Option.isNone(run)) return taken
      taken.push(run.value.id)
    }
  })

const ids = (runs: ReadonlyArray<RunRecord>) => runs.map(({ id }) => id)

/** Takes a run and ends it with images. */
const finish = Effect.fnUntraced(function*(id: string, images = [image(0)]) {
  const store = yield* RunStore
  const run = Option.getOrThrow(yield* store.take(newWorker("w")))
  assert.strictEqual(run.id, id)
  const { attempt } = run
  yield* store.append(id, [{ _tag: "ImagesMade", images, extras: [] }, done], { attempt })
})

/**
 * The tests of a store.
 *
 * @param layer A store that is empty when the layer is built.
 * @param pass Lets time pass: for a store whose clock is a `TestClock`, or by making everything in it older.
 */
export const storeContract = <R, E>(
  layer: Layer.Layer<RunStore | R, E>,
  { live, pass }: { readonly live: boolean; readonly pass: (milliseconds: number) => Effect.Effect<void, unknown, R> }
): void => {
  const test = <A, E2>(name: string, trial: Effect.Effect<A, E2, RunStore | R>) =>
    (live ? it.live : it.effect)(name, () => Effect.provide(trial, layer))

  test(
    "accepts a run, keeps it as it was asked for, and logs that",
    Effect.gen(function*() {
      const store = yield* RunStore
      const asked = newRun("a", {
        taskId: "my task",
        sent: { init_images: [hash(1)], mask: hash(2), control_units: [{ image: null, mask: hash(3) }] },
        seeds: { seed: 2n ** 63n + 1n, subseed: 5 },
        settings: { sd_vae: "x", list: [1, null, { a: "b" }] },
        needs: { model: "m", labels: ["gpu", "site=eu"] },
        prompt: "zero \u0000, a lone \ud800, 'quotes' and \"more\"",
        cost: 0.25
      })
      const { isNew, run } = yield* store.submit(asked, bounds)
      assert.isTrue(isNew)
      const { attempt, images, state, strikes, worker } = run
      assert.deepStrictEqual(
        { attempt, images, state, strikes, worker },
        { attempt: 0, images: [], state: "queued", strikes: 0, worker: null }
      )
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("a")), run)
      assert.deepInclude(run, asked)
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("my task")), run)
      assert.deepStrictEqual(yield* store.read("a", 0), [{ seq: 1, at: run.submittedAt, event: { _tag: "Submitted" } }])
      assert.isTrue(Option.isNone(yield* store.get("b")))
      assert.deepStrictEqual(yield* store.read("b", 0), [])
      assert.deepStrictEqual(yield* store.named([1, 2, 3, 4].map(hash)), new Set([1, 2, 3].map(hash)))
    })
  )

  test(
    "finds the newest of several runs that one client named alike",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a", { taskId: "t" }), newRun("b", { taskId: "t" }), newRun("c")])
      assert.strictEqual(Option.getOrThrow(yield* store.get("t")).id, "b")
    })
  )

  test(
    "gives one run to all who submit with one key",
    Effect.gen(function*() {
      const store = yield* RunStore
      const results = yield* Effect.forEach(
        ["a", "b", "c", "d"],
        (id) => store.submit(newRun(id, { key: "k" }), bounds),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(results.map(({ run }) => run.id)).size, 1)
      assert.strictEqual(results.filter(({ isNew }) => isNew).length, 1)
      const [{ run }] = [results[0] ?? assert.fail()]
      yield* finish(run.id)
      const again = yield* store.submit(newRun("e", { key: "k" }), { queue: 0 })
      assert.deepStrictEqual([again.run.id, again.run.state, again.isNew], [run.id, "done", false])
      assert.strictEqual((yield* store.counts).queued, 0)
    })
  )

  test(
    "refuses a run when the queue is full, and says when to retry",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a"), newRun("b")])
      const error = yield* Effect.flip(store.submit(newRun("c"), { queue: 2 }))
      assert.instanceOf(error, QueueFull)
      assert.deepInclude(error, { waiting: 2, retryAfter: 1 })
      assert.isTrue(Option.isNone(yield* store.get("c")))
      yield* store.take(newWorker("w"))
      assert.isTrue((yield* store.submit(newRun("c"), { queue: 2 })).isNew)
    })
  )

  test(
    "gives clients their turns, and the runs of one client in their order",
    Effect.gen(function*() {
      yield* submitAll(["a1", "a2", "a3", "a4"].map((id) => newRun(id)))
      yield* submitAll(["b1", "b2"].map((id) => newRun(id, { client: "ben" })))
      assert.deepStrictEqual(yield* takeAll(), ["a1", "b1", "a2", "b2", "a3", "a4"])
    })
  )

  test(
    "gives higher priorities first",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a"), newRun("b", { priority: 2 }), newRun("c", { priority: -1 })])
      assert.deepStrictEqual(ids(yield* store.queued(10)), ["b", "a", "c"])
      assert.deepStrictEqual(ids(yield* store.queued(2)), ["b", "a"])
      assert.deepStrictEqual(yield* Effect.forEach(["b", "a", "c", "d"], store.ahead), [0, 1, 2, undefined])
      assert.strictEqual(Option.getOrThrow(yield* store.take(newWorker("w"))).id, "b")
      assert.deepStrictEqual(yield* Effect.forEach(["b", "a", "c"], store.ahead), [undefined, 1, 2])
    })
  )

  test(
    "gives a run to a worker that has what it needs, however many others wait before it",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll(
        Array.from({ length: 40 }, (_, index) =>
          newRun(`x${index}`, {
            needs: { model: index % 2 === 0 ? "xl" : "", labels: index % 2 === 0 ? [] : ["gpu"] }
          }))
      )
      yield* submitAll([newRun("a", { needs: { model: "m", labels: [] } })])
      yield* submitAll([newRun("b", { needs: { model: "m", labels: ["gpu"] } })])
      const worker = newWorker("w", { models: ["m"] })
      assert.deepStrictEqual(yield* takeAll(worker), ["a"])
      assert.deepStrictEqual(
        (yield* takeAll({ ...worker, labels: ["site=eu", "gpu"] })).filter((id) => id === "b").length,
        1
      )
      assert.strictEqual((yield* store.counts).queued, 20)
      assert.strictEqual((yield* takeAll()).length, 20)
    })
  )

  test(
    "leaves a run to a worker that has its model loaded, for a while",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* store.beat(newWorker("warm", { loaded: ["m"] }))
      yield* submitAll([newRun("a", { needs: { model: "m", labels: [] } })])
      const cold = newWorker("cold", { loaded: ["n"] })
      assert.isTrue(Option.isNone(yield* store.take(cold)))
      assert.isTrue(Option.isSome(yield* store.take(newWorker("warm", { loaded: ["m"] }))))
      yield* submitAll([newRun("b", { needs: { model: "m", labels: [] } })])
      yield* pass(2500)
      assert.isTrue(Option.isSome(yield* store.take(cold)))
    })
  )

  test(
    "gives a bound run to its own process only, and ends it with that process",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* store.beat(newWorker("front"))
      yield* submitAll(["a", "b", "c"].map((id) => newRun(id, { bound: "front" })))
      assert.isTrue(Option.isNone(yield* store.take(newWorker("w"))))
      assert.strictEqual(Option.getOrThrow(yield* store.take(newWorker("front"))).id, "a")
      yield* store.leave("front")
      const { runs } = yield* store.list({ limit: 10 })
      assert.deepStrictEqual(runs.map(({ state }) => state), ["cancelled", "cancelled", "cancelled"])
    })
  )

  test(
    "takes no run twice, however many ask at once",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll(Array.from({ length: 30 }, (_, index) => newRun(`r${index}`)))
      const taken = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, index) => newWorker(`w${index}`)),
        store.take,
        { concurrency: "unbounded" }
      )
      const found = taken.flatMap((run) => Option.toArray(run))
      assert.strictEqual(found.length, 30)
      assert.strictEqual(new Set(ids(found)).size, 30)
      assert.isTrue(found.every(({ attempt, state }) => attempt === 1 && state === "running"))
    })
  )

  test(
    "gives nothing while the queue is paused",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a")])
      yield* store.pause(true)
      assert.isTrue(yield* store.paused)
      assert.isTrue(Option.isNone(yield* store.take(newWorker("w"))))
      yield* store.pause(false)
      assert.isFalse(yield* store.paused)
      assert.isTrue(Option.isSome(yield* store.take(newWorker("w"))))
    })
  )

  test(
    "moves a queued run before another, and to the end",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a"), newRun("b"), newRun("c"), newRun("d", { priority: 1 })])
      assert.isTrue(yield* store.move("c", "b"))
      assert.deepStrictEqual(ids(yield* store.queued(10)), ["d", "a", "c", "b"])
      assert.isTrue(yield* store.move("a", undefined))
      assert.deepStrictEqual(ids(yield* store.queued(10)), ["d", "c", "b", "a"])
      assert.isTrue(yield* store.move("a", "d"))
      assert.deepStrictEqual(ids(yield* store.queued(10)), ["a", "d", "c", "b"])
      assert.isFalse(yield* store.move("e", "a"))
      assert.isFalse(yield* store.move("a", "e"))
      assert.deepStrictEqual((yield* store.read("c", 1)).map(({ event }) => event._tag), ["Moved"])
    })
  )

  test(
    "appends what fits, and nothing of a worker that has lost the run",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a")])
      assert.isTrue(Option.isNone(yield* store.append("a", [progressed(1)])))
      const { attempt } = Option.getOrThrow(yield* store.take(newWorker("w")))
      yield* store.append("a", [progressed(1)], { attempt })
      yield* store.append("a", [{ _tag: "Wished", wish: "interrupt" }])
      const made = yield* store.append("a", [{ _tag: "ImagesMade", images: [image(1), image(0)], extras: [] }], {
        attempt
      })
      assert.deepInclude(Option.getOrThrow(made), { images: [image(0), image(1)], wish: "interrupt" })
      yield* store.append("a", [{ _tag: "Returned", lost: false }], { attempt })
      const later = Option.getOrThrow(yield* store.take(newWorker("v")))
      assert.deepInclude(later, { attempt: 2, worker: "v", images: [image(0), image(1)], wish: null })
      for (const event of [progressed(2), { _tag: "ImagesMade" as const, images: [image(2)], extras: [] }, done]) {
        assert.isTrue(Option.isNone(yield* store.append("a", [event], { attempt })))
      }
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("a")), later)
      const ended = yield* store.append("a", [progressed(3), { ...done, warnings: ["w"] }, progressed(4)], {
        attempt: 2
      })
      assert.deepInclude(Option.getOrThrow(ended), { state: "done", warnings: ["w"], progress: null })
      const log = yield* store.read("a", 0)
      assert.deepStrictEqual(log.map(({ seq }) => seq), log.map((_, index) => index + 1))
      assert.deepStrictEqual(log.map(({ event }) => event._tag), [
        "Submitted",
        "Taken",
        "Progressed",
        "Wished",
        "ImagesMade",
        "Returned",
        "Taken",
        "Progressed",
        "Done"
      ])
      assert.deepStrictEqual((yield* store.read("a", 7)).map(({ seq }) => seq), [8, 9])
      assert.isTrue(Option.isNone(yield* store.append("b", [done])))
    })
  )

  test(
    "keeps the latest progress of a run only, and all other events",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a")])
      const { attempt } = Option.getOrThrow(yield* store.take(newWorker("w")))
      const steps = mostProgress + 20
      for (let from = 0; from < steps; from += 23) {
        yield* store.append(
          "a",
          Array.from({ length: Math.min(23, steps - from) }, (_, index) => progressed(from + index)),
          { attempt }
        )
      }
      const log = yield* store.read("a", 0)
      assert.deepStrictEqual(log.slice(0, 2).map(({ event }) => event._tag), ["Submitted", "Taken"])
      assert.strictEqual(log.length, 2 + mostProgress)
      assert.deepInclude(log.at(-1), { seq: 2 + steps, event: progressed(steps - 1) })
    })
  )

  test(
    "lists runs newest first, in pages, by what is asked for",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a", { prompt: "A red fox, in the snow" })])
      yield* finish("a")
      yield* store.append("a", [{ _tag: "Marked", starred: true, tags: ["win,ter", "b\"c"] }])
      yield* pass(1000)
      yield* submitAll([newRun("b", { prompt: "a blue 100% owl", client: "ben" })])
      yield* submitAll([newRun("c", { needs: { model: "m", labels: [] } })])
      const listed = (query: Partial<Parameters<typeof store.list>[0]>) =>
        Effect.map(store.list({ limit: 10, ...query }), ({ runs }) => ids(runs))
      assert.deepStrictEqual(yield* listed({}), ["c", "b", "a"])
      assert.deepStrictEqual(yield* listed({ search: "FOX  snow" }), ["a"])
      assert.deepStrictEqual(yield* listed({ search: "fox owl" }), [])
      assert.deepStrictEqual(yield* listed({ search: "100% o_l" }), [])
      assert.deepStrictEqual(yield* listed({ search: "100%" }), ["b"])
      assert.deepStrictEqual(yield* listed({ states: ["done"] }), ["a"])
      assert.deepStrictEqual(yield* listed({ states: ["queued", "running"] }), ["c", "b"])
      assert.deepStrictEqual(yield* listed({ states: [] }), [])
      assert.deepStrictEqual(yield* listed({ idBegins: "b" }), ["b"])
      assert.deepStrictEqual(yield* listed({ idBegins: "%" }), [])
      assert.deepStrictEqual(yield* listed({ model: "m" }), ["c"])
      assert.deepStrictEqual(yield* listed({ client: "ben" }), ["b"])
      assert.deepStrictEqual(yield* listed({ starred: true }), ["a"])
      assert.deepStrictEqual(yield* listed({ starred: false }), ["c", "b"])
      assert.deepStrictEqual(yield* listed({ tag: "win,ter" }), ["a"])
      assert.deepStrictEqual(yield* listed({ tag: "b\"c" }), ["a"])
      for (const tag of ["win", "ter", "c", "b"]) assert.deepStrictEqual(yield* listed({ tag }), [])
      const { submittedAt } = Option.getOrThrow(yield* store.get("b"))
      if (!live) {
        assert.deepStrictEqual(yield* listed({ from: submittedAt }), ["c", "b"])
        assert.deepStrictEqual(yield* listed({ to: submittedAt }), ["a"])
      }
      const first = yield* store.list({ limit: 2 })
      assert.deepStrictEqual([ids(first.runs), first.next], [["c", "b"], "b"])
      const second = yield* store.list({ limit: 2, before: "b" })
      assert.deepStrictEqual([ids(second.runs), second.next], [["a"], undefined])
    })
  )

  test(
    "counts runs and the bytes of ended ones",
    Effect.gen(function*() {
      const store = yield* RunStore
      const none = { queued: 0, running: 0, done: 0, interrupted: 0, failed: 0, cancelled: 0 }
      assert.deepStrictEqual(yield* store.counts, { ...none, oldest: undefined, bytes: 0 })
      yield* submitAll([newRun("a"), newRun("b"), newRun("c")])
      yield* finish("a", [image(0), image(1)])
      yield* store.append("c", [{ _tag: "Wished", wish: "cancel" }])
      const { submittedAt } = Option.getOrThrow(yield* store.get("b"))
      assert.deepStrictEqual(yield* store.counts, {
        ...none,
        queued: 1,
        done: 1,
        cancelled: 1,
        oldest: submittedAt,
        bytes: 2000
      })
    })
  )

  test(
    "puts an ended run into the queue again",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a"), newRun("b")])
      assert.isTrue(Option.isNone(yield* store.retry("a")))
      yield* store.append("a", [{ _tag: "Cancelled" }])
      const again = Option.getOrThrow(yield* store.retry("a"))
      assert.deepInclude(again, { state: "queued", endedAt: null })
      assert.deepStrictEqual(ids(yield* store.queued(10)), ["b", "a"])
      assert.isTrue(Option.isNone(yield* store.retry("c")))
      yield* finish("b")
      assert.isTrue(Option.isNone(yield* store.retry("b")))
    })
  )

  test(
    "knows the workers, what they are and what they hold",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a")])
      const worker = newWorker("w", { models: ["m"], loaded: ["m"], labels: ["gpu"], slots: 2 })
      assert.deepStrictEqual(yield* store.beat(worker), new Set())
      yield* store.take(worker)
      yield* pass(10)
      assert.deepStrictEqual(yield* store.beat({ ...worker, draining: true }), new Set(["a"]))
      const [known, ...others] = yield* store.workers
      assert.deepStrictEqual(others, [])
      assert.deepInclude(known, { ...worker, draining: true, runs: ["a"] })
      assert.isTrue(known !== undefined && known.startedAt < known.seenAt)
      yield* store.leave("w")
      assert.deepStrictEqual(yield* store.workers, [])
      assert.deepInclude(Option.getOrThrow(yield* store.get("a")), { state: "queued", strikes: 0 })
    })
  )

  test(
    "gives back the runs of a worker that is silent for longer than its lease, and of no other",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* store.beat(newWorker("w"))
      yield* store.beat(newWorker("v"))
      yield* submitAll([newRun("a"), newRun("b")])
      yield* store.take(newWorker("w"))
      yield* store.take(newWorker("v"))
      yield* pass(lostAfter / 2)
      yield* store.beat(newWorker("v"))
      assert.deepStrictEqual(yield* store.reclaim(forgiving), [])
      yield* pass(lostAfter / 2 + 1000)
      assert.deepStrictEqual(yield* store.reclaim(forgiving), ["a"])
      assert.deepStrictEqual(yield* store.reclaim(forgiving), [])
      assert.deepStrictEqual((yield* store.workers).map(({ id }) => id), ["v"])
      const run = Option.getOrThrow(yield* store.get("a"))
      assert.deepInclude(run, { state: "queued", strikes: 1, attempt: 1 })
      assert.deepStrictEqual(yield* store.beat(newWorker("w")), new Set())
      assert.isTrue(Option.isNone(yield* store.append("a", [done], { attempt: 1 })))
    })
  )

  test(
    "fails a run that has cost too many workers, and says so",
    Effect.gen(function*() {
      const store = yield* RunStore
      yield* submitAll([newRun("a")])
      for (const worker of ["u", "v", "w"]) {
        yield* store.take(newWorker(worker))
        if (worker === "u") {
          yield* store.append("a", [{ _tag: "ImagesMade", images: [image(0)], extras: [] }], { attempt: 1 })
        }
        yield* pass(lostAfter + 1000)
        assert.deepStrictEqual(yield* store.reclaim(forgiving), ["a"])
      }
      const { error, images, state, strikes } = Option.getOrThrow(yield* store.get("a"))
      assert.deepStrictEqual([state, strikes, images.length], ["failed", 2, 1])
      assert.deepInclude(error, { _tag: "WorkerLost", worker: "w", times: 3 })
    })
  )

  test(
    "removes ended runs beyond the bounds, the oldest first; starred ones stay",
    Effect.gen(function*() {
      const store = yield* RunStore
      const keep = { time: Infinity, bytes: Infinity, runs: Infinity }
      for (const [number, id] of ["a", "b", "c", "d"].entries()) {
        yield* submitAll([newRun(id)])
        yield* finish(id, [image(0, { blob: hash(number) }), image(1, { blob: hash(9) })])
        yield* pass(1000)
      }
      yield* submitAll([newRun("e")])
      yield* store.append("a", [{ _tag: "Marked", starred: true, tags: [] }])
      const removed = (keep: Parameters<typeof store.prune>[0]) =>
        Effect.map(store.prune(keep), (runs) => ids(runs).toSorted())
      assert.deepStrictEqual(yield* removed({ keep }), [])
      assert.deepStrictEqual(yield* removed({ keep: { ...keep, runs: 2 } }), ["b"])
      assert.deepStrictEqual(yield* removed({ keep: { ...keep, bytes: 2500 } }), ["c"])
      assert.deepStrictEqual(yield* store.named([0, 1, 2, 3, 9].map(hash)), new Set([0, 3, 9].map(hash)))
      assert.deepStrictEqual(yield* store.read("c", 0), [])
      yield* pass(60_000)
      assert.deepStrictEqual(yield* removed({ keep: { ...keep, time: 30_000 } }), ["d"])
      assert.deepStrictEqual(yield* removed({ ids: ["a", "e", "f"] }), ["a"])
      assert.deepStrictEqual(ids((yield* store.list({ limit: 10 })).runs), ["e"])
    })
  )

  test(
    "publishes the ids of runs that change",
    Effect.gen(function*() {
      const store = yield* RunStore
      const changes = yield* Effect.forkChild(Stream.runCollect(Stream.take(store.changes, 3)), {
        startImmediately: true
      })
      yield* submitAll([newRun("a"), newRun("b")])
      yield* store.append("a", [{ _tag: "Cancelled" }])
      const heard = (yield* Fiber.join(changes)).filter((id) => id !== "")
      assert.deepStrictEqual(heard, ["a", "b", "a"].slice(0, heard.length))
      assert.isTrue(heard.length >= 1)
    })
  )
}

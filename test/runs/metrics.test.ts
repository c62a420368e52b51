import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Semaphore from "effect/Semaphore"
import * as TestClock from "effect/testing/TestClock"
import * as Metrics from "../../src/instrumentation/Metrics.ts"
import * as modelMetrics from "../../src/models/metrics.ts"
import * as metrics from "../../src/runs/metrics.ts"
import type { Counts, KnownWorker } from "../../src/runs/RunStore.ts"
import { assertAnswers, samplesIn } from "./dashboard.ts"
import { done } from "./newRun.ts"

/** Metrics of the test's own, and nobody else's. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Metric.MetricRegistry, new Map())

const samples = Effect.map(Metrics.prometheus, samplesIn)

const now = 1_000_000

const counts: Counts = {
  queued: 7,
  running: 2,
  done: 40,
  interrupted: 1,
  failed: 3,
  cancelled: 0,
  oldest: now - 12_500,
  bytes: 5_000_000
}

const worker = (id: string, given: Partial<KnownWorker>): KnownWorker => ({
  id,
  name: id,
  models: undefined,
  loaded: [],
  labels: [],
  slots: 1,
  draining: false,
  version: "0",
  startedAt: 0,
  seenAt: now,
  runs: [],
  ...given
})

const workers = [
  worker("idle", { slots: 2, runs: ["a"], seenAt: now - 1500 }),
  worker("busy", { runs: ["b"], seenAt: now - 4000 }),
  worker("draining", { draining: true, runs: ["c"] }),
  worker("ahead of this clock", { seenAt: now + 60_000 }),
  worker("front end", { slots: 0, seenAt: 0 })
]

const observed = Effect.andThen(
  TestClock.setTime(now),
  metrics.observe({ counts: Effect.succeed(counts), workers: Effect.succeed(workers) })
)

const run = { attempt: 1, submittedAt: 1000, startedAt: 3000, endedAt: null, state: "running" } as const

/** One event of each kind that is counted. */
const worked = Effect.gen(function*() {
  yield* metrics.count({ _tag: "Taken", worker: "w", attempt: 1 }, run)
  yield* metrics.count({ _tag: "Returned", lost: false }, { ...run, state: "queued" })
  yield* metrics.countLost(2)
  yield* metrics.count({ _tag: "Taken", worker: "w", attempt: 2 }, { ...run, attempt: 2 })
  yield* metrics.count({ _tag: "Wished", wish: "skip" }, run)
  yield* metrics.count(done, {
    ...run,
    state: "done",
    endedAt: 43_000
  })
  yield* metrics.count({ _tag: "Marked", starred: true, tags: [] }, { ...run, state: "done", endedAt: 43_000 })
  yield* metrics.count({ _tag: "Wished", wish: "cancel" }, { ...run, state: "cancelled", startedAt: null, endedAt: 9 })
})

describe("the metrics of the queue", () => {
  it.effect("say what the store holds: runs by state, the oldest wait, workers and their silence", () =>
    Effect.gen(function*() {
      yield* observed
      const found = yield* samples
      const expected: ReadonlyArray<readonly [name: string, value: number]> = [
        ["serena_queue_runs{state=\"queued\"}", 7],
        ["serena_queue_runs{state=\"running\"}", 2],
        ["serena_queue_runs{state=\"failed\"}", 3],
        ["serena_queue_runs{state=\"cancelled\"}", 0],
        ["serena_queue_oldest_seconds", 12.5],
        ["serena_queue_kept_bytes", 5_000_000],
        ["serena_workers{state=\"idle\"}", 2],
        ["serena_workers{state=\"busy\"}", 1],
        ["serena_workers{state=\"draining\"}", 1],
        ["serena_worker_slots", 4],
        ["serena_worker_lease_age_seconds", 4],
        // From the start, so that the first event is a change.
        ["serena_queue_taken_total", 0],
        ["serena_queue_ended_total{state=\"failed\"}", 0],
        ["serena_queue_returned_total{reason=\"lost\"}", 0]
      ]
      for (const [name, value] of expected) assert.strictEqual(found.get(name), value, name)
    }).pipe(isolated))

  it.effect("are zero for an empty queue without workers", () =>
    Effect.gen(function*() {
      yield* metrics.observe({
        counts: Effect.succeed({ ...counts, queued: 0, oldest: undefined }),
        workers: Effect.succeed([])
      })
      const found = yield* samples
      assert.strictEqual(found.get("serena_queue_oldest_seconds"), 0)
      assert.strictEqual(found.get("serena_worker_lease_age_seconds"), 0)
      assert.strictEqual(found.get("serena_worker_slots"), 0)
    }).pipe(isolated))

  it.effect("count what happens to runs, each end once, and how long they waited and took", () =>
    Effect.gen(function*() {
      yield* worked
      const found = yield* samples
      const expected: ReadonlyArray<readonly [name: string, value: number]> = [
        ["serena_queue_taken_total", 2],
        ["serena_queue_returned_total{reason=\"drained\"}", 1],
        ["serena_queue_returned_total{reason=\"lost\"}", 2],
        ["serena_queue_ended_total{state=\"done\"}", 1],
        ["serena_queue_ended_total{state=\"cancelled\"}", 1],
        // The second beginning is no wait, and a run that never began has no duration.
        ["serena_queue_wait_seconds_count", 1],
        ["serena_queue_wait_seconds_sum", 2],
        ["serena_queue_run_duration_seconds_count{state=\"done\"}", 1],
        ["serena_queue_run_duration_seconds_sum{state=\"done\"}", 40]
      ]
      for (const [name, value] of expected) assert.strictEqual(found.get(name), value, name)
      assert.isFalse(found.has("serena_queue_run_duration_seconds_count{state=\"cancelled\"}"))
    }).pipe(isolated))

  it.effect("are those that the dashboard asks for, with their labels", () =>
    Effect.gen(function*() {
      yield* observed
      yield* worked
      yield* Effect.scoped(modelMetrics.loaded)
      yield* modelMetrics.inTurn(yield* Semaphore.make(1), Effect.void)
      assertAnswers(yield* samples)
    }).pipe(isolated))
})

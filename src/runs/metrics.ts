/**
 * Metrics of the queue and of those who work on it.
 *
 * Gauges say what the store holds, so all processes on one store export the same values: take the greatest of them.
 * Counters and histograms are what this process did: add them up.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type { RunEvent } from "./RunEvent.ts"
import { isEnded, type RunRecord, State } from "./RunRecord.ts"
import type { KnownWorker, RunStoreError, RunStoreService } from "./RunStore.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const runs = Metric.gauge("serena_queue_runs", { description: "Runs that are kept, by state" })

const oldest = Metric.gauge("serena_queue_oldest_seconds", {
  description: "How long the oldest queued run has waited; 0 for an empty queue",
  attributes: { unit: "seconds" }
})

const kept = Metric.gauge("serena_queue_kept_bytes", {
  description: "Size of the files of all ended runs",
  attributes: { unit: "bytes" }
})

const workers = Metric.gauge("serena_workers", {
  description: "Workers that take runs: idle, busy (no slot is free), or draining (they take no more)"
})

const slots = Metric.gauge("serena_worker_slots", { description: "Runs that all workers can execute at once" })

const leaseAge = Metric.gauge("serena_worker_lease_age_seconds", {
  description: "How long the worker that was silent for longest has been silent",
  attributes: { unit: "seconds" }
})

const taken = counter("serena_queue_taken_total", "Runs taken, as often as each was")

const ended = counter("serena_queue_ended_total", "Runs that came to their end, by state")

const returned = counter(
  "serena_queue_returned_total",
  "Runs given back to the queue, by reason: drained by their worker, or lost with it"
)

const seconds = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]

const wait = Metric.histogram("serena_queue_wait_seconds", {
  description: "Time from the submission of a run to its first beginning",
  attributes: { unit: "seconds" },
  boundaries: seconds
})

const duration = Metric.histogram("serena_queue_run_duration_seconds", {
  description: "Time from the first beginning of a run to its end",
  attributes: { unit: "seconds" },
  boundaries: seconds
})

/** How a worker is counted; undefined for a process that takes no runs. */
const conditionOf = (worker: Pick<KnownWorker, "draining" | "runs" | "slots">) =>
  worker.slots === 0
    ? undefined
    : worker.draining
    ? "draining"
    : worker.runs.length < worker.slots
    ? "idle"
    : "busy"

const conditions = ["idle", "busy", "draining"] as const

const endStates = State.literals.filter((state) => isEnded({ state }))

/** Every counter by its attributes. A rate needs the zero that comes before the first event. */
const counters: ReadonlyArray<Metric.Metric<number, unknown>> = [
  taken,
  ...endStates.map((state) => Metric.withAttributes(ended, { state })),
  ...["drained", "lost"].map((reason) => Metric.withAttributes(returned, { reason }))
]

/** Sets the gauges by what a store holds now. */
export const observe = Effect.fn("runs.metrics.observe")(function*(
  store: Pick<RunStoreService, "counts" | "workers">
): Effect.fn.Return<void, RunStoreError> {
  const counts = yield* store.counts
  const known = yield* store.workers
  const now = yield* Clock.currentTimeMillis
  // The store's clock may be ahead of this one.
  const since = (moment: number) => Math.max(0, now - moment) / 1000
  for (const state of State.literals) yield* Metric.update(Metric.withAttributes(runs, { state }), counts[state])
  yield* Metric.update(oldest, counts.oldest === undefined ? 0 : since(counts.oldest))
  yield* Metric.update(kept, counts.bytes)
  const takers = known.filter((worker) => worker.slots > 0)
  for (const state of conditions) {
    const found = takers.filter((worker) => conditionOf(worker) === state)
    yield* Metric.update(Metric.withAttributes(workers, { state }), found.length)
  }
  yield* Metric.update(slots, takers.reduce((sum, { draining, slots }) => sum + (draining ? 0 : slots), 0))
  yield* Metric.update(leaseAge, Math.max(0, ...takers.map(({ seenAt }) => since(seenAt))))
  for (const each of counters) yield* Metric.value(each)
})

/** Counts an event that was appended; `run` is the record that it led to. */
export const count = Effect.fnUntraced(function*(
  event: RunEvent,
  run: Pick<RunRecord, "attempt" | "endedAt" | "startedAt" | "state" | "submittedAt">
): Effect.fn.Return<void> {
  switch (event._tag) {
    case "Taken":
      yield* Metric.update(taken, 1)
      if (run.attempt === 1 && run.startedAt !== null) {
        yield* Metric.update(wait, Math.max(0, run.startedAt - run.submittedAt) / 1000)
      }
      return
    case "Returned":
      yield* givenBack(1, event.lost ? "lost" : "drained")
      if (isEnded(run)) yield* countEnd(run)
      return
    case "Cancelled":
    case "Done":
    case "Failed":
    case "Wished":
      if (isEnded(run)) yield* countEnd(run)
  }
})

/** A store whose changes are counted. */
export const counted = (store: RunStoreService): RunStoreService => ({
  ...store,
  take: (worker) =>
    Effect.tap(store.take(worker), (run) =>
      Option.isNone(run)
        ? Effect.void
        : count({ _tag: "Taken", worker: worker.id, attempt: run.value.attempt }, run.value)),
  append: (id, events, options) =>
    Effect.tap(store.append(id, events, options), (run) =>
      Option.isNone(run)
        ? Effect.void
        : Effect.forEach(events, (event) => count(event, run.value), { discard: true })),
  reclaim: (options) => Effect.tap(store.reclaim(options), ({ length }) => countLost(length))
})

/** Counts runs that were lost with their workers, as `RunStore.reclaim` returns them. */
export const countLost = (runs: number): Effect.Effect<void> => givenBack(runs, "lost")

const givenBack = (runs: number, reason: "drained" | "lost") =>
  Metric.update(Metric.withAttributes(returned, { reason }), runs)

const countEnd = ({ endedAt, startedAt, state }: Pick<RunRecord, "endedAt" | "startedAt" | "state">) =>
  Effect.andThen(
    Metric.update(Metric.withAttributes(ended, { state }), 1),
    startedAt === null || endedAt === null
      ? Effect.void
      : Metric.update(Metric.withAttributes(duration, { state }), Math.max(0, endedAt - startedAt) / 1000)
  )

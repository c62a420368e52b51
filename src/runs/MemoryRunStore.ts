/**
 * Runs in the memory of this process: they end with it.
 *
 * The log of a run holds its last events only. Ended runs are kept within the bounds.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { QueueFull } from "../contract/errors.ts"
import { accepted } from "./accepted.ts"
import * as ListQuery from "./listQuery.ts"
import * as QueueOrder from "./QueueOrder.ts"
import { apply, type Logged, type RunEvent } from "./RunEvent.ts"
import { blobsOf, isEnded, type RunRecord, sizeOf } from "./RunRecord.ts"
import {
  type Counts,
  type Keep,
  type KnownWorker,
  lostAfter,
  mostProgress,
  RunStore,
  type RunStoreService,
  type Worker
} from "./RunStore.ts"

interface Entry {
  run: RunRecord
  /** Oldest first; without the oldest of the progress, when there is much of it. */
  log: ReadonlyArray<Logged>
  seq: number
}

interface Memory {
  readonly entries: Map<string, Entry>
  readonly workers: Map<string, Omit<KnownWorker, "runs">>
  readonly changed: PubSub.PubSub<string>
  paused: boolean
  /** Place of the run that was taken last. */
  clock: number
  /** Milliseconds that each of the runs took that ended last. */
  latest: ReadonlyArray<number>
}

/** The store; its runs are those of this process. */
export const layer: Layer.Layer<RunStore> = Layer.effect(
  RunStore,
  Effect.gen(function*() {
    const memory: Memory = {
      entries: new Map(),
      workers: new Map(),
      changed: yield* PubSub.sliding<string>(4096),
      paused: false,
      clock: 0,
      latest: []
    }
    return RunStore.of(make(memory))
  })
)

const make = (memory: Memory): RunStoreService => {
  const { changed, entries, workers } = memory
  const now = Clock.currentTimeMillis
  const announce = (id: string) => PubSub.publish(changed, id)
  const find = (key: string): Entry | undefined =>
    entries.get(key) ?? [...entries.values()].findLast(({ run }) => run.taskId === key)
  return {
    where: "memory",
    outlives: false,
    progressEvery: 0,
    previews: undefined,
    submit: Effect.fnUntraced(function*(asked, bounds) {
      const known = asked.key === null ? undefined : withKey(memory, asked.key)
      if (known !== undefined) return { run: known, isNew: false }
      const waiting = queuedOf(memory)
      if (waiting.length >= bounds.queue) return yield* full(memory, waiting.length)
      const run = accepted(asked, { place: newPlace(memory, asked), submittedAt: yield* now })
      entries.set(run.id, { run, log: [{ seq: 1, at: run.submittedAt, event: { _tag: "Submitted" } }], seq: 1 })
      yield* announce(run.id)
      return { run, isNew: true }
    }),
    take: Effect.fnUntraced(function*(worker) {
      if (memory.paused) return Option.none()
      const at = yield* now
      const next = nextFor(memory, worker, at)
      if (next === undefined) return Option.none()
      const taken = change(memory, next, [{ _tag: "Taken", worker: worker.id, attempt: next.run.attempt + 1 }], { at })
      if (taken === undefined) return Option.none()
      memory.clock = Math.max(memory.clock, next.run.place)
      yield* announce(next.run.id)
      return Option.some(taken)
    }),
    append: Effect.fnUntraced(function*(id, events, { attempt } = {}) {
      const entry = entries.get(id)
      if (entry === undefined) return Option.none()
      const after = change(memory, entry, events, { at: yield* now, attempt })
      if (after === undefined) return Option.none()
      yield* announce(id)
      return Option.some(after)
    }),
    read: (id, after) => Effect.sync(() => entries.get(id)?.log.filter(({ seq }) => seq > after) ?? []),
    get: (key) => Effect.sync(() => Option.fromUndefinedOr(find(key)?.run)),
    list: (query) => Effect.sync(() => ListQuery.page([...entries.values()].map(({ run }) => run), query)),
    queued: (limit) => Effect.sync(() => queuedOf(memory).slice(0, limit)),
    ahead: (id) =>
      Effect.sync(() => {
        const waiting = queuedOf(memory).findIndex((run) => run.id === id)
        return waiting === -1 ? undefined : waiting + runningOf(memory).length
      }),
    counts: Effect.sync(() => countsOf([...entries.values()].map(({ run }) => run))),
    move: Effect.fnUntraced(function*(id, before) {
      const entry = entries.get(id)
      const goal = QueueOrder.moved(queuedOf(memory), id, before)
      if (entry === undefined || goal === undefined) return false
      change(memory, entry, [{ _tag: "Moved", ...goal }], { at: yield* now })
      yield* announce("")
      return true
    }),
    retry: Effect.fnUntraced(function*(id) {
      const entry = entries.get(id)
      if (entry === undefined) return Option.none()
      const place = newPlace(memory, entry.run)
      const after = change(memory, entry, [{ _tag: "Retried", place }], { at: yield* now })
      if (after === undefined) return Option.none()
      yield* announce(id)
      return Option.some(after)
    }),
    paused: Effect.sync(() => memory.paused),
    pause: (paused) =>
      Effect.suspend(() => {
        memory.paused = paused
        return announce("")
      }),
    beat: Effect.fnUntraced(function*(worker) {
      const seenAt = yield* now
      workers.set(worker.id, { ...worker, startedAt: workers.get(worker.id)?.startedAt ?? seenAt, seenAt })
      return new Set(runningOf(memory).filter((run) => run.worker === worker.id).map(({ id }) => id))
    }),
    leave: Effect.fnUntraced(function*(workerId) {
      workers.delete(workerId)
      yield* giveBack(memory, (run) => run.worker === workerId, { lost: false, maxStrikes: Infinity })
      yield* endBound(memory, (owner) => owner === workerId)
    }),
    reclaim: Effect.fnUntraced(function*({ maxStrikes }) {
      const at = yield* now
      for (const { id, seenAt } of workers.values()) if (at - seenAt > lostAfter) workers.delete(id)
      const isLost = (worker: string | null) => worker === null || !workers.has(worker)
      const back = yield* giveBack(memory, (run) => isLost(run.worker), { lost: true, maxStrikes })
      yield* endBound(memory, isLost)
      return back
    }),
    workers: Effect.sync(() =>
      Array.from(workers.values(), (worker): KnownWorker => ({
        ...worker,
        runs: runningOf(memory).filter((run) => run.worker === worker.id).map(({ id }) => id)
      }))
    ),
    prune: Effect.fnUntraced(function*({ ids = [], keep }) {
      const runs = [...entries.values()].map(({ run }) => run)
      const beyond = keep === undefined ? [] : beyondOf(runs, keep, yield* now)
      const removed = [...new Set([...runs.filter((run) => ids.includes(run.id) && isEnded(run)), ...beyond])]
      for (const { id } of removed) entries.delete(id)
      yield* Effect.forEach(removed, ({ id }) => announce(id), { discard: true })
      return removed
    }),
    named: (hashes) =>
      Effect.sync(() => {
        const all = new Set([...entries.values()].flatMap(({ run }) => Array.from(blobsOf(run))))
        return new Set(hashes.filter((hash) => all.has(hash)))
      }),
    changes: Stream.fromPubSub(changed),
    // Taking costs nothing here.
    offers: Stream.map(Stream.fromPubSub(changed), () => undefined)
  }
}

const withKey = ({ entries }: Memory, key: string): RunRecord | undefined =>
  [...entries.values()].find(({ run }) => run.key === key)?.run

const runningOf = ({ entries }: Memory): ReadonlyArray<RunRecord> =>
  [...entries.values()].map(({ run }) => run).filter(({ state }) => state === "running")

const queuedOf = ({ entries }: Memory): ReadonlyArray<RunRecord> =>
  [...entries.values()].map(({ run }) => run).filter(({ state }) => state === "queued").toSorted(QueueOrder.compare)

const newPlace = (memory: Memory, { client, cost }: Pick<RunRecord, "client" | "cost">): number => {
  const own = queuedOf(memory).filter((run) => run.client === client).map(({ place }) => place)
  return QueueOrder.placeOf(cost, { clock: memory.clock, last: own.length === 0 ? undefined : Math.max(...own) })
}

const full = (memory: Memory, waiting: number) =>
  new QueueFull({
    waiting,
    retryAfter: QueueOrder.retryAfter({ latest: memory.latest, running: runningOf(memory).length, waiting })
  })

const nextFor = (memory: Memory, worker: Worker, now: number): Entry | undefined => {
  const first = queuedOf(memory)
    .filter(({ bound, needs }) =>
      (bound === null ? worker.slots > 0 : bound === worker.id) && QueueOrder.canServe(worker, needs)
    )
    .slice(0, QueueOrder.window)
  const others = [...memory.workers.values()].filter(({ draining, id, slots }) =>
    id !== worker.id && !draining && slots > 0
  )
  const loadedElsewhere = new Set(others.flatMap(({ loaded }) => loaded))
  const chosen = QueueOrder.choose(first, worker, { loadedElsewhere, now })
  return chosen === undefined ? undefined : memory.entries.get(chosen.id)
}

// Applies the events that fit. Undefined when none does.
const change = (
  memory: Memory,
  entry: Entry,
  events: ReadonlyArray<RunEvent>,
  context: { readonly at: number; readonly attempt?: number | undefined }
): RunRecord | undefined => {
  const before = entry.run
  for (const event of events) {
    const after = apply(entry.run, event, context)
    if (after === undefined) continue
    entry.run = after
    entry.seq++
    entry.log = trimmed([...entry.log, { seq: entry.seq, at: context.at, event }])
  }
  if (entry.run === before) return undefined
  if (isEnded(entry.run) && !isEnded(before) && before.startedAt !== null) {
    const took = Math.max(0, context.at - before.startedAt)
    memory.latest = [took, ...memory.latest].slice(0, QueueOrder.paceOf)
  }
  return entry.run
}

const trimmed = (log: ReadonlyArray<Logged>): ReadonlyArray<Logged> => {
  let excess = log.reduce((count, { event }) => count + (event._tag === "Progressed" ? 1 : 0), 0) - mostProgress
  return excess <= 0 ? log : log.filter(({ event }) => event._tag !== "Progressed" || excess-- <= 0)
}

const giveBack = Effect.fnUntraced(function*(
  memory: Memory,
  isHis: (run: RunRecord) => boolean,
  { lost, maxStrikes }: { readonly lost: boolean; readonly maxStrikes: number }
) {
  const at = yield* Clock.currentTimeMillis
  const runs = runningOf(memory).filter(isHis)
  for (const run of runs) {
    const entry = memory.entries.get(run.id)
    if (entry === undefined) continue
    change(memory, entry, [QueueOrder.afterLoss(run, { lost, maxStrikes })], { at })
    yield* PubSub.publish(memory.changed, run.id)
  }
  return runs.map(({ id }) => id)
})

// Runs whose client waited in a process that is no more.
const endBound = Effect.fnUntraced(function*(memory: Memory, isGone: (owner: string) => boolean) {
  const at = yield* Clock.currentTimeMillis
  for (const run of queuedOf(memory)) {
    const entry = run.bound !== null && isGone(run.bound) ? memory.entries.get(run.id) : undefined
    if (entry === undefined) continue
    change(memory, entry, [{ _tag: "Cancelled" }], { at })
    yield* PubSub.publish(memory.changed, run.id)
  }
})

/** How many runs are in which state. */
const countsOf = (runs: ReadonlyArray<RunRecord>): Counts => {
  const of = (state: RunRecord["state"]) => runs.filter((run) => run.state === state).length
  const waiting = runs.filter(({ state }) => state === "queued").map(({ submittedAt }) => submittedAt)
  return {
    queued: of("queued"),
    running: of("running"),
    done: of("done"),
    interrupted: of("interrupted"),
    failed: of("failed"),
    cancelled: of("cancelled"),
    oldest: waiting.length === 0 ? undefined : Math.min(...waiting),
    bytes: runs.filter(isEnded).reduce((sum, run) => sum + sizeOf(run), 0)
  }
}

// Ended runs beyond the bounds: by age and number, and by the bytes of the files, oldest first. Age is how far the end
// is from now, also when a clock has been set back.
const beyondOf = (runs: ReadonlyArray<RunRecord>, keep: Keep, now: number): ReadonlyArray<RunRecord> => {
  const ended = runs.filter((run) => isEnded(run) && !run.starred)
    .toSorted((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0))
  let bytes = 0
  return ended.filter((run, index) => {
    bytes += sizeOf(run)
    return index >= keep.runs || bytes > keep.bytes || Math.abs(now - (run.endedAt ?? 0)) >= keep.time
  })
}

/**
 * The event logs of the runs, so that clients can disconnect and resume.
 *
 * Each run has a `RunLog`. Readers read at their own pace; one that falls behind by more than the log holds continues
 * with the oldest event in it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { isLast, type RunStatus } from "../../contract/Run.ts"
import { type QueuedRun, RunQueue } from "../host/RunQueue.ts"
import * as RunLog from "./RunLog.ts"
import { endOf, imageOf, liveStatusOf } from "./RunView.ts"

export class RunEvents extends Context.Service<RunEvents, {
  /** Starts a log for every run of the queue that has none, and drops the logs of discarded runs. */
  readonly follow: Effect.Effect<void>
  /** The events of a run after the one with a number; none when that was the last. */
  readonly after: (id: string, number: number) => Option.Option<Stream.Stream<RunLog.Logged>>
  /** The status of a run. */
  readonly statusOf: (run: QueuedRun) => Effect.Effect<RunStatus>
}>()("serena/server/v1/RunEvents") {
  static readonly layer: Layer.Layer<RunEvents, never, RunQueue> = Layer.effect(
    RunEvents,
    Effect.gen(function*() {
      const shell: Shell = {
        queue: yield* RunQueue,
        scope: yield* Effect.scope,
        lock: yield* Semaphore.make(1),
        entries: new Map()
      }
      // Also on a clock, so that a quiet server drops the logs of discarded runs.
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("1 minute"), follow(shell))))
      return RunEvents.of({
        follow: follow(shell),
        after: (id, number) => Option.flatMap(Option.fromUndefinedOr(shell.entries.get(id)), reader(number)),
        statusOf: (run) => statusOf(shell, run)
      })
    })
  )
}

/** The log of a run, and how readers learn of its changes. */
interface Entry {
  log: RunLog.RunLog
  readonly changed: PubSub.PubSub<void>
}

interface Shell {
  readonly queue: RunQueue["Service"]
  /** Ends the fibers that follow the runs. */
  readonly scope: Scope.Scope
  /** Held while a log changes. */
  readonly lock: Semaphore.Semaphore
  /** By the id of the run. */
  readonly entries: Map<string, Entry>
}

// Runs submitted through `/sdapi/v1` are logged too: the others move up when they end.
const follow = Effect.fnUntraced(function*(shell: Shell) {
  const all = yield* shell.queue.list
  const known = new Set(all.map(({ id }) => id))
  for (const id of shell.entries.keys()) if (!known.has(id)) shell.entries.delete(id)
  for (const run of all) if (!shell.entries.has(run.id)) yield* begin(shell, run)
}, Effect.uninterruptible)

const begin = Effect.fnUntraced(function*(shell: Shell, run: QueuedRun) {
  const entry: Entry = { log: RunLog.empty, changed: yield* PubSub.sliding<void>({ capacity: 1, replay: 1 }) }
  shell.entries.set(run.id, entry)
  yield* note(shell, entry, run)
  if (run.endedAt !== undefined) return
  yield* Stream.runForEach(shell.queue.watch(run.id), (now) => note(shell, entry, now)).pipe(
    Effect.andThen(Effect.suspend(() => moveUp(shell))),
    Effect.forkIn(shell.scope)
  )
})

// Logs what has changed in a run.
const note = Effect.fnUntraced(
  function*(shell: Shell, entry: Entry, run: QueuedRun) {
    if (RunLog.isEnded(entry.log)) return
    const next = run.endedAt === undefined
      ? liveLog(entry.log, run, yield* Clock.currentTimeMillis)
      : RunLog.ended(entry.log, yield* outcome(shell, run))
    if (next === entry.log) return
    entry.log = next
    yield* PubSub.publish(entry.changed, undefined)
  },
  (effect, { lock }) => lock.withPermits(1)(effect)
)

const liveLog = (log: RunLog.RunLog, run: QueuedRun, now: number): RunLog.RunLog => {
  const status = liveStatusOf(run, now)
  if (status._tag === "Queued") return RunLog.queued(log, status)
  const live = run.status._tag === "Running" ? run.status.progress : undefined
  const images = (live?.images ?? []).map((image) => imageOf(run.id, image))
  return RunLog.executing(log, { progress: status.progress, images, preview: live?.preview })
}

const outcome = Effect.fnUntraced(function*({ queue }: Shell, run: QueuedRun) {
  return endOf(run, yield* Effect.exit(queue.result(run.id)), yield* queue.images(run.id))
})

// Notes the new positions of waiting runs.
const moveUp = (shell: Shell) =>
  Effect.forEach(
    shell.entries,
    Effect.fnUntraced(function*([id, entry]) {
      if (entry.log.last?.event._tag !== "Queued") return
      const run = Option.getOrUndefined(yield* shell.queue.get(id))
      if (run?.status._tag === "Queued") yield* note(shell, entry, run)
    }),
    { discard: true }
  )

// The events after the one with a number, as they come; none when the log has ended before.
const reader = (number: number) => (entry: Entry): Option.Option<Stream.Stream<RunLog.Logged>> => {
  const { last } = entry.log
  if (last === undefined || (RunLog.isEnded(entry.log) && last.id <= number)) return Option.none()
  return Option.some(Stream.suspend(() => {
    let read = number
    const unread = Stream.suspend(() => {
      const events = RunLog.after(entry.log, read)
      read = events.at(-1)?.id ?? read
      return Stream.fromIterable(events)
    })
    return Stream.fromPubSub(entry.changed).pipe(
      Stream.flatMap(() => unread),
      Stream.takeUntil(({ event }) => isLast(event))
    )
  }))
}

const statusOf = Effect.fnUntraced(function*(shell: Shell, run: QueuedRun) {
  if (run.endedAt === undefined) return liveStatusOf(run, yield* Clock.currentTimeMillis)
  const log = shell.entries.get(run.id)?.log
  return (log === undefined ? undefined : RunLog.endOf(log)) ?? (yield* outcome(shell, run))
})

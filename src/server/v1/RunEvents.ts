/**
 * The event logs of the runs, so that clients can disconnect and resume.
 *
 * Each run has a log of its last events, numbered from 1. Readers read at their own pace; one that falls behind by more
 * than the log holds continues with the oldest event in it. Previews are large, so a log holds only the latest, until
 * the run ends. An image is logged once, when its file is finished.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { isLast, type Progress, type RunEvent, type RunImage, type RunStatus } from "../../contract/Run.ts"
import type * as RunState from "../../runner/RunState.ts"
import { type QueuedRun, RunQueue } from "../host/RunQueue.ts"
import { endOf, imageOf, liveStatusOf } from "./RunView.ts"

/** An event with its number and the preview that is new in it. */
export interface Logged {
  readonly id: number
  readonly event: RunEvent
  readonly preview: RunState.Preview | undefined
}

interface Log {
  events: ReadonlyArray<Logged>
  last: Logged | undefined
  lastPreview: RunState.Preview | undefined
  lastProgress: Progress | undefined
  /** Indices of the images that are logged. */
  readonly images: Set<number>
  readonly changed: PubSub.PubSub<void>
}

/** Largest number of events in the log of a run. */
const maxEvents = 256

export class RunEvents extends Context.Service<RunEvents, {
  /** Starts a log for every run of the queue that has none, and drops the logs of discarded runs. */
  readonly follow: Effect.Effect<void>
  /** The events of a run after the one with a number; none when that was the last. */
  readonly after: (id: string, number: number) => Option.Option<Stream.Stream<Logged>>
  /** The status of a run. */
  readonly statusOf: (run: QueuedRun) => Effect.Effect<RunStatus>
}>()("serena/server/v1/RunEvents") {
  static readonly layer: Layer.Layer<RunEvents, never, RunQueue> = Layer.effect(
    RunEvents,
    Effect.gen(function*() {
      const queue = yield* RunQueue
      const scope = yield* Effect.scope
      const lock = yield* Semaphore.make(1)
      const logs = new Map<string, Log>()

      const append = (log: Log, event: RunEvent, preview?: RunState.Preview) =>
        Effect.suspend(() => {
          const logged: Logged = { id: (log.last?.id ?? 0) + 1, event, preview }
          // The new preview replaces the previous one.
          const before = preview === undefined ? log.events : log.events.map(withoutPreview)
          log.events = [...before, logged].slice(-maxEvents)
          log.last = logged
          return PubSub.publish(log.changed, undefined)
        })

      const appendImages = (log: Log, images: ReadonlyArray<RunImage>) =>
        Effect.forEach(images.filter(({ index }) => !log.images.has(index)), (image) => {
          log.images.add(image.index)
          return append(log, { _tag: "Image", image })
        }, { discard: true })

      const outcome = Effect.fnUntraced(function*(run: QueuedRun) {
        return endOf(run, yield* Effect.exit(queue.result(run.id)), yield* queue.images(run.id))
      })

      const note = Effect.fnUntraced(function*(log: Log, run: QueuedRun) {
        if (log.last !== undefined && isLast(log.last.event)) return
        if (run.endedAt !== undefined) {
          const end = yield* outcome(run)
          yield* appendImages(log, end.images)
          log.events = log.events.map(withoutPreview)
          log.lastPreview = undefined
          yield* append(log, end)
          return
        }
        const status = liveStatusOf(run, yield* Clock.currentTimeMillis)
        if (status._tag === "Queued") {
          if (log.last?.event._tag === "Queued" && log.last.event.position === status.position) return
          yield* append(log, status)
          return
        }
        const { progress } = status
        const live = run.status._tag === "Running" ? run.status.progress : undefined
        yield* appendImages(log, (live?.images ?? []).map((image) => imageOf(run.id, image)))
        if (log.lastProgress !== undefined && isSameMoment(log.lastProgress, progress)) return
        log.lastProgress = progress
        const latest = live?.preview
        const preview = latest === log.lastPreview ? undefined : latest
        log.lastPreview = latest
        yield* append(log, { _tag: "Step", progress, preview: null }, preview)
      }, (effect) => lock.withPermits(1)(effect))

      // Notes the new positions of waiting runs.
      const moveUp = Effect.forEach(
        logs,
        ([id, log]) =>
          log.last?.event._tag !== "Queued" ? Effect.void : Effect.flatMap(
            queue.get(id),
            Option.match({
              onNone: () => Effect.void,
              onSome: (run) => run.status._tag === "Queued" ? note(log, run) : Effect.void
            })
          ),
        { discard: true }
      )

      const begin = Effect.fnUntraced(function*(run: QueuedRun) {
        const log: Log = {
          events: [],
          last: undefined,
          lastPreview: undefined,
          lastProgress: undefined,
          images: new Set(),
          changed: yield* PubSub.sliding<void>({ capacity: 1, replay: 1 })
        }
        logs.set(run.id, log)
        yield* note(log, run)
        if (run.endedAt !== undefined) return
        yield* Stream.runForEach(queue.watch(run.id), (now) => note(log, now)).pipe(
          Effect.andThen(Effect.suspend(() => moveUp)),
          Effect.forkIn(scope)
        )
      })

      // Runs submitted through `/sdapi/v1` are logged too: the others move up when they end.
      const follow = Effect.gen(function*() {
        const all = yield* queue.list
        const known = new Set(all.map(({ id }) => id))
        for (const id of logs.keys()) if (!known.has(id)) logs.delete(id)
        for (const run of all) if (!logs.has(run.id)) yield* begin(run)
      }).pipe(Effect.uninterruptible)

      const reader = (log: Log, number: number) =>
        Stream.suspend(() => {
          let read = number
          return Stream.fromPubSub(log.changed).pipe(
            Stream.flatMap(() =>
              Stream.suspend(() => {
                const unread = log.events.filter(({ id }) => id > read)
                read = unread.at(-1)?.id ?? read
                return Stream.fromIterable(unread)
              })
            ),
            Stream.takeUntil(({ event }) => isLast(event))
          )
        })

      const after = (id: string, number: number): Option.Option<Stream.Stream<Logged>> => {
        const log = logs.get(id)
        const isOver = log?.last === undefined || (isLast(log.last.event) && log.last.id <= number)
        return isOver ? Option.none() : Option.some(reader(log, number))
      }

      // Also on a clock, so that a quiet server drops the logs of discarded runs.
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep("1 minute"), follow)))

      return RunEvents.of({
        follow,
        after,
        statusOf: (run) =>
          Effect.suspend((): Effect.Effect<RunStatus> => {
            if (run.endedAt === undefined) return Effect.map(Clock.currentTimeMillis, (now) => liveStatusOf(run, now))
            const event = logs.get(run.id)?.last?.event
            return event?._tag === "Done" || event?._tag === "Failed" || event?._tag === "Cancelled"
              ? Effect.succeed(event)
              : outcome(run)
          })
      })
    })
  )
}

const withoutPreview = (logged: Logged): Logged =>
  logged.preview === undefined ? logged : { ...logged, preview: undefined }

// The estimated time left is not compared: it changes without an event.
const isSameMoment = (a: Progress, b: Progress): boolean =>
  a.job === b.job && a.text === b.text && a.batch === b.batch && a.batches === b.batches && a.step === b.step &&
  a.steps === b.steps && a.interrupted === b.interrupted && a.preview_step === b.preview_step

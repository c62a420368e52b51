/**
 * The logs of the runs that someone reads, so that clients can disconnect and resume.
 *
 * Each of these runs has one `RunLog` for all of its readers, fed from the store as long as there is one. Readers read
 * at their own pace; one that falls behind by more than the log holds continues with the oldest event in it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { RunsUnavailable } from "../../contract/errors.ts"
import { isLast } from "../../contract/Run.ts"
import { RunStore } from "../../runs/RunStore.ts"
import { RunQueue } from "../host/RunQueue.ts"
import * as RunLog from "./RunLog.ts"

export class RunEvents extends Context.Service<RunEvents, {
  /** The events of a run after the one with a number; none when that was the last, or for an unknown run. */
  readonly after: (
    id: string,
    number: number
  ) => Effect.Effect<Option.Option<Stream.Stream<RunLog.Entry>>, RunsUnavailable>
}>()("serena/server/v1/RunEvents") {
  static readonly layer: Layer.Layer<RunEvents, never, RunQueue | RunStore> = Layer.effect(
    RunEvents,
    Effect.gen(function*() {
      const services = yield* Effect.context<RunQueue | RunStore>()
      const tails = yield* RcMap.make({
        lookup: (id: string) => Effect.provideContext(follow(id), services),
        idleTimeToLive: "5 seconds"
      })
      return RunEvents.of({
        after: Effect.fnUntraced(function*(id, number) {
          const peek = Effect.map(RcMap.get(tails, id), ({ log }) => log)
          const { entries } = yield* Effect.scoped(peek)
          const last = entries.at(-1)
          if (last === undefined || (isLast(last.event) && last.seq <= number)) return Option.none()
          return Option.some(Stream.unwrap(Effect.map(Effect.orDie(RcMap.get(tails, id)), reader(number))))
        })
      })
    })
  )
}

/** The log of a run, and how readers learn of its changes. */
interface Tail {
  log: RunLog.RunLog
  readonly changed: PubSub.PubSub<void>
}

// Reads the log of a run, and goes on reading until the scope closes or the run ends.
const follow = Effect.fnUntraced(function*(
  id: string
): Effect.fn.Return<Tail, RunsUnavailable, RunQueue | RunStore | Scope.Scope> {
  const { changes } = yield* RunStore
  const tail: Tail = {
    log: RunLog.empty,
    changed: yield* PubSub.sliding<void>({ capacity: 1, replay: 1 })
  }
  // Subscribed before the first look, so that nothing is missed in between.
  const changed = yield* PubSub.sliding<void>({ capacity: 1, replay: 1 })
  // Every change of the queue can be one of a waiting run's place.
  const concerns = (changed: string) =>
    changed === id || changed === "" || tail.log.entries.at(-1)?.event._tag === "Queued"
  yield* Effect.forkScoped(
    Stream.runForEach(Stream.filter(changes, concerns), () => PubSub.publish(changed, undefined)),
    { startImmediately: true }
  )
  yield* extend(tail, id)
  yield* Stream.fromPubSub(changed).pipe(
    Stream.takeWhile(() => !RunLog.isEnded(tail.log)),
    Stream.runForEach(() =>
      Effect.catch(extend(tail, id), (error) => Effect.logDebug("Events could not be read yet", error.message))
    ),
    Effect.forkScoped
  )
  return tail
})

// Reads what has happened since.
const extend = Effect.fnUntraced(function*(tail: Tail, id: string) {
  const queue = yield* RunQueue
  const news = yield* queue.events(id, tail.log.seq)
  const isWaiting = tail.log.entries.at(-1)?.event._tag === "Queued"
  if (news.length === 0 && !isWaiting) return
  const run = Option.getOrUndefined(yield* queue.get(id))
  if (run === undefined) return
  const { record, status } = run
  const ahead = status._tag === "Queued" ? status.ahead : 0
  const preview = status._tag === "Running" ? status.progress?.preview : undefined
  const extended = RunLog.extended(tail.log, news, { record, ahead, preview })
  const next = status._tag === "Queued" ? RunLog.moved(extended, ahead) : extended
  if (next.order === tail.log.order) {
    tail.log = next
    return
  }
  tail.log = next
  yield* PubSub.publish(tail.changed, undefined)
})

// The events after the one with a number, as they come.
const reader = (number: number) => (tail: Tail): Stream.Stream<RunLog.Entry> => {
  const read = { id: number, order: 0 }
  const unread = Stream.suspend(() => {
    const entries = RunLog.after(tail.log, read)
    read.order = entries.at(-1)?.order ?? read.order
    return Stream.fromIterable(entries)
  })
  return Stream.fromPubSub(tail.changed).pipe(
    Stream.flatMap(() => unread),
    Stream.takeUntil(({ event }) => isLast(event))
  )
}

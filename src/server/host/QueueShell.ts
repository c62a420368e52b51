/**
 * Executes the runs of a queue, and holds what cannot be a value: fibers, deferred results, live progress.
 *
 * `QueueState` decides which runs execute and what is remembered of those that have ended.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { RunCancelled, ShuttingDown } from "../../contract/errors.ts"
import type { Processing } from "../../processing/Processing.ts"
import type { Pipeline } from "../../runner/Pipeline.ts"
import type { Processed } from "../../runner/Processed.ts"
import { processImages } from "../../runner/processImages.ts"
import type { ProcessingError } from "../../runner/ProcessingError.ts"
import type { RunnerHooks } from "../../runner/RunnerHooks.ts"
import { Runs } from "../../runner/Runs.ts"
import type { RunProgress, RunState } from "../../runner/RunState.ts"
import type { CaptureContext } from "../../runner/RuntimeContext.ts"
import { type HeldImage, heldImage, heldOutcome, outcomeOf, type RunFailure, sizeOf } from "./HeldResult.ts"
import * as QueueState from "./QueueState.ts"

type Phase = "queued" | "running" | "ended"

/** What an executing run is asked for. */
export type Wish = "interrupt" | "skip"

/** What belongs to a run besides its entry in the queue, until it ends: then it is dropped as a whole. */
export interface Handle {
  readonly phase: SubscriptionRef.SubscriptionRef<Phase>
  readonly processing: Processing
  /** Whether the result is held after the end. */
  readonly keep: boolean
  /** Completed when the run ends, and then left to those who wait for it. */
  readonly outcome: Deferred.Deferred<Processed, RunFailure>
  /** Wishes from before the run had a live state. */
  readonly wishes: Array<Wish>
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** Its progress while it executes. */
  live: RunState | undefined
  /** Why it will have ended without a result, once someone has asked for that. */
  cancelled: RunCancelled | ShuttingDown | undefined
}

export interface QueueShell {
  readonly bounds: QueueState.QueueBounds
  /** Seconds after which a run is asked to end and return what it has; never with 0. */
  readonly maxRunSeconds: number
  readonly runs: Runs["Service"]
  readonly services: Context.Context<CaptureContext | Pipeline | RunnerHooks>
  /** Ends the fibers of the runs. */
  readonly scope: Scope.Scope
  /** Of every run that waits or executes, by its id. */
  readonly handles: Map<string, Handle>
  /** Completed when the turn of other work comes. */
  readonly turns: Map<string, Deferred.Deferred<void, ShuttingDown>>
  /** How many runs execute. Changes after those who wait for a run know its outcome. */
  readonly executing: SubscriptionRef.SubscriptionRef<number>
  state: QueueState.QueueState
  /** The progress of the run that executes or executed last, without its images. */
  last: RunProgress | undefined
}

export const make = Effect.fnUntraced(function*(bounds: QueueState.QueueBounds, maxRunSeconds: number) {
  const shell: QueueShell = {
    bounds,
    maxRunSeconds,
    runs: yield* Runs,
    services: yield* Effect.context<CaptureContext | Pipeline | RunnerHooks>(),
    scope: yield* Effect.scope,
    handles: new Map(),
    turns: new Map(),
    executing: yield* SubscriptionRef.make(0),
    state: QueueState.empty,
    last: undefined
  }
  return shell
})

/** The handle of a run that waits. */
export const handleOf = Effect.fnUntraced(function*(processing: Processing, keep: boolean) {
  const handle: Handle = {
    phase: yield* SubscriptionRef.make<Phase>("queued"),
    processing,
    keep,
    outcome: yield* Deferred.make<Processed, RunFailure>(),
    wishes: [],
    fiber: undefined,
    live: undefined,
    cancelled: undefined
  }
  return handle
})

/** Starts what may start. */
export const pump = (shell: QueueShell): Effect.Effect<void> =>
  Effect.gen(function*() {
    const next = QueueState.start(shell.state, yield* Clock.currentTimeMillis, shell.bounds)
    shell.state = next.state
    for (const { id } of next.started) yield* execute(shell, id)
  })

const execute = Effect.fnUntraced(function*(shell: QueueShell, id: string) {
  const turn = shell.turns.get(id)
  if (turn !== undefined) {
    yield* Deferred.succeed(turn, undefined)
    return
  }
  const handle = shell.handles.get(id)
  if (handle === undefined) return
  yield* SubscriptionRef.set<Phase>(handle.phase, "running")
  const work = Effect.gen(function*() {
    yield* Effect.forkChild(follow(shell, id, handle), { startImmediately: true })
    if (shell.maxRunSeconds > 0) {
      yield* Effect.forkChild(Effect.andThen(Effect.sleep(shell.maxRunSeconds * 1000), ask(shell, id, "interrupt")))
    }
    return yield* processImages(handle.processing, { runId: id })
  }).pipe(
    Effect.provideContext(shell.services),
    Effect.onExit((exit) => finish(shell, id, exit)),
    // A fiber that has ended still has its result.
    Effect.asVoid
  )
  handle.fiber = yield* Effect.forkIn(work, shell.scope)
})

// Follows the live state of a run from its first moment: delivers earlier wishes and keeps the latest progress.
const follow = (shell: QueueShell, id: string, handle: Handle) =>
  Stream.runForEach(shell.runs.watch(id), (progress) =>
    Effect.gen(function*() {
      shell.last = { ...progress, images: [], preview: undefined }
      handle.live ??= Option.getOrUndefined(yield* shell.runs.get(id))
      yield* Effect.forEach(handle.wishes.splice(0), (wish) => ask(shell, id, wish), { discard: true })
    }))

/** Passes a wish to an executing run, at once or when it has a live state. */
export const ask = ({ handles, runs }: QueueShell, id: string, wish: Wish): Effect.Effect<void> =>
  Effect.flatMap(runs.get(id), (live) =>
    Option.isSome(live) ? live.value[wish] : Effect.sync(() => {
      handles.get(id)?.wishes.push(wish)
    }))

/** The images that a run has finished so far. */
export const finishedBy = ({ live }: Handle): Effect.Effect<ReadonlyArray<HeldImage>> =>
  live === undefined ? Effect.succeed([]) : Effect.map(live.progress, ({ images }) => images.map(heldImage))

const finish = Effect.fnUntraced(function*(shell: QueueShell, id: string, exit: Exit.Exit<Processed, ProcessingError>) {
  const handle = shell.handles.get(id)
  if (handle === undefined) return
  const outcome = outcomeOf(exit, handle.cancelled, id)
  if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
    yield* Effect.annotateLogs(Effect.logError("run failed", exit.cause), { "run.id": id })
  }
  const now = yield* Clock.currentTimeMillis
  const end = yield* endOf(handle, outcome)
  shell.handles.delete(id)
  shell.state = QueueState.finish(shell.state, id, { ...end, now }, shell.bounds)
  yield* Deferred.done(handle.outcome, outcome)
  yield* SubscriptionRef.set<Phase>(handle.phase, "ended")
  yield* refill(shell)
})

const endOf = Effect.fnUntraced(function*(handle: Handle, outcome: Exit.Exit<Processed, RunFailure>) {
  const held = heldOutcome(outcome)
  const finished = Exit.isSuccess(held) ? [] : yield* finishedBy(handle)
  const result = Exit.isSuccess(held) ? held.value : { images: finished, extraImages: [], warnings: [] }
  const end: QueueState.RunEnd = {
    ending: QueueState.endingOf(outcome),
    held: handle.keep ? sizeOf(result) : 0,
    outcome: held,
    finished
  }
  return end
})

const refill = Effect.fnUntraced(function*(shell: QueueShell) {
  yield* pump(shell)
  yield* SubscriptionRef.set(shell.executing, shell.state.executing.length)
})

/** Gives back the place of other work. */
export const leave = Effect.fnUntraced(function*(shell: QueueShell, id: string) {
  shell.turns.delete(id)
  const now = yield* Clock.currentTimeMillis
  shell.state = QueueState.finish(shell.state, id, { ending: { _tag: "Cancelled" }, held: 0, now }, shell.bounds)
  yield* refill(shell)
})

/** Ends a run that waits or executes, without a result. False for a run that has ended or is not known. */
export const end = Effect.fnUntraced(
  function*(shell: QueueShell, key: string, reason: (id: string) => RunCancelled | ShuttingDown) {
    const run = QueueState.find(shell.state, key)
    const handle = run === undefined ? undefined : shell.handles.get(run.id)
    if (run === undefined || handle === undefined || "ending" in run) return false
    handle.cancelled ??= reason(run.id)
    if (QueueState.position(shell.state, run.id) !== undefined) yield* finish(shell, run.id, Exit.interrupt())
    else if (handle.fiber !== undefined) yield* Effect.forkIn(Fiber.interrupt(handle.fiber), shell.scope)
    return true
  },
  Effect.uninterruptible
)

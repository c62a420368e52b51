/**
 * The runs of a server: those that wait, execute and have ended.
 *
 * A run belongs to this service, not to the HTTP request that submitted it: a handler that is interrupted because its
 * client disconnected cancels the run or leaves it alone. Runs execute in the order of submission, `concurrency` at a
 * time. `QueueState` decides, `QueueShell` executes, and this service is what the HTTP APIs see of both.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { randomUUID } from "node:crypto"
import { type QueueFull, RunCancelled, ShuttingDown } from "../../contract/errors.ts"
import type { AskedRequest } from "../../contract/Run.ts"
import * as ControlUnit from "../../processing/ControlUnit.ts"
import type { Processing } from "../../processing/Processing.ts"
import type { Pipeline } from "../../runner/Pipeline.ts"
import type { Processed } from "../../runner/Processed.ts"
import type { RunnerHooks } from "../../runner/RunnerHooks.ts"
import type { Runs } from "../../runner/Runs.ts"
import type { RunProgress } from "../../runner/RunState.ts"
import type { CaptureContext } from "../../runner/RuntimeContext.ts"
import { type HeldImage, heldOf, type HeldResult, type RunFailure } from "./HeldResult.ts"
import * as QueueShell from "./QueueShell.ts"
import * as QueueState from "./QueueState.ts"

export type QueuedStatus =
  /** `ahead`: how many runs execute or wait before it. */
  | { readonly _tag: "Queued"; readonly ahead: number }
  | { readonly _tag: "Running"; readonly progress: RunProgress | undefined }
  | QueueState.Ending

/** A run at one moment. */
export interface QueuedRun {
  readonly id: string
  /** The client's own name for it. */
  readonly taskId: string | undefined
  readonly request: AskedRequest
  readonly status: QueuedStatus
  /** Milliseconds since the epoch. */
  readonly submittedAt: number
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
}

/** A run that was accepted. */
export interface Submitted {
  readonly run: QueuedRun
  readonly result: Effect.Effect<Processed, RunFailure>
}

export interface SubmitOptions {
  readonly taskId?: string | undefined
  /** Whether the result is held for `result`, within the bounds. Off by default. */
  readonly keep?: boolean | undefined
}

export interface RunQueueOptions extends Partial<QueueState.QueueBounds> {
  /** Seconds after which a run is asked to end and return what it has. Never by default, or with 0. */
  readonly maxRunSeconds?: number | undefined
}

const defaultBounds: QueueState.QueueBounds = {
  concurrency: 1,
  queue: 32,
  keepRuns: 100,
  keepFor: 600_000,
  keepBytes: 256 * 2 ** 20
}

export class RunQueue extends Context.Service<RunQueue, {
  /** Accepts a run. Fails at once when the queue is full or the server shuts down. */
  readonly submit: (
    processing: Processing,
    options?: SubmitOptions
  ) => Effect.Effect<Submitted, QueueFull | ShuttingDown>
  /**
   * Does other work in a place of the queue, when its turn comes. It is no run: no list shows it. Interruption gives
   * the place back.
   */
  readonly occupy: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | QueueFull | ShuttingDown, R>
  /** The result of a run. None for an unknown run, or one whose result is not held any more. */
  readonly result: (id: string) => Effect.Effect<Option.Option<HeldResult>, RunFailure>
  /**
   * The images of a run that are finished: so far, of its result, or what it had made before it failed or was
   * cancelled. They are held as long as a result.
   */
  readonly images: (id: string) => Effect.Effect<ReadonlyArray<HeldImage>>
  /** Removes a waiting run, or ends an executing one after the network call in flight. There is no result. */
  readonly cancel: (id: string) => Effect.Effect<boolean>
  /** Asks an executing run to end after its current step and return what it has. Cancels a waiting one. */
  readonly interrupt: (id: string) => Effect.Effect<boolean>
  /** Asks an executing run to continue with its next batch. */
  readonly skip: (id: string) => Effect.Effect<boolean>
  /** The executing run that started first. */
  readonly current: Effect.Effect<Option.Option<QueuedRun>>
  /** The progress of the run that executes or executed last, without its images. */
  readonly last: Effect.Effect<RunProgress | undefined>
  /** All known runs: ended, executing, waiting, each in order. */
  readonly list: Effect.Effect<ReadonlyArray<QueuedRun>>
  /** Finds a run by its id, or by the client's name for it, where the newest one wins. */
  readonly get: (id: string) => Effect.Effect<Option.Option<QueuedRun>>
  /** A run now and after every change until it ends. A slow reader gets the latest state only. */
  readonly watch: (id: string) => Stream.Stream<QueuedRun>
  /** Whether runs are accepted. */
  readonly accepting: Effect.Effect<boolean>
  /**
   * Accepts nothing more and cancels waiting runs. Executing runs have `grace` milliseconds; after that they are asked
   * to end with what they have. Returns when none executes.
   */
  readonly drain: (grace: number) => Effect.Effect<void>
}>()("serena/server/host/RunQueue") {
  static readonly layer = (
    options: RunQueueOptions = {}
  ): Layer.Layer<RunQueue, never, CaptureContext | Pipeline | RunnerHooks | Runs> =>
    Layer.effect(RunQueue, make(options))
}

type KnownRun = QueueState.KnownRun & { readonly request: AskedRequest }

/** Whether it is a run, and not other work. */
const isRun = <K extends QueueState.KnownRun>(known: K): known is K & { readonly request: AskedRequest } =>
  known.request !== undefined

const make = Effect.fnUntraced(function*({ maxRunSeconds = 0, ...given }: RunQueueOptions) {
  const shell = yield* QueueShell.make({ ...defaultBounds, ...given }, maxRunSeconds)
  yield* expiring(shell)
  const viewed = (run: KnownRun | undefined) => run === undefined ? Effect.succeedNone : Effect.asSome(view(shell, run))

  return RunQueue.of({
    submit: (processing, options) => submit(shell, processing, options),
    occupy: (work) => occupy(shell, work),
    result: (id) => Effect.suspend(() => resultOf(shell, id)),
    images: (id) => Effect.suspend(() => imagesOf(shell, id)),
    cancel: (key) => cancel(shell, key),
    interrupt: (key) => asked(shell, key, "interrupt"),
    skip: (key) => asked(shell, key, "skip"),
    current: Effect.suspend(() => viewed(shell.state.executing.find(isRun))),
    last: Effect.sync(() => shell.last),
    list: Effect.suspend(() => Effect.forEach(QueueState.all(shell.state).filter(isRun), (run) => view(shell, run))),
    get: (key) => Effect.suspend(() => viewed(find(shell, key))),
    watch: (key) => Stream.suspend(() => watch(shell, key)),
    accepting: Effect.sync(() => shell.state.accepting),
    drain: (grace) => drain(shell, grace)
  })
})

const find = ({ state }: QueueShell.QueueShell, key: string): KnownRun | undefined => {
  const known = QueueState.find(state, key)
  return known !== undefined && isRun(known) ? known : undefined
}

const view = Effect.fnUntraced(function*(shell: QueueShell.QueueShell, run: KnownRun) {
  const { id, request, submittedAt, taskId } = run
  const seen: QueuedRun = {
    id,
    taskId,
    request,
    status: yield* statusOf(shell, run),
    submittedAt,
    startedAt: "startedAt" in run ? run.startedAt : undefined,
    endedAt: "endedAt" in run ? run.endedAt : undefined
  }
  return seen
})

const statusOf = Effect.fnUntraced(function*({ runs, state }: QueueShell.QueueShell, run: QueueState.KnownRun) {
  if ("ending" in run) return run.ending
  const ahead = QueueState.position(state, run.id)
  if (ahead !== undefined) return { _tag: "Queued", ahead } satisfies QueuedStatus
  const live = yield* runs.get(run.id)
  const progress = Option.isSome(live) ? yield* live.value.progress : undefined
  return { _tag: "Running", progress } satisfies QueuedStatus
})

const submit = Effect.fnUntraced(
  function*(shell: QueueShell.QueueShell, processing: Processing, { keep = false, taskId }: SubmitOptions = {}) {
    const waiting = {
      id: randomUUID(),
      taskId,
      request: withoutImages(processing),
      submittedAt: yield* Clock.currentTimeMillis
    }
    const next = QueueState.submit(shell.state, waiting, shell.bounds)
    if (Result.isFailure(next)) return yield* next.failure
    const handle = yield* QueueShell.handleOf(processing, keep)
    shell.handles.set(waiting.id, handle)
    shell.state = next.success
    yield* QueueShell.pump(shell)
    const run = yield* view(shell, find(shell, waiting.id) ?? waiting)
    return { run, result: Deferred.await(handle.outcome) }
  },
  Effect.uninterruptible
)

const withoutImages = (processing: Processing): AskedRequest => {
  const control_units = processing.control_units.map(ControlUnit.withoutImages)
  if (processing._tag === "Txt2Img") return { ...processing, control_units }
  const { init_images: _, mask: __, ...asked } = processing
  return { ...asked, control_units }
}

const occupy = <A, E, R>(shell: QueueShell.QueueShell, work: Effect.Effect<A, E, R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const submittedAt = yield* Clock.currentTimeMillis
      const id = randomUUID()
      const place = { id, taskId: undefined, request: undefined, submittedAt }
      const next = QueueState.submit(shell.state, place, shell.bounds)
      if (Result.isFailure(next)) return yield* next.failure
      const turn = yield* Deferred.make<void, ShuttingDown>()
      shell.turns.set(id, turn)
      shell.state = next.success
      yield* QueueShell.pump(shell)
      return yield* Effect.ensuring(
        restore(Effect.andThen(Deferred.await(turn), work)),
        QueueShell.leave(shell, id)
      )
    })
  )

const resultOf = (
  { handles, state }: QueueShell.QueueShell,
  key: string
): Effect.Effect<Option.Option<HeldResult>, RunFailure> => {
  const run = QueueState.find(state, key)
  if (run === undefined) return Effect.succeedNone
  if ("ending" in run) return run.outcome === undefined ? Effect.succeedNone : Effect.asSome(run.outcome)
  const outcome = handles.get(run.id)?.outcome
  return outcome === undefined ? Effect.succeedNone : Effect.asSome(Effect.map(Deferred.await(outcome), heldOf))
}

const imagesOf = (
  { handles, state }: QueueShell.QueueShell,
  key: string
): Effect.Effect<ReadonlyArray<HeldImage>> => {
  const run = QueueState.find(state, key)
  if (run === undefined) return Effect.succeed([])
  if ("ending" in run) return Effect.succeed(QueueState.imagesOf(run))
  const handle = handles.get(run.id)
  return handle === undefined ? Effect.succeed([]) : QueueShell.finishedBy(handle)
}

const cancel = (shell: QueueShell.QueueShell, key: string) =>
  QueueShell.end(shell, key, (id) => new RunCancelled({ id }))

const asked = Effect.fnUntraced(function*(shell: QueueShell.QueueShell, key: string, wish: QueueShell.Wish) {
  const run = QueueState.find(shell.state, key)
  if (run === undefined || "ending" in run) return false
  if (QueueState.position(shell.state, run.id) === undefined) {
    return yield* Effect.as(QueueShell.ask(shell, run.id, wish), true)
  }
  return wish === "interrupt" ? yield* cancel(shell, run.id) : false
})

// An executing run changes with its live progress, the others when they move.
const watch = (shell: QueueShell.QueueShell, key: string): Stream.Stream<QueuedRun> => {
  const id = QueueState.find(shell.state, key)?.id
  if (id === undefined) return Stream.empty
  const seen = Stream.suspend(() => {
    const run = find(shell, id)
    return run === undefined ? Stream.empty : Stream.fromEffect(view(shell, run))
  })
  const executing = Stream.concat(
    seen,
    Stream.flatMap(
      shell.runs.watch(id),
      (progress) => Stream.map(seen, (run): QueuedRun => ({ ...run, status: { _tag: "Running", progress } }))
    )
  )
  const phase = shell.handles.get(id)?.phase
  return phase === undefined ? seen : SubscriptionRef.changes(phase).pipe(
    Stream.switchMap((phase) => phase === "running" ? executing : seen),
    Stream.takeUntil(({ endedAt }) => endedAt !== undefined)
  )
}

const drain = Effect.fnUntraced(function*(shell: QueueShell.QueueShell, grace: number) {
  shell.state = QueueState.close(shell.state)
  for (const { id } of shell.state.waiting) {
    const turn = shell.turns.get(id)
    yield* turn === undefined
      ? QueueShell.end(shell, id, () => new ShuttingDown())
      : Deferred.fail(turn, new ShuttingDown())
  }
  const isQuiet = () => shell.state.executing.length === 0
  if (isQuiet()) return
  const quiet = Stream.runHead(Stream.filter(SubscriptionRef.changes(shell.executing), isQuiet))
  if (Option.isSome(yield* Effect.timeoutOption(quiet, grace))) return
  yield* Effect.forEach(shell.state.executing, ({ id }) => QueueShell.ask(shell, id, "interrupt"))
  yield* quiet
})

// Age is looked at on a clock, so that a quiet server does not hold on to what it would have forgotten.
const expiring = (shell: QueueShell.QueueShell) =>
  Effect.sleep(Math.min(60_000, Math.max(1000, shell.bounds.keepFor / 10))).pipe(
    Effect.andThen(Effect.map(Clock.currentTimeMillis, (now) => {
      shell.state = QueueState.expire(shell.state, now, shell.bounds)
    })),
    Effect.forever,
    Effect.forkScoped
  )

/**
 * The runs of a server: those that wait, execute and have ended.
 *
 * A run belongs to this service, not to the HTTP request that submitted it: a handler that is interrupted because its
 * client disconnected cancels the run or leaves it alone. Runs execute in the order of submission, `concurrency` at a
 * time. `QueueState` decides; this service executes, and holds what cannot be a value: fibers, deferred results, live
 * progress.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { randomUUID } from "node:crypto"
import { type QueueFull, RunCancelled, ShuttingDown } from "../../contract/errors.ts"
import type { AskedRequest } from "../../contract/Run.ts"
import type { Processing } from "../../processing/Processing.ts"
import type { Pipeline } from "../../runner/Pipeline.ts"
import type { Processed, ProcessedImage } from "../../runner/Processed.ts"
import { processImages } from "../../runner/processImages.ts"
import type { ProcessingError } from "../../runner/ProcessingError.ts"
import type { RunnerHooks } from "../../runner/RunnerHooks.ts"
import { Runs } from "../../runner/Runs.ts"
import type { RunProgress, RunState } from "../../runner/RunState.ts"
import type { CaptureContext } from "../../runner/RuntimeContext.ts"
import * as QueueState from "./QueueState.ts"
import { shownError } from "./shownErrors.ts"

/** How a run that was accepted can fail. */
export type RunFailure = ProcessingError | RunCancelled | ShuttingDown

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

/** An image of a held result, without its pixels. */
export type HeldImage = Omit<ProcessedImage, "extras" | "pixels">

/** What is held of a result: the files and their texts, without the request and the pixels. */
export interface HeldResult extends Pick<Processed, "extraImages" | "interrupted" | "warnings"> {
  readonly images: ReadonlyArray<HeldImage>
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

type Known = ReturnType<typeof QueueState.all>[number]

/** Whether it is a run, and not other work. */
const isRun = <K extends Known>(known: K): known is K & { readonly request: AskedRequest } =>
  known.request !== undefined

type Phase = "queued" | "running" | "ended"

/** What belongs to a run besides its entry in the queue. */
interface Handle {
  readonly phase: SubscriptionRef.SubscriptionRef<Phase>
  /** What is left to execute; dropped when the run ends, with the images that came with it. */
  processing: Processing | undefined
  readonly keep: boolean
  /** Wishes from before the run had a live state. */
  readonly wishes: Array<Wish>
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** Its progress while it executes. */
  live: RunState | undefined
  /** Why it will have ended without a result, once someone has asked for that. */
  cancelled: RunCancelled | ShuttingDown | undefined
  /** Completed when the run ends, and then left to those who wait for it. */
  outcome: Deferred.Deferred<Processed, RunFailure> | undefined
  /** How the run ended, with the result if that is held. */
  ended: Exit.Exit<HeldResult, RunFailure> | undefined
  /** What it had finished before it ended without a result. */
  finished: ReadonlyArray<HeldImage>
}

type Wish = "interrupt" | "skip"

const make = Effect.fnUntraced(function*({ maxRunSeconds = 0, ...given }: RunQueueOptions) {
  const bounds: QueueState.QueueBounds = { ...defaultBounds, ...given }
  const runs = yield* Runs
  const services = yield* Effect.context<CaptureContext | Pipeline | RunnerHooks>()
  const scope = yield* Effect.scope

  const handles = new Map<string, Handle>()
  // Completed when the turn of other work comes.
  const turns = new Map<string, Deferred.Deferred<void, ShuttingDown>>()
  let state = QueueState.empty
  let last: RunProgress | undefined
  const executing = yield* SubscriptionRef.make(0)

  // Every change goes through here, so that nothing is held for runs that the queue has forgotten.
  const become = (next: QueueState.QueueState) => {
    state = next
    const known = new Map(QueueState.all(next).map((run) => [run.id, run]))
    for (const [id, handle] of handles) {
      const run = known.get(id)
      if (run === undefined) handles.delete(id)
      else if ("held" in run && run.held === 0) {
        if (run.ending._tag === "Done") handle.ended = undefined
        handle.finished = []
      }
    }
  }

  const view = Effect.fnUntraced(function*(run: Known & { readonly request: AskedRequest }) {
    const { id, request, submittedAt, taskId } = run
    const seen: QueuedRun = {
      id,
      taskId,
      request,
      status: yield* statusOf(run),
      submittedAt,
      startedAt: "startedAt" in run ? run.startedAt : undefined,
      endedAt: "endedAt" in run ? run.endedAt : undefined
    }
    return seen
  })

  const statusOf = Effect.fnUntraced(function*(run: Known) {
    if ("ending" in run) return run.ending
    const ahead = QueueState.position(state, run.id)
    if (ahead !== undefined) return { _tag: "Queued", ahead } satisfies QueuedStatus
    const live = yield* runs.get(run.id)
    const progress = Option.isSome(live) ? yield* live.value.progress : undefined
    return { _tag: "Running", progress } satisfies QueuedStatus
  })

  const find = (key: string) =>
    Effect.sync(() => Option.filter(Option.fromUndefinedOr(QueueState.find(state, key)), isRun))

  const ask = (id: string, wish: Wish) =>
    Effect.flatMap(runs.get(id), (live) =>
      Option.isSome(live) ? live.value[wish] : Effect.sync(() => {
        handles.get(id)?.wishes.push(wish)
      }))

  // Follows the live state of a run from its first moment: delivers earlier wishes and keeps the latest progress.
  const follow = (id: string, handle: Handle) =>
    Stream.runForEach(runs.watch(id), (progress) =>
      Effect.gen(function*() {
        last = { ...progress, images: [], preview: undefined }
        handle.live ??= Option.getOrUndefined(yield* runs.get(id))
        yield* Effect.forEach(handle.wishes.splice(0), (wish) => ask(id, wish), { discard: true })
      }))

  const finishedBy = ({ live }: Handle) =>
    live === undefined ? Effect.succeed([]) : Effect.map(live.progress, ({ images }) => images.map(heldImage))

  const finish = Effect.fnUntraced(function*(id: string, exit: Exit.Exit<Processed, ProcessingError>) {
    const handle = handles.get(id)
    if (handle === undefined) return
    const now = yield* Clock.currentTimeMillis
    const outcome = outcomeOf(exit, handle.cancelled, id)
    if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
      yield* Effect.annotateLogs(Effect.logError("run failed", exit.cause), { "run.id": id })
    }
    handle.ended = endedOf(outcome)
    if (Exit.isFailure(handle.ended)) handle.finished = yield* finishedBy(handle)
    const held = !handle.keep
      ? 0
      : sizeOf(Exit.isSuccess(handle.ended) ? handle.ended.value : { ...nothing, images: handle.finished })
    const deferred = handle.outcome
    handle.processing =
      handle.outcome =
      handle.fiber =
      handle.live =
        undefined
    become(QueueState.finish(state, id, { ending: endingOf(outcome), held, now }, bounds))
    if (deferred !== undefined) yield* Deferred.done(deferred, outcome)
    yield* SubscriptionRef.set<Phase>(handle.phase, "ended")
    yield* pump
    yield* SubscriptionRef.set(executing, state.executing.length)
  })

  const execute = Effect.fnUntraced(function*(id: string) {
    const turn = turns.get(id)
    if (turn !== undefined) {
      yield* Deferred.succeed(turn, undefined)
      return
    }
    const handle = handles.get(id)
    const processing = handle?.processing
    if (handle === undefined || processing === undefined) return
    yield* SubscriptionRef.set<Phase>(handle.phase, "running")
    const work = Effect.gen(function*() {
      yield* Effect.forkChild(follow(id, handle), { startImmediately: true })
      if (maxRunSeconds > 0) {
        yield* Effect.forkChild(Effect.andThen(Effect.sleep(maxRunSeconds * 1000), ask(id, "interrupt")))
      }
      return yield* processImages(processing, { runId: id })
    }).pipe(
      Effect.provideContext(services),
      Effect.onExit((exit) => finish(id, exit)),
      // A fiber that has ended still has its result.
      Effect.asVoid
    )
    handle.fiber = yield* Effect.forkIn(work, scope)
  })

  // Starts what may start.
  const pump: Effect.Effect<void> = Effect.gen(function*() {
    const next = QueueState.start(state, yield* Clock.currentTimeMillis, bounds)
    become(next.state)
    for (const { id } of next.started) yield* execute(id)
  })

  const occupy = <A, E, R>(work: Effect.Effect<A, E, R>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const submittedAt = yield* Clock.currentTimeMillis
        const id = randomUUID()
        const next = QueueState.submit(state, { id, taskId: undefined, request: undefined, submittedAt }, bounds)
        if (Result.isFailure(next)) return yield* next.failure
        const turn = yield* Deferred.make<void, ShuttingDown>()
        turns.set(id, turn)
        become(next.success)
        yield* pump
        return yield* Effect.ensuring(
          restore(Effect.andThen(Deferred.await(turn), work)),
          Effect.gen(function*() {
            turns.delete(id)
            const now = yield* Clock.currentTimeMillis
            become(QueueState.finish(state, id, { ending: { _tag: "Cancelled" }, held: 0, now }, bounds))
            yield* pump
            yield* SubscriptionRef.set(executing, state.executing.length)
          })
        )
      })
    )

  const submit = Effect.fnUntraced(function*(processing: Processing, { keep = false, taskId }: SubmitOptions = {}) {
    const waiting = {
      id: randomUUID(),
      taskId,
      request: withoutImages(processing),
      submittedAt: yield* Clock.currentTimeMillis
    }
    const next = QueueState.submit(state, waiting, bounds)
    if (Result.isFailure(next)) return yield* next.failure
    const outcome = yield* Deferred.make<Processed, RunFailure>()
    handles.set(waiting.id, {
      phase: yield* SubscriptionRef.make<Phase>("queued"),
      processing,
      keep,
      wishes: [],
      fiber: undefined,
      live: undefined,
      cancelled: undefined,
      outcome,
      ended: undefined,
      finished: []
    })
    become(next.success)
    yield* pump
    const known = QueueState.find(state, waiting.id)
    const run = yield* view(known !== undefined && isRun(known) ? known : waiting)
    return { run, result: Deferred.await(outcome) }
  }, Effect.uninterruptible)

  const end = Effect.fnUntraced(function*(key: string, reason: (id: string) => RunCancelled | ShuttingDown) {
    const run = QueueState.find(state, key)
    const handle = run === undefined ? undefined : handles.get(run.id)
    if (run === undefined || handle === undefined || "ending" in run) return false
    handle.cancelled ??= reason(run.id)
    if (QueueState.position(state, run.id) !== undefined) yield* finish(run.id, Exit.interrupt())
    else if (handle.fiber !== undefined) yield* Effect.forkIn(Fiber.interrupt(handle.fiber), scope)
    return true
  }, Effect.uninterruptible)

  const cancel = (key: string) => end(key, (id) => new RunCancelled({ id }))

  const asked = (wish: Wish) =>
    Effect.fnUntraced(function*(key: string) {
      const run = QueueState.find(state, key)
      if (run === undefined || "ending" in run) return false
      if (QueueState.position(state, run.id) === undefined) return yield* Effect.as(ask(run.id, wish), true)
      return wish === "interrupt" ? yield* cancel(run.id) : false
    })

  // An executing run changes with its live progress, the others when they move.
  const watch = (key: string): Stream.Stream<QueuedRun> =>
    Stream.unwrap(Effect.sync(() => {
      const id = QueueState.find(state, key)?.id
      const handle = id === undefined ? undefined : handles.get(id)
      if (id === undefined || handle === undefined) return Stream.empty
      const now = Effect.flatMap(
        find(id),
        Option.match({ onNone: () => Effect.succeedNone, onSome: (run) => Effect.asSome(view(run)) })
      )
      const seen = Stream.fromEffect(now).pipe(Stream.filter(Option.isSome), Stream.map(({ value }) => value))
      return SubscriptionRef.changes(handle.phase).pipe(
        Stream.switchMap((phase) =>
          phase !== "running" ? seen : Stream.concat(
            seen,
            Stream.flatMap(
              runs.watch(id),
              (progress) => Stream.map(seen, (run): QueuedRun => ({ ...run, status: { _tag: "Running", progress } }))
            )
          )
        ),
        Stream.takeUntil(({ endedAt }) => endedAt !== undefined)
      )
    }))

  const drain = Effect.fnUntraced(function*(grace: number) {
    become(QueueState.close(state))
    for (const { id } of state.waiting) {
      const turn = turns.get(id)
      yield* turn === undefined ? end(id, () => new ShuttingDown()) : Deferred.fail(turn, new ShuttingDown())
    }
    if (state.executing.length === 0) return
    const quiet = Stream.runHead(Stream.filter(SubscriptionRef.changes(executing), () => state.executing.length === 0))
    if (Option.isSome(yield* Effect.timeoutOption(quiet, grace))) return
    yield* Effect.forEach(state.executing, ({ id }) => ask(id, "interrupt"))
    yield* quiet
  })

  yield* expiring(bounds, (now) => become(QueueState.expire(state, now, bounds)))

  return RunQueue.of({
    submit,
    occupy,
    result: (id) =>
      Effect.suspend(() => {
        const { ended, outcome } = handles.get(QueueState.find(state, id)?.id ?? "") ?? {}
        if (ended !== undefined) return Effect.asSome(ended)
        return outcome === undefined
          ? Effect.succeedNone
          : Effect.asSome(Effect.map(Deferred.await(outcome), heldOf))
      }),
    images: (id) =>
      Effect.suspend(() => {
        const handle = handles.get(QueueState.find(state, id)?.id ?? "")
        if (handle === undefined) return Effect.succeed([])
        if (handle.ended === undefined) return finishedBy(handle)
        return Effect.succeed(Exit.isSuccess(handle.ended) ? handle.ended.value.images : handle.finished)
      }),
    cancel,
    interrupt: asked("interrupt"),
    skip: asked("skip"),
    current: Effect.suspend(() => {
      const first = state.executing.find(isRun)
      return first === undefined ? Effect.succeedNone : Effect.asSome(view(first))
    }),
    last: Effect.sync(() => last),
    list: Effect.suspend(() => Effect.forEach(QueueState.all(state).filter(isRun), view)),
    get: (key) =>
      Effect.flatMap(
        find(key),
        Option.match({ onNone: () => Effect.succeedNone, onSome: (run) => Effect.asSome(view(run)) })
      ),
    watch,
    accepting: Effect.sync(() => state.accepting),
    drain
  })
})

// Age is looked at on a clock, so that a quiet server does not hold on to what it would have forgotten.
const expiring = ({ keepFor }: QueueState.QueueBounds, expire: (now: number) => void): Effect.Effect<
  void,
  never,
  Scope.Scope
> =>
  Effect.sleep(Math.min(60_000, Math.max(1000, keepFor / 10))).pipe(
    Effect.andThen(Effect.map(Clock.currentTimeMillis, expire)),
    Effect.forever,
    Effect.forkScoped,
    Effect.asVoid
  )

const outcomeOf = (
  exit: Exit.Exit<Processed, ProcessingError>,
  cancelled: RunCancelled | ShuttingDown | undefined,
  id: string
): Exit.Exit<Processed, RunFailure> =>
  Exit.isFailure(exit) && (cancelled !== undefined || Cause.hasInterruptsOnly(exit.cause))
    ? Exit.fail(cancelled ?? new RunCancelled({ id }))
    : Exit.mapError(exit, shownError)

const endingOf = (outcome: Exit.Exit<Processed, RunFailure>): QueueState.Ending => {
  if (Exit.isSuccess(outcome)) return { _tag: "Done", interrupted: outcome.value.interrupted }
  const error = Cause.squash(outcome.cause)
  if (error instanceof RunCancelled || error instanceof ShuttingDown) return { _tag: "Cancelled" }
  return { _tag: "Failed", error: error instanceof Error ? error.message : String(error) }
}

const withoutImages = (processing: Processing): AskedRequest => {
  if (processing._tag === "Txt2Img") return processing
  const { init_images: _, mask: __, ...asked } = processing
  return asked
}

// An ending without the run's frames: a cause refers to them, and so does an error until its stack is first read.
const endedOf = (outcome: Exit.Exit<Processed, RunFailure>): Exit.Exit<HeldResult, RunFailure> => {
  if (Exit.isSuccess(outcome)) return Exit.succeed(heldOf(outcome.value))
  settleStacks(Cause.squash(outcome.cause))
  const error = Cause.findErrorOption(outcome.cause)
  return Option.isSome(error) ? Exit.fail(error.value) : Exit.die(Cause.squash(outcome.cause))
}

const settleStacks = (error: unknown): ReadonlyArray<string | undefined> =>
  error instanceof Error ? [error.stack, ...settleStacks(error.cause)] : []

const heldImage = (image: ProcessedImage): HeldImage => Struct.omit(image, ["extras", "pixels"])

const nothing: HeldResult = { images: [], extraImages: [], interrupted: false, warnings: [] }

const heldOf = ({ extraImages, images, interrupted, warnings }: Processed): HeldResult => ({
  images: images.map(heldImage),
  extraImages,
  interrupted,
  warnings
})

/** Bytes that a held result takes in memory: files and texts, with two bytes for a character. */
const sizeOf = ({ extraImages, images, warnings }: HeldResult): number => {
  const sum = (sizes: ReadonlyArray<number>) => sizes.reduce((total, size) => total + size, 0)
  const texts = [
    ...images.flatMap(({ infotext, negativePrompt, prompt }) => [infotext, negativePrompt, prompt]),
    ...extraImages.map(({ infotext }) => infotext),
    ...warnings
  ]
  return sum([...images, ...extraImages].map(({ bytes }) => bytes.length)) + 2 * sum(texts.map(({ length }) => length))
}

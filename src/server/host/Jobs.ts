/**
 * The runs of a server: who waits, who runs, what came out.
 *
 * A job belongs to this service, not to the request that brought it: a handler that is interrupted, because its client
 * went away, cancels it or leaves it alone. Jobs run in the order in which they came, `concurrency` at a time; the queue
 * is bounded, and so is what is remembered of jobs that have ended.
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
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { randomUUID } from "node:crypto"
import type { Processing } from "../../processing/Processing.ts"
import type { Pipeline } from "../../runner/Pipeline.ts"
import type { Processed } from "../../runner/Processed.ts"
import { processImages } from "../../runner/processImages.ts"
import type { ProcessingError } from "../../runner/ProcessingError.ts"
import type { RunnerHooks } from "../../runner/RunnerHooks.ts"
import { Runs } from "../../runner/Runs.ts"
import type { RunProgress } from "../../runner/RunState.ts"
import type { CaptureContext } from "../../runner/RuntimeContext.ts"

/** As many jobs wait as may. */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {
  waiting: Schema.Int,
  /** Seconds after which it is worth to ask again. */
  retryAfter: Schema.Int
}) {
  override get message(): string {
    return `${this.waiting} requests wait already, and no more may. Ask again in ${this.retryAfter} seconds.`
  }
}

/** No job is begun any more. */
export class ShuttingDown extends Schema.TaggedError<ShuttingDown>()("ShuttingDown", {}) {
  override get message(): string {
    return "The server is shutting down and begins nothing new. Ask again when it is back."
  }
}

/** Somebody cancelled the job before it had a result. */
export class JobCancelled extends Schema.TaggedError<JobCancelled>()("JobCancelled", { id: Schema.String }) {
  override get message(): string {
    return `The job ${this.id} was cancelled. Send the request again if its pictures are still wanted.`
  }
}

export type JobError = ProcessingError | JobCancelled | ShuttingDown

export type JobStatus =
  /** `ahead`: how many jobs run or wait before it. */
  | { readonly _tag: "Queued"; readonly ahead: number }
  | { readonly _tag: "Running"; readonly progress: RunProgress | undefined }
  | { readonly _tag: "Done"; readonly interrupted: boolean }
  | { readonly _tag: "Failed"; readonly error: string }
  | { readonly _tag: "Cancelled" }

/** One moment of a job. */
export interface JobView {
  readonly id: string
  /** The client's own name for it. */
  readonly taskId: string | undefined
  readonly processing: Processing
  readonly status: JobStatus
  /** Milliseconds since the epoch. */
  readonly submittedAt: number
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
}

/** A job that was taken. */
export interface Submitted {
  readonly job: JobView
  readonly result: Effect.Effect<Processed, JobError>
}

export interface SubmitOptions {
  readonly taskId?: string | undefined
  /** Whether the result is kept for `result`, within bounds; off when left out. */
  readonly keep?: boolean | undefined
}

export interface JobsOptions {
  /** Most jobs that run at once. */
  readonly concurrency?: number | undefined
  /** Most jobs that wait. */
  readonly queue?: number | undefined
  /** Seconds after which a run is asked to end and give what it has; never when left out, or 0. */
  readonly maxRunSeconds?: number | undefined
  /** How many ended jobs are remembered, for how long (milliseconds), and how many bytes of their results. */
  readonly keepJobs?: number | undefined
  readonly keepFor?: number | undefined
  readonly keepBytes?: number | undefined
}

interface Entry {
  readonly id: string
  readonly taskId: string | undefined
  readonly keep: boolean
  readonly processing: Processing
  readonly submittedAt: number
  startedAt: number | undefined
  endedAt: number | undefined
  /** What was asked of the run before it had a state. */
  readonly wishes: Array<"interrupt" | "skip">
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  cancelled: boolean
  /** Whether it was never begun, because the server ends. */
  isRefused: boolean
  readonly phase: SubscriptionRef.SubscriptionRef<"queued" | "running" | "ended">
  /** Held by those who wait for it. */
  outcome: Deferred.Deferred<Processed, JobError> | undefined
  ended: JobStatus | undefined
  /** What it ended with: a failure, or a result that is kept. */
  exit: Exit.Exit<Processed, JobError> | undefined
  bytes: number
}

export class Jobs extends Context.Service<Jobs, {
  /** Takes a job, and gives how to wait for what comes out of it. Fails at once when the queue is full. */
  readonly submit: (
    processing: Processing,
    options?: SubmitOptions
  ) => Effect.Effect<Submitted, QueueFull | ShuttingDown>
  /** What comes out of a job by its id. None for one that is not known, or whose result is not kept any more. */
  readonly result: (id: string) => Effect.Effect<Option.Option<Processed>, JobError>
  /** Takes the job out of the queue, or ends it after the network call in flight; it gives nothing. */
  readonly cancel: (id: string) => Effect.Effect<boolean>
  /** Asks a running job to end after its current step and to give what it has. Of a waiting one: cancels it. */
  readonly interrupt: (id: string) => Effect.Effect<boolean>
  /** Asks a running job to go on with its next batch. */
  readonly skip: (id: string) => Effect.Effect<boolean>
  /** The job that began first of those that run. */
  readonly current: Effect.Effect<Option.Option<JobView>>
  /** The progress of the run that ended last. */
  readonly last: Effect.Effect<RunProgress | undefined>
  /** All jobs that are known: ended ones, running ones, waiting ones, each in their order. */
  readonly list: Effect.Effect<ReadonlyArray<JobView>>
  /** A job by its id, or by the client's name for it, of which the newest counts. */
  readonly get: (id: string) => Effect.Effect<Option.Option<JobView>>
  /** A job now and after every change, to its end. A reader that falls behind gets the latest only. */
  readonly watch: (id: string) => Stream.Stream<JobView>
  /** Whether jobs are taken. */
  readonly accepting: Effect.Effect<boolean>
  /**
   * Takes no more jobs and cancels those that wait. Those that run have `grace` milliseconds; after that they are asked to
   * end with what they have. Returns when none runs.
   */
  readonly drain: (grace: number) => Effect.Effect<void>
}>()("serena/server/host/Jobs") {
  static readonly layer = (
    options: JobsOptions = {}
  ): Layer.Layer<Jobs, never, CaptureContext | Pipeline | RunnerHooks | Runs> => Layer.effect(Jobs, make(options))
}

const make = Effect.fnUntraced(function*(options: JobsOptions) {
  const {
    concurrency = 1,
    keepBytes = 256 * 2 ** 20,
    keepFor = 600_000,
    keepJobs = 100,
    maxRunSeconds = 0,
    queue = 32
  } = options
  const runs = yield* Runs
  const services = yield* Effect.context<CaptureContext | Pipeline | RunnerHooks>()
  const scope = yield* Effect.scope

  let accepting = true
  let waiting: ReadonlyArray<Entry> = []
  let running: ReadonlyArray<Entry> = []
  let ended: ReadonlyArray<Entry> = []
  let last: RunProgress | undefined
  // Seconds that runs take, as a moving average; not known before the first has ended.
  let pace: number | undefined
  const idle = yield* SubscriptionRef.make(0)

  const all = () => [...ended, ...running, ...waiting]
  const find = (id: string): Entry | undefined =>
    all().find((entry) => entry.id === id) ?? all().findLast((entry) => entry.taskId === id)

  const view = (entry: Entry): Effect.Effect<JobView> =>
    Effect.map(statusOf(entry), (status) => ({
      id: entry.id,
      taskId: entry.taskId,
      processing: entry.processing,
      status,
      submittedAt: entry.submittedAt,
      startedAt: entry.startedAt,
      endedAt: entry.endedAt
    }))

  const statusOf = (entry: Entry): Effect.Effect<JobStatus> => {
    if (entry.ended !== undefined) return Effect.succeed(entry.ended)
    const place = waiting.indexOf(entry)
    if (place >= 0) return Effect.succeed({ _tag: "Queued", ahead: running.length + place })
    return Effect.gen(function*() {
      const state = yield* runs.get(entry.id)
      return { _tag: "Running", progress: Option.isSome(state) ? yield* state.value.progress : undefined } as const
    })
  }

  const ask = (entry: Entry, wish: "interrupt" | "skip") =>
    Effect.flatMap(runs.get(entry.id), (state) =>
      Option.isSome(state) ? state.value[wish] : Effect.sync(() => {
        entry.wishes.push(wish)
      }))

  // Follows a run from its first moment on: what was asked before, and how it was in the end.
  const follow = (entry: Entry) =>
    Stream.runForEach(runs.watch(entry.id), (progress) =>
      Effect.gen(function*() {
        last = progress
        for (const wish of entry.wishes.splice(0)) yield* ask(entry, wish)
      }))

  const finish = Effect.fnUntraced(function*(entry: Entry, exit: Exit.Exit<Processed, ProcessingError>) {
    const now = yield* Clock.currentTimeMillis
    entry.endedAt = now
    running = running.filter((other) => other !== entry)
    waiting = waiting.filter((other) => other !== entry)
    if (entry.startedAt !== undefined) {
      const seconds = (now - entry.startedAt) / 1000
      pace = pace === undefined ? seconds : 0.7 * pace + 0.3 * seconds
    }
    const cancelled = entry.cancelled || (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    const outcome: Exit.Exit<Processed, JobError> = cancelled && Exit.isFailure(exit)
      ? Exit.fail(entry.isRefused ? new ShuttingDown({}) : new JobCancelled({ id: entry.id }))
      : exit
    entry.ended = endOf(outcome)
    if (Exit.isFailure(outcome) || entry.keep) entry.exit = outcome
    if (entry.keep && Exit.isSuccess(outcome)) entry.bytes = sizeOf(outcome.value)
    ended = [...ended, entry]
    forget(now)
    if (entry.outcome !== undefined) yield* Deferred.done(entry.outcome, outcome)
    entry.outcome = undefined
    yield* SubscriptionRef.set<"queued" | "running" | "ended">(entry.phase, "ended")
    yield* pump
    yield* SubscriptionRef.set(idle, running.length)
  })

  // The oldest go first, by number, age and size.
  const forget = (now: number) => {
    ended = ended.filter((entry) => (entry.endedAt ?? now) > now - keepFor).slice(-keepJobs)
    let bytes = ended.reduce((sum, entry) => sum + entry.bytes, 0)
    for (const entry of ended) {
      if (bytes <= keepBytes) break
      bytes -= entry.bytes
      if (entry.bytes > 0) entry.exit = undefined
      entry.bytes = 0
    }
  }

  const begin = Effect.fnUntraced(function*(entry: Entry) {
    entry.startedAt = yield* Clock.currentTimeMillis
    yield* SubscriptionRef.set<"queued" | "running" | "ended">(entry.phase, "running")
    const run = Effect.gen(function*() {
      yield* Effect.forkChild(follow(entry), { startImmediately: true })
      if (maxRunSeconds > 0) {
        yield* Effect.forkChild(Effect.andThen(Effect.sleep(maxRunSeconds * 1000), ask(entry, "interrupt")))
      }
      return yield* processImages(entry.processing, { runId: entry.id })
    }).pipe(
      Effect.provideContext(services),
      Effect.onExit((exit) => finish(entry, exit))
    )
    entry.fiber = yield* Effect.forkIn(run, scope)
  })

  const pump: Effect.Effect<void> = Effect.suspend(() => {
    const [next, ...others] = waiting
    if (next === undefined || running.length >= concurrency) return Effect.void
    waiting = others
    running = [...running, next]
    return Effect.andThen(begin(next), pump)
  })

  const submit = Effect.fnUntraced(function*(processing: Processing, { keep = false, taskId }: SubmitOptions = {}) {
    if (!accepting) return yield* new ShuttingDown()
    if (running.length >= concurrency && waiting.length >= queue) {
      const retryAfter = Math.max(1, Math.ceil((pace ?? 0) * (waiting.length + 1) / concurrency))
      return yield* new QueueFull({ waiting: waiting.length, retryAfter: Math.min(retryAfter, 3600) })
    }
    const outcome = yield* Deferred.make<Processed, JobError>()
    const entry: Entry = {
      id: randomUUID(),
      taskId,
      keep,
      processing,
      submittedAt: yield* Clock.currentTimeMillis,
      startedAt: undefined,
      endedAt: undefined,
      wishes: [],
      fiber: undefined,
      cancelled: false,
      isRefused: false,
      phase: yield* SubscriptionRef.make<"queued" | "running" | "ended">("queued"),
      outcome,
      ended: undefined,
      exit: undefined,
      bytes: 0
    }
    waiting = [...waiting, entry]
    yield* pump
    return { job: yield* view(entry), result: Deferred.await(outcome) }
  }, Effect.uninterruptible)

  const cancel = (id: string) =>
    Effect.suspend(() => {
      const entry = find(id)
      if (entry === undefined || entry.ended !== undefined) return Effect.succeed(false)
      entry.cancelled = true
      return waiting.includes(entry)
        ? Effect.as(finish(entry, Exit.interrupt()), true)
        : Effect.as(entry.fiber === undefined ? Effect.void : Effect.forkIn(Fiber.interrupt(entry.fiber), scope), true)
    }).pipe(Effect.uninterruptible)

  const asked = (wish: "interrupt" | "skip") => (id: string) =>
    Effect.suspend(() => {
      const entry = find(id)
      if (entry === undefined || entry.ended !== undefined) return Effect.succeed(false)
      if (!waiting.includes(entry)) return Effect.as(ask(entry, wish), true)
      return wish === "interrupt" ? cancel(id) : Effect.succeed(false)
    })

  // A running job as often as its run tells of itself, the others when they move.
  const watch = (id: string): Stream.Stream<JobView> =>
    Stream.unwrap(Effect.sync(() => {
      const entry = find(id)
      if (entry === undefined) return Stream.empty
      return SubscriptionRef.changes(entry.phase).pipe(
        Stream.switchMap((phase) => {
          if (phase !== "running") return Stream.fromEffect(view(entry))
          return Stream.concat(
            Stream.fromEffect(view(entry)),
            Stream.mapEffect(runs.watch(entry.id), (progress) =>
              Effect.map(view(entry), (now): JobView => ({ ...now, status: { _tag: "Running", progress } })))
          )
        }),
        Stream.takeUntil(({ endedAt }) =>
          endedAt !== undefined
        )
      )
    }))

  const drain = Effect.fnUntraced(function*(grace: number) {
    accepting = false
    for (const entry of waiting) {
      entry.isRefused = true
      yield* cancel(entry.id)
    }
    const quiet = Stream.runHead(Stream.filter(SubscriptionRef.changes(idle), () => running.length === 0))
    if (running.length === 0) return
    const inTime = yield* Effect.timeoutOption(quiet, grace)
    if (Option.isSome(inTime)) return
    yield* Effect.forEach(running, (entry) => ask(entry, "interrupt"))
    yield* quiet
  })

  return Jobs.of({
    submit,
    result: (id) =>
      Effect.suspend(() => {
        const entry = find(id)
        const exit = entry?.outcome === undefined ? entry?.exit : Deferred.await(entry.outcome)
        return exit === undefined ? Effect.succeedNone : Effect.asSome(exit)
      }),
    cancel,
    interrupt: asked("interrupt"),
    skip: asked("skip"),
    current: Effect.suspend(() => {
      const [first] = running
      return first === undefined ? Effect.succeedNone : Effect.asSome(view(first))
    }),
    last: Effect.sync(() => last),
    list: Effect.suspend(() => Effect.forEach(all(), view)),
    get: (id) =>
      Effect.suspend(() => {
        const entry = find(id)
        return entry === undefined ? Effect.succeedNone : Effect.asSome(view(entry))
      }),
    watch,
    accepting: Effect.sync(() => accepting),
    drain
  })
})

const endOf = (exit: Exit.Exit<Processed, JobError>): JobStatus => {
  if (Exit.isSuccess(exit)) return { _tag: "Done", interrupted: exit.value.interrupted }
  const error = Cause.squash(exit.cause)
  if (error instanceof JobCancelled || error instanceof ShuttingDown) return { _tag: "Cancelled" }
  return { _tag: "Failed", error: error instanceof Error ? error.message : String(error) }
}

const sizeOf = ({ extraImages, images }: Processed): number =>
  images.reduce((sum, { bytes, pixels }) => sum + bytes.length + pixels.length, 0) +
  extraImages.reduce((sum, { bytes }) => sum + bytes.length, 0)

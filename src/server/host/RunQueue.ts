/**
 * The runs of a server, as its HTTP APIs see them: those that wait, execute and have ended.
 *
 * A run belongs to this service, not to the HTTP request that submitted it: a handler that is interrupted because its
 * client disconnected cancels the run or leaves it alone. `RunStore` keeps the runs and orders them, `Dispatcher`
 * executes them, in this process or in others.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { QueueFull, RunCancelled, RunsUnavailable, ShuttingDown } from "../../contract/errors.ts"
import type { AskedRequest, QueueStatus } from "../../contract/Run.ts"
import * as rounds from "../../core/rounds.ts"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import type { ImageEncoder } from "../../images/ImageEncoder.ts"
import { calledModel } from "../../models/ModelFile.ts"
import { drawSeeds } from "../../planning/drawSeeds.ts"
import { Options } from "../../processing/Options.ts"
import type { Processing } from "../../processing/Processing.ts"
import type { Pipeline } from "../../runner/Pipeline.ts"
import type { RunnerHooks } from "../../runner/RunnerHooks.ts"
import type { Runs } from "../../runner/Runs.ts"
import type { Preview, RunProgress } from "../../runner/RunState.ts"
import type { CaptureContext } from "../../runner/RuntimeContext.ts"
import { type BlobError, BlobStore } from "../../runs/BlobStore.ts"
import { Dispatcher, type DispatcherOptions, type RunFailure, thisWorker } from "../../runs/Dispatcher.ts"
import * as Metrics from "../../runs/metrics.ts"
import { newRun } from "../../runs/newRun.ts"
import type { Logged } from "../../runs/RunEvent.ts"
import {
  type BlobHash,
  isEnded,
  type RunRecord,
  type StoredExtra,
  type StoredImage,
  type Wish
} from "../../runs/RunRecord.ts"
import type { RunResult } from "../../runs/RunResult.ts"
import { type Keep, type ListQuery, RunStore, type RunStoreError } from "../../runs/RunStore.ts"
import { shortPaths } from "../../runs/shownErrors.ts"
import { previewOf } from "../../runs/stored.ts"

export type { RunFailure } from "../../runs/Dispatcher.ts"

/** How a run ended. */
export type Ending =
  | { readonly _tag: "Done"; readonly interrupted: boolean }
  | { readonly _tag: "Failed"; readonly error: string }
  | { readonly _tag: "Cancelled" }

export type QueuedStatus =
  /** `ahead`: how many runs execute or wait before it. */
  | { readonly _tag: "Queued"; readonly ahead: number }
  | { readonly _tag: "Running"; readonly progress: RunProgress | undefined }
  | Ending

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
  readonly record: RunRecord
}

/** A run that was accepted. */
export interface Submitted {
  readonly run: QueuedRun
  /** False for one that was submitted before with the same key. */
  readonly isNew: boolean
}

/** A run whose client waits here. */
export interface Awaited extends Submitted {
  /** Its result, wherever it executes. */
  readonly result: Effect.Effect<RunResult, RunFailure>
}

/** What is kept of a result: the files and their texts. */
export interface StoredResult {
  readonly images: ReadonlyArray<StoredImage>
  readonly extraImages: ReadonlyArray<StoredExtra>
  readonly interrupted: boolean
  readonly warnings: ReadonlyArray<string>
}

export interface SubmitOptions {
  readonly taskId?: string | undefined
  /** Whether the run and its images are kept after its end. Off by default. */
  readonly keep?: boolean | undefined
  /** Whether what its ControlNets followed is part of its result. Off by default. */
  readonly withMaps?: boolean | undefined
  /** Two submissions with one key are one run. */
  readonly key?: string | undefined
  /** Whose run it is: clients take turns. */
  readonly client?: string | undefined
  readonly priority?: number | undefined
  /** The model that this process has selected; what the settings say by default. */
  readonly model?: string | undefined
  /** Labels that its worker must have. */
  readonly labels?: ReadonlyArray<string> | undefined
}

export interface RunQueueOptions {
  /** Most runs that execute at once; 1 by default. */
  readonly concurrency?: number | undefined
  /** Most runs that wait; 32 by default. */
  readonly queue?: number | undefined
  /** Seconds after which a run is asked to end and return what it has. Never by default, or with 0. */
  readonly maxRunSeconds?: number | undefined
  /** Workers that a run may cost without finishing a batch; 3 by default. */
  readonly maxStrikes?: number | undefined
  /** Ended runs that are kept by a store that outlives the process. */
  readonly keep?: Keep | undefined
  /** Whether this process executes the runs of others too, or only those that are bound to it; true by default. */
  readonly takesAny?: boolean | undefined
  /**
   * Whether any process may execute a run that is not kept, whose client waits here. False by default: then it is bound
   * to this one.
   */
  readonly spreads?: boolean | undefined
  /** Whether runs save their images in the folders of this machine; true by default. */
  readonly saves?: boolean | undefined
  /** Ended runs that are kept in memory: 100 for ten minutes, with 256 MiB of files, by default. */
  readonly keepInMemory?: Partial<Keep> | undefined
  /** What this process is known by among the workers. */
  readonly worker?: Partial<DispatcherOptions["worker"]> | undefined
  /** Models that this process has; undefined for all. */
  readonly models?: Effect.Effect<ReadonlyArray<string>> | undefined
  readonly loaded?: Effect.Effect<ReadonlyArray<string>> | undefined
  /** What is done after each run that has made its images, without holding it up. */
  readonly made?: ((result: RunResult) => Effect.Effect<void>) | undefined
}

/** Milliseconds between two looks for what metrics say of the queue. */
const observeEvery = 10_000

const keepAll: Keep = { runs: Infinity, time: Infinity, bytes: Infinity }
const defaultKeep: Keep = { runs: 100, time: 600_000, bytes: 256 * 2 ** 20 }

export class RunQueue extends Context.Service<RunQueue, {
  /** Accepts a run. Fails at once when the queue is full or the server shuts down. */
  readonly submit: (
    processing: Processing,
    options?: SubmitOptions
  ) => Effect.Effect<Submitted, QueueFull | RunsUnavailable | ShuttingDown>
  /** Accepts a run, and waits for its result. */
  readonly submitWaiting: (
    processing: Processing,
    options?: SubmitOptions
  ) => Effect.Effect<Awaited, QueueFull | RunsUnavailable | ShuttingDown>
  /**
   * Does other work in a place of the queue, when its turn comes: before runs that wait. It is no run: no list shows
   * it. Interruption gives the place back.
   */
  readonly occupy: <A, E, R>(
    work: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | QueueFull | RunsUnavailable | ShuttingDown, R>
  /** Waits for the result of a run. None for an unknown run, or one whose result is not kept. */
  readonly result: (id: string) => Effect.Effect<Option.Option<StoredResult>, RunFailure | RunsUnavailable>
  /**
   * The images of a run that are finished: so far, of its result, or what it had made before it failed or was
   * cancelled. They are kept as long as the run.
   */
  readonly images: (id: string) => Effect.Effect<ReadonlyArray<StoredImage>, RunsUnavailable>
  /** The bytes of a file of a run; none for one that is gone. */
  readonly file: (hash: BlobHash) => Effect.Effect<Option.Option<Uint8Array>, RunsUnavailable>
  /** Removes a waiting run, or ends an executing one after the network call in flight. There is no result. */
  readonly cancel: (id: string) => Effect.Effect<boolean, RunsUnavailable>
  /** Asks an executing run to end after its current step and return what it has. Cancels a waiting one. */
  readonly interrupt: (id: string) => Effect.Effect<boolean, RunsUnavailable>
  /** Asks an executing run to continue with its next batch. */
  readonly skip: (id: string) => Effect.Effect<boolean, RunsUnavailable>
  /** Puts an ended run that has no whole result into the queue again. False for any other. */
  readonly retry: (id: string) => Effect.Effect<boolean, RunsUnavailable>
  /** Puts a waiting run before another one, or at the end of its priority. */
  readonly move: (id: string, before: string | undefined) => Effect.Effect<boolean, RunsUnavailable>
  /** Stars and tags a run: what is left out stays. */
  readonly mark: (
    id: string,
    marks: { readonly starred?: boolean | undefined; readonly tags?: ReadonlyArray<string> | undefined }
  ) => Effect.Effect<boolean, RunsUnavailable>
  /** Removes ended runs with their files. Returns the ids of those that were removed. */
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, RunsUnavailable>
  /** Pauses the queue, or lets it go on. */
  readonly pause: (paused: boolean) => Effect.Effect<void, RunsUnavailable>
  /** What waits, and which processes execute runs. */
  readonly status: Effect.Effect<QueueStatus, RunsUnavailable>
  /** The executing run that started first, of those that have not left the networks to the next one. */
  readonly current: Effect.Effect<Option.Option<QueuedRun>, RunsUnavailable>
  /** The progress of the run that executes or executed last, without its images. */
  readonly last: Effect.Effect<RunProgress | undefined>
  /** Known runs in order of submission, the latest 1000 of them. */
  readonly list: Effect.Effect<ReadonlyArray<QueuedRun>, RunsUnavailable>
  /** A page of runs, newest first. */
  readonly page: (query: ListQuery) => Effect.Effect<
    { readonly runs: ReadonlyArray<QueuedRun>; readonly next: string | undefined },
    RunsUnavailable
  >
  /** Finds a run by its id, or by the client's name for it, where the newest one wins. */
  readonly get: (id: string) => Effect.Effect<Option.Option<QueuedRun>, RunsUnavailable>
  /** What has happened to a run after the event with a number. */
  readonly events: (id: string, after: number) => Effect.Effect<ReadonlyArray<Logged>, RunsUnavailable>
  /** A run now and after every change until it ends. A slow reader gets the latest state only. */
  readonly watch: (id: string) => Stream.Stream<QueuedRun, RunsUnavailable>
  /** Whether runs are accepted. */
  readonly isAccepting: () => boolean
  /**
   * Accepts nothing more. A queue that ends with the process cancels waiting runs. Executing runs have `grace`
   * milliseconds; after that they are asked to end with what they have, or go back to a queue that outlives the
   * process. Returns when none executes.
   */
  readonly drain: (grace: number) => Effect.Effect<void>
}>()("serena/server/host/RunQueue") {
  static readonly layer = (
    options: RunQueueOptions = {}
  ): Layer.Layer<
    RunQueue,
    never,
    BlobStore | CaptureContext | ImageDecoder | ImageEncoder | Options | Pipeline | RunnerHooks | Runs | RunStore
  > => Layer.effect(RunQueue, make(options)).pipe(Layer.provide(Dispatcher.layer(dispatcherOf(options))))
}

const dispatcherOf = (options: RunQueueOptions): DispatcherOptions => ({
  slots: options.concurrency ?? 1,
  maxRunSeconds: options.maxRunSeconds ?? 0,
  maxStrikes: options.maxStrikes ?? 3,
  made: options.made ?? (() => Effect.void),
  keep: options.keep ?? keepAll,
  keepInMemory: { ...defaultKeep, ...options.keepInMemory },
  takesAny: options.takesAny ?? true,
  saves: options.saves ?? true,
  worker: { ...thisWorker(), ...options.worker },
  models: options.models ?? Effect.undefined,
  loaded: options.loaded ?? Effect.succeed([])
})

interface Shell {
  readonly store: RunStore["Service"]
  readonly blobs: BlobStore["Service"]
  readonly dispatcher: Dispatcher["Service"]
  readonly options: Options["Service"]
  readonly queue: number
  readonly spreads: boolean
  closed: boolean
  readonly decoder: ImageDecoder["Service"]
  /** The latest previews of runs that execute elsewhere, by the id of the run, and what each is of. */
  readonly previews: Map<string, { readonly of: string; readonly preview: Preview }>
}

/** Previews that are held for the next look at their runs. */
const mostPreviews = 16

const make = Effect.fnUntraced(function*({ queue = 32, spreads = false }: RunQueueOptions) {
  const shell: Shell = {
    store: Metrics.counted(yield* RunStore),
    blobs: yield* BlobStore,
    dispatcher: yield* Dispatcher,
    options: yield* Options,
    queue,
    spreads,
    closed: false,
    decoder: yield* ImageDecoder,
    previews: new Map()
  }
  const { blobs, dispatcher, store } = shell
  // A store that fails is reported by those who need it.
  const observed = Effect.ignore(Metrics.observe(store))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(observed, Effect.sleep(observeEvery))))
  const executing = yield* executingRuns(store, dispatcher)
  const viewed = Option.match({
    onNone: () => Effect.succeedNone,
    onSome: (run: RunRecord) => Effect.asSome(view(shell, run))
  })

  return RunQueue.of({
    submit: (processing, options) =>
      Effect.catchTags(submit(shell, processing, options), { RunStoreError: unavailable, BlobError: unavailable }),
    submitWaiting: (processing, options) =>
      submitWaiting(shell, processing, options).pipe(
        Effect.catchTags({ RunStoreError: unavailable, BlobError: unavailable })
      ),
    occupy: (work) =>
      Effect.andThen(Effect.catchTag(admit(shell), "RunStoreError", unavailable), dispatcher.occupy(work)),
    result: (key) => Effect.catchTag(resultOf(shell, key), "RunStoreError", unavailable),
    images: (key) =>
      store.get(key).pipe(
        Effect.map(Option.match({ onNone: () => [], onSome: ({ images }) => images })),
        Effect.catchTag("RunStoreError", unavailable)
      ),
    file: (hash) =>
      Effect.asSome(blobs.get(hash)).pipe(
        Effect.catchTags({ BlobMissing: () => Effect.succeedNone, BlobError: unavailable })
      ),
    cancel: (key) => asked(shell, key, "cancel"),
    interrupt: (key) => asked(shell, key, "interrupt"),
    skip: (key) => asked(shell, key, "skip"),
    retry: (id) =>
      store.retry(id).pipe(
        Effect.tap(() => dispatcher.pump),
        Effect.map(Option.isSome),
        Effect.catchTag("RunStoreError", unavailable)
      ),
    move: (id, before) => Effect.catchTag(store.move(id, before), "RunStoreError", unavailable),
    mark: (id, marks) => Effect.catchTag(mark(shell, id, marks), "RunStoreError", unavailable),
    remove: (ids) =>
      dispatcher.remove(ids).pipe(Effect.catchTags({ RunStoreError: unavailable, BlobError: unavailable })),
    pause: (paused) =>
      Effect.andThen(Effect.catchTag(store.pause(paused), "RunStoreError", unavailable), dispatcher.pump),
    status: Effect.catchTag(status(shell), "RunStoreError", unavailable),
    current: executing.pipe(
      Effect.flatMap((runs) =>
        viewed(Option.fromUndefinedOr(runs.find(({ id }) => !dispatcher.isFinishing(id)) ?? runs[0]))
      ),
      Effect.catchTag("RunStoreError", unavailable)
    ),
    last: dispatcher.last,
    list: store.list({ limit: mostListed }).pipe(
      Effect.flatMap(({ runs }) => Effect.forEach(runs.toReversed(), (run) => view(shell, run))),
      Effect.catchTag("RunStoreError", unavailable)
    ),
    page: (query) =>
      store.list(query).pipe(
        Effect.flatMap(({ next, runs }) =>
          Effect.map(Effect.forEach(runs, (run) => view(shell, run)), (runs) => ({ next, runs }))
        ),
        Effect.catchTag("RunStoreError", unavailable)
      ),
    get: (key) => Effect.catchTag(Effect.flatMap(store.get(key), viewed), "RunStoreError", unavailable),
    events: (id, after) => Effect.catchTag(store.read(id, after), "RunStoreError", unavailable),
    watch: (key) =>
      Stream.catchTag(watch(shell, key), "RunStoreError", (error) => Stream.fromEffect(unavailable(error))),
    isAccepting: () => !shell.closed,
    drain: (grace) => drain(shell, grace)
  })
})

// What has failed is for the log; clients learn that it has.
const unavailable = (error: BlobError | RunStoreError) =>
  Effect.andThen(
    Effect.logError("Runs cannot be kept or read", error.message),
    Effect.fail(new RunsUnavailable({ reason: shortPaths(error.message) }))
  )

const mostListed = 1000

/** Milliseconds after which executing runs are read again, whatever the store has said of changes. */
const readAgain = 1000

// The executing runs by their start. Clients ask every few milliseconds: they are read again once the store says that a
// run has changed, or other runs execute here.
const executingRuns = Effect.fnUntraced(function*(store: RunStore["Service"], dispatcher: Dispatcher["Service"]) {
  let known: { readonly runs: ReadonlyArray<RunRecord>; readonly here: string; readonly until: number } | undefined
  let changes = 0
  yield* Effect.forkScoped(
    Stream.runForEach(store.changes, () =>
      Effect.sync(() => {
        changes++
        known = undefined
      })),
    { startImmediately: true }
  )
  const together = yield* rounds.make<ReadonlyArray<RunRecord>, RunStoreError>()
  const executing = () => dispatcher.executing().join(" ")
  const read = Effect.gen(function*() {
    const until = (yield* Clock.currentTimeMillis) + readAgain
    const here = executing()
    const before = changes
    const runs = (yield* store.list({ states: ["running"], limit: mostListed })).runs.toReversed().toSorted(byStart)
    if (changes === before) known = { runs, here, until }
    return runs
  })
  return Effect.flatMap(
    Clock.currentTimeMillis,
    (now) =>
      known !== undefined && now < known.until && known.here === executing()
        ? Effect.succeed(known.runs)
        : together("", read)
  )
})

const byStart = (a: RunRecord, b: RunRecord): number => (a.startedAt ?? 0) - (b.startedAt ?? 0)

const view = Effect.fnUntraced(function*(shell: Shell, record: RunRecord) {
  const { endedAt, id, request, startedAt, submittedAt, taskId } = record
  const seen: QueuedRun = {
    id,
    taskId: taskId ?? undefined,
    request,
    status: yield* statusOf(shell, record),
    submittedAt,
    startedAt: startedAt ?? undefined,
    endedAt: endedAt ?? undefined,
    record
  }
  return seen
})

const statusOf = Effect.fnUntraced(function*(shell: Shell, run: RunRecord) {
  const { dispatcher, store } = shell
  switch (run.state) {
    case "queued":
      return { _tag: "Queued", ahead: (yield* store.ahead(run.id)) ?? 0 } satisfies QueuedStatus
    case "running":
      return {
        _tag: "Running",
        progress: (yield* dispatcher.progress(run.id)) ?? (yield* progressOf(shell, run))
      } satisfies QueuedStatus
    case "done":
    case "interrupted":
      return { _tag: "Done", interrupted: run.state === "interrupted" } satisfies QueuedStatus
    case "failed":
      return { _tag: "Failed", error: run.error?.message ?? "" } satisfies QueuedStatus
    case "cancelled":
      return { _tag: "Cancelled" } satisfies QueuedStatus
  }
})

// The progress of a run that executes elsewhere.
const progressOf = Effect.fnUntraced(function*(shell: Shell, run: RunRecord) {
  if (run.progress === null) return undefined
  const { previewStep: _, ...rest } = run.progress
  const preview = yield* latestPreview(shell, run)
  const progress: RunProgress = { ...rest, runId: run.id, preview, images: [], extraImages: [], ended: false }
  return progress
})

// Read and decoded once for all who look at the run.
const latestPreview = Effect.fnUntraced(function*(
  { decoder, previews, store }: Shell,
  { attempt, id, progress }: RunRecord
) {
  if (store.previews === undefined || progress === null || progress.previewStep === null) return undefined
  const known = previews.get(id)
  const of = `${attempt} ${progress.passesDone} ${progress.previewStep}`
  if (known?.of === of) return known.preview
  const stored = Option.getOrUndefined(yield* store.previews.get(id))
  if (stored === undefined) return undefined
  const preview = yield* Effect.orElseSucceed(
    Effect.provideService(previewOf(stored), ImageDecoder, decoder),
    () => undefined
  )
  if (preview === undefined) return undefined
  previews.delete(id)
  previews.set(id, { of, preview })
  for (const [oldest] of previews) if (previews.size > mostPreviews) previews.delete(oldest)
  return preview
})

const submit = Effect.fnUntraced(
  function*(
    shell: Shell,
    processing: Processing,
    { client = "", keep = false, key, labels = [], model, priority = 0, taskId, withMaps = false }: SubmitOptions = {},
    id: string = randomUUID()
  ) {
    const { blobs, dispatcher, store } = shell
    if (shell.closed) return yield* new ShuttingDown()
    const current = yield* shell.options.snapshot
    const snapshot = model === undefined ? current : { ...current, sd_model_checkpoint: model }
    const seeds = yield* drawSeeds(processing)
    const accepted = yield* dispatcher.keeping(Effect.gen(function*() {
      const wanted = processing.override_settings.sd_model_checkpoint ?? snapshot.sd_model_checkpoint
      const asked = yield* newRun(processing, {
        id,
        taskId: taskId ?? null,
        key: key ?? null,
        client,
        seeds,
        settings: snapshot,
        needs: { model: calledModel(wanted), labels },
        bound: keep || shell.spreads ? null : dispatcher.workerId,
        keep,
        withMaps,
        priority
      }).pipe(Effect.provideService(BlobStore, blobs))
      return yield* store.submit(asked, { queue: shell.queue + (yield* dispatcher.room) })
    }))
    yield* dispatcher.pump
    const run = yield* view(shell, Option.getOrElse(yield* store.get(accepted.run.id), () => accepted.run))
    const submitted: Submitted = { run, isNew: accepted.isNew }
    return submitted
  },
  Effect.uninterruptible
)

const submitWaiting = Effect.fnUntraced(
  function*(shell: Shell, processing: Processing, options: SubmitOptions | undefined) {
    const { dispatcher } = shell
    const id = randomUUID()
    const result = yield* dispatcher.expect(id)
    const submitted = yield* Effect.tapError(submit(shell, processing, options, id), () => dispatcher.forget(id))
    if (!submitted.isNew) yield* dispatcher.forget(id)
    const awaited: Awaited = { ...submitted, result }
    return awaited
  },
  Effect.uninterruptible
)

// Other work counts as waiting, like runs.
const admit = Effect.fnUntraced(function*({ closed, dispatcher, queue, store }: Shell) {
  if (closed) return yield* new ShuttingDown()
  const waiting = (yield* store.counts).queued + (yield* dispatcher.othersWaiting)
  if ((yield* dispatcher.room) <= 0 && waiting >= queue) return yield* new QueueFull({ waiting, retryAfter: 1 })
})

const resultOf = Effect.fnUntraced(function*(shell: Shell, key: string) {
  const known = Option.getOrUndefined(yield* shell.store.get(key))
  if (known === undefined) return Option.none()
  const ended = isEnded(known) ? known : yield* Effect.map(
    Stream.runLast(watch(shell, known.id)),
    (last) => Option.getOrUndefined(last)?.record
  )
  if (ended === undefined) return Option.none()
  if (ended.state === "cancelled") return yield* shell.closed ? new ShuttingDown() : new RunCancelled({ id: ended.id })
  if (ended.error !== null) return yield* ended.error
  const { extras: extraImages, images, keep, state, warnings } = ended
  const result: StoredResult = { images, extraImages, interrupted: state === "interrupted", warnings }
  return keep ? Option.some(result) : Option.none()
})

const asked = Effect.fnUntraced(function*({ store }: Shell, key: string, wish: Wish) {
  const run = Option.getOrUndefined(yield* store.get(key))
  if (run === undefined || isEnded(run)) return false
  const after = yield* store.append(run.id, [{ _tag: "Wished", wish }])
  return Option.isSome(after) || run.state === "running"
}, Effect.catchTag("RunStoreError", unavailable))

const mark = Effect.fnUntraced(function*(
  { store }: Shell,
  id: string,
  marks: { readonly starred?: boolean | undefined; readonly tags?: ReadonlyArray<string> | undefined }
) {
  const run = Option.getOrUndefined(yield* store.get(id))
  if (run === undefined) return false
  const { starred = run.starred, tags = run.tags } = marks
  return Option.isSome(yield* store.append(id, [{ _tag: "Marked", starred, tags: [...new Set(tags)] }]))
})

const status = Effect.fnUntraced(function*({ store }: Shell) {
  const { oldest = null, queued, running } = yield* store.counts
  const workers = yield* store.workers
  const seen: QueueStatus = {
    paused: yield* store.paused,
    queued,
    running,
    oldest,
    workers: workers.map(({ draining, labels, loaded, name, runs, seenAt, slots, startedAt, version }) => ({
      name,
      version,
      labels,
      loaded,
      slots,
      draining,
      started_at: startedAt,
      seen_at: seenAt,
      runs
    }))
  }
  return seen
})

// A run whose live progress is here changes with it, others when the store says so.
const watch = (shell: Shell, key: string): Stream.Stream<QueuedRun, RunStoreError> =>
  Stream.unwrap(Effect.map(
    shell.store.get(key),
    Option.match({
      onNone: () => Stream.empty,
      onSome: ({ id }) =>
        Stream.concat(
          Stream.succeed(id),
          Stream.filter(shell.store.changes, (changed) => changed === id || changed === "")
        ).pipe(
          Stream.buffer({ capacity: 1, strategy: "sliding" }),
          Stream.mapEffect(() => shell.store.get(id)),
          Stream.takeWhile(Option.isSome),
          Stream.mapEffect(({ value }) => view(shell, value)),
          Stream.takeUntil(({ endedAt }) => endedAt !== undefined)
        )
    })
  ))

const drain = Effect.fnUntraced(function*(shell: Shell, grace: number) {
  const { dispatcher, store } = shell
  shell.closed = true
  const draining = yield* Effect.forkChild(dispatcher.drain(grace), { startImmediately: true })
  const waiting = yield* Effect.orElseSucceed(store.queued(100_000), () => [])
  const ending = waiting.filter(({ bound, id }) => dispatcher.waitsFor(id) || (bound === null && !store.outlives))
  yield* Effect.forEach(ending, ({ id }) => Effect.ignore(store.append(id, [{ _tag: "Cancelled" }])), { discard: true })
  yield* Fiber.join(draining)
})

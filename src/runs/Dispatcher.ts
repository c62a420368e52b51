/**
 * Executes queued runs in this process. As many as it has slots have its networks at once, or more where their calls
 * are made as one; meanwhile the next one is prepared, and the images of those before are written (`NetworkOrder`).
 *
 * It takes a run from the `RunStore`, makes its images with `processImages`, and reports to the store what comes of it:
 * progress, images as their batches are finished, and the end. What others wish of the run comes from the store too. A
 * report of a run that the store has given to another worker changes nothing, and ends the work on it.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import { InternalError, RequestLost, RunCancelled, type RunError, ShuttingDown } from "../contract/errors.ts"
import type { ImageDecoder } from "../images/ImageDecoder.ts"
import type { ImageEncoder } from "../images/ImageEncoder.ts"
import { Options } from "../processing/Options.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import { NetworkTurn } from "../runner/NetworkTurn.ts"
import type { Pipeline } from "../runner/Pipeline.ts"
import { processImages } from "../runner/processImages.ts"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import type { RunnerHooks } from "../runner/RunnerHooks.ts"
import { Runs } from "../runner/Runs.ts"
import type { Preview, RunProgress, RunState } from "../runner/RunState.ts"
import type { CaptureContext } from "../runner/RuntimeContext.ts"
import { version } from "../version.ts"
import { type BlobError, BlobStore } from "./BlobStore.ts"
import { finishedOf } from "./finished.ts"
import * as Metrics from "./metrics.ts"
import * as NetworkOrder from "./NetworkOrder.ts"
import { removeUnnamed } from "./removeUnnamed.ts"
import type { RunEvent } from "./RunEvent.ts"
import { type BlobHash, blobsOf, isEnded, isFleeting, type Moment, type RunRecord } from "./RunRecord.ts"
import { resultOf, type RunResult, storedResult } from "./RunResult.ts"
import { beatEvery, type Keep, RunStore, type RunStoreError, type Worker } from "./RunStore.ts"
import { shownError } from "./shownErrors.ts"
import { keepExtras, keepImages, keepMaps, keptPreview, momentOf, processingOf } from "./stored.ts"

/** How a run can end without a result. */
export type RunFailure = RunError | RunCancelled | ShuttingDown

export interface DispatcherOptions {
  /** Runs that have the networks at once. */
  readonly slots: number
  /** Whether it takes the runs of others too: a front end executes only those whose client waits there. */
  readonly takesAny: boolean
  /**
   * Whether the runs of others save their images in the folders that the settings name, on this machine. Those whose
   * client waits here always do.
   */
  readonly saves: boolean
  /** Seconds after which a run is asked to end and return what it has; never with 0. */
  readonly maxRunSeconds: number
  /** Workers that a run may cost without finishing a batch. */
  readonly maxStrikes: number
  /** What the process is known by. */
  readonly worker: Omit<Worker, "draining" | "loaded" | "models" | "slots">
  /** What is kept of ended runs by a store that outlives the process; undefined for one that others prune. */
  readonly keep: Keep | undefined
  /** What is kept by a store that ends with the process. */
  readonly keepInMemory: Keep
  /** Models that it has now; undefined for all. */
  readonly models: Effect.Effect<ReadonlyArray<string> | undefined>
  /** Models that are loaded now. */
  readonly loaded: Effect.Effect<ReadonlyArray<string>>
  /** What is done after each run that has made its images, without holding it up. */
  readonly made: (result: RunResult) => Effect.Effect<void>
}

/** What this process is known by, unless it is given labels. */
export const thisWorker = (): DispatcherOptions["worker"] => ({
  id: randomUUID(),
  name: `${hostname()}:${process.pid}`,
  labels: [],
  version
})

/** A run that executes here. */
interface Execution {
  readonly run: RunRecord
  /** Its place among those that share the networks. */
  readonly place: NetworkOrder.Place
  /** Why it will have ended, once someone has asked for that. */
  end: "cancelled" | "given back" | "lost" | undefined
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  live: RunState | undefined
  /** The latest progress, without its images. */
  last: RunProgress | undefined
  /** The progress that the record has. */
  moment: Moment | undefined
  /** The preview that the store has. */
  preview: Preview | undefined
  /** Indices of the images that the record has. */
  readonly reported: Set<number>
  /** Held while images are reported. */
  readonly reporting: Semaphore.Semaphore
}

interface Shell extends DispatcherOptions {
  readonly store: RunStore["Service"]
  readonly blobs: BlobStore["Service"]
  readonly runs: Runs["Service"]
  readonly services: Context.Context<BlobStore | CaptureContext | ImageDecoder | ImageEncoder | Pipeline | RunnerHooks>
  readonly scope: Scope.Scope
  readonly executing: Map<string, Execution>
  /** Those who wait in this process for the result of a run. */
  readonly waiting: Map<string, Deferred.Deferred<RunResult, RunFailure>>
  /** Those of them whose record or files are still to be read. */
  readonly unread: Set<string>
  /** Other work that waits for a slot. */
  readonly turns: Array<Deferred.Deferred<void, ShuttingDown>>
  /** Who has the networks. */
  readonly order: NetworkOrder.NetworkOrder
  /** Held while a run is taken, so that no more begin than there is room for. */
  readonly taking: Semaphore.Semaphore
  /** Held while files are removed. */
  readonly files: Semaphore.Semaphore
  /** How many runs and other works execute. */
  readonly busy: SubscriptionRef.SubscriptionRef<number>
  draining: boolean
  last: RunProgress | undefined
}

export class Dispatcher extends Context.Service<Dispatcher, {
  /** The id of this process as a worker, and its name for people. */
  readonly workerId: string
  readonly name: string
  /** Slots that nothing occupies, less the other work that waits for one. */
  readonly room: Effect.Effect<number>
  /** Begins what can begin. */
  readonly pump: Effect.Effect<void>
  /**
   * The result of a run, wherever it executes; to be asked for before it is submitted. One that is not kept is removed
   * from the stores when it is here.
   */
  readonly expect: (id: string) => Effect.Effect<Effect.Effect<RunResult, RunFailure>>
  /** Whether the result of a run is waited for here. */
  readonly waitsFor: (id: string) => boolean
  /** Waits for no result of a run any more: it was not accepted. */
  readonly forget: (id: string) => Effect.Effect<void>
  /** The live progress of a run that executes here. */
  readonly progress: (id: string) => Effect.Effect<RunProgress | undefined>
  /** Whether a run that executes here has left the networks to the next one, and only writes its images. */
  readonly isFinishing: (id: string) => boolean
  /** Ids of the runs that execute here, in the order of their start. */
  readonly executing: () => ReadonlyArray<string>
  /** The progress of the run that executes or executed here last, without its images. */
  readonly last: Effect.Effect<RunProgress | undefined>
  /** Removes ended runs with their files. Returns the ids of those that were removed. */
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, BlobError | RunStoreError>
  /** Lets no file of a run be removed meanwhile: for what is kept before its run is submitted. */
  readonly keeping: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** How many units of other work wait. */
  readonly othersWaiting: Effect.Effect<number>
  /** Does other work in a slot, before queued runs. Interruption gives the slot back. */
  readonly occupy: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ShuttingDown, R>
  /** Whether it takes runs. */
  readonly accepting: Effect.Effect<boolean>
  /**
   * Takes no more runs. Executing ones have `grace` milliseconds. Where others can take them, they go back to the
   * queue after the batch in work, or without it when the time is up; those whose client waits here, and all where no
   * other process can, are then asked to end with what they have. Returns when none executes, and no client waits here
   * for one that executes elsewhere.
   */
  readonly drain: (grace: number) => Effect.Effect<void>
}>()("serena/runs/Dispatcher") {
  static readonly layer = (
    options: DispatcherOptions
  ): Layer.Layer<
    Dispatcher,
    never,
    BlobStore | CaptureContext | ImageDecoder | ImageEncoder | Pipeline | RunnerHooks | Runs | RunStore
  > => Layer.effect(Dispatcher, make(options))
}

const make = Effect.fnUntraced(function*(options: DispatcherOptions) {
  const shell: Shell = {
    ...options,
    store: Metrics.counted(yield* RunStore),
    blobs: yield* BlobStore,
    runs: yield* Runs,
    services: yield* Effect.context<
      BlobStore | CaptureContext | ImageDecoder | ImageEncoder | Pipeline | RunnerHooks
    >(),
    scope: yield* Effect.scope,
    executing: new Map(),
    waiting: new Map(),
    unread: new Set(),
    turns: [],
    order: NetworkOrder.make(options.slots),
    taking: yield* Semaphore.make(1),
    files: yield* Semaphore.make(1),
    busy: yield* SubscriptionRef.make(0),
    draining: false,
    last: undefined
  }
  yield* Effect.addFinalizer(() => Effect.ignore(shell.store.leave(shell.worker.id)))
  yield* beat(shell)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(beatEvery), beat(shell))))
  yield* Effect.forkScoped(hear(shell), { startImmediately: true })
  yield* Effect.forkScoped(Stream.runForEach(shell.store.offers, () => pump(shell)), { startImmediately: true })
  const kept = keepOf(shell)
  if (kept !== undefined) {
    const pruneEvery = Math.min(60_000, Math.max(1000, kept.time / 10))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(pruneEvery), prune(shell, kept))))
  }
  yield* Effect.forkScoped(pump(shell), { startImmediately: true })

  return Dispatcher.of({
    workerId: options.worker.id,
    name: options.worker.name,
    room: Effect.sync(() => Math.max(0, shell.order.free()) - shell.turns.length),
    pump: pump(shell),
    expect: Effect.fnUntraced(function*(id) {
      const deferred = yield* Deferred.make<RunResult, RunFailure>()
      shell.waiting.set(id, deferred)
      return Deferred.await(deferred)
    }),
    waitsFor: (id) => shell.waiting.has(id),
    forget: (id) => Effect.sync(() => shell.waiting.delete(id)),
    // The record lags behind the run, which has no live state any more while its end is written.
    progress: (id) =>
      Effect.flatMap(shell.runs.get(id), (live) =>
        Option.isSome(live)
          ? live.value.progress
          : Effect.succeed(shell.executing.get(id)?.last)),
    isFinishing: (id) => shell.executing.get(id)?.place.isFinishing() === true,
    executing: () => [...shell.executing.keys()],
    last: Effect.sync(() => shell.last),
    remove: Effect.fnUntraced(function*(ids) {
      const removed = yield* shell.store.prune({ ids })
      yield* dropFiles(shell, removed.flatMap((run) => Array.from(blobsOf(run))))
      return removed.map(({ id }) => id)
    }),
    keeping: (effect) => shell.files.withPermits(1)(effect),
    othersWaiting: Effect.sync(() => shell.turns.length),
    occupy: (work) => occupy(shell, work),
    accepting: Effect.sync(() => !shell.draining),
    drain: (grace) => drain(shell, grace)
  })
})

const keepOf = ({ keep, keepInMemory, store }: Shell): Keep | undefined => store.outlives ? keep : keepInMemory

const workerOf = Effect.fnUntraced(function*({ draining, loaded, models, slots, takesAny, worker }: Shell) {
  const now: Worker = {
    ...worker,
    slots: takesAny ? slots : 0,
    draining,
    models: yield* models,
    loaded: yield* loaded
  }
  return now
})

// A store that fails for a while is asked again: the loops that ask live as long as the process.
const patiently = (what: string, shell: Shell, effect: Effect.Effect<void, BlobError | RunStoreError>) =>
  Effect.catch(
    effect,
    (error) => Effect.annotateLogs(Effect.logWarning(what, error.message), { worker: shell.worker.name })
  )

// Says that this process lives, gives back what lost workers had, and ends the work on runs that it has lost itself.
const beat = (shell: Shell) =>
  patiently(
    "The database of runs does not answer",
    shell,
    Effect.gen(function*() {
      const { executing, maxStrikes, store, taking } = shell
      const mine = new Map(executing)
      const held = yield* taking.withPermits(1)(Effect.gen(function*() {
        const held = yield* store.beat(yield* workerOf(shell))
        // A run that was taken, but whose record never arrived here.
        for (const id of held) if (!executing.has(id)) yield* store.append(id, [{ _tag: "Returned", lost: false }])
        return held
      }))
      for (const [id, execution] of mine) {
        if (held.has(id) || executing.get(id) !== execution) continue
        execution.end ??= "lost"
        if (execution.fiber !== undefined) yield* Effect.forkIn(Fiber.interrupt(execution.fiber), shell.scope)
      }
      yield* store.reclaim({ maxStrikes })
      // Ends that could not be read when they were heard of.
      for (const id of shell.unread) yield* settleIfEnded(shell, id)
      yield* pump(shell)
    })
  )

// Follows the changes of the store: wishes for executing runs, and ends of others that are waited for.
const hear = (shell: Shell) =>
  Stream.runForEach(shell.store.changes, (id) =>
    patiently(
      "A change of the queue could not be read",
      shell,
      Effect.gen(function*() {
        const concerned = id === "" ? [...shell.executing.keys(), ...shell.waiting.keys()] : [id]
        for (const one of concerned) {
          if (!shell.executing.has(one) && !shell.waiting.has(one)) continue
          const execution = shell.executing.get(one)
          if (execution === undefined) {
            shell.unread.add(one)
            yield* settleIfEnded(shell, one)
            continue
          }
          const run = Option.getOrUndefined(yield* shell.store.get(one))
          if (run !== undefined) yield* heed(shell, execution, run)
        }
      })
    ))

// Passes a wish on to the run that executes.
const heed = Effect.fnUntraced(function*(shell: Shell, execution: Execution, { attempt, wish }: RunRecord) {
  if (wish === null || attempt !== execution.run.attempt) return
  if (wish === "cancel") {
    execution.end ??= "cancelled"
    if (execution.fiber !== undefined) yield* Effect.forkIn(Fiber.interrupt(execution.fiber), shell.scope)
    return
  }
  // Heard again when it has a live state.
  if (execution.live === undefined) return
  yield* execution.live[wish]
  yield* shell.store.append(execution.run.id, [{ _tag: "WishHeard", wish }], { attempt })
})

// Asks a run to end with what it has: by the store, where it has no live state yet.
const interrupt = (shell: Shell, { live, run: { attempt, id } }: Execution) =>
  live?.interrupt ?? patiently(
    "A run could not be asked to end",
    shell,
    Effect.asVoid(shell.store.append(id, [{ _tag: "Wished", wish: "interrupt" }], { attempt }))
  )

const settleIfEnded = Effect.fnUntraced(function*(shell: Shell, id: string) {
  const run = Option.getOrUndefined(yield* shell.store.get(id))
  if (run !== undefined && isEnded(run)) yield* settle(shell, run)
  shell.unread.delete(id)
})

// The end of a run that did not execute here, for those who wait here.
const settle = Effect.fnUntraced(function*(shell: Shell, run: RunRecord) {
  const deferred = shell.waiting.get(run.id)
  if (deferred === undefined) return
  const read = storedResult(run).pipe(
    Effect.provideContext(shell.services),
    Effect.mapError((error): BlobError | RequestLost =>
      error._tag === "BlobMissing" ? new RequestLost({ reason: error.message }) : error
    ),
    Effect.catchTag("RequestLost", (error) => Effect.as(Deferred.fail(deferred, error), undefined))
  )
  const result = yield* read
  if (result === undefined) {
    const ended = shell.draining ? new ShuttingDown() : new RunCancelled({ id: run.id })
    yield* Deferred.fail(deferred, run.error ?? ended)
  } else yield* Deferred.succeed(deferred, result)
  shell.waiting.delete(run.id)
  yield* SubscriptionRef.set(shell.busy, busyWith(shell))
  yield* release(shell, run)
})

// What is kept only until it is here.
const release = Effect.fnUntraced(function*(shell: Shell, run: RunRecord) {
  if (run.keep || run.bound !== null) return
  const before = blobsOf(run)
  yield* shell.store.append(run.id, [{ _tag: "Fetched" }])
  yield* dropFiles(shell, [...before])
})

// Other work goes before queued runs: it is short, and its client waits.
const pump = (shell: Shell): Effect.Effect<void> =>
  shell.taking.withPermits(1)(
    Effect.gen(function*() {
      const { order, turns } = shell
      while (!shell.draining) {
        const turn = order.free() > 0 ? turns.shift() : undefined
        if (turn !== undefined) {
          order.occupy()
          yield* Deferred.succeed(turn, undefined)
          continue
        }
        if (turns.length > 0 || !order.hasRoom()) break
        const run = yield* Effect.catch(
          Effect.flatMap(workerOf(shell), shell.store.take),
          (error) => Effect.as(Effect.logWarning("No run could be taken", error.message), Option.none<RunRecord>())
        )
        if (Option.isNone(run)) break
        yield* execute(shell, run.value)
      }
      yield* SubscriptionRef.set(shell.busy, busyWith(shell))
    })
  ).pipe(Effect.uninterruptible)

// What this process executes or waits for.
const busyWith = ({ executing, order, waiting }: Shell): number =>
  order.occupied() + new Set([...executing.keys(), ...waiting.keys()]).size

const execute = Effect.fnUntraced(function*(shell: Shell, run: RunRecord) {
  const execution: Execution = {
    run,
    place: shell.order.add(Effect.asVoid(Effect.forkIn(pump(shell), shell.scope))),
    end: undefined,
    fiber: undefined,
    live: undefined,
    last: undefined,
    moment: undefined,
    preview: undefined,
    reported: new Set(run.images.map(({ index }) => index)),
    reporting: yield* Semaphore.make(1)
  }
  shell.executing.set(run.id, execution)
  const work = Effect.gen(function*() {
    yield* Effect.forkChild(follow(shell, execution), { startImmediately: true })
    const asked = yield* Effect.mapError(processingOf(run), ({ message }) => new RequestLost({ reason: message }))
    const settings = Options.patched(Options.defaults, yield* Options.decode(run.settings))
    const processing = shell.saves || run.bound !== null
      ? asked
      : { ...asked, override_settings: { ...asked.override_settings, ...savesNothing } }
    const opts: OptionsSnapshot = Options.patched(settings, processing.override_settings)
    yield* execution.place.start(NetworkOrder.filesOf(processing, opts), NetworkOrder.companyOf(processing, opts))
    if (shell.maxRunSeconds > 0) {
      const late = Effect.suspend(() => interrupt(shell, execution))
      yield* Effect.forkChild(Effect.andThen(Effect.sleep(shell.maxRunSeconds * 1000), late))
    }
    const processed = yield* processImages(processing, {
      runId: run.id,
      settings,
      finished: yield* finishedOf(run)
    }).pipe(Effect.provideService(NetworkTurn, execution.place))
    return yield* resultOf(processed, { opts, withMaps: run.withMaps })
  }).pipe(
    Effect.provideContext(shell.services),
    Effect.onExit((exit) => report(shell, execution, exit)),
    // A fiber that has ended still has its result.
    Effect.asVoid
  )
  execution.fiber = yield* Effect.forkIn(work, shell.scope)
})

const savesNothing = { samples_save: false, save_init_img: false }

// Reports the progress of a run and its images, as they come, and passes on what was wished before it began.
const follow = (shell: Shell, execution: Execution) => {
  const { run: { id } } = execution
  const { runs, store } = shell
  return Stream.runForEach(runs.watch(id), (progress) =>
    patiently(
      "The progress of a run could not be written",
      shell,
      Effect.gen(function*() {
        shell.last = execution.last = { ...progress, images: [], preview: undefined }
        if (execution.live === undefined) {
          execution.live = Option.getOrUndefined(yield* runs.get(id))
          const run = Option.getOrUndefined(yield* store.get(id))
          if (run !== undefined) yield* heed(shell, execution, run)
          if (execution.end === "given back" && execution.live !== undefined) yield* execution.live.stop
        }
        if (progress.ended) return
        const moment = momentOf(progress)
        // Before the progress that speaks of it.
        if (store.previews !== undefined && progress.preview !== undefined && progress.preview !== execution.preview) {
          execution.preview = progress.preview
          yield* store.previews.set(id, yield* keptPreview(progress.preview))
        }
        const isNew = JSON.stringify(moment) !== JSON.stringify(execution.moment)
        if (!isNew && progress.images.every(({ index }) => execution.reported.has(index))) return
        execution.moment = moment
        yield* reportMade(shell, execution, progress, {
          news: isNew ? [{ _tag: "Progressed", progress: moment }] : [],
          endsSoon: progress.passCount > 0 && progress.passesDone === progress.passCount
        })
        if (store.progressEvery > 0) yield* Effect.sleep(store.progressEvery)
      }).pipe(
        Effect.catchTags({
          BlobError: (error) => Effect.logWarning("An image could not be kept yet", error.message),
          ImageCodecError: (error) => Effect.logDebug("A preview could not be written", error.message)
        }),
        Effect.provideContext(shell.services)
      )
    ))
}

// Appends what is finished and not yet in the record, whose files are kept now, and other news. One at a time: two
// would report the same images. What could not be written is reported the next time. Where the end of the run follows
// soon, its commit is the one that waits for the disk.
const reportMade = (
  { store }: Shell,
  { reported, reporting, run }: Execution,
  { extraImages, images }: Pick<RunResult, "extraImages" | "images">,
  { endsSoon, news = [] }: { readonly endsSoon: boolean; readonly news?: ReadonlyArray<RunEvent> }
) =>
  reporting.withPermits(1)(Effect.uninterruptible(Effect.gen(function*() {
    const { attempt, id } = run
    const options = { fleeting: isFleeting(run) }
    const fresh = images.filter(({ index }) => !reported.has(index))
    const theirs = extraImages.filter(({ index }) => fresh.some((image) => image.index === index))
    const made: ReadonlyArray<RunEvent> = fresh.length === 0 ? [] : [{
      _tag: "ImagesMade",
      images: yield* keepImages(fresh, options),
      extras: yield* keepExtras(theirs, options)
    }]
    if (made.length + news.length === 0) return
    yield* store.append(id, [...made, ...news], { attempt, fleeting: endsSoon || options.fleeting })
    for (const { index } of fresh) reported.add(index)
  })))

const untilItAnswers = Schedule.spaced("1 second")

/** How often a process that ends still tries to write the end of a run. */
const triesAtEnd = 10

// The end of a run, for the store and for those who wait here.
const report = Effect.fnUntraced(
  function*(shell: Shell, execution: Execution, exit: Exit.Exit<RunResult, ProcessingError | RequestLost>) {
    const { run } = execution
    if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
      yield* Effect.annotateLogs(Effect.logError("run failed", exit.cause), { "run.id": run.id })
    }
    if (execution.end !== "lost") {
      // Whatever keeps the store from answering, the images are there to be written.
      const goesOn = () => execution.end !== "lost" && (!shell.draining || triesLeft-- > 0)
      let triesLeft = triesAtEnd
      yield* reported(shell, execution, exit).pipe(
        Effect.tapError((error) => Effect.logWarning("The end of a run could not be written yet", error.message)),
        Effect.retry(Schedule.while(untilItAnswers, () => Effect.sync(goesOn))),
        Effect.ignore
      )
    }
    shell.executing.delete(run.id)
    execution.place.remove()
    // What is in memory stays within its bounds at once.
    if (!shell.store.outlives) yield* prune(shell, shell.keepInMemory)
    if (Exit.isSuccess(exit)) yield* Effect.forkIn(shell.made(exit.value), shell.scope)
    const deferred = shell.waiting.get(run.id)
    // Others may go on with one that is given back.
    const goesOn = run.bound === null && shell.store.outlives &&
      (execution.end === "lost" || execution.end === "given back" && !shell.draining)
    if (deferred !== undefined && !goesOn) {
      shell.waiting.delete(run.id)
      yield* Deferred.done(deferred, outcomeOf(execution, exit, shell.draining))
      yield* Effect.ignore(Effect.flatMap(
        shell.store.get(run.id),
        Option.match({
          onNone: () => Effect.void,
          onSome: (ended) => release(shell, ended)
        })
      ))
    }
    yield* Effect.forkIn(pump(shell), shell.scope, { startImmediately: true })
  }
)

const reported = Effect.fnUntraced(
  function*(shell: Shell, execution: Execution, exit: Exit.Exit<RunResult, ProcessingError | RequestLost>) {
    const { store } = shell
    const { live, run: { attempt, id } } = execution
    const made = Exit.isSuccess(exit) ? exit.value : live === undefined ? undefined : yield* live.progress
    if (made !== undefined) yield* reportMade(shell, execution, made, { endsSoon: true })
    const end = yield* endOf(execution, exit)
    const before = Option.getOrUndefined(yield* store.get(id))
    const options = { attempt, fleeting: isFleeting(execution.run) }
    const after = Option.getOrUndefined(yield* store.append(id, [end], options))
    if (before !== undefined && after !== undefined) {
      const kept = blobsOf(after)
      yield* dropFiles(shell, [...blobsOf(before)].filter((hash) => !kept.has(hash)))
    }
  },
  (effect, { services }) => Effect.provideContext(effect, services)
)

const endOf = Effect.fnUntraced(
  function*({ end, run }: Execution, exit: Exit.Exit<RunResult, ProcessingError | RequestLost>) {
    if (Exit.isSuccess(exit)) {
      const { extraImages, interrupted, plan, warnings } = exit.value
      // Stopped after a batch: others go on with the rest.
      if (end === "given back" && interrupted) return { _tag: "Returned", lost: false } satisfies RunEvent
      const isStored = !isFleeting(run)
      const extras = yield* keepExtras(isStored ? extraImages : [], {})
      const maps = yield* keepMaps(isStored ? exit.value.maps : [], {})
      return { _tag: "Done", interrupted, extras, maps, plan, warnings } satisfies RunEvent
    }
    if (end === "given back") return { _tag: "Returned", lost: false } satisfies RunEvent
    if (end === "cancelled" || Cause.hasInterruptsOnly(exit.cause)) return { _tag: "Cancelled" } satisfies RunEvent
    return { _tag: "Failed", error: errorOf(exit.cause) } satisfies RunEvent
  }
)

// Errors refer to the frames of the run until their stacks are read; what is stored of them is data only.
const errorOf = (cause: Cause.Cause<ProcessingError | RequestLost>): RunError => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return error === undefined ? new InternalError() : error._tag === "RequestLost" ? error : shownError(error)
}

const outcomeOf = (
  { end, run: { id } }: Execution,
  exit: Exit.Exit<RunResult, ProcessingError | RequestLost>,
  draining: boolean
): Exit.Exit<RunResult, RunFailure> => {
  if (Exit.isSuccess(exit)) return exit
  return end !== undefined || Cause.hasInterruptsOnly(exit.cause)
    ? Exit.fail(draining && end !== "cancelled" ? new ShuttingDown() : new RunCancelled({ id }))
    : Exit.fail(errorOf(exit.cause))
}

// Removes those of the blobs that no run names.
const dropFiles = ({ blobs, files, store }: Shell, hashes: ReadonlyArray<BlobHash>) =>
  files.withPermits(1)(removeUnnamed({ blobs, store }, hashes))

// Removes ended runs beyond the bounds with their files. On a clock too, so that a quiet server forgets what it should
// not hold on to.
const prune = (shell: Shell, keep: Keep) =>
  patiently(
    "Old runs could not be removed",
    shell,
    Effect.gen(function*() {
      const { blobs, store } = shell
      const removed = yield* store.prune({ keep })
      yield* dropFiles(shell, removed.flatMap((run) => Array.from(blobsOf(run))))
      if (store.outlives) {
        yield* blobs.sweep((hashes) => Effect.orElseSucceed(store.named(hashes), () => new Set(hashes)))
      }
    })
  )

const occupy = <A, E, R>(shell: Shell, work: Effect.Effect<A, E, R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      if (shell.draining) return yield* new ShuttingDown()
      const turn = yield* Deferred.make<void, ShuttingDown>()
      shell.turns.push(turn)
      yield* pump(shell)
      const leave = Effect.suspend(() => {
        const place = shell.turns.indexOf(turn)
        if (place === -1) shell.order.leave()
        else shell.turns.splice(place, 1)
        return pump(shell)
      })
      return yield* Effect.ensuring(restore(Effect.andThen(Deferred.await(turn), work)), leave)
    })
  )

const drain = Effect.fnUntraced(function*(shell: Shell, grace: number) {
  shell.draining = true
  for (const turn of shell.turns.splice(0)) {
    shell.order.occupy()
    yield* Deferred.fail(turn, new ShuttingDown())
  }
  yield* beat(shell)
  const isQuiet = () => busyWith(shell) === 0
  if (isQuiet()) return
  const quiet = Stream.runHead(Stream.filter(SubscriptionRef.changes(shell.busy), isQuiet))
  for (const execution of shell.executing.values()) {
    if (!shell.store.outlives || execution.run.bound !== null) continue
    execution.end ??= "given back"
    if (execution.live !== undefined) yield* execution.live.stop
  }
  if (Option.isSome(yield* Effect.timeoutOption(quiet, grace))) return
  for (const execution of shell.executing.values()) {
    const { end, fiber } = execution
    if (end === "given back" && fiber !== undefined) yield* Effect.forkIn(Fiber.interrupt(fiber), shell.scope)
    else yield* interrupt(shell, execution)
  }
  for (const id of shell.waiting.keys()) {
    if (shell.executing.has(id)) continue
    yield* patiently(
      "A run could not be asked to end",
      shell,
      Effect.asVoid(shell.store.append(id, [{ _tag: "Wished", wish: "interrupt" }]))
    )
  }
  yield* quiet
})

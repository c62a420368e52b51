/**
 * How far a run is, live.
 *
 * One writer, the run; any number of readers. A value is immutable: a reader keeps what it got. Readers also ask a run to
 * stop here: `interrupt` ends it after the current step, `skip` ends the current batch only, `stop` lets the batch end.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

/** One moment of a run. */
export interface RunProgress {
  readonly runId: string
  /** What is being done, in a word or two: `loading`, `sampling`, `saving`. */
  readonly job: string
  /** Batches finished, and batches in all. */
  readonly jobNo: number
  readonly jobCount: number
  /** Steps finished in this batch, and steps in all. */
  readonly samplingStep: number
  readonly samplingSteps: number
  /** Milliseconds since the epoch. */
  readonly timeStarted: number
  readonly interrupted: boolean
  readonly skipped: boolean
  readonly stopping: boolean
}

export interface RunState {
  /** The newest value. */
  readonly progress: Effect.Effect<RunProgress>
  /** The newest value and every later one, the latest only for a reader that falls behind. */
  readonly changes: Stream.Stream<RunProgress>
  /** For the run itself. */
  readonly update: (change: Partial<Omit<RunProgress, "runId">>) => Effect.Effect<void>
  /** Asks the run to end after the current step and give what it has. */
  readonly interrupt: Effect.Effect<void>
  /** Asks the run to end the current batch after the current step and go on with the next. */
  readonly skip: Effect.Effect<void>
  /** Asks the run to end after the current batch. */
  readonly stop: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*(runId: string): Effect.fn.Return<RunState> {
  const ref = yield* SubscriptionRef.make<RunProgress>({
    runId,
    job: "waiting",
    jobNo: 0,
    jobCount: 0,
    samplingStep: 0,
    samplingSteps: 0,
    timeStarted: yield* Clock.currentTimeMillis,
    interrupted: false,
    skipped: false,
    stopping: false
  })
  const update: RunState["update"] = (change) => SubscriptionRef.update(ref, (progress) => ({ ...progress, ...change }))
  return {
    progress: SubscriptionRef.get(ref),
    changes: Stream.buffer(SubscriptionRef.changes(ref), { capacity: 1, strategy: "sliding" }),
    update,
    interrupt: update({ interrupted: true }),
    skip: update({ skipped: true }),
    stop: update({ stopping: true })
  }
})

/**
 * The share of the run that is done, 0 to 1: finished batches, and the current one's steps, as stable-diffusion-webui
 * counts them.
 */
export const fraction = (progress: RunProgress): number => {
  if (progress.jobCount === 0) return 0
  const batches = progress.jobNo / progress.jobCount
  const steps = progress.samplingSteps === 0 ? 0 : progress.samplingStep / progress.samplingSteps / progress.jobCount
  return Math.min(1, batches + steps)
}

/**
 * How far a run is, live.
 *
 * One writer, the run; any number of readers. A value is immutable: a reader keeps what it got. Readers also ask a run
 * to stop here: `interrupt` ends it after the current step, `skip` ends the current batch only, `stop` lets the batch
 * end.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { type ExtraImage, extraImagesOf, type GeneratedImage, type ProcessedImage, processedOf } from "./Processed.ts"

/** A preview: a small image of the current latents. */
export interface Preview {
  /** The sampling step it shows. */
  readonly step: number
  readonly width: number
  readonly height: number
  /** 8-bit RGB, `[height, width, 3]`. */
  readonly pixels: Uint8Array
}

/** One moment of a run. */
export interface RunProgress {
  readonly runId: string
  /** What is being done, in a word or two: `loading`, `sampling`, `saving`. */
  readonly activity: string
  /** A sentence for people, such as `Batch 2 of 3`; empty when there is nothing to say. */
  readonly text: string
  /** Finished passes, and all passes of the run: one for each batch, or two with hires fix. */
  readonly passesDone: number
  readonly passCount: number
  /** Finished steps of this pass, and all of its steps. */
  readonly samplingStep: number
  readonly samplingSteps: number
  /** Milliseconds since the epoch. */
  readonly timeStarted: number
  readonly interrupted: boolean
  readonly skipped: boolean
  readonly stopping: boolean
  /** The latest preview of this batch. */
  readonly preview: Preview | undefined
  /** The images that are finished, with their files. */
  readonly images: ReadonlyArray<ProcessedImage>
  /** Their masks and composites, as far as the settings ask to return them. */
  readonly extraImages: ReadonlyArray<ExtraImage>
  /** True once the run is over, however it ended. */
  readonly ended: boolean
}

export interface RunState {
  readonly runId: string
  /** Images that earlier attempts at this run have finished, in the order of their `index`, with their files. */
  readonly finished: ReadonlyArray<GeneratedImage>
  /** The newest value. */
  readonly progress: Effect.Effect<RunProgress>
  /**
   * The newest value at once, then every later one, and the end with the run's. A reader that falls behind gets the
   * latest only, and never holds up the run.
   */
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

/** The state of a run that begins, or that goes on after images of an earlier attempt. */
export const make = Effect.fnUntraced(function*(
  runId: string,
  images: ReadonlyArray<GeneratedImage> = []
): Effect.fn.Return<RunState> {
  const finished = images.filter(({ complete, written }) => complete && written !== undefined)
    .toSorted((a, b) => a.index - b.index)
  let current: RunProgress = {
    runId,
    activity: "waiting",
    text: "",
    passesDone: 0,
    passCount: 0,
    samplingStep: 0,
    samplingSteps: 0,
    timeStarted: yield* Clock.currentTimeMillis,
    interrupted: false,
    skipped: false,
    stopping: false,
    preview: undefined,
    images: finished.flatMap(processedOf),
    extraImages: finished.flatMap(extraImagesOf),
    ended: false
  }
  // One place for all readers: a later value takes it from an earlier one that not every reader has read yet.
  const latest = yield* PubSub.sliding<RunProgress>({ capacity: 1, replay: 1 })
  yield* PubSub.publish(latest, current)
  const update: RunState["update"] = (change) =>
    Effect.suspend(() => PubSub.publish(latest, current = { ...current, ...change }))
  return {
    runId,
    finished,
    progress: Effect.sync(() => current),
    changes: Stream.takeUntil(Stream.fromPubSub(latest), ({ ended }) => ended),
    update,
    interrupt: update({ interrupted: true }),
    skip: update({ skipped: true }),
    stop: update({ stopping: true })
  }
})

/** What `fraction` counts. */
type Counted = Pick<RunProgress, "passCount" | "passesDone" | "samplingStep" | "samplingSteps">

/**
 * The share of the run that is done, 0 to 1, as stable-diffusion-webui counts it: finished passes, the current one's
 * steps, and 0.01 for having begun.
 */
export const fraction = ({ passCount, passesDone, samplingStep, samplingSteps }: Counted): number => {
  if (passCount === 0) return 0
  const steps = samplingSteps === 0 ? 0 : samplingStep / samplingSteps / passCount
  return Math.min(1, 0.01 + passesDone / passCount + steps)
}

/**
 * Seconds until the run will have ended, at the pace so far: elapsed / fraction - elapsed. 0 before it began.
 *
 * `now` is in milliseconds since the epoch.
 */
export const eta = (progress: Counted & Pick<RunProgress, "timeStarted">, now: number): number => {
  const done = fraction(progress)
  if (done === 0) return 0
  const elapsed = Math.max(0, now - progress.timeStarted) / 1000
  return elapsed / done - elapsed
}

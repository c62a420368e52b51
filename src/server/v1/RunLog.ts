/**
 * The log of a run's events as an immutable value, and the transitions between its states.
 *
 * Events are numbered from 1. A log holds the last ones only, and of the previews, which are large, only the latest,
 * until the run ends. An image is logged once, when its file is finished. A transition that adds no event returns the
 * log itself. `RunEvents` is the shell that follows the runs.
 */
import { isLast, type Progress, type RunEvent, type RunImage, type RunStatus } from "../../contract/Run.ts"
import type * as RunState from "../../runner/RunState.ts"

/** An event with its number and the preview that is new in it. */
export interface Logged {
  readonly id: number
  readonly event: RunEvent
  readonly preview: RunState.Preview | undefined
}

export interface RunLog {
  /** The last events, oldest first. */
  readonly events: ReadonlyArray<Logged>
  readonly last: Logged | undefined
  readonly lastPreview: RunState.Preview | undefined
  readonly lastProgress: Progress | undefined
  /** Indices of the images that are logged. */
  readonly images: ReadonlySet<number>
}

/** How a run ended. */
export type End = Extract<RunStatus, { readonly _tag: "Done" | "Failed" | "Cancelled" }>

/** A moment of a run that executes. */
export interface Moment {
  readonly progress: Progress
  /** The images that are finished. */
  readonly images: ReadonlyArray<RunImage>
  /** The latest preview, new or not. */
  readonly preview: RunState.Preview | undefined
}

/** Largest number of events in the log of a run. */
export const maxEvents = 256

export const empty: RunLog = {
  events: [],
  last: undefined,
  lastPreview: undefined,
  lastProgress: undefined,
  images: new Set()
}

/** Logs the place of a run in the queue, if it has changed. */
export const queued = (log: RunLog, status: Extract<RunStatus, { readonly _tag: "Queued" }>): RunLog => {
  const last = log.last?.event
  return isEnded(log) || (last?._tag === "Queued" && last.position === status.position) ? log : append(log, status)
}

/** Logs the images of a moment that are new, and the moment if it differs from the last one. */
export const executing = (log: RunLog, { images, preview, progress }: Moment): RunLog => {
  if (isEnded(log)) return log
  const imaged = appendImages(log, images)
  if (log.lastProgress !== undefined && isSameMoment(log.lastProgress, progress)) return imaged
  const latest = { ...imaged, lastProgress: progress, lastPreview: preview }
  const isNew = preview !== log.lastPreview
  return append(latest, { _tag: "Step", progress, preview: null }, isNew ? preview : undefined)
}

/** Logs the images of the result that are new, then the end. Previews are dropped. */
export const ended = (log: RunLog, end: End): RunLog => {
  if (isEnded(log)) return log
  const imaged = appendImages(log, end.images)
  return append({ ...imaged, events: imaged.events.map(withoutPreview), lastPreview: undefined }, end)
}

/** Whether the last event of the run is logged. */
export const isEnded = ({ last }: RunLog): boolean => last !== undefined && isLast(last.event)

/** The events after the one with a number. */
export const after = ({ events }: RunLog, number: number): ReadonlyArray<Logged> =>
  events.filter(({ id }) => id > number)

/** How the run ended; `undefined` before its last event is logged. */
export const endOf = ({ last }: RunLog): End | undefined => {
  const event = last?.event
  return event?._tag === "Done" || event?._tag === "Failed" || event?._tag === "Cancelled" ? event : undefined
}

const append = (log: RunLog, event: RunEvent, preview?: RunState.Preview): RunLog => {
  const last: Logged = { id: (log.last?.id ?? 0) + 1, event, preview }
  // The new preview replaces the previous one.
  const before = preview === undefined ? log.events : log.events.map(withoutPreview)
  return { ...log, last, events: [...before, last].slice(-maxEvents) }
}

const appendImages = (log: RunLog, images: ReadonlyArray<RunImage>): RunLog => {
  const added = images.filter(({ index }) => !log.images.has(index))
  return added.length === 0 ? log : added.reduce<RunLog>(
    (log, image) => append(log, { _tag: "Image", image }),
    { ...log, images: new Set([...log.images, ...added.map(({ index }) => index)]) }
  )
}

const withoutPreview = (logged: Logged): Logged =>
  logged.preview === undefined ? logged : { ...logged, preview: undefined }

// The estimated time left is not compared: it changes without an event.
const isSameMoment = (a: Progress, b: Progress): boolean =>
  a.job === b.job && a.text === b.text && a.batch === b.batch && a.batches === b.batches && a.step === b.step &&
  a.steps === b.steps && a.interrupted === b.interrupted && a.preview_step === b.preview_step

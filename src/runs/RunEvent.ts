/**
 * What can happen to a run, and what its record is afterwards.
 *
 * `apply` is the only way a record changes. It is a pure function: a store loads the record, applies the event, and
 * writes both in one transaction. What does not fit the state of the run does not happen.
 */
import * as Schema from "effect/Schema"
import { RunError } from "../contract/errors.ts"
import {
  isEnded,
  isFleeting,
  Moment,
  noImages,
  PlanFacts,
  type RunRecord,
  StoredExtra,
  StoredImage,
  StoredMap,
  Wish
} from "./RunRecord.ts"

/** The run was accepted. The first event of every run. */
export const Submitted = Schema.TaggedStruct("Submitted", {})
/** A worker has begun with it. */
export const Taken = Schema.TaggedStruct("Taken", { worker: Schema.String, attempt: Schema.Int })
/** It is further than before. */
export const Progressed = Schema.TaggedStruct("Progressed", { progress: Moment })
/** Images whose files are whole: a batch, or the part of it that is written. */
export const ImagesMade = Schema.TaggedStruct("ImagesMade", {
  images: Schema.Array(StoredImage),
  /** Their masks and composites. */
  extras: Schema.Array(StoredExtra)
})
/** Someone asks for it to end, or to go on with its next batch. */
export const Wished = Schema.TaggedStruct("Wished", { wish: Wish })
/** The worker has done what was asked, and the run goes on. */
export const WishHeard = Schema.TaggedStruct("WishHeard", { wish: Wish })
/** The worker gives it back, or was lost with it. Its finished images stay. */
export const Returned = Schema.TaggedStruct("Returned", { lost: Schema.Boolean })
/** The last events of a run. */
export const Done = Schema.TaggedStruct("Done", {
  interrupted: Schema.Boolean,
  extras: Schema.Array(StoredExtra),
  maps: Schema.Array(StoredMap),
  plan: PlanFacts,
  warnings: Schema.Array(Schema.String)
})
export const Failed = Schema.TaggedStruct("Failed", { error: RunError })
export const Cancelled = Schema.TaggedStruct("Cancelled", {})
/** The client who waited for it has its images. */
export const Fetched = Schema.TaggedStruct("Fetched", {})
/** It goes to another place of the queue. */
export const Moved = Schema.TaggedStruct("Moved", { priority: Schema.Int, place: Schema.Finite })
/** An ended run is asked for again, under its own id, from its beginning. */
export const Retried = Schema.TaggedStruct("Retried", { place: Schema.Finite })
/** Someone has sorted it. */
export const Marked = Schema.TaggedStruct("Marked", { starred: Schema.Boolean, tags: Schema.Array(Schema.String) })

export const RunEvent = Schema.Union([
  Submitted,
  Taken,
  Progressed,
  ImagesMade,
  Wished,
  WishHeard,
  Returned,
  Done,
  Failed,
  Cancelled,
  Fetched,
  Moved,
  Retried,
  Marked
])
export type RunEvent = typeof RunEvent.Type

/** An event of the log of its run. */
export interface Logged {
  /** Counts the events of the run from 1. */
  readonly seq: number
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly event: RunEvent
}

const weight: Readonly<Record<Wish, number>> = { skip: 1, interrupt: 2, cancel: 3 }

// What is not made again: an image whose sampling was interrupted is, and so are grids.
const finished = ({ extras, images }: RunRecord): Pick<RunRecord, "extras" | "images"> => {
  const complete = images.filter(({ complete }) => complete)
  return { images: complete, extras: extras.filter(({ index }) => complete.some((image) => image.index === index)) }
}

/**
 * The record after an event; `undefined` when the event does not fit: a run that has ended does not go on, one that
 * executes is not taken, and a worker that has lost the run reports in vain.
 *
 * @param at Milliseconds since the epoch.
 * @param attempt The attempt of the worker that reports it; `undefined` for what others ask.
 */
export const apply = (
  run: RunRecord,
  event: RunEvent,
  { at, attempt }: { readonly at: number; readonly attempt?: number | undefined }
): RunRecord | undefined => {
  if (attempt !== undefined && (run.state !== "running" || run.attempt !== attempt)) return undefined
  const ended = (state: RunRecord["state"], keep = run.keep): RunRecord => ({
    ...run,
    state,
    endedAt: at,
    wish: null,
    progress: null,
    images: keep ? run.images : [],
    extras: keep ? run.extras : [],
    // Those of a run that has not done all may be asked for again.
    sent: run.keep && state !== "done" ? run.sent : noImages
  })
  switch (event._tag) {
    case "Submitted":
      return undefined
    case "Taken":
      return run.state !== "queued" ? undefined : {
        ...run,
        state: "running",
        worker: event.worker,
        attempt: event.attempt,
        startedAt: run.startedAt ?? at,
        wish: null,
        progress: null
      }
    case "Progressed":
      return run.state !== "running" ? undefined : { ...run, progress: event.progress }
    case "ImagesMade": {
      if (run.state !== "running") return undefined
      const known = new Set(run.images.map(({ index }) => index))
      const added = event.images.filter(({ index }) => !known.has(index))
      return added.length === 0 ? undefined : {
        ...run,
        images: [...run.images, ...added].toSorted((a, b) => a.index - b.index),
        extras: [...run.extras, ...event.extras.filter(({ index }) => added.some((image) => image.index === index))],
        strikes: 0
      }
    }
    case "Wished":
      if (run.state === "queued") return event.wish === "skip" ? undefined : ended("cancelled")
      // A wish that was not yet heard is not taken back by one for less.
      return run.state !== "running" || (run.wish !== null && weight[run.wish] >= weight[event.wish])
        ? undefined
        : { ...run, wish: event.wish }
    case "WishHeard":
      // Another wish may have come meanwhile.
      return run.state !== "running" || run.wish !== event.wish ? undefined : { ...run, wish: null }
    case "Returned": {
      if (run.state !== "running") return undefined
      if (run.wish === "cancel" || run.bound !== null) return ended("cancelled")
      return {
        ...run,
        ...finished(run),
        state: "queued",
        strikes: run.strikes + (event.lost ? 1 : 0),
        wish: null,
        progress: null
      }
    }
    case "Done": {
      if (run.state !== "running") return undefined
      // Whose client waits at another process comes for them there.
      const keep = !isFleeting(run)
      return {
        ...ended(event.interrupted ? "interrupted" : "done", keep),
        extras: keep ? event.extras : [],
        maps: keep ? event.maps : [],
        plan: keep ? event.plan : null,
        warnings: event.warnings
      }
    }
    case "Failed":
      return isEnded(run) ? undefined : { ...ended("failed"), error: event.error }
    case "Cancelled":
      return isEnded(run) ? undefined : ended("cancelled")
    case "Fetched":
      return !isEnded(run) || run.keep
        ? undefined
        : { ...run, images: [], extras: [], maps: [], plan: null }
    case "Moved":
      return run.state !== "queued" ? undefined : { ...run, priority: event.priority, place: event.place }
    case "Retried":
      return !run.keep || run.state !== "failed" && run.state !== "cancelled" && run.state !== "interrupted" ?
        undefined :
        {
          ...run,
          ...finished(run),
          state: "queued",
          place: event.place,
          startedAt: null,
          endedAt: null,
          strikes: 0,
          worker: null,
          maps: [],
          plan: null,
          warnings: [],
          error: null
        }
    case "Marked":
      return { ...run, starred: event.starred, tags: event.tags }
  }
}

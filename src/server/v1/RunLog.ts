/**
 * The log of a run as its clients read it: the events of `/v1` that the events of its record stand for.
 *
 * Of the previews, which are large, only the latest is there, until the run ends. `RunEvents` is the shell that follows
 * the runs.
 */
import { isLast as isEnd, type RunEvent } from "../../contract/Run.ts"
import type * as RunState from "../../runner/RunState.ts"
import type { Logged } from "../../runs/RunEvent.ts"
import type { RunRecord } from "../../runs/RunRecord.ts"
import { endOf, imageOf, progressOf, waiting } from "./RunView.ts"

/** An event with its number and the preview that is new in it. */
export interface Entry {
  /** Number of the event of the record that it stands for. */
  readonly seq: number
  /** The number that a client continues after: one who read only a part of what an event stands for reads all of it. */
  readonly id: number
  /** Counts the entries of a log in this process from 1. */
  readonly order: number
  readonly event: RunEvent
  readonly preview: RunState.Preview | undefined
}

export interface RunLog {
  /** The last events, oldest first. */
  readonly entries: ReadonlyArray<Entry>
  /** Number of the last event of the record that is in it. */
  readonly seq: number
  readonly order: number
  readonly lastPreview: RunState.Preview | undefined
}

/** Largest number of entries in a log. */
export const maxEntries = 256

export const empty: RunLog = { entries: [], seq: 0, order: 0, lastPreview: undefined }

/** What is known of a run besides its log. */
export interface Facts {
  readonly record: RunRecord
  /** How many runs are ahead of it while it waits. */
  readonly ahead: number
  /** Its latest preview. */
  readonly preview: RunState.Preview | undefined
}

/** Appends what the events of a run stand for. */
export const extended = (log: RunLog, logged: ReadonlyArray<Logged>, facts: Facts): RunLog => {
  // What came before a retry belongs to the earlier run.
  const begin = logged.findLastIndex(({ event }) => event._tag === "Retried")
  const known = begin === -1 ? log : { ...log, entries: [] }
  const news = logged.slice(Math.max(0, begin))
  const last = news.findLastIndex(({ event }) => decides(event))
  return news.reduce((log, one, i) => extend(log, one, i >= last, facts), known)
}

// Whether an event can put a run into another state.
const decides = ({ _tag }: Logged["event"]): boolean =>
  _tag !== "Fetched" && _tag !== "ImagesMade" && _tag !== "Marked" && _tag !== "Moved" && _tag !== "Progressed" &&
  _tag !== "WishHeard"

const extend = (
  log: RunLog,
  { at, event, seq }: Logged,
  isLast: boolean,
  { ahead, preview, record }: Facts
): RunLog => {
  const next = { ...log, seq }
  if (isEnded(log)) return next
  switch (event._tag) {
    case "Submitted":
    case "Retried":
      return append(next, { _tag: "Queued", position: ahead })
    case "Taken":
      return append(next, { _tag: "Step", progress: waiting, preview: null })
    case "Progressed": {
      const isNew = preview !== undefined && preview !== log.lastPreview && event.progress.previewStep === preview.step
      const step: RunEvent = { _tag: "Step", progress: progressOf(event.progress, at), preview: null }
      return isNew ? append({ ...next, lastPreview: preview }, step, { preview }) : append(next, step)
    }
    case "ImagesMade":
      return event.images.reduce<RunLog>(
        (log, image, i) =>
          append(log, { _tag: "Image", image: imageOf(record.id, image) }, {
            id: i < event.images.length - 1 ? seq - 1 : seq
          }),
        next
      )
    case "Wished":
    case "Returned": {
      // Such an event ends a run that waits, or was to be cancelled.
      if (isLast && endOf(record) !== undefined) return appendEnd(next, record)
      return event._tag === "Wished" ? next : append(next, { _tag: "Queued", position: ahead })
    }
    case "Done":
    case "Failed":
    case "Cancelled":
      return appendEnd(next, record)
    case "Fetched":
    case "Marked":
    case "Moved":
    case "WishHeard":
      return next
  }
}

const appendEnd = (log: RunLog, record: RunRecord): RunLog => {
  const end = endOf(record)
  return end === undefined
    ? log
    : append({ ...log, entries: log.entries.map(withoutPreview), lastPreview: undefined }, end)
}

/** Appends the place of a waiting run, if it has changed. */
export const moved = (log: RunLog, ahead: number): RunLog => {
  const last = log.entries.at(-1)?.event
  return last?._tag !== "Queued" || last.position === ahead ? log : append(log, { _tag: "Queued", position: ahead })
}

/** Whether the last event of the run is in it. */
export const isEnded = ({ entries }: RunLog): boolean => {
  const last = entries.at(-1)
  return last !== undefined && isEnd(last.event)
}

/** The entries after the one with a number, of those that are new to a reader who has read up to `order`. */
export const after = (
  { entries }: RunLog,
  { id, order }: { readonly id: number; readonly order: number }
): ReadonlyArray<Entry> => entries.filter((entry) => entry.order > order && entry.seq > id)

const append = (
  log: RunLog,
  event: RunEvent,
  { id = log.seq, preview }: Partial<Pick<Entry, "id" | "preview">> = {}
): RunLog => {
  const { seq } = log
  const order = log.order + 1
  // The new preview replaces the previous one.
  const before = preview === undefined ? log.entries : log.entries.map(withoutPreview)
  return { ...log, order, entries: [...before, { seq, id, order, event, preview }].slice(-maxEntries) }
}

const withoutPreview = (entry: Entry): Entry => entry.preview === undefined ? entry : { ...entry, preview: undefined }

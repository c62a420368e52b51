/**
 * The record of a run that has just been accepted.
 */
import { format, type RunRecord } from "./RunRecord.ts"
import type { NewRun } from "./RunStore.ts"

/** A queued run. `submittedAt` is in milliseconds since the epoch, by the clock of the store. */
export const accepted = (asked: NewRun, at: Pick<RunRecord, "place" | "submittedAt">): RunRecord => ({
  ...asked,
  ...at,
  format,
  state: "queued",
  startedAt: null,
  endedAt: null,
  attempt: 0,
  strikes: 0,
  worker: null,
  wish: null,
  progress: null,
  images: [],
  extras: [],
  maps: [],
  plan: null,
  warnings: [],
  error: null,
  starred: false,
  tags: []
})

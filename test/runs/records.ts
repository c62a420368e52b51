/**
 * Records and events of runs for tests.
 */
import { Txt2Img } from "../../src/processing/Processing.ts"
import type { StoredImage } from "../../src/runs/RunRecord.ts"
import { noImages, type RunRecord } from "../../src/runs/RunRecord.ts"
import type { NewRun } from "../../src/runs/RunStore.ts"

/** A run to be submitted. */
export const newRun = (id: string, more: Partial<NewRun> = {}): NewRun => ({
  id,
  taskId: null,
  key: null,
  client: "ada",
  request: Txt2Img.make({ prompt: "a cat" }),
  sent: noImages,
  seeds: { seed: 1, subseed: 0 },
  settings: {},
  needs: { model: "", labels: [] },
  bound: null,
  keep: true,
  priority: 0,
  cost: 1,
  ...more
})

/** A run that waits. */
export const queuedRun = (id: string, more: Partial<RunRecord> = {}): RunRecord => ({
  ...newRun(id),
  format: 1,
  place: 1,
  state: "queued",
  submittedAt: 0,
  startedAt: null,
  endedAt: null,
  attempt: 0,
  strikes: 0,
  worker: null,
  wish: null,
  progress: null,
  images: [],
  extras: [],
  warnings: [],
  error: null,
  starred: false,
  tags: [],
  ...more
})

/** A hash that is none of a file. */
export const hashOf = (index: number): string => index.toString(16).padStart(64, "0")

export const storedImage = (index: number, more: Partial<StoredImage> = {}): StoredImage => ({
  index,
  seed: index,
  subseed: 0,
  prompt: "a cat",
  negativePrompt: "",
  infotext: "a cat",
  width: 8,
  height: 8,
  complete: true,
  blob: hashOf(index),
  bytes: 10,
  format: "png",
  path: null,
  ...more
})

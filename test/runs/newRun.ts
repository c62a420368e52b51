/** Runs for tests of stores. */
import * as Schema from "effect/Schema"
import { AskedRequest } from "../../src/contract/Run.ts"
import { accepted } from "../../src/runs/accepted.ts"
import { noImages, type PlanFacts, type RunRecord, type StoredImage } from "../../src/runs/RunRecord.ts"
import type { NewRun, Worker } from "../../src/runs/RunStore.ts"

const ask = Schema.decodeUnknownSync(AskedRequest)

/** A run as a client asks for it. */
export const newRun = (
  id: string,
  { prompt = "a cat", ...fields }: Partial<NewRun> & { prompt?: string } = {}
): NewRun => ({
  id,
  taskId: null,
  key: null,
  client: "anna",
  request: ask({ prompt, control_units: [] }),
  sent: noImages,
  seeds: { seed: 1, subseed: 2 },
  settings: {},
  needs: { model: "", labels: [] },
  bound: null,
  keep: true,
  withMaps: false,
  priority: 0,
  cost: 1,
  ...fields
})

/** A run that waits. */
export const queuedRun = (id: string, fields: Partial<RunRecord> = {}): RunRecord => ({
  ...accepted(newRun(id), { place: 1, submittedAt: 0 }),
  ...fields
})

/** A worker that can do everything. */
export const newWorker = (id: string, fields: Partial<Worker> = {}): Worker => ({
  id,
  name: `${id} on a test`,
  models: undefined,
  loaded: [],
  labels: [],
  slots: 1,
  draining: false,
  version: "0.0.0",
  ...fields
})

/** The hash of a blob, by a number. */
export const hash = (number: number): string => number.toString(16).padStart(64, "0")

/** A finished image of 1000 bytes. */
export const image = (index: number, fields: Partial<StoredImage> = {}): StoredImage => ({
  index,
  seed: 2n ** 63n + 1n,
  subseed: 2,
  prompt: "a cat",
  negativePrompt: "",
  infotext: "a cat\nSteps: 20",
  width: 64,
  height: 64,
  complete: true,
  blob: hash(index + 1),
  bytes: 1000,
  format: "png",
  path: null,
  ...fields
})

/** Progress at a step. */
export const progressed = (samplingStep: number) => ({
  _tag: "Progressed" as const,
  progress: {
    activity: "sampling",
    text: "",
    passesDone: 0,
    passCount: 1,
    samplingStep,
    samplingSteps: 20,
    timeStarted: 0,
    interrupted: false,
    skipped: false,
    stopping: false,
    previewStep: null
  }
})

/** What the plan of a run has settled. */
export const plan: PlanFacts = {
  width: 64,
  height: 64,
  sampler: "Euler",
  clipSkip: 1,
  model: { name: "shapes-128", hash: null, vae: null, isInpainting: false },
  startedAt: 0,
  unmade: []
}

export const done = { _tag: "Done" as const, interrupted: false, extras: [], maps: [], plan, warnings: [] }

/**
 * Runs and their results as `/v1` shows them.
 */
import { InternalError } from "../../contract/errors.ts"
import type { Progress, Run, RunExtra, RunImage, RunStatus } from "../../contract/Run.ts"
import * as RunState from "../../runner/RunState.ts"
import type { Moment, RunRecord, StoredExtra, StoredImage } from "../../runs/RunRecord.ts"
import { momentOf } from "../../runs/stored.ts"
import type { QueuedRun } from "../host/RunQueue.ts"

/** The progress of a run. `now` is in milliseconds since the epoch. */
export const progressOf = (progress: Moment, now: number): Progress => ({
  job: progress.activity,
  text: progress.text,
  batch: progress.passesDone,
  batches: progress.passCount,
  step: progress.samplingStep,
  steps: progress.samplingSteps,
  fraction: RunState.fraction(progress),
  eta: RunState.eta(progress, now),
  interrupted: progress.interrupted,
  preview_step: progress.previewStep
})

/** The progress of a run that has begun and reported nothing yet. */
export const waiting: Progress = {
  job: "waiting",
  text: "",
  batch: 0,
  batches: 0,
  step: 0,
  steps: 0,
  fraction: 0,
  eta: 0,
  interrupted: false,
  preview_step: null
}

/** An image whose file is finished. */
export const imageOf = (id: string, image: StoredImage): RunImage => ({
  index: image.index,
  url: `/v1/runs/${id}/images/${image.index}`,
  seed: image.seed,
  subseed: image.subseed,
  infotext: image.infotext,
  width: image.width,
  height: image.height,
  format: image.format,
  bytes: image.bytes,
  complete: image.complete
})

const extraOf = (id: string) => (extra: StoredExtra, position: number): RunExtra => ({
  url: `/v1/runs/${id}/extras/${position}`,
  kind: extra.kind,
  index: extra.index,
  format: extra.format,
  bytes: extra.bytes
})

/** The ending of a run; undefined before it has ended. */
export const endOf = (
  { error, extras, id, images: made, state, warnings }: RunRecord
): Extract<RunStatus, { readonly _tag: "Done" | "Failed" | "Cancelled" }> | undefined => {
  const images = made.map((image) => imageOf(id, image))
  switch (state) {
    case "queued":
    case "running":
      return undefined
    case "cancelled":
      return { _tag: "Cancelled", images }
    case "failed": {
      const reason = error ?? new InternalError()
      return { _tag: "Failed", error: reason, message: reason.message, images }
    }
    case "done":
    case "interrupted":
      return { _tag: "Done", interrupted: state === "interrupted", images, extras: extras.map(extraOf(id)), warnings }
  }
}

/** The status of a run at a moment, in milliseconds since the epoch. */
export const statusOf = ({ record, status }: QueuedRun, now: number): RunStatus =>
  endOf(record) ?? (status._tag === "Queued"
    ? { _tag: "Queued", position: status.ahead }
    : {
      _tag: "Running",
      progress: status._tag === "Running" && status.progress !== undefined
        ? progressOf(momentOf(status.progress), now)
        : waiting
    })

export const runOf = (run: QueuedRun, now: number): Run => ({
  id: run.id,
  task_id: run.taskId ?? null,
  submitted_at: run.submittedAt,
  started_at: run.startedAt ?? null,
  ended_at: run.endedAt ?? null,
  priority: run.record.priority,
  attempts: run.record.attempt,
  starred: run.record.starred,
  tags: run.record.tags,
  request: run.request,
  status: statusOf(run, now)
})

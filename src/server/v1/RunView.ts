/**
 * Jobs and what came out of them, as `/v1` shows them.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { InternalError } from "../../contract/errors.ts"
import type { Progress, Run, RunExtra, RunImage, RunStatus } from "../../contract/Run.ts"
import type { ExtraImage, Processed, ProcessedImage } from "../../runner/Processed.ts"
import * as RunState from "../../runner/RunState.ts"
import type { JobError, JobView } from "../host/Jobs.ts"

/** How far a run is. `now` is in milliseconds since the epoch. */
const progressOf = (progress: RunState.RunProgress, now: number): Progress => ({
  job: progress.job,
  text: progress.text,
  batch: progress.jobNo,
  batches: progress.jobCount,
  step: progress.samplingStep,
  steps: progress.samplingSteps,
  fraction: RunState.fraction(progress),
  eta: RunState.eta(progress, now),
  interrupted: progress.interrupted,
  preview_step: progress.preview?.step ?? null
})

const waiting: Progress = {
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

const imageOf = (id: string, image: ProcessedImage): RunImage => ({
  index: image.index,
  url: `/v1/runs/${id}/images/${image.index}`,
  seed: image.seed,
  subseed: image.subseed,
  infotext: image.infotext,
  width: image.width,
  height: image.height,
  format: image.format,
  bytes: image.bytes.length,
  complete: image.complete
})

const extraOf = (id: string) => (extra: ExtraImage, position: number): RunExtra => ({
  url: `/v1/runs/${id}/extras/${position}`,
  kind: extra.kind,
  index: extra.index ?? null,
  format: extra.format,
  bytes: extra.bytes.length
})

/** What a job ended with. Of a result that is not kept, only that it ended. */
export const endOf = (
  { id, status }: Pick<JobView, "id" | "status">,
  exit: Exit.Exit<Option.Option<Processed>, JobError>
): Extract<RunStatus, { readonly _tag: "Done" | "Failed" | "Cancelled" }> => {
  if (status._tag === "Cancelled") return { _tag: "Cancelled" }
  if (Exit.isFailure(exit)) {
    const error = Option.getOrElse(Cause.findErrorOption(exit.cause), () => new InternalError())
    // A run that was never begun, as the server ended, is as one that was cancelled.
    return error._tag === "JobCancelled" || error._tag === "ShuttingDown"
      ? { _tag: "Cancelled" }
      : { _tag: "Failed", error, message: error.message }
  }
  const processed = Option.getOrUndefined(exit.value)
  return {
    _tag: "Done",
    interrupted: status._tag === "Done" && status.interrupted,
    images: (processed?.images ?? []).map((image) => imageOf(id, image)),
    extras: (processed?.extraImages ?? []).map(extraOf(id)),
    warnings: processed?.warnings ?? []
  }
}

/** How a job that has not ended is. */
export const liveStatusOf = (
  { status }: JobView,
  now: number
): Extract<RunStatus, { readonly _tag: "Queued" | "Running" }> =>
  status._tag === "Queued"
    ? { _tag: "Queued", position: status.ahead }
    : {
      _tag: "Running",
      progress: status._tag === "Running" && status.progress !== undefined ? progressOf(status.progress, now) : waiting
    }

export const runOf = (job: JobView, status: RunStatus): Run => ({
  id: job.id,
  task_id: job.taskId ?? null,
  submitted_at: job.submittedAt,
  started_at: job.startedAt ?? null,
  ended_at: job.endedAt ?? null,
  request: job.processing,
  status
})

/**
 * Runs and their results as `/v1` shows them.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { InternalError } from "../../contract/errors.ts"
import type { Progress, Run, RunExtra, RunImage, RunStatus } from "../../contract/Run.ts"
import type { ExtraImage } from "../../runner/Processed.ts"
import * as RunState from "../../runner/RunState.ts"
import type { HeldImage, HeldResult, RunFailure } from "../host/HeldResult.ts"
import type { QueuedRun } from "../host/RunQueue.ts"

/** The progress of a run. `now` is in milliseconds since the epoch. */
const progressOf = (progress: RunState.RunProgress, now: number): Progress => ({
  job: progress.activity,
  text: progress.text,
  batch: progress.passesDone,
  batches: progress.passCount,
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

/** An image whose file is finished. */
export const imageOf = (id: string, image: HeldImage): RunImage => ({
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

/** The ending of a run. Images that are no longer held are not among its own. */
export const endOf = (
  { id, status }: Pick<QueuedRun, "id" | "status">,
  exit: Exit.Exit<Option.Option<HeldResult>, RunFailure>,
  finished: ReadonlyArray<HeldImage>
): Extract<RunStatus, { readonly _tag: "Done" | "Failed" | "Cancelled" }> => {
  const images = finished.map((image) => imageOf(id, image))
  if (status._tag === "Cancelled") return { _tag: "Cancelled", images }
  if (Exit.isFailure(exit)) {
    const error = Option.getOrElse(Cause.findErrorOption(exit.cause), () => new InternalError())
    // A run that never started because of a shutdown counts as cancelled.
    return error._tag === "RunCancelled" || error._tag === "ShuttingDown"
      ? { _tag: "Cancelled", images }
      : { _tag: "Failed", error, message: error.message, images }
  }
  const processed = Option.getOrUndefined(exit.value)
  return {
    _tag: "Done",
    interrupted: status._tag === "Done" && status.interrupted,
    images,
    extras: (processed?.extraImages ?? []).map(extraOf(id)),
    warnings: processed?.warnings ?? []
  }
}

/** The status of a run that has not ended. */
export const liveStatusOf = (
  { status }: QueuedRun,
  now: number
): Extract<RunStatus, { readonly _tag: "Queued" | "Running" }> =>
  status._tag === "Queued"
    ? { _tag: "Queued", position: status.ahead }
    : {
      _tag: "Running",
      progress: status._tag === "Running" && status.progress !== undefined ? progressOf(status.progress, now) : waiting
    }

export const runOf = (run: QueuedRun, status: RunStatus): Run => ({
  id: run.id,
  task_id: run.taskId ?? null,
  submitted_at: run.submittedAt,
  started_at: run.startedAt ?? null,
  ended_at: run.endedAt ?? null,
  request: run.request,
  status
})

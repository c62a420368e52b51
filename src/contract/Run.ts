/**
 * A run as `/v1` shows it: its request, progress and result; and its live events.
 *
 * Times are milliseconds since the epoch. Images are referred to by their URLs, from the server's root.
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { Seed } from "../core/Seed.ts"
import { ControlUnit } from "../processing/ControlUnit.ts"
import { Img2Img, Txt2Img } from "../processing/Processing.ts"
import { RunError } from "./errors.ts"

/** A client's own name or key for a run. */
export const RunName = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))

export const Priority = Schema.Int.check(Schema.isBetween({ minimum: -100, maximum: 100 }))

/** A label of workers, or a tag of runs. */
export const Label = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100))

const runOptions = {
  /** Whether the server saves the images to its disk. By default its settings decide. */
  save: Schema.optional(Schema.Boolean),
  /** The client's own name for the run, which finds it like its id. */
  task_id: Schema.optional(RunName),
  /** A second submission with the same key returns the run of the first, like the header `Idempotency-Key`. */
  idempotency_key: Schema.optional(RunName),
  /** Runs of a higher priority go first. 0 by default. */
  priority: Schema.optional(Priority),
  /** Labels that the worker of the run must have, such as `gpu`. None by default. */
  requires: Schema.optional(Schema.Array(Label))
}

/** A request with the options of its run. Fields and defaults are those of `Processing`. */
export const RunRequest = Schema.Union([
  Txt2Img.mapFields(Struct.assign(runOptions)).annotate({ identifier: "RunTxt2Img" }),
  Img2Img.mapFields(Struct.assign(runOptions)).annotate({ identifier: "RunImg2Img" })
])
export type RunRequest = typeof RunRequest.Type

const units = {
  control_units: Schema.Array(
    ControlUnit.mapFields(Struct.omit(["image", "mask"])).annotate({ identifier: "ControlUnitWithoutImages" })
  )
}

/** A request without its images. */
export const AskedRequest = Schema.Union([
  Txt2Img.mapFields(Struct.assign(units)).annotate({ identifier: "Txt2ImgWithoutImages" }),
  Img2Img.mapFields(Struct.omit(["init_images", "mask"])).mapFields(Struct.assign(units))
    .annotate({ identifier: "Img2ImgWithoutImages" })
])
export type AskedRequest = typeof AskedRequest.Type

const milliseconds = Schema.Finite

/** The progress of a run. */
export const Progress = Schema.Struct({
  /** The current activity in a word or two: `loading`, `sampling`, `saving`. */
  job: Schema.String,
  /** A sentence for people, such as `Batch 2 of 3`; may be empty. */
  text: Schema.String,
  /** Finished batches, and all batches of the run. */
  batch: Schema.Int,
  batches: Schema.Int,
  /** Finished steps of this batch, and all of its steps. */
  step: Schema.Int,
  steps: Schema.Int,
  /** Share of the run that is done, 0 to 1. */
  fraction: Schema.Finite,
  /** Estimated seconds left at the pace so far; 0 before the first step. */
  eta: Schema.Finite,
  /** Whether the run was asked to end early. */
  interrupted: Schema.Boolean,
  /** The step of the latest preview, which is at the run's `preview`; null for none. */
  preview_step: Schema.NullOr(Schema.Int)
}).annotate({ identifier: "Progress" })
export type Progress = typeof Progress.Type

const format = Schema.Literals(["png", "jpg", "webp"])

/** An image of a run. */
export const RunImage = Schema.Struct({
  /** Position among all images of the request, from 0. */
  index: Schema.Int,
  /** URL of its file: `/v1/runs/{id}/images/{index}`. */
  url: Schema.String,
  seed: Seed,
  subseed: Seed,
  infotext: Schema.String,
  width: Schema.Int,
  height: Schema.Int,
  format,
  /** Size of its file in bytes. */
  bytes: Schema.Int,
  /** False for an image whose sampling was interrupted. */
  complete: Schema.Boolean
}).annotate({ identifier: "RunImage" })
export type RunImage = typeof RunImage.Type

/** An auxiliary image: a grid of all images, or a mask or composite of one. */
export const RunExtra = Schema.Struct({
  /** URL of its file: `/v1/runs/{id}/extras/{position}`. */
  url: Schema.String,
  kind: Schema.Literals([
    "grid",
    "mask",
    "mask composite",
    "before highres fix",
    "before color correction"
  ]),
  /** Index of the image that it belongs to; null for a grid. */
  index: Schema.NullOr(Schema.Int),
  format,
  bytes: Schema.Int
}).annotate({ identifier: "RunExtra" })
export type RunExtra = typeof RunExtra.Type

const outcome = {
  /** Whether it was ended early: images may be missing or incomplete. */
  interrupted: Schema.Boolean,
  images: Schema.Array(RunImage),
  extras: Schema.Array(RunExtra),
  warnings: Schema.Array(Schema.String)
}

/** The run waits. `position`: how many runs are ahead of it. */
export const Queued = Schema.TaggedStruct("Queued", { position: Schema.Int }).annotate({ identifier: "Queued" })
export const Running = Schema.TaggedStruct("Running", { progress: Progress }).annotate({ identifier: "Running" })
export const Done = Schema.TaggedStruct("Done", outcome).annotate({ identifier: "Done" })
export type Done = typeof Done.Type
export const Failed = Schema.TaggedStruct("Failed", {
  error: RunError,
  /** The error as a sentence. */
  message: Schema.String,
  /** What was finished before. */
  images: Schema.Array(RunImage)
}).annotate({ identifier: "Failed" })
export const Cancelled = Schema.TaggedStruct("Cancelled", {
  /** What was finished before. */
  images: Schema.Array(RunImage)
}).annotate({ identifier: "Cancelled" })

export const RunStatus = Schema.Union([Queued, Running, Done, Failed, Cancelled])
export type RunStatus = typeof RunStatus.Type

export const Run = Schema.Struct({
  id: Schema.String,
  task_id: Schema.NullOr(Schema.String),
  submitted_at: milliseconds,
  started_at: Schema.NullOr(milliseconds),
  ended_at: Schema.NullOr(milliseconds),
  priority: Schema.Int,
  /** How often it has begun: more than once after its worker was lost, or gave it back. */
  attempts: Schema.Int,
  /** Whether it was starred: then it is kept until someone removes it. */
  starred: Schema.Boolean,
  tags: Schema.Array(Schema.String),
  request: AskedRequest,
  status: RunStatus
}).annotate({ identifier: "Run" })
export type Run = typeof Run.Type

/** A page of the list, newest first. */
export const RunList = Schema.Struct({
  runs: Schema.Array(Run),
  /** Pass this as `before` for the next page; null on the last page. */
  next: Schema.NullOr(Schema.String)
}).annotate({ identifier: "RunList" })
export type RunList = typeof RunList.Type

/** What changes in a run: what is left out stays. */
export const RunPatch = Schema.Struct({
  starred: Schema.optional(Schema.Boolean),
  tags: Schema.optional(Schema.Array(Label).check(Schema.isMaxLength(50))),
  /** Puts a waiting run before another one by its id; null puts it at the end of its priority. */
  before: Schema.optional(Schema.NullOr(Schema.String))
}).annotate({ identifier: "RunPatch" })
export type RunPatch = typeof RunPatch.Type

/** The ids of runs. */
export const RunIds = Schema.Struct({ ids: Schema.Array(Schema.String).check(Schema.isMaxLength(1000)) })
  .annotate({ identifier: "RunIds" })

/** A process that executes runs. */
export const QueueWorker = Schema.Struct({
  /** Machine and process. */
  name: Schema.String,
  version: Schema.String,
  labels: Schema.Array(Schema.String),
  /** Models that are loaded now. */
  loaded: Schema.Array(Schema.String),
  /** How many runs it executes at once. */
  slots: Schema.Int,
  /** Whether it takes no more runs. */
  draining: Schema.Boolean,
  started_at: milliseconds,
  /** Its last sign of life. */
  seen_at: milliseconds,
  /** Ids of the runs that it executes. */
  runs: Schema.Array(Schema.String)
}).annotate({ identifier: "QueueWorker" })

/** The queue as a whole. */
export const QueueStatus = Schema.Struct({
  /** While it is paused, executing runs go on and no further one begins. */
  paused: Schema.Boolean,
  queued: Schema.Int,
  running: Schema.Int,
  /** When the oldest waiting run was submitted; null without one. */
  oldest: Schema.NullOr(milliseconds),
  workers: Schema.Array(QueueWorker)
}).annotate({ identifier: "QueueStatus" })
export type QueueStatus = typeof QueueStatus.Type

export const QueuePatch = Schema.Struct({ paused: Schema.Boolean }).annotate({ identifier: "QueuePatch" })

/** A small image of the latents being sampled. */
export const Preview = Schema.Struct({
  step: Schema.Int,
  width: Schema.Int,
  height: Schema.Int,
  /** A PNG file in base64. */
  png: Schema.String.annotate({ contentEncoding: "base64", contentMediaType: "image/png" })
}).annotate({ identifier: "Preview" })
export type Preview = typeof Preview.Type

/** A step has finished. `preview` is present when it was requested and is new. */
export const Step = Schema.TaggedStruct("Step", { progress: Progress, preview: Schema.NullOr(Preview) }).annotate({
  identifier: "Step"
})
/** An image is finished and available, also while its run continues. Sent once for each image. */
export const Image = Schema.TaggedStruct("Image", { image: RunImage }).annotate({ identifier: "Image" })

/** An event of a run. `Done`, `Failed` and `Cancelled` are the last of their run. */
export const RunEvent = Schema.Union([Queued, Step, Image, Done, Failed, Cancelled])
export type RunEvent = typeof RunEvent.Type

/** Whether an event or a status is the last of its run. */
export const isLast = ({ _tag }: { readonly _tag: (RunEvent | RunStatus)["_tag"] }): boolean =>
  _tag === "Done" || _tag === "Failed" || _tag === "Cancelled"

/**
 * An event as a server-sent one: `id` counts the events of its run from 1, `event` is the tag in lower case, `data` the
 * event in JSON.
 */
export const SentEvent = Schema.Struct({
  id: Schema.optional(Schema.String),
  event: Schema.String,
  data: Schema.fromJsonString(Schema.toCodecJson(RunEvent))
}).annotate({ identifier: "SentEvent" })
export type SentEvent = typeof SentEvent.Type

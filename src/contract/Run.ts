/**
 * A run as `/v1` shows it: what was asked, how far it is, what came out; and the events that tell of it live.
 *
 * Times are milliseconds since the epoch. Pictures are named by their URLs, from the server's root on.
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { Img2Img, Txt2Img } from "../processing/Processing.ts"
import { RunError } from "./errors.ts"

const runOptions = {
  /** Whether the server writes the pictures to its disk. Left out: its settings decide. */
  save: Schema.optional(Schema.Boolean),
  /** The client's own name for the run; the run is found by it as by its id. */
  task_id: Schema.optional(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)))
}

/** What to make, and how the server treats it. Fields and defaults are those of `Processing`. */
export const RunRequest = Schema.Union([
  Txt2Img.mapFields(Struct.assign(runOptions)).annotate({ identifier: "RunTxt2Img" }),
  Img2Img.mapFields(Struct.assign(runOptions)).annotate({ identifier: "RunImg2Img" })
])
export type RunRequest = typeof RunRequest.Type

/** What was asked, without the pictures that came with it. */
export const AskedRequest = Schema.Union([
  Txt2Img,
  Img2Img.mapFields(Struct.omit(["init_images", "mask"])).annotate({ identifier: "Img2ImgWithoutPictures" })
])
export type AskedRequest = typeof AskedRequest.Type

const milliseconds = Schema.Finite

/** How far a run is. */
export const Progress = Schema.Struct({
  /** What is being done, in a word or two: `loading`, `sampling`, `saving`. */
  job: Schema.String,
  /** A sentence for people; empty when there is nothing to say. */
  text: Schema.String,
  /** Batches finished, and batches in all. */
  batch: Schema.Int,
  batches: Schema.Int,
  /** Steps finished in this batch, and steps in all. */
  step: Schema.Int,
  steps: Schema.Int,
  /** Share of the run that is done, 0 to 1. */
  fraction: Schema.Finite,
  /** Seconds left, at the pace so far; 0 before the first step. */
  eta: Schema.Finite,
  /** Whether somebody asked it to end early. */
  interrupted: Schema.Boolean,
  /** The step of the latest preview, to be had at the run's `preview`; null for none. */
  preview_step: Schema.NullOr(Schema.Int)
}).annotate({ identifier: "Progress" })
export type Progress = typeof Progress.Type

const format = Schema.Literals(["png", "jpg", "webp"])

/** A picture of a run. */
export const RunImage = Schema.Struct({
  /** Position among all pictures of the request, from 0. */
  index: Schema.Int,
  /** Where its file is: `/v1/runs/{id}/images/{index}`. */
  url: Schema.String,
  seed: Schema.Int,
  subseed: Schema.Int,
  infotext: Schema.String,
  width: Schema.Int,
  height: Schema.Int,
  format,
  /** Size of its file. */
  bytes: Schema.Int,
  /** False for a picture whose sampling was interrupted. */
  complete: Schema.Boolean
}).annotate({ identifier: "RunImage" })
export type RunImage = typeof RunImage.Type

/** A picture beside the others: a grid of them, or a mask or composite of one. */
export const RunExtra = Schema.Struct({
  /** Where its file is: `/v1/runs/{id}/extras/{position}`. */
  url: Schema.String,
  kind: Schema.Literals([
    "grid",
    "mask",
    "mask composite",
    "before highres fix",
    "before color correction"
  ]),
  /** Of the picture that it belongs to; null for a grid. */
  index: Schema.NullOr(Schema.Int),
  format,
  bytes: Schema.Int
}).annotate({ identifier: "RunExtra" })
export type RunExtra = typeof RunExtra.Type

const outcome = {
  /** Whether it was ended early: pictures may be missing or not complete. */
  interrupted: Schema.Boolean,
  images: Schema.Array(RunImage),
  extras: Schema.Array(RunExtra),
  warnings: Schema.Array(Schema.String)
}

/** Waits. `position`: how many runs are before it. */
export const Queued = Schema.TaggedStruct("Queued", { position: Schema.Int }).annotate({ identifier: "Queued" })
export const Running = Schema.TaggedStruct("Running", { progress: Progress }).annotate({ identifier: "Running" })
export const Done = Schema.TaggedStruct("Done", outcome).annotate({ identifier: "Done" })
export type Done = typeof Done.Type
export const Failed = Schema.TaggedStruct("Failed", {
  error: RunError,
  /** The error as a sentence. */
  message: Schema.String
}).annotate({ identifier: "Failed" })
export const Cancelled = Schema.TaggedStruct("Cancelled", {}).annotate({ identifier: "Cancelled" })

export const RunStatus = Schema.Union([Queued, Running, Done, Failed, Cancelled])
export type RunStatus = typeof RunStatus.Type

export const Run = Schema.Struct({
  id: Schema.String,
  task_id: Schema.NullOr(Schema.String),
  submitted_at: milliseconds,
  started_at: Schema.NullOr(milliseconds),
  ended_at: Schema.NullOr(milliseconds),
  request: AskedRequest,
  status: RunStatus
}).annotate({ identifier: "Run" })
export type Run = typeof Run.Type

/** A page of the list, newest first. */
export const RunList = Schema.Struct({
  runs: Schema.Array(Run),
  /** Ask for the next page with `before` set to this; null for the last page. */
  next: Schema.NullOr(Schema.String)
}).annotate({ identifier: "RunList" })
export type RunList = typeof RunList.Type

/** A small picture of what is being made. */
export const Preview = Schema.Struct({
  step: Schema.Int,
  width: Schema.Int,
  height: Schema.Int,
  /** A PNG file in base64. */
  png: Schema.String.annotate({ contentEncoding: "base64", contentMediaType: "image/png" })
}).annotate({ identifier: "Preview" })
export type Preview = typeof Preview.Type

/** A step is done. `preview` is there when it was asked for and is new. */
export const Step = Schema.TaggedStruct("Step", { progress: Progress, preview: Schema.NullOr(Preview) }).annotate({
  identifier: "Step"
})
/** A picture is there. */
export const Image = Schema.TaggedStruct("Image", { image: RunImage }).annotate({ identifier: "Image" })

/** What happened to a run. `Done`, `Failed` and `Cancelled` are the last of their run. */
export const RunEvent = Schema.Union([Queued, Step, Image, Done, Failed, Cancelled])
export type RunEvent = typeof RunEvent.Type

/** Whether an event, or a status, is the last of its run. */
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

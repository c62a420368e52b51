/**
 * The typed API: `/v1`.
 *
 * Submitting a run returns its id at once; its progress is polled or followed as server-sent events. This file is the
 * contract only: the server implements it, clients and the OpenAPI document are derived from it. It depends on nothing
 * of Node, so that browsers can use it.
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Limits } from "../processing/Limits.ts"
import { OptionsPatch, OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import {
  Model,
  ModelFile,
  PngInfo,
  Preprocessor,
  PreprocessRequest,
  Sampler,
  Scheduler,
  ServerStatus,
  Style,
  Upscaler
} from "./Catalogue.ts"
import { Download, DownloadList, DownloadRequest } from "./Download.ts"
import * as Errors from "./errors.ts"
import { Preset, Removal, SavedStyle, SuggestionKind, Suggestions, TokenCounts, TokenRequest } from "./Prompts.ts"
import { QueuePatch, QueueStatus, Run, RunIds, RunList, RunName, RunPatch, RunRequest, SentEvent } from "./Run.ts"

/** Requires sign-in if the server was started with users. */
export class SignedIn extends HttpApiMiddleware.Service<SignedIn>()("serena/contract/SignedIn", {
  security: { basic: HttpApiSecurity.basic },
  error: Errors.Unauthorized
}) {}

/** Reports the problems of a path, query or body, and what refuses or fails a request of any path. */
export class ValidRequest extends HttpApiMiddleware.Service<ValidRequest>()("serena/contract/ValidRequest", {
  error: [
    Errors.InvalidRequest,
    Errors.ForeignOrigin,
    Errors.UnknownHost,
    Errors.RunsUnavailable,
    Errors.InternalError
  ]
}) {}

const run = { id: Schema.String }
/** The position of an image or extra in a run. */
export const position = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Most runs of a page of the list. */
export const pageLength = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))

/** An image file. Replies have an `ETag` and may be cached forever; a request with `If-None-Match` gets a 304. */
const file = HttpApiSchema.StreamUint8Array({ contentType: ["image/png", "image/jpeg", "image/webp"] })

const described = (summary: string, description = "") => OpenApi.annotations({ summary, description })

export class Runs extends HttpApiGroup.make("runs").add(
  HttpApiEndpoint.post("submit", "/runs", {
    headers: {
      /** The same as the field `idempotency_key`, which wins. */
      "idempotency-key": Schema.optional(RunName)
    },
    payload: RunRequest,
    success: Run.pipe(HttpApiSchema.status(202)),
    error: [
      Errors.InvalidProcessing,
      Errors.ModelNotFound,
      Errors.QueueFull,
      Errors.ShuttingDown,
      Errors.TooLarge
    ]
  }).annotateMerge(described(
    "Submit a run",
    "Returns the run at once, queued or running. All problems of the request are reported together. " +
      "A `multipart/form-data` body is accepted as well: the same fields, lists and objects as JSON, with the files " +
      "`init_images` (one or more) and `mask`. A request with `init_images` and no `_tag` is an `Img2Img`."
  )),
  HttpApiEndpoint.get("list", "/runs", {
    query: {
      limit: Schema.optional(pageLength),
      before: Schema.optional(Schema.String),
      /** Words that the prompt or the negative prompt holds. */
      search: Schema.optional(Schema.String),
      state: Schema.optional(Schema.Literals(["queued", "running", "done", "interrupted", "failed", "cancelled"])),
      model: Schema.optional(Schema.String),
      starred: Schema.optional(Schema.Literals(["true", "false"])),
      tag: Schema.optional(Schema.String),
      /** Milliseconds since the epoch: submitted at or after, and before. */
      from: Schema.optional(Schema.Finite),
      to: Schema.optional(Schema.Finite)
    },
    success: RunList,
    error: Errors.RunNotFound
  }).annotateMerge(described(
    "List runs",
    "Newest first, 20 per page by default: all that are kept, or those with words in their prompts, of a state, a " +
      "model, a tag or a time."
  )),
  HttpApiEndpoint.patch("update", "/runs/:id", {
    params: run,
    payload: RunPatch,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described(
    "Sort a run",
    "Stars it, tags it, or puts it to another place in the queue. Starred runs are kept until someone removes them."
  )),
  HttpApiEndpoint.post("retry", "/runs/:id/retry", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described(
    "Retry a run",
    "Puts a run that has failed, was cancelled or interrupted into the queue again, under its id. Images that it had " +
      "finished are not made again. Any other run stays unchanged."
  )),
  HttpApiEndpoint.post("remove", "/runs/remove", {
    payload: RunIds,
    success: RunIds
  }).annotateMerge(described(
    "Remove runs",
    "Removes ended runs from the history, with their files there; images in output folders stay. Returns the ids of " +
      "those that were removed."
  )),
  HttpApiEndpoint.get("queue", "/queue", { success: QueueStatus }).annotateMerge(
    described("Get the queue", "Whether it is paused, what waits, and which processes execute runs.")
  ),
  HttpApiEndpoint.patch("setQueue", "/queue", { payload: QueuePatch, success: QueueStatus }).annotateMerge(
    described("Pause or resume the queue", "Executing runs go on. A pause outlasts a restart of the server.")
  ),
  HttpApiEndpoint.get("get", "/runs/:id", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Get a run", "By its id, or by the `task_id` of its submission.")),
  HttpApiEndpoint.delete("cancel", "/runs/:id", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Cancel a run", "The run returns no images. A run that has ended stays unchanged.")),
  HttpApiEndpoint.post("interrupt", "/runs/:id/interrupt", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Interrupt a run", "The run ends after the current step with the images it has.")),
  HttpApiEndpoint.post("skip", "/runs/:id/skip", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Skip a batch", "The run continues with its next batch.")),
  HttpApiEndpoint.get("events", "/runs/:id/events", {
    params: run,
    query: {
      /** Whether steps include previews. */
      previews: Schema.optional(Schema.Literals(["true", "false"])),
      /** The same as the header, for the first connection of an `EventSource`. */
      last_event_id: Schema.optional(Schema.String)
    },
    headers: { "last-event-id": Schema.optional(Schema.String) },
    success: HttpApiSchema.StreamSse({ events: SentEvent }),
    error: Errors.RunNotFound
  }).annotateMerge(described(
    "Follow a run",
    "Server-sent events `queued`, `step`, `image`, `done`, `failed`, `cancelled`, from the beginning or after " +
      "`Last-Event-ID`; the last one ends the stream. A slow reader skips the steps it missed. " +
      "Disconnecting does not cancel the run."
  )),
  HttpApiEndpoint.get("image", "/runs/:id/images/:index", {
    params: { ...run, index: position },
    success: file,
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(
    described("Get an image file", "Available as soon as the image is finished, also while its run continues.")
  ),
  HttpApiEndpoint.get("thumbnail", "/runs/:id/images/:index/thumbnail", {
    params: { ...run, index: position },
    success: HttpApiSchema.StreamUint8Array({ contentType: "image/webp" }),
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(described(
    "Get a small copy of an image",
    "A WebP file of at most 320 pixels on its longer side, for lists of many. Available and cached like the image."
  )),
  HttpApiEndpoint.get("extra", "/runs/:id/extras/:index", {
    params: { ...run, index: position },
    success: file,
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(described("Get the file of a grid, mask or composite", "By its position among the run's `extras`.")),
  HttpApiEndpoint.get("extraThumbnail", "/runs/:id/extras/:index/thumbnail", {
    params: { ...run, index: position },
    success: HttpApiSchema.StreamUint8Array({ contentType: "image/webp" }),
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(described("Get a small copy of a grid, mask or composite", "As of an image.")),
  HttpApiEndpoint.get("preview", "/runs/:id/preview", {
    params: run,
    success: HttpApiSchema.StreamUint8Array({ contentType: "image/png" }),
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(described("Get the latest preview of an executing run", "A small PNG file, not to be cached."))
)
  .annotateMerge(
    OpenApi.annotations({ title: "Runs", description: "Runs of requests, from the queue to the image files." })
  )
{}

export class Catalogue extends HttpApiGroup.make("catalogue").add(
  HttpApiEndpoint.get("models", "/models", { success: Schema.Array(Model) }).annotateMerge(described("List models")),
  HttpApiEndpoint.get("modelFiles", "/model-files", {
    query: {
      kind: Schema.optional(Schema.String),
      search: Schema.optional(Schema.String)
    },
    success: Schema.Array(ModelFile)
  }).annotateMerge(described(
    "List files of models",
    "Models, LoRAs, embeddings, VAEs, upscalers and others: all, those of a `kind`, or with a text in their names or " +
      "trained words."
  )),
  HttpApiEndpoint.get("modelPreview", "/model-files/:id/preview", {
    params: { id: Schema.String },
    success: file,
    error: Errors.PreviewNotFound
  }).annotateMerge(described("Get the preview of a file", "The image next to it, such as `name.preview.png`.")),
  HttpApiEndpoint.get("modelThumbnail", "/model-files/:id/thumbnail", {
    params: { id: Schema.String },
    success: HttpApiSchema.StreamUint8Array({ contentType: "image/webp" }),
    error: Errors.PreviewNotFound
  }).annotateMerge(described(
    "Get a small copy of the preview of a file",
    "A WebP file of at most 320 pixels on its longer side, for lists of many."
  )),
  HttpApiEndpoint.get("samplers", "/samplers", { success: Schema.Array(Sampler) }).annotateMerge(
    described("List samplers")
  ),
  HttpApiEndpoint.get("schedulers", "/schedulers", { success: Schema.Array(Scheduler) })
    .annotateMerge(described("List schedulers")),
  HttpApiEndpoint.get("upscalers", "/upscalers", { success: Schema.Array(Upscaler) })
    .annotateMerge(described("List upscalers of latents and images")),
  HttpApiEndpoint.get("preprocessors", "/preprocessors", { success: Schema.Array(Preprocessor) })
    .annotateMerge(described("List preprocessors of ControlNets")),
  HttpApiEndpoint.post("preprocess", "/preprocess", {
    payload: PreprocessRequest,
    success: HttpApiSchema.StreamUint8Array({ contentType: "image/png" }),
    error: [
      Errors.ImageCodecError,
      Errors.InvalidProcessing,
      Errors.QueueFull,
      Errors.ShuttingDown,
      Errors.TooLarge
    ]
  }).annotateMerge(described(
    "Try a preprocessor",
    "Returns what the preprocessor of a unit of `control_units` makes of the unit's image, as a PNG file. " +
      "It waits for its turn between the runs."
  )),
  HttpApiEndpoint.get("styles", "/styles", { success: Schema.Array(Style) }).annotateMerge(described("List styles")),
  HttpApiEndpoint.get("limits", "/limits", { success: Limits })
    .annotateMerge(described("Get the limits of a request")),
  HttpApiEndpoint.get("options", "/options", { success: OptionsSnapshot })
    .annotateMerge(described("Get the settings")),
  HttpApiEndpoint.patch("setOptions", "/options", {
    payload: OptionsPatch,
    success: OptionsSnapshot,
    error: [Errors.InvalidOptions, Errors.SettingsNotSaved, Errors.TooLarge]
  }).annotateMerge(
    described(
      "Change settings",
      "All changes apply, or none if one is invalid or they cannot be saved. Executing runs keep theirs."
    )
  ),
  HttpApiEndpoint.post("pngInfo", "/png-info", {
    payload: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/octet-stream" })),
    success: PngInfo,
    error: [Errors.ImageCodecError, Errors.TooLarge]
  }).annotateMerge(
    described("Read the metadata of an image", "The body is a PNG, JPEG or WebP file, with any content type.")
  ),
  HttpApiEndpoint.get("status", "/status", { success: ServerStatus }).annotateMerge(
    described("Get the status of the server")
  )
)
  .annotateMerge(OpenApi.annotations({ title: "Catalogue", description: "Models, samplers and other choices." }))
{}

export class Prompts extends HttpApiGroup.make("prompts").add(
  HttpApiEndpoint.post("countTokens", "/count-tokens", {
    payload: TokenRequest,
    success: TokenCounts,
    error: [Errors.InvalidProcessing, Errors.ModelNotFound]
  }).annotateMerge(described(
    "Count the tokens of prompts",
    "As the model reads them, in chunks of 75. Dynamic prompts are drawn by the seed first."
  )),
  HttpApiEndpoint.get("suggestions", "/suggestions", {
    query: {
      /** What stands before the caret. */
      query: Schema.String.check(Schema.isMaxLength(200)),
      /** Tags and embeddings, which are words, unless one kind is asked for. */
      kind: Schema.optional(SuggestionKind),
      limit: Schema.optional(pageLength)
    },
    success: Suggestions
  }).annotateMerge(described(
    "Suggest what a prompt may go on with",
    "20 by default, what begins with the query first. Its last words count where nothing fits all."
  )),
  HttpApiEndpoint.post("saveStyle", "/styles", { payload: SavedStyle, success: Style, error: Errors.NotSaved })
    .annotateMerge(described("Add or change a style")),
  HttpApiEndpoint.post("removeStyle", "/styles/remove", {
    payload: Removal,
    success: Schema.Array(Style),
    error: Errors.NotSaved
  }).annotateMerge(described("Remove a style", "Returns what was removed.")),
  HttpApiEndpoint.get("presets", "/presets", { success: Schema.Array(Preset) })
    .annotateMerge(described("List presets")),
  HttpApiEndpoint.post("savePreset", "/presets", { payload: Preset, success: Preset, error: Errors.NotSaved })
    .annotateMerge(described("Add or change a preset")),
  HttpApiEndpoint.post("removePreset", "/presets/remove", {
    payload: Removal,
    success: Schema.Array(Preset),
    error: Errors.NotSaved
  }).annotateMerge(described("Remove a preset", "Returns what was removed."))
)
  .annotateMerge(OpenApi.annotations({ title: "Prompts", description: "What helps to write one." }))
{}

const download = { id: Schema.String }

export class Downloads extends HttpApiGroup.make("downloads").add(
  HttpApiEndpoint.get("downloads", "/downloads", { success: DownloadList }).annotateMerge(described(
    "List downloads",
    "Newest first, with the bytes that have arrived, and whether this server downloads at all."
  )),
  HttpApiEndpoint.post("startDownload", "/downloads", {
    payload: DownloadRequest,
    success: Download.pipe(HttpApiSchema.status(202)),
    error: [Errors.DownloadsRefused, Errors.TooManyDownloads]
  }).annotateMerge(described(
    "Download a model",
    "Returns the download at once. It takes the place of an ended one of the same request: what had arrived is " +
      "continued, and what is there already with the same checksum is not fetched again. Two downloads run at once, " +
      "and 16 wait."
  )),
  HttpApiEndpoint.get("download", "/downloads/:id", {
    params: download,
    success: Download,
    error: Errors.DownloadNotFound
  }).annotateMerge(described("Get a download", "Ask again, such as every second, to follow it.")),
  HttpApiEndpoint.post("cancelDownload", "/downloads/:id/cancel", {
    params: download,
    success: Download,
    error: Errors.DownloadNotFound
  }).annotateMerge(described(
    "Cancel a download",
    "What has arrived stays for the next download of the same source. One that has ended stays unchanged."
  )),
  HttpApiEndpoint.delete("removeDownload", "/downloads/:id", {
    params: download,
    success: Download,
    error: Errors.DownloadNotFound
  }).annotateMerge(described(
    "Remove a download",
    "Cancels it, takes it out of the list, and removes what has arrived. A model that is there stays."
  ))
)
  .annotateMerge(
    OpenApi.annotations({ title: "Downloads", description: "Models that the server fetches for its clients." })
  )
{}

export class Api extends HttpApi.make("serena")
  .add(Runs, Catalogue, Prompts, Downloads)
  .prefix("/v1")
  .middleware(ValidRequest)
  .middleware(SignedIn)
  .annotate(HttpApi.PayloadParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotate(HttpApi.QueryParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotateMerge(OpenApi.annotations({
    title: "Serena",
    description: "Image generation: `/v1` is Serena's own API, `/sdapi/v1` that of stable-diffusion-webui. " +
      "An error of `/v1` has a `_tag` that names its kind, fields with its details, and a `message` for people."
  }))
{}

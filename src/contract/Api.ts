/**
 * The typed API: `/v1`.
 *
 * A run is submitted and answered at once with its id; what becomes of it is asked for, or followed as server-sent
 * events. This file is the contract only: the server implements it, clients and the OpenAPI document are derived from it.
 * It needs nothing of Node, so that it can be used in browsers.
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
import { OptionsPatch, OptionsSnapshot } from "../processing/Options.ts"
import { Model, PngInfo, Sampler, Scheduler, ServerStatus, Style, Upscaler } from "./Catalogue.ts"
import * as Errors from "./errors.ts"
import { Run, RunList, RunRequest, SentEvent } from "./Run.ts"

/** Lets in whom the server knows, when it was started with users; else everybody. */
export class SignedIn extends HttpApiMiddleware.Service<SignedIn>()("serena/contract/SignedIn", {
  security: { basic: HttpApiSecurity.basic },
  error: Errors.Unauthorized
}) {}

/** Tells what is wrong with a path, a query or a body. */
export class Readable extends HttpApiMiddleware.Service<Readable>()("serena/contract/Readable", {
  error: Errors.InvalidRequest
}) {}

const run = { id: Schema.String }
const position = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A picture's file. Replies have an `ETag` and may be kept for ever; ask again with `If-None-Match` for a 304. */
const file = HttpApiSchema.StreamUint8Array({ contentType: ["image/png", "image/jpeg", "image/webp"] })

const described = (summary: string, description = "") => OpenApi.annotations({ summary, description })

export class Runs extends HttpApiGroup.make("runs").add(
  HttpApiEndpoint.post("submit", "/runs", {
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
    "Answers at once with the run, queued or running. Every problem of the request is named together. " +
      "A body of `multipart/form-data` is taken as well: the same fields, lists and objects as JSON, with the files " +
      "`init_images` (one or more) and `mask`; what has `init_images` and no `_tag` is an `Img2Img`."
  )),
  HttpApiEndpoint.get("list", "/runs", {
    query: {
      limit: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
      before: Schema.optional(Schema.String)
    },
    success: RunList,
    error: Errors.RunNotFound
  }).annotateMerge(described("List runs", "Newest first, 20 a page unless `limit` says otherwise.")),
  HttpApiEndpoint.get("get", "/runs/:id", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Look at a run", "By its id, or by the `task_id` it was submitted with.")),
  HttpApiEndpoint.delete("cancel", "/runs/:id", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Cancel a run", "It gives no pictures. A run that has ended stays as it is.")),
  HttpApiEndpoint.post("interrupt", "/runs/:id/interrupt", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Interrupt a run", "It ends after the current step and gives what it has.")),
  HttpApiEndpoint.post("skip", "/runs/:id/skip", {
    params: run,
    success: Run,
    error: Errors.RunNotFound
  }).annotateMerge(described("Skip a batch", "The run goes on with its next batch.")),
  HttpApiEndpoint.get("events", "/runs/:id/events", {
    params: run,
    query: {
      /** Whether steps bring previews. */
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
      "`Last-Event-ID`; the last of them ends the stream. Steps that a slow reader missed are left out. " +
      "Leaving does not cancel the run."
  )),
  HttpApiEndpoint.get("image", "/runs/:id/images/:index", {
    params: { ...run, index: position },
    success: file,
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(described("A picture's file")),
  HttpApiEndpoint.get("extra", "/runs/:id/extras/:index", {
    params: { ...run, index: position },
    success: file,
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(described("The file of a grid, mask or composite", "By its position among the run's `extras`.")),
  HttpApiEndpoint.get("preview", "/runs/:id/preview", {
    params: run,
    success: HttpApiSchema.StreamUint8Array({ contentType: "image/png" }),
    error: [Errors.RunNotFound, Errors.ImageNotFound]
  }).annotateMerge(described("The latest preview of a running run", "A small PNG; it may not be kept."))
)
  .annotateMerge(
    OpenApi.annotations({ title: "Runs", description: "Requests for pictures, from the queue to the files." })
  )
{}

export class Catalogue extends HttpApiGroup.make("catalogue").add(
  HttpApiEndpoint.get("models", "/models", { success: Schema.Array(Model) }).annotateMerge(described("Models")),
  HttpApiEndpoint.get("samplers", "/samplers", { success: Schema.Array(Sampler) }).annotateMerge(described("Samplers")),
  HttpApiEndpoint.get("schedulers", "/schedulers", { success: Schema.Array(Scheduler) })
    .annotateMerge(described("Schedules of noise levels")),
  HttpApiEndpoint.get("upscalers", "/upscalers", { success: Schema.Array(Upscaler) })
    .annotateMerge(described("Upscalers, of latents and of pictures")),
  HttpApiEndpoint.get("styles", "/styles", { success: Schema.Array(Style) }).annotateMerge(described("Styles")),
  HttpApiEndpoint.get("limits", "/limits", { success: Limits })
    .annotateMerge(described("How much one request may ask for")),
  HttpApiEndpoint.get("options", "/options", { success: OptionsSnapshot })
    .annotateMerge(described("The settings in force")),
  HttpApiEndpoint.patch("setOptions", "/options", {
    payload: OptionsPatch,
    success: OptionsSnapshot,
    error: [Errors.InvalidOptions, Errors.SaveError, Errors.TooLarge]
  }).annotateMerge(
    described("Change settings", "All of them, or with an error none. Runs that are under way keep theirs.")
  ),
  HttpApiEndpoint.post("pngInfo", "/png-info", {
    payload: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/octet-stream" })),
    success: PngInfo,
    error: [Errors.ImageCodecError, Errors.TooLarge]
  }).annotateMerge(
    described("What a picture tells", "The bytes of a PNG, JPEG or WebP file as body, of any content type.")
  ),
  HttpApiEndpoint.get("status", "/status", { success: ServerStatus }).annotateMerge(described("How the server is"))
)
  .annotateMerge(OpenApi.annotations({ title: "Catalogue", description: "What there is to choose from." }))
{}

export class Api extends HttpApi.make("serena")
  .add(Runs, Catalogue)
  .prefix("/v1")
  .middleware(Readable)
  .middleware(SignedIn)
  .annotate(HttpApi.PayloadParseOptions, { errors: "all" })
  .annotateMerge(OpenApi.annotations({
    title: "Serena",
    description: "Image generation: `/v1` is Serena's own API, `/sdapi/v1` the one of stable-diffusion-webui. " +
      "An error of `/v1` has its kind as `_tag`, what it is about as fields, and what to do as `message`."
  }))
{}

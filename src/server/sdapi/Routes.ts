/**
 * The endpoints of `/sdapi/v1`.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as os from "node:os"
import type { RunsUnavailable } from "../../contract/errors.ts"
import type { ImageDecoder } from "../../images/ImageDecoder.ts"
import type { ImageEncoder } from "../../images/ImageEncoder.ts"
import type { Upscalers } from "../../images/Upscalers.ts"
import type { Models } from "../../model/Models.ts"
import type { ModelLibrary } from "../../models/ModelLibrary.ts"
import { ModelProvider } from "../../models/ModelProvider.ts"
import type { CommandOptions } from "../../processing/CommandOptions.ts"
import { Options } from "../../processing/Options.ts"
import type { StyleBook } from "../../processing/StyleBook.ts"
import { version } from "../../version.ts"
import { jsonStream } from "../host/jsonStream.ts"
import { Lifetime } from "../host/Lifetime.ts"
import { ModelTitles } from "../host/ModelTitles.ts"
import { RunQueue } from "../host/RunQueue.ts"
import { ServerOptions } from "../host/ServerOptions.ts"
import { Settings } from "../host/Settings.ts"
import { type ApiError, fromRun, problem, refuse, unprocessable } from "./ApiError.ts"
import { commandFlags } from "./commandFlags.ts"
import * as ControlNet from "./ControlNet.ts"
import * as Extras from "./Extras.ts"
import { readDict, readFlag } from "./Fields.ts"
import { Generation } from "./Generation.ts"
import { readBody } from "./JsonBody.ts"
import * as Lists from "./Lists.ts"
import * as Progress from "./Progress.ts"
import { isHeavier, pieces, write } from "./PythonJson.ts"
import type { RequestImages } from "./RequestImages.ts"
import * as Scripts from "./Scripts.ts"

/** The services that the endpoints require. */
export type Services =
  | CommandOptions
  | Generation
  | ImageDecoder
  | ImageEncoder
  | RunQueue
  | Lifetime
  | ModelLibrary
  | ModelProvider
  | ModelTitles
  | Models
  | Options
  | Path.Path
  | RequestImages
  | ServerOptions
  | Settings
  | StyleBook
  | Upscalers

/** One path and method. The result is serialized as JSON, with `undefined` as `null`. */
export interface Endpoint {
  readonly method: "GET" | "POST"
  readonly path: `/${string}`
  /** Whether it requires sign-in on a server with users. */
  readonly guarded: boolean
  readonly answer: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, ApiError, Services>
}

/** Weight from which on a reply is sent piece by piece, and never held as one text. */
const largeReply = 2 ** 20

const json = (value: unknown) =>
  isHeavier(value, largeReply)
    ? jsonStream(pieces(value))
    : HttpServerResponse.text(write(value ?? null), { contentType: "application/json" })

type Answer = Effect.Effect<unknown, ApiError | RunsUnavailable, Services>

const endpoint = (
  method: "GET" | "POST",
  path: `/${string}`,
  answer: (request: HttpServerRequest.HttpServerRequest) => Answer,
  guarded = true
): Endpoint => ({
  method,
  path,
  guarded,
  answer: (request) => Effect.mapBothEager(answer(request), { onSuccess: json, onFailure: answerable })
})

const answerable = (error: ApiError | RunsUnavailable) => error._tag === "RunsUnavailable" ? fromRun(error) : error

const get = (path: `/${string}`, answer: Answer) => endpoint("GET", `/sdapi/v1${path}`, () => answer)
// Constant replies are serialized once.
const constant = (path: `/${string}`, value: unknown, guarded: boolean): Endpoint => {
  const reply = Effect.succeed(json(value))
  return { method: "GET", path, guarded, answer: () => reply }
}
const list = (path: `/${string}`, value: unknown) => constant(`/sdapi/v1${path}`, value, true)
const ask = (path: `/${string}`, answer: (request: HttpServerRequest.HttpServerRequest) => Answer) =>
  endpoint("POST", `/sdapi/v1${path}`, answer)
const post = (path: `/${string}`, answer: (body: unknown) => Answer) =>
  ask(path, (request) => Effect.flatMap(readBody(request), answer))

const query = ({ url }: HttpServerRequest.HttpServerRequest): URLSearchParams =>
  url.includes("?") ? new URLSearchParams(url.split("?")[1]) : noQuery
const noQuery = new URLSearchParams()

const unavailable = (what: string) => () =>
  Effect.fail(refuse(501, `${what} is not available here`, {
    error: "NotImplementedError",
    errors: `${what} needs models that Serena does not support.`
  }))

// The run that a request refers to: by the client's own name for it, or the current one.
const asked = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, wish: "interrupt" | "skip") {
  const queue = yield* RunQueue
  const task = taskOf(request)
  const run = task === undefined ? yield* queue.current : yield* queue.get(task)
  if (Option.isSome(run)) yield* queue[wish](run.value.id)
})

const taskOf = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const parameters = query(request)
  return parameters.get("force_task_id") ?? parameters.get("task_id") ?? parameters.get("id_task") ?? undefined
}

const options = {
  get: Effect.flatMap(Settings, ({ all }) => all),
  set: Effect.fnUntraced(function*(body: unknown) {
    const { set } = yield* Settings
    const titles = yield* ModelTitles
    const patch = body === null || body === undefined ? undefined : readDict(body)
    if (patch === undefined) {
      return yield* body === null || body === undefined
        ? problem(["body"], "field required", "value_error.missing")
        : problem(["body"], "value is not a valid dict", "type_error.dict")
    }
    yield* set(patch).pipe(
      Effect.mapError((error) => error._tag === "InvalidOptions" ? unprocessable(error.problems) : fromRun(error))
    )
    // The model is loaded before the reply is sent.
    if ("sd_model_checkpoint" in patch) {
      const { sd_model_checkpoint } = yield* (yield* Options).snapshot
      yield* titles.learn(sd_model_checkpoint)
    }
    return null
  })
}

const stop = (path: `/${string}`) =>
  ask(path, () =>
    Effect.gen(function*() {
      const { api_server_stop } = yield* ServerOptions
      if (!api_server_stop) return yield* refuse(404, "Not Found")
      yield* (yield* Lifetime).end
      return "Stopping."
    }))

const progressQuery = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest) {
  const given = query(request).get("skip_current_image")
  const skipCurrentImage = given === null ? false : readFlag(given)
  if (skipCurrentImage === undefined) {
    return yield* problem(
      ["query", "skip_current_image"],
      "value could not be parsed to a boolean",
      "type_error.bool"
    )
  }
  return { skipCurrentImage, taskId: taskOf(request) }
})

const taskRequest = (body: unknown) => {
  const fields = readDict(body) ?? {}
  return typeof fields["id_task"] === "string"
    ? Effect.succeed({ id_task: fields["id_task"], live_preview: fields["live_preview"] !== false })
    : Effect.fail(problem(["body", "id_task"], "field required", "value_error.missing"))
}

/** All endpoints. */
export const endpoints: ReadonlyArray<Endpoint> = [
  post("/txt2img", (body) => Effect.flatMap(Generation, ({ txt2img }) => txt2img(body))),
  post("/img2img", (body) => Effect.flatMap(Generation, ({ img2img }) => img2img(body))),
  get("/options", options.get),
  post("/options", options.set),
  get("/sd-models", Lists.models()),
  list("/samplers", Lists.samplers),
  list("/schedulers", Lists.schedulers),
  endpoint("GET", "/sdapi/v1/progress", (request) => Effect.flatMap(progressQuery(request), Progress.progress)),
  ask("/interrupt", (request) => Effect.as(asked(request, "interrupt"), {})),
  ask("/skip", (request) => asked(request, "skip")),
  get("/upscalers", Lists.upscalers()),
  list("/latent-upscale-modes", Lists.latentUpscaleModes),
  get("/sd-vae", Lists.vaes()),
  post("/png-info", Extras.pngInfo),
  post("/extra-single-image", Extras.single),
  post("/extra-batch-images", Extras.batch),
  get("/prompt-styles", Lists.styles()),
  get("/loras", Lists.loras()),
  get("/embeddings", Lists.embeddings()),
  list("/hypernetworks", []),
  list("/face-restorers", []),
  get("/realesrgan-models", Lists.realesrganModels()),
  get("/memory", Lists.memory),
  get("/cmd-flags", Effect.map(ServerOptions, commandFlags)),
  list("/scripts", Scripts.names),
  list("/script-info", Scripts.all),
  list("/extensions", []),
  ask("/refresh-checkpoints", () => Effect.void),
  ask("/refresh-vae", () => Effect.void),
  ask("/refresh-embeddings", () => Effect.void),
  ask("/refresh-loras", () => Effect.void),
  ask("/unload-checkpoint", () => Effect.flatMap(ModelProvider, ({ unload }) => Effect.as(unload, {}))),
  ask("/reload-checkpoint", () =>
    Effect.gen(function*() {
      const { sd_model_checkpoint } = yield* (yield* Options).snapshot
      yield* (yield* ModelTitles).learn(sd_model_checkpoint)
      return {}
    })),
  ask("/interrogate", unavailable("Interrogation")),
  ask("/create/embedding", unavailable("Training")),
  ask("/create/hypernetwork", unavailable("Training")),
  ask("/train/embedding", unavailable("Training")),
  ask("/train/hypernetwork", unavailable("Training")),
  stop("/server-kill"),
  stop("/server-restart"),
  stop("/server-stop"),
  endpoint("GET", "/controlnet/version", () => Effect.succeed({ version: 3 })),
  endpoint("GET", "/controlnet/model_list", () => ControlNet.modelList),
  endpoint(
    "GET",
    "/controlnet/module_list",
    (request) => Effect.succeed(ControlNet.moduleList(readFlag(query(request).get("alias_names")) === true))
  ),
  endpoint("GET", "/controlnet/control_types", () => ControlNet.controlTypes),
  endpoint("GET", "/controlnet/settings", () => Effect.succeed(ControlNet.settings)),
  endpoint("POST", "/controlnet/detect", (request) => Effect.flatMap(readBody(request), ControlNet.detect)),
  endpoint("GET", "/app_id", () => Effect.succeed({ app_id: `serena-${version}` })),
  constant("/internal/ping", {}, false),
  endpoint(
    "POST",
    "/internal/progress",
    (request) => readBody(request).pipe(Effect.flatMap(taskRequest), Effect.flatMap(Progress.taskProgress))
  ),
  endpoint("GET", "/internal/pending-tasks", Progress.pendingTasks),
  endpoint(
    "GET",
    "/internal/sysinfo",
    () =>
      Effect.sync(() => ({
        Platform: `${os.type()}-${os.release()}-${os.arch()}`,
        Version: version,
        Node: process.version
      }))
  )
]

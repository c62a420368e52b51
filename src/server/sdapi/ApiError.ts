/**
 * The errors of `/sdapi/v1` in the form of stable-diffusion-webui: a list of problems (422), or a refusal with one
 * sentence. Neither contains a stack.
 */
import * as Schema from "effect/Schema"
import type {
  QueueFull,
  RunCancelled,
  RunError,
  RunsUnavailable,
  SettingsNotSaved,
  ShuttingDown
} from "../../contract/errors.ts"
import type { Problem } from "../../core/Problem.ts"
import { readableError } from "../../core/readableError.ts"
import { shortPaths } from "../../runs/shownErrors.ts"
import type { NotAuthenticated } from "../host/Authentication.ts"

/** A problem of a request in the form of FastAPI. */
export const Detail = Schema.Struct({
  /** Its place: `body` or `query`, then names and indices. */
  loc: Schema.Array(Schema.Union([Schema.String, Schema.Finite])),
  msg: Schema.String,
  type: Schema.String,
  ctx: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})
export type Detail = typeof Detail.Type

/** The request does not fit its schema. Holds every problem. */
export class Unprocessable extends Schema.TaggedError<Unprocessable>()("Unprocessable", {
  detail: Schema.Array(Detail)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return this.detail.map(({ loc, msg }) => `${loc.join(".")}: ${msg}`).join("; ")
  }
}

/** The API refuses the request, or failed. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  status: Schema.Int,
  /** The class of the error in the webui: `HTTPException` for refusals. */
  error: Schema.String,
  detail: Schema.String,
  errors: Schema.String,
  headers: Schema.Record(Schema.String, Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return this.errors === "" ? this.detail : this.errors
  }
}

export type ApiError = Unprocessable | Refused

/** A refusal: `detail` is a fixed text that clients compare, `errors` a sentence for people. */
export const refuse = (
  status: number,
  detail: string,
  { error = "HTTPException", errors = "", headers = {} }: {
    readonly error?: string
    readonly errors?: string
    readonly headers?: Readonly<Record<string, string>>
  } = {}
): Refused => new Refused({ status, error, detail, errors, headers })

/** A request without valid credentials. */
export const fromAuthentication = ({ reason }: NotAuthenticated): Refused =>
  refuse(401, reason, { headers: { "www-authenticate": "Basic" } })

/** One problem, as a 422. */
export const problem = (loc: ReadonlyArray<string | number>, msg: string, type = "value_error"): Unprocessable =>
  new Unprocessable({ detail: [{ loc, msg, type }] })

/** Problems of a request or of settings as a 422, with their paths below `body`. */
export const unprocessable = (
  problems: ReadonlyArray<Problem>,
  within: ReadonlyArray<string> = []
): Unprocessable =>
  new Unprocessable({
    detail: problems.map(({ message, path }) => ({
      loc: [
        "body",
        ...within,
        ...path.split(".").filter((name) => name !== "").map((name) => /^\d+$/.test(name) ? Number(name) : name)
      ],
      msg: message,
      type: "value_error"
    }))
  })

export const invalidImage = (reason: string): Refused => refuse(500, "Invalid encoded image", { errors: reason })

/** The error of a run, or of a change of settings, in the form of this API. */
export const fromRun = (
  error: QueueFull | RunCancelled | RunError | RunsUnavailable | SettingsNotSaved | ShuttingDown
): ApiError => {
  const errors = shortPaths(error.message)
  switch (error._tag) {
    case "InvalidProcessing":
      return error.problems.some(({ path }) => /^(init_images|mask)\b/.test(path))
        ? invalidImage(errors)
        : unprocessable(error.problems)
    case "InvalidOptions":
      return unprocessable(error.problems, ["override_settings"])
    case "UnknownSampler":
      return refuse(404, "Sampler not found", { errors })
    case "UnknownScheduler":
      return refuse(404, "Scheduler not found", { errors })
    case "UnknownUpscaler":
      return refuse(404, `could not find upscaler named ${error.upscaler}`, { errors })
    case "ModelNotFound":
      return refuse(404, "Model not found", { errors })
    case "ImageCodecError":
      return invalidImage(errors)
    case "NotEnoughMemory":
      return unprocessable([{ path: "width", message: errors }])
    case "QueueFull":
      return refuse(429, "Too many requests are waiting", {
        errors,
        headers: { "retry-after": String(error.retryAfter) }
      })
    case "ShuttingDown":
      return refuse(503, "Server is shutting down", { errors, headers: { "retry-after": "10" } })
    case "RunsUnavailable":
      return refuse(503, "Runs are unavailable", { errors, headers: { "retry-after": "10" } })
    case "RunCancelled":
      return refuse(409, "The job was cancelled", { errors })
    default:
      return refuse(500, "", { error: error._tag, errors })
  }
}

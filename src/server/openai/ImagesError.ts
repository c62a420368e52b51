/**
 * Errors in the form of OpenAI's API: `{ error: { message, type, param, code } }`.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import type { QueueFull, RunCancelled, RunsUnavailable, ShuttingDown } from "../../contract/errors.ts"
import { type Problem, sentence } from "../../core/Problem.ts"
import { readableError } from "../../core/readableError.ts"
import type { ModelNotFound } from "../../model/ModelError.ts"
import type { SubmissionError } from "../v1/Submission.ts"

/** Why a request of OpenAI's API was refused, or failed. */
export class ImagesError extends Schema.TaggedError<ImagesError>()("ImagesError", {
  /** Of the reply. */
  status: Schema.Int,
  type: Schema.Literals(["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]),
  /** The parameter that is wrong, the first of several. */
  param: Schema.NullOr(Schema.String),
  code: Schema.NullOr(Schema.String),
  /** A sentence that says what to do. */
  reason: Schema.String,
  /** Seconds after which to retry. */
  retryAfter: Schema.optionalKey(Schema.Int)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return this.reason
  }
}

/** The error as the value of `error` in a reply. */
export const shown = ({ code, message, param, type }: ImagesError) => ({ message, type, param, code })

/** The reply with an error. */
export const errorResponse = (error: ImagesError): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ error: shown(error) }, {
    status: error.status,
    headers: {
      ...(error.retryAfter !== undefined && { "retry-after": String(error.retryAfter) }),
      ...(error.status === 401 && { "www-authenticate": "Bearer" })
    }
  })

/** A request that cannot be processed. Names every problem; `param` is that of the first. */
export const invalid = (problems: ReadonlyArray<Problem>, code: string | null = "invalid_value"): ImagesError =>
  new ImagesError({
    status: 400,
    type: "invalid_request_error",
    param: problems.find(({ path }) => path !== "")?.path ?? null,
    code,
    reason: problems.map(({ message, path }) => sentence(path === "" ? message : `Invalid '${path}': ${message}`))
      .join(" ")
  })

/** A model that the server does not have. */
export const unknownModel = ({ known, model }: Pick<ModelNotFound, "known" | "model">): ImagesError =>
  new ImagesError({
    status: 404,
    type: "invalid_request_error",
    param: "model",
    code: "model_not_found",
    reason: `The model '${model}' does not exist. The models of this server are ${known.join(", ")}.`
  })

const unavailable = (status: number, code: string, { message }: Error, retryAfter: number): ImagesError =>
  new ImagesError({
    status,
    type: status === 429 ? "rate_limit_error" : "server_error",
    param: null,
    code,
    reason: message,
    retryAfter
  })

/** Why a run failed, after it was accepted. */
export const failed = ({ message }: Error): ImagesError =>
  new ImagesError({ status: 500, type: "server_error", param: null, code: "run_failed", reason: message })

/** No valid key came with the request. */
export const unauthorized = ({ message }: Error): ImagesError =>
  new ImagesError({
    status: 401,
    type: "authentication_error",
    param: null,
    code: "invalid_api_key",
    reason: message
  })

/** A refusal whose code is its name: `too_large` for `TooLarge`. */
export const refused = (status: number, { _tag, message }: Error & { readonly _tag: string }): ImagesError =>
  new ImagesError({
    status,
    type: status >= 500 ? "server_error" : "invalid_request_error",
    param: null,
    code: _tag.replaceAll(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase(),
    reason: message
  })

/** A refused submission. `paramOf` names the parameter of a field. */
export const ofSubmission = (
  error: RunCancelled | SubmissionError,
  paramOf: (field: string) => string
): ImagesError => {
  switch (error._tag) {
    case "InvalidProcessing":
    case "InvalidRequest":
      return invalid(error.problems.map(({ message, path }) => ({ message, path: path === "" ? "" : paramOf(path) })))
    case "ModelNotFound":
      return unknownModel(error)
    case "QueueFull":
      return unavailable(429, "rate_limit_exceeded", error, retryAfterOf(error))
    case "RunsUnavailable":
      return unavailable(503, "runs_unavailable", error, retryAfterOf(error))
    case "ShuttingDown":
      return unavailable(503, "shutting_down", error, retryAfterOf(error))
    case "TooLarge":
      return refused(413, error)
    case "RunCancelled":
      return refused(409, error)
  }
}

const retryAfterOf = (error: QueueFull | RunsUnavailable | ShuttingDown): number =>
  error._tag === "QueueFull" ? error.retryAfter : 10

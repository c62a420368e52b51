/**
 * Replies that come from no route: refusals of the middleware, wrong methods and unknown paths, and defects.
 *
 * Each has the form of the API whose path was asked for: OpenAI's form in its paths, a contract error in
 * the rest of `/v1`, the webui's own form elsewhere.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import {
  ForeignOrigin,
  InternalError,
  MethodNotAllowed,
  PathNotFound,
  TooLarge,
  UnknownHost
} from "../contract/errors.ts"
import * as OpenAi from "./openai/ImagesError.ts"
import { refuse } from "./sdapi/ApiError.ts"
import { tooLarge } from "./sdapi/JsonBody.ts"
import { errorResponse, json } from "./sdapi/Router.ts"

const Refusal = Schema.Union([ForeignOrigin, InternalError, MethodNotAllowed, PathNotFound, TooLarge, UnknownHost])
export type Refusal = typeof Refusal.Type

const statuses: Readonly<Record<Refusal["_tag"], number>> = {
  ForeignOrigin: 403,
  InternalError: 500,
  MethodNotAllowed: 405,
  PathNotFound: 404,
  TooLarge: 413,
  UnknownHost: 421
}

const encode = Schema.encodeSync(Refusal)

/** Whether a path belongs to the typed API. */
const isV1 = (path: string): boolean => /^\/v1(?:\/|$)/.test(path)

/** Whether a path belongs to OpenAI's API. */
const isOpenAi = (path: string): boolean => /^(?:\/v1\/images|\/openai)(?:\/|$)/.test(path)

/** Whether a path is one of the webui's. */
export const isUpstream = (path: string): boolean => /^\/(?:sdapi|controlnet|internal|app_id)(?:\/|$)/.test(path)

/** The reply to a request for a path. */
export const refusalResponse = (path: string, refusal: Refusal): HttpServerResponse.HttpServerResponse => {
  const response = isOpenAi(path)
    ? OpenAi.errorResponse(OpenAi.refused(statuses[refusal._tag], refusal))
    : isV1(path)
    ? HttpServerResponse.jsonUnsafe({ ...encode(refusal), message: refusal.message }, {
      status: statuses[refusal._tag]
    })
    : upstreamForm(refusal)
  return refusal._tag === "MethodNotAllowed"
    ? HttpServerResponse.setHeader(response, "allow", refusal.allowed.join(", "))
    : response
}

const upstreamForm = (refusal: Refusal): HttpServerResponse.HttpServerResponse => {
  const errors = refusal.message
  switch (refusal._tag) {
    case "ForeignOrigin":
      return errorResponse(refuse(403, "Disallowed CORS origin", { errors }))
    case "InternalError":
      return errorResponse(refuse(500, "", {
        error: "InternalServerError",
        errors: "The server failed with an internal error. Its log has the details under the request id of this reply."
      }))
    case "MethodNotAllowed":
      return json(405, { detail: "Method Not Allowed" })
    case "PathNotFound":
      return json(404, { detail: "Not Found" })
    case "TooLarge":
      return errorResponse(tooLarge)
    case "UnknownHost":
      return errorResponse(refuse(421, "Unknown host", { errors }))
  }
}

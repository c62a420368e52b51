/**
 * The body of a request as JSON, whatever its content type says.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Result from "effect/Result"
import { type ApiError, refuse, Unprocessable } from "./ApiError.ts"
import * as JsonText from "./JsonText.ts"

/** The value; `undefined` for an empty body. */
export const readBody = Effect.fnUntraced(
  function*(request: HttpServerRequest.HttpServerRequest): Effect.fn.Return<unknown, ApiError> {
    const text = yield* Effect.mapError(
      request.text,
      ({ reason }) =>
        reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
          ? tooLarge
          : refuse(400, "There was an error parsing the body")
    )
    if (text.trim() === "") return undefined
    const parsed = JsonText.parse(text)
    return Result.isSuccess(parsed) ? parsed.success : yield* new Unprocessable({ detail: [parsed.failure] })
  }
)

/** The answer to a body that is over the limit. */
export const tooLarge = refuse(413, "Request body too large", {
  errors:
    "The body is larger than this server takes. Send smaller pictures, or start it with a larger --max-body-bytes."
})

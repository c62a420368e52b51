/**
 * The body of a request as text, in UTF-8 and nothing else.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/** Why a body cannot be read: it is over the size limit, did not arrive in full, or is not valid UTF-8. */
export type BodyFault = "size" | "transfer" | "encoding"

/** Reads the body. A byte order mark is left out; no byte is replaced. */
export const readText = Effect.fnUntraced(
  function*(request: HttpServerRequest.HttpServerRequest): Effect.fn.Return<string, BodyFault> {
    const bytes = yield* Effect.mapError(
      request.arrayBuffer,
      ({ reason }): BodyFault =>
        reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge" ? "size" : "transfer"
    )
    return yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: (): BodyFault => "encoding"
    })
  }
)

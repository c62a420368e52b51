/**
 * The body of a request as JSON, with any content type.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import * as JsonText from "../host/JsonText.ts"
import * as RequestBody from "../host/RequestBody.ts"
import { type ApiError, type Detail, invalidImage, problem, refuse, Unprocessable } from "./ApiError.ts"

/** The value; `undefined` for an empty body. */
export const readBody = Effect.fnUntraced(
  function*(request: HttpServerRequest.HttpServerRequest): Effect.fn.Return<unknown, ApiError, CommandOptions> {
    const { limits } = yield* CommandOptions
    return yield* Effect.mapError(RequestBody.read(request, limits), (fault) => {
      if (typeof fault === "object") return new Unprocessable({ detail: [detailOf(fault.beginning, fault.mistake)] })
      switch (fault) {
        case "size":
          return tooLarge
        case "image":
          return invalidImage(`The file is over the limit of ${limits.max_image_bytes} bytes (max_image_bytes).`)
        case "values":
          return problem(["body"], `more than ${RequestBody.mostValues} values`)
        case "texts":
          return problem(["body"], `texts of more than ${RequestBody.mostCharacters} characters`)
        default:
          return refuse(
            400,
            "There was an error parsing the body",
            fault === "encoding" ? { errors: "The body is not valid UTF-8." } : {}
          )
      }
    })
  }
)

/** A syntax error as Python's `json` reports it, in the form of FastAPI. */
export const detailOf = (
  text: string,
  { column: colno, fault, line: lineno, position: pos }: JsonText.JsonMistake
): Detail => {
  if (fault === "depth") {
    return { loc: ["body"], msg: `nested deeper than ${JsonText.deepest} levels`, type: "value_error.jsondecode" }
  }
  const msg = pythonWords[fault]
  return {
    loc: ["body", pos],
    msg: `${msg}: line ${lineno} column ${colno} (char ${pos})`,
    type: "value_error.jsondecode",
    ctx: { msg, doc: text.slice(0, 200), pos, lineno, colno }
  }
}

const pythonWords: Readonly<Record<Exclude<JsonText.JsonFault, "depth">, string>> = {
  "value": "Expecting value",
  "property name": "Expecting property name enclosed in double quotes",
  "colon": "Expecting ':' delimiter",
  "comma": "Expecting ',' delimiter",
  "end of text": "Extra data",
  "end of string": "Unterminated string starting at",
  "control character": "Invalid control character at",
  "escape": "Invalid \\escape"
}

/** The reply to a body over the size limit. */
export const tooLarge = refuse(413, "Request body too large", {
  errors:
    "The body exceeds the size limit of this server. Send smaller images, or start it with a larger --max-body-bytes."
})

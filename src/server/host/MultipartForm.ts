/**
 * The parts of a `multipart/form-data` body, held to its limits while it arrives.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as MultipartParser from "effect/http/MultipartParser"
import * as Stream from "effect/Stream"
import { InvalidRequest, TooLarge } from "../../contract/errors.ts"
import type { Problem } from "../../core/Problem.ts"

/** Whether the body of a request is a form. */
export const isForm = ({ headers }: HttpServerRequest.HttpServerRequest): boolean =>
  /^\s*multipart\/form-data\b/i.test(headers["content-type"] ?? "")

/** Largest number of parts of a form. */
const maxParts = 1000

/** Who takes the parts. A file input where none was chosen gives an empty file. */
interface Parts {
  readonly text: (name: string, text: string) => void
  readonly file: (name: string, bytes: Uint8Array) => void
}

/** Reads a form, and returns the problems of its texts. Texts in another encoding say so in their part's headers. */
export const readParts = Effect.fnUntraced(
  function*(
    { headers, stream }: HttpServerRequest.HttpServerRequest,
    { maxBytes, maxPartBytes }: { readonly maxBytes: number; readonly maxPartBytes: number },
    { file, text }: Parts
  ): Effect.fn.Return<ReadonlyArray<Problem>, InvalidRequest | TooLarge> {
    const problems: Array<Problem> = []
    let fault: MultipartParser.MultipartError | undefined
    const parser = MultipartParser.make({
      headers,
      maxParts,
      maxFieldSize: Math.ceil(maxPartBytes * 1.5),
      maxPartSize: maxPartBytes,
      maxTotalSize: maxBytes,
      onField: ({ contentTypeParameters: { charset = "utf-8" }, name }, bytes) => {
        const decoded = decodeText(bytes, charset)
        if (decoded === undefined) problems.push({ path: name, message: `it is not valid ${charset.toUpperCase()}` })
        else text(name, decoded)
      },
      onFile: ({ name }) => {
        const chunks: Array<Uint8Array> = []
        return (chunk) => {
          if (chunk === null) file(name, new Uint8Array(Buffer.concat(chunks)))
          else chunks.push(chunk)
        }
      },
      onError: (error) => {
        fault ??= error
      },
      onDone: () => {}
    })
    const parsed = Effect.suspend(() =>
      fault === undefined ? Effect.void : Effect.fail(toError(fault, maxPartBytes, maxBytes))
    )
    yield* Stream.runForEach(stream, (bytes) => Effect.andThen(Effect.sync(() => parser.write(bytes)), parsed)).pipe(
      Effect.catchTag("HttpServerError", () => Effect.fail(incomplete))
    )
    parser.end()
    yield* parsed
    return problems
  }
)

const invalid = (message: string) => new InvalidRequest({ problems: [{ path: "", message }] })

const incomplete = invalid("the body is not a complete form")

const toError = (
  fault: MultipartParser.MultipartError,
  maxPartBytes: number,
  maxBytes: number
): InvalidRequest | TooLarge => {
  if (fault._tag !== "ReachedLimit") return incomplete
  switch (fault.limit) {
    case "MaxParts":
      return invalid(`the form has more than ${maxParts} parts`)
    case "MaxTotalSize":
      return new TooLarge({ what: "The body", limit: maxBytes })
    default:
      return new TooLarge({ what: "A part of the form", limit: maxPartBytes })
  }
}

// The text of bytes in an encoding; `undefined` if they are not valid in it, or if there is no such encoding.
const decodeText = (bytes: Uint8Array, encoding: string): string | undefined => {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/**
 * The body of a request as JSON, with any content type, in UTF-8 and nothing else.
 *
 * It is measured while it arrives, so that nothing is held of a body that would be refused. One of more than a few
 * kilobytes is read by a thread of its own, and images in it come back as bytes.
 */
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { away, inTurns, type Parts } from "../../core/Work.ts"
import { fromBase64 } from "../../processing/ImageBytes.ts"
import type { Limits } from "../../processing/Limits.ts"
import * as JsonText from "./JsonText.ts"

/** Most values of a body, those in lists and objects included. */
export const mostValues = 5_000

/** Most characters of a body's texts together, without its images. */
export const mostCharacters = 4 * 2 ** 20

/**
 * Why a body cannot be read. `size`: it is over the limit of bytes. `transfer`: it did not arrive in full. `encoding`:
 * it is not UTF-8, or declares another encoding. `image`: a text is longer than the largest image. `values`, `texts`:
 * there are too many of them.
 */
export type BodyFault = "encoding" | "image" | "size" | "texts" | "transfer" | "values" | NotJson

/** Why a body is not JSON, and how it begins. */
export interface NotJson {
  readonly mistake: JsonText.JsonMistake
  readonly beginning: string
}

/** Reads the body; `undefined` for a blank one. A byte order mark is left out; no byte is replaced. */
export const read = Effect.fnUntraced(
  function*(
    request: HttpServerRequest.HttpServerRequest,
    { max_image_bytes }: Pick<Limits, "max_image_bytes">
  ): Effect.fn.Return<unknown, BodyFault> {
    if (!isUtf8(request.headers["content-type"])) return yield* Effect.fail<BodyFault>("encoding")
    const limit = Number((yield* HttpIncomingMessage.MaxBodySize) ?? Infinity)
    const parts: Array<Uint8Array> = []
    const measure = measuring(longestBase64(max_image_bytes))
    let length = 0
    yield* Effect.mapError(
      Stream.runForEach(request.stream, (part) =>
        Effect.suspend(() => {
          length += part.length
          const fault = length > limit ? "size" : measure(part)
          if (fault !== undefined) return Effect.fail(fault)
          parts.push(part)
          return Effect.void
        })),
      (error): BodyFault => error === "size" || error === "image" || error === "values" ? error : "transfer"
    )
    const whole = yield* inTurns(() => joined(parts, length))
    const outcome = yield* away(
      { module: import.meta.url, parts: readWork, lane: "requests" },
      [whole, max_image_bytes],
      length * effortOfByte
    )
    return "value" in outcome ? outcome.value : yield* Effect.fail(outcome.fault)
  }
)

// Text in ASCII is UTF-8 as well.
const isUtf8 = (contentType = ""): boolean => {
  const [, charset = "utf-8"] = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(contentType) ?? []
  return /^(?:utf-?8|(?:us-)?ascii|)$/i.test(charset)
}

/** So that bodies of 64 kB are read away from the main thread. */
const effortOfByte = 16

/** Characters of the longest base64 that is read, with line breaks and the prefix of a data URL. */
const longestBase64 = (bytes: number): number => bytes * 1.5 + 300

// Memory that both threads see, for bodies that are not read at once.
function* joined(parts: Array<Uint8Array>, length: number): Parts<Uint8Array> {
  const whole = new Uint8Array(new SharedArrayBuffer(length))
  let at = 0
  for (const [i, part] of parts.entries()) {
    whole.set(part, at)
    at += part.length
    // It is not held twice.
    parts[i] = nothing
    if (i % 4 === 3) yield
  }
  return whole
}

const nothing = new Uint8Array()

const [quote, backslash, comma, openList, openObject] = [0x22, 0x5C, 0x2C, 0x5B, 0x7B]

/** Measures a text of JSON part by part: the fault of one that has too much of something. */
const measuring = (longest: number): (part: Uint8Array) => "image" | "values" | undefined => {
  let inside = false
  let characters = 0
  let values = 0
  // Backslashes right before the place that is looked at.
  let backslashes = 0
  return (part) => {
    for (let at = 0; at < part.length;) {
      if (!inside) {
        const byte = part[at++]
        if (byte === quote) {
          inside = true
          characters = 0
          backslashes = 0
        } else if ((byte === comma || byte === openList || byte === openObject) && ++values > mostValues) {
          return "values"
        }
        continue
      }
      const found = part.indexOf(quote, at)
      const end = found === -1 ? part.length : found
      let before = end
      while (before > at && part[before - 1] === backslash) before--
      backslashes = end - before + (before === at ? backslashes : 0)
      characters += end - at
      if (characters > longest) return "image"
      at = end
      if (found === -1) break
      at++
      if (backslashes % 2 === 0) inside = false
      backslashes = 0
    }
    return undefined
  }
}

type Outcome = { readonly value: unknown } | { readonly fault: "encoding" | "image" | "texts" | NotJson }

export function* readWork(bytes: Uint8Array, mostImageBytes: number): Parts<Outcome> {
  let text: string
  try {
    // Shared memory is not decoded.
    text = new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes))
  } catch {
    return { fault: "encoding" }
  }
  yield
  if (text.trim() === "") return { value: undefined }
  const parsed = JsonText.parse(text)
  if (Result.isFailure(parsed)) return { fault: { mistake: parsed.failure, beginning: text.slice(0, 200) } }
  yield
  const { characters, isTooLarge, value } = withImages(parsed.success, mostImageBytes)
  return isTooLarge ? { fault: "image" } : characters > mostCharacters ? { fault: "texts" } : { value }
}

/** Fields of both APIs that have images, and of the webui's scripts. */
const imageFields: ReadonlySet<string> = new Set([
  "controlnet_input_images",
  "controlnet_masks",
  "data",
  "firstpass_image",
  "image",
  "init_images",
  "input_image",
  "latent_mask",
  "mask",
  "mask_image"
])

/** Shorter texts stay as they are. */
const shortImage = 4096

/** No base64, which stands for a long text that is none. */
const noBase64 = "!"

// A body's value with its images as bytes.
const withImages = (whole: unknown, most: number) => {
  let characters = 0
  let isTooLarge = false
  const visit = (value: unknown, field: string): unknown => {
    if (typeof value === "string") {
      if (value.length >= shortImage && imageFields.has(field)) {
        const bytes = fromBase64(value.replace(/^\s*data:[^,]{0,200},/, ""), most)
        if (Result.isSuccess(bytes)) return bytes.success
        isTooLarge ||= bytes.failure._tag === "TooLarge"
        return noBase64
      }
      characters += value.length
      return value
    }
    if (Array.isArray(value)) return value.map((item) => visit(item, field))
    return Predicate.isObject(value)
      ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visit(item, key)]))
      : value
  }
  const value = visit(whole, "")
  return { value, characters, isTooLarge }
}

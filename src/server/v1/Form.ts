/**
 * A `multipart/form-data` body as the fields of a request.
 *
 * Text fields are read as they are, all others as JSON. `init_images` and `mask` may be files, whose bytes stay bytes.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as JsonSchema from "effect/JsonSchema"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import type { InvalidRequest, TooLarge } from "../../contract/errors.ts"
import { RunRequest } from "../../contract/Run.ts"
import { fieldsOf } from "../../core/Field.ts"
import type { Problem } from "../../core/Problem.ts"
import * as Seed from "../../core/Seed.ts"
import type { Limits } from "../../processing/Limits.ts"
import { Img2Img, Txt2Img } from "../../processing/Processing.ts"
import * as JsonText from "../host/JsonText.ts"
import { readParts } from "../host/MultipartForm.ts"

const request = { fields: { ...Txt2Img.fields, ...Img2Img.fields } }

const isList = (name: keyof typeof request.fields): boolean => Schema.toType(request.fields[name]).ast._tag === "Arrays"

/** Fields that may occur several times in a form. */
const lists: ReadonlySet<string> = new Set(["requires", ...Struct.keys(request.fields).filter(isList)])

/** Fields whose value is the text itself; the first ones say which request it is, and whose. */
const texts: ReadonlySet<string> = new Set([
  "_tag",
  "idempotency_key",
  "task_id",
  ...fieldsOf(request).flatMap(([name, { value }]) =>
    !lists.has(name) && (value === "text" || value === "name" || value === "file") ? [name] : []
  )
])

/** Fields whose digits are kept. */
const seeds: ReadonlySet<string> = new Set(
  fieldsOf(request).flatMap(([name, { value }]) => value === "seed" ? [name] : [])
)

/** Fields whose items are objects. */
const objects: ReadonlySet<string> = new Set(
  fieldsOf(request).flatMap(([name, { value }]) => value === "parts" ? [name] : [])
)

/** Fields that may be files. */
const images: ReadonlySet<string> = new Set(
  fieldsOf(request).flatMap(([name, { value }]) => value === "file" ? [name] : [])
)

/** The form in OpenAPI. */
export const formSchema: JsonSchema.JsonSchema = {
  type: "object",
  properties: Object.fromEntries([
    ["_tag", { type: "string", enum: ["Txt2Img", "Img2Img"], description: "The kind of request." }],
    ["save", { type: "string", enum: ["true", "false"], description: "Whether the server saves the images." }],
    ["task_id", { type: "string", description: "The client's own name for the run." }],
    [
      "idempotency_key",
      {
        type: "string",
        description: "A second submission with the same key returns the run of the first, like the header."
      }
    ],
    ["priority", { type: "string", description: "Runs of a higher priority go first: -100 to 100, 0 by default." }],
    [
      "requires",
      { type: "array", items: { type: "string" }, description: "Labels that the worker of the run must have." }
    ],
    ...fieldsOf(request).map(([name, { description, title, value }]) => {
      const one = { type: "string", ...(value === "file" && { contentMediaType: "application/octet-stream" }) }
      return [name, { ...(lists.has(name) ? { type: "array", items: one } : one), title, description }] as const
    })
  ]),
  additionalProperties: false
}

const known: ReadonlySet<string> = new Set(RunRequest.members.flatMap(({ fields }) => Object.keys(fields)))

/** A form that was read. */
export interface FormFields {
  /** Texts and JSON values; images as bytes. */
  readonly fields: Readonly<Record<string, unknown>>
  /** Fields of a request that are files and may not be, or are not valid UTF-8. */
  readonly problems: ReadonlyArray<Problem>
}

/** Reads a form of at most `maxBytes`. */
export const readForm = Effect.fnUntraced(
  function*(
    request: HttpServerRequest.HttpServerRequest,
    { max_image_bytes }: Pick<Limits, "max_image_bytes">,
    maxBytes: number
  ): Effect.fn.Return<FormFields, InvalidRequest | TooLarge> {
    const fields: Record<string, unknown> = {}
    const problems: Array<Problem> = []
    const add = (name: string, value: unknown) => {
      if (!lists.has(name)) fields[name] = value
      else {
        const before = fields[name]
        fields[name] = [...(Array.isArray(before) ? before : []), ...(Array.isArray(value) ? value : [value])]
      }
    }
    const addFile = (name: string, bytes: Uint8Array) => {
      // A file input where none was chosen sends an empty file.
      if (bytes.length === 0) return
      if (images.has(name)) add(name, bytes)
      else if (known.has(name)) problems.push({ path: name, message: "only images can be files" })
      // Refused for its name, whatever it holds.
      else fields[name] = ""
    }
    const mistakes = yield* readParts(request, { maxBytes, maxPartBytes: max_image_bytes }, {
      text: (name, text) => add(name, valueOf(name, text)),
      file: addFile
    })
    return { fields, problems: [...problems, ...mistakes] }
  }
)

// An empty field counts as absent. Text that is not JSON stays text, which the request's schema then refuses.
const valueOf = (name: string, text: string): unknown => {
  if (texts.has(name)) return text
  if (text.trim() === "") return null
  if (seeds.has(name)) return Seed.fromText(text) ?? text
  if (lists.has(name) && !objects.has(name) && !text.trimStart().startsWith("[")) return text
  return Result.getOrElse(JsonText.parse(text), () => text)
}

/**
 * Requests of OpenAI's image API as requests of Serena.
 *
 * Names, ranges and defaults are those of OpenAI's reference of `/v1/images` ("Create image", "Create image edit" and
 * "Create image variation"). What has no meaning here (`style`, `moderation`, `input_fidelity`, `user`,
 * `safety_identifier`) is accepted and passed over. A JSON body names the images of an edit as `images`, with data
 * URLs. The object `serena` holds fields of Serena's own requests, which go over the others.
 */
import type * as JsonSchema from "effect/JsonSchema"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Problem, problemsOf, unknownNames } from "../../core/Problem.ts"
import { Txt2Img } from "../../processing/Processing.ts"
import { type ImagesError, invalid } from "./ImagesError.ts"

/** What is asked for: an image of a text, an image changed as a text says, another version of an image. */
export type Kind = "edit" | "generation" | "variation"

const given = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const text = given(Schema.String)

const size = Schema.String.check(
  Schema.makeFilter((text) => /^(?:auto|[1-9]\d{0,4}x[1-9]\d{0,4})$/.test(text) || "Expected WIDTHxHEIGHT or auto")
)

const qualities = ["auto", "low", "medium", "standard", "high", "hd", "xhigh", "max"] as const

const shared = {
  model: text,
  n: given(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))),
  size: given(size),
  quality: given(Schema.Literals(qualities)),
  response_format: given(Schema.Literals(["url", "b64_json"])),
  output_format: given(Schema.Literals(["png", "jpeg", "webp"])),
  output_compression: given(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))),
  background: given(Schema.Literals(["auto", "opaque", "transparent"])),
  stream: given(Schema.Boolean),
  partial_images: given(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))),
  style: text,
  moderation: text,
  input_fidelity: text,
  user: text,
  safety_identifier: text,
  serena: given(Schema.Record(Schema.String, Schema.Unknown))
}

// An image is bytes, or base64 as in a data URL.
const image = Schema.Union([Schema.instanceOf(Uint8Array), Schema.String])
const images = Schema.Union([image, Schema.NonEmptyArray(image)])

const prompt = Schema.String

const requests = {
  generation: Schema.Struct({ ...shared, prompt }),
  edit: Schema.Struct({ ...shared, prompt, image: images, mask: given(image) }),
  variation: Schema.Struct({ ...shared, prompt: text, image })
}

/** The parameters that are no images, as JSON Schema. */
export const parametersOf = (kind: Kind): {
  readonly properties: Readonly<Record<string, JsonSchema.JsonSchema>>
  readonly required: ReadonlyArray<string>
} => {
  const { prompt } = requests[kind].fields
  const { schema: { properties, required } } = Schema.toJsonSchemaDocument(Schema.Struct({ ...shared, prompt }))
  return {
    properties: Object.fromEntries(
      Object.entries(Predicate.isObject(properties) ? properties : {}).flatMap(([name, schema]) =>
        Predicate.isObject(schema) ? [[name, { ...schema }]] : []
      )
    ),
    required: Array.isArray(required) ? required.map(String) : []
  }
}

/** How a reply is made. */
export interface ReplyOptions {
  readonly kind: Kind
  readonly inline: boolean
  readonly stream: boolean
  /** Previews of each image before it is finished, 0 to 3. */
  readonly partialImages: number
  readonly quality: "high" | "low" | "max" | "medium" | "xhigh"
  readonly format: "jpeg" | "png" | "webp"
}

/** A request that was read. */
export interface Asked {
  /** A request of `/v1`. */
  readonly fields: Readonly<Record<string, unknown>>
  readonly reply: ReplyOptions
  /** The mask's file, bytes or base64; its transparency is not yet known. */
  readonly mask: Uint8Array | string | undefined
}

/** Whether it is one of OpenAI's own models, as clients send when no other is set: they stand for the selected one. */
const isOpenAis = (model: string): boolean => /^(?:dall-e|gpt-image|chatgpt-image)\b/.test(model)

/** Steps for a quality, against the default number of steps. */
const efforts = { auto: 1, low: 0.5, medium: 1, standard: 1, high: 1.5, hd: 1.5, xhigh: 2, max: 3 } as const

const shownQuality = {
  auto: "medium",
  low: "low",
  medium: "medium",
  standard: "medium",
  high: "high",
  hd: "high",
  xhigh: "xhigh",
  max: "max"
} as const

/** The strength with which an image is varied. */
const variationStrength = 0.6

/**
 * Reads a body. All problems are named at once.
 *
 * @param promptOf What a variation's image says of its own prompt.
 */
export const read = (kind: Kind, body: unknown, promptOf = ""): Result.Result<Asked, ImagesError> => {
  if (!Predicate.isObject(body) || Array.isArray(body)) {
    return Result.fail(invalid([{ path: "", message: "The body is no object with parameters" }]))
  }
  const { given, problems: wrongReferences } = withoutReferences(kind, { ...body })
  const unknown = unknownNames(given, {
    what: "parameter",
    known: Object.keys(requests[kind].fields),
    other: (name) => ofOtherKinds.has(name) ? "animations and vector images are not made here" : undefined
  })
  const decoded = decoders[kind](given)
  const problems = [
    ...wrongReferences,
    ...(Result.isFailure(decoded) ? problemsOf(decoded.failure.issue) : problemsWith(decoded.success)),
    ...unknown
  ]
  if (Result.isFailure(decoded) || problems.length > 0) {
    return Result.fail(invalid(problems, unknown.length === problems.length ? "unknown_parameter" : "invalid_value"))
  }
  return Result.succeed(asked(kind, decoded.success, promptOf))
}

/** Parameters of what is no image of pixels. */
const ofOtherKinds: ReadonlySet<string> = new Set(["complexity", "frame_count", "frame_duration_ms", "markup", "svg"])

// A JSON body refers to the images of an edit: `images: [{ image_url }]` and `mask: { image_url }`.
const withoutReferences = (kind: Kind, body: Readonly<Record<string, unknown>>) => {
  const problems: Array<Problem> = []
  const resolve = (path: string, reference: unknown): unknown => {
    if (!Predicate.isObject(reference) || reference instanceof Uint8Array || Array.isArray(reference)) return reference
    const url: unknown = Reflect.get(reference, "image_url")
    if (typeof url === "string" && !/^https?:/i.test(url)) return url
    problems.push({
      path,
      message: "the server fetches no images and keeps no uploads: send a data URL as image_url"
    })
    return ""
  }
  if (kind !== "edit") return { given: body, problems }
  const { images, ...rest } = body
  const given = Array.isArray(images) && rest["image"] === undefined
    ? { ...rest, image: images.map((image, i) => resolve(`images.${i}`, image)) }
    : body
  return { given: { ...given, ...("mask" in given && { mask: resolve("mask", given["mask"]) }) }, problems }
}

interface Parameters extends Schema.Struct.Type<typeof shared> {
  readonly prompt?: string | null
  readonly image?: typeof images.Type
  readonly mask?: typeof image.Type | null
}

const decoderOf = <S extends Schema.Codec<Parameters, unknown>>(schema: S) =>
  Schema.decodeUnknownResult(schema, { errors: "all" })

const decoders: Readonly<Record<Kind, (body: unknown) => Result.Result<Parameters, Schema.SchemaError>>> = {
  generation: decoderOf(requests.generation),
  edit: decoderOf(requests.edit),
  variation: decoderOf(requests.variation)
}

const problemsWith = ({ background, stream, response_format }: Parameters): ReadonlyArray<Problem> => [
  ...(background === "transparent"
    ? [{ path: "background", message: "transparent backgrounds are not available; use opaque" }]
    : []),
  ...(stream === true && response_format === "url"
    ? [{ path: "response_format", message: "a stream sends images inline; use b64_json" }]
    : [])
]

const asked = (kind: Kind, parameters: Parameters, promptOf: string): Asked => {
  const { model, n, output_compression, output_format, partial_images, quality, response_format, size, stream } =
    parameters
  const format = output_format ?? "png"
  const [width, height] = /^(\d+)x(\d+)$/.exec(size ?? "")?.slice(1).map(Number) ?? []
  const steps = Math.max(1, Math.round((Txt2Img.make({}).steps) * efforts[quality ?? "auto"]))
  const partialImages = stream === true ? partial_images ?? 0 : 0
  const { override_settings, ...own } = parameters.serena ?? {}
  const lasting = typeof own["steps"] === "number" ? own["steps"] : steps
  const list = parameters.image === undefined
    ? []
    : Array.isArray(parameters.image)
    ? parameters.image
    : [parameters.image]
  const fields = {
    prompt: parameters.prompt ?? promptOf,
    steps,
    n_iter: n ?? 1,
    ...(width !== undefined && { width, height }),
    ...(list.length > 0 && { _tag: "Img2Img", init_images: list, batch_size: list.length }),
    ...(kind === "variation" && { denoising_strength: variationStrength }),
    ...own,
    override_settings: {
      samples_format: format === "jpeg" ? "jpg" : format,
      ...(typeof output_compression === "number" &&
        { jpeg_quality: Math.max(1, output_compression), webp_lossless: false }),
      ...(typeof model === "string" && model !== "" && !isOpenAis(model) && { sd_model_checkpoint: model }),
      ...(partialImages > 0 && {
        live_previews_enable: true,
        // Of the size of the image, as OpenAI's are.
        show_progress_type: "Full",
        show_progress_every_n_steps: Math.max(1, Math.floor(lasting / (partialImages + 1)))
      }),
      ...(Predicate.isObject(override_settings) ? override_settings : undefined)
    }
  }
  return {
    fields,
    mask: parameters.mask ?? undefined,
    reply: {
      kind,
      inline: typeof response_format !== "string" ? !/^dall-e\b/.test(model ?? "") : response_format === "b64_json",
      stream: stream === true,
      partialImages,
      quality: shownQuality[quality ?? "auto"],
      format
    }
  }
}

const params: Readonly<Record<string, string>> = {
  prompt: "prompt",
  width: "size",
  height: "size",
  n_iter: "n",
  batch_size: "image",
  init_images: "image",
  mask: "mask",
  "override_settings.sd_model_checkpoint": "model"
}

/** The parameter that a field of `/v1` came from. */
export const paramOf = (field: string): string => {
  const [first = ""] = field.split(".", 1)
  return params[field] ?? params[first] ?? `serena.${field}`
}

const numbers: ReadonlySet<string> = new Set(["n", "output_compression", "partial_images"])

/** A text of a form as the value of its parameter. */
export const valueOf = (name: string, text: string): unknown => {
  if (numbers.has(name)) return /^\s*-?\d+(?:\.\d+)?\s*$/.test(text) ? Number(text) : text
  if (name === "stream") return text === "true" ? true : text === "false" ? false : text
  if (name !== "serena") return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

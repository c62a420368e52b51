/**
 * An image of a request: the bytes of its file.
 *
 * In a program it is a `Uint8Array`. In JSON it is base64, bare or as a data URL (`data:image/png;base64,...`), in
 * either alphabet, with or without padding and line breaks. Text is measured before it is decoded, so that nothing is
 * allocated for images over the limits. The bytes are decoded as an image when the run begins.
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import { Limits } from "./Limits.ts"

/** The limits that hold while images are decoded. `Processing.decode` sets them. */
export const ImageLimits = Context.Reference<Pick<Limits, "max_batch_size" | "max_image_bytes">>(
  "serena/processing/ImageLimits",
  { defaultValue: () => Limits.make({}) }
)

/** The message about a file of `bytes` bytes, which is over the limit. */
export const tooLarge = (bytes: number, { max_image_bytes }: Pick<Limits, "max_image_bytes">): string =>
  `${bytes} is over the limit of ${max_image_bytes} bytes for an image file`

/** Why a text is rejected: it is not base64, or encodes more bytes than the limit. */
export type Base64Fault = { readonly _tag: "NotBase64" } | { readonly _tag: "TooLarge"; readonly bytes: number }

const notBase64: Base64Fault = { _tag: "NotBase64" }

/** The bytes of an image's file from base64. Measured first: memory is allocated only for at most `most` bytes. */
export const fromBase64 = (text: string, most: number): Result.Result<Uint8Array, Base64Fault> => {
  // With room for line breaks and the prefix of a data URL. A longer text is not even scanned.
  if (text.length > most * 1.5 + 300) {
    return Result.fail({ _tag: "TooLarge", bytes: Math.floor(text.length * 3 / 4) })
  }
  const begin = dataUrl.exec(text)?.[0].length ?? 0
  const bytes = measured(text, begin)
  if (bytes === undefined || bytes === 0) return Result.fail(notBase64)
  return bytes > most ? Result.fail({ _tag: "TooLarge", bytes }) : Result.succeed(decoded(text, begin, bytes))
}

const dataUrl = /^\s*data:[^,]{0,200};base64,/

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Codes of characters that are not among the 64 digits.
const [blank, padding, other] = [64, 65, 66]

/** What each ASCII character is: the value of a digit in either alphabet, or `blank`, `padding` or `other`. */
const values = new Uint8Array(128).fill(other)
for (const [value, digit] of [...digits].entries()) values[digit.charCodeAt(0)] = value
for (const digit of "+-") values[digit.charCodeAt(0)] = 62
for (const digit of "/_") values[digit.charCodeAt(0)] = 63
for (const space of " \t\n\v\f\r") values[space.charCodeAt(0)] = blank
values["=".charCodeAt(0)] = padding

const valueAt = (text: string, i: number): number => {
  const code = text.charCodeAt(i)
  return code < 128 ? values[code] as number : other
}

// Four digits as 24 bits; -1 if one of the characters is not a digit. Codes of digits are below 64, all others not.
const fourAt = (text: string, i: number): number => {
  const a = valueAt(text, i)
  const b = valueAt(text, i + 1)
  const c = valueAt(text, i + 2)
  const d = valueAt(text, i + 3)
  return (a | b | c | d) < 64 ? a << 18 | b << 12 | c << 6 | d : -1
}

// How many bytes a text encodes; undefined if it is not base64.
const measured = (text: string, begin: number): number | undefined => {
  let count = 0
  let padded = 0
  for (let i = begin; i < text.length; i++) {
    if (padded === 0) {
      for (; i + 4 <= text.length && fourAt(text, i) >= 0; i += 4) count += 4
      if (i === text.length) break
    }
    const value = valueAt(text, i)
    if (value < 64) {
      if (padded > 0) return undefined
      count++
    } else if (value === padding) padded++
    else if (value === other) return undefined
  }
  const rest = count % 4
  const isWhole = padded === 0 ? rest !== 1 : rest >= 2 && padded <= 4 - rest
  return isWhole ? Math.floor(count * 3 / 4) : undefined
}

const decoded = (text: string, begin: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let buffer = 0
  let bits = 0
  for (let i = begin, at = 0; at < length; i++) {
    if (bits === 0) {
      for (; at + 3 <= length && i + 4 <= text.length; i += 4) {
        const four = fourAt(text, i)
        if (four < 0) break
        bytes[at++] = four >> 16
        bytes[at++] = four >> 8
        bytes[at++] = four
      }
      if (at === length) break
    }
    const value = valueAt(text, i)
    if (value >= 64) continue
    buffer = buffer << 6 | value
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = buffer >> bits
    }
  }
  return bytes
}

const expected = "an image in base64"

// Issues are made without their input: a message never repeats an image.
const refused = (annotations: { readonly expected: string } | { readonly message: string }) =>
  Effect.fail(new SchemaIssue.InvalidValue(annotations))

const decodeText = (text: string) =>
  ImageLimits.use((limits) => {
    const bytes = fromBase64(text, limits.max_image_bytes)
    if (Result.isSuccess(bytes)) return Effect.succeed(bytes.success)
    const { failure } = bytes
    return refused(failure._tag === "TooLarge" ? { message: tooLarge(failure.bytes, limits) } : { expected })
  })

const decodeBytes = (bytes: Uint8Array) =>
  ImageLimits.use((limits) =>
    bytes.length === 0
      ? refused({ message: "the file is empty" })
      : bytes.length > limits.max_image_bytes
      ? refused({ message: tooLarge(bytes.length, limits) })
      : Effect.succeed(bytes)
  )

const decodeGiven = (given: unknown) =>
  typeof given === "string"
    ? decodeText(given)
    : given instanceof Uint8Array
    ? decodeBytes(given)
    : refused({ expected })

const encode = SchemaGetter.transform((bytes: Uint8Array<ArrayBufferLike>) => Base64.encode(bytes))

const text = Schema.String.annotate({ expected, contentEncoding: "base64" })

/** The bytes of an image's file. Its JSON form is base64. */
export const ImageBytes = Schema.instanceOf(globalThis.Uint8Array<ArrayBufferLike>, {
  expected: "Uint8Array",
  toCodecJson: () =>
    Schema.link<Uint8Array<ArrayBufferLike>>()(text, { decode: SchemaGetter.transformEffect(decodeText), encode })
})
export type ImageBytes = typeof ImageBytes.Type

// Any value, which a JSON codec leaves unchanged: bytes are not copied.
const given = Schema.declare<unknown>(Predicate.isNotUndefined, { expected: "a value", toCodecJson: () => undefined })

/** An image as submitted: bytes, which are not copied, or base64. */
const GivenImage = given.pipe(
  Schema.decodeTo(ImageBytes, { decode: SchemaGetter.transformEffect(decodeGiven), encode })
)

const isList = (value: unknown): value is ReadonlyArray<unknown> => Array.isArray(value)

/** The list of images as submitted. A list longer than any batch is refused before any image is decoded. */
export const GivenImages = given.pipe(Schema.decodeTo(Schema.NonEmptyArray(GivenImage), {
  decode: SchemaGetter.transformEffect((images: unknown) =>
    ImageLimits.use(({ max_batch_size }) =>
      !isList(images)
        ? refused({ expected: "a list of images" })
        : !Arr.isReadonlyArrayNonEmpty(images)
        ? refused({ message: "at least one image is needed" })
        : images.length > max_batch_size
        ? refused({ message: `${images.length} images are over the limit of ${max_batch_size}` })
        : Effect.succeed(images)
    )
  ),
  encode: SchemaGetter.transform((images: unknown) => images)
}))

/** A mask as submitted; an empty text is none. */
export const GivenMask = given.pipe(Schema.decodeTo(Schema.UndefinedOr(ImageBytes), {
  decode: SchemaGetter.transformEffect((mask: unknown) =>
    mask === "" || mask === null ? Effect.undefined : decodeGiven(mask)
  ),
  encode: SchemaGetter.transform((mask: unknown) => mask)
}))

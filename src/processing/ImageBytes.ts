/**
 * A picture that comes with a request: the bytes of its file.
 *
 * In a program it is a `Uint8Array`, in JSON base64, as a data URL (`data:image/png;base64,...`) or bare. What is in the
 * bytes is looked at when the run begins.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"

const prefix = /^\s*data:[^,]{0,200};base64,/

const decodeText = SchemaGetter.transformEffect((text: string, options) => {
  const bare = text.replace(prefix, "").replaceAll(/\s+/g, "").replaceAll("-", "+").replaceAll("_", "/")
  const bytes = Base64.decode(bare.padEnd(Math.ceil(bare.length / 4) * 4, "="))
  return Result.isSuccess(bytes) && bytes.success.length > 0
    ? Effect.succeed(bytes.success)
    : Effect.fail(new SchemaIssue.InvalidValue({ expected: "a picture in base64" }, text.slice(0, 40), options))
})

const text = Schema.String.annotate({ expected: "a picture in base64", contentEncoding: "base64" })

export const ImageBytes = Schema.instanceOf(globalThis.Uint8Array<ArrayBufferLike>, {
  expected: "Uint8Array",
  toCodecJson: () =>
    Schema.link<Uint8Array<ArrayBufferLike>>()(text, {
      decode: decodeText,
      encode: SchemaGetter.transform((bytes: Uint8Array<ArrayBufferLike>) => Base64.encode(bytes))
    })
})
export type ImageBytes = typeof ImageBytes.Type

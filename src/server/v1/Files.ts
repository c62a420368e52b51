/**
 * Image files as replies. A finished image never changes, so clients may cache it forever.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as FileSignature from "../../images/FileSignature.ts"
import { thumbnail } from "../../images/Thumbnail.ts"
import type { EncodedImage } from "../../runner/Processed.ts"
import { hasTag } from "../host/EntityTag.ts"

const types = { png: "image/png", jpg: "image/jpeg", webp: "image/webp" } as const

/** Whether the client has the file of a tag. */
export const isKnown = ({ known, tag }: { readonly tag: string; readonly known: string | undefined }): boolean =>
  hasTag(known, `"${tag}"`)

/**
 * The reply with a file, or a 304 when the client has it.
 *
 * @param tag Identifies the file among all files of this server.
 * @param name The file's name without its extension, if it was not saved.
 * @param known The request's `If-None-Match`.
 */
export const fileResponse = (
  { bytes, format, path }: EncodedImage & { readonly path: string | null },
  { known, name, tag }: { readonly tag: string; readonly name: string; readonly known: string | undefined }
): HttpServerResponse.HttpServerResponse => {
  const etag = `"${tag}"`
  const headers = { etag, "cache-control": "private, max-age=31536000, immutable" }
  return isKnown({ known, tag })
    ? HttpServerResponse.empty({ status: 304, headers })
    : HttpServerResponse.uint8Array(bytes, {
      contentType: types[format],
      headers: { ...headers, "content-disposition": disposition(path?.split(/[\\/]/).at(-1) ?? `${name}.${format}`) }
    })
}

const isImage = (bytes: Uint8Array): boolean => {
  const format = FileSignature.sniff(bytes)
  return format === "png" || format === "jpeg" || format === "webp"
}

/** Clients keep the preview of a model for a few minutes only: the image may be replaced. */
const forMinutes = { "cache-control": "private, max-age=300" }

/** The reply with a small copy of the preview of a model; undefined for a file that cannot be read as an image. */
export const thumbnailResponse = Effect.fnUntraced(function*(bytes: Uint8Array) {
  const small = isImage(bytes) ? yield* Effect.option(thumbnail(bytes)) : Option.none()
  return Option.getOrUndefined(Option.map(
    small,
    (bytes) => HttpServerResponse.uint8Array(bytes, { contentType: "image/webp", headers: forMinutes })
  ))
})

/**
 * The reply with the preview of a model; undefined for a file that is no PNG, JPEG or WebP image, whatever its name.
 */
export const previewResponse = (bytes: Uint8Array): HttpServerResponse.HttpServerResponse | undefined => {
  const format = FileSignature.sniff(bytes)
  return format !== "png" && format !== "jpeg" && format !== "webp" ? undefined : HttpServerResponse.uint8Array(bytes, {
    contentType: `image/${format}`,
    headers: forMinutes
  })
}

/** Shows a file inline and names it for saving: in ASCII, and in full (RFC 6266). */
const disposition = (name: string): string => {
  const plain = name.replaceAll(/[^\x20-\x7e]|["\\%]/g, "_")
  const full = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )
  return `inline; filename="${plain}"; filename*=UTF-8''${full}`
}

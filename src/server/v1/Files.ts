/**
 * Image files as replies. A finished image never changes, so clients may cache it forever.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as FileSignature from "../../images/FileSignature.ts"
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

/**
 * The reply with the preview of a model; undefined for a file that is no PNG, JPEG or WebP image, whatever its name.
 * The image may be replaced, so clients keep it for a few minutes only.
 */
export const previewResponse = (bytes: Uint8Array): HttpServerResponse.HttpServerResponse | undefined => {
  const format = FileSignature.sniff(bytes)
  return format !== "png" && format !== "jpeg" && format !== "webp" ? undefined : HttpServerResponse.uint8Array(bytes, {
    contentType: `image/${format}`,
    headers: { "cache-control": "private, max-age=300" }
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

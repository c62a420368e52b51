/**
 * Pictures as replies: a finished one never changes, so it may be kept for ever.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { ImageFile } from "../../runner/Processed.ts"

const types = { png: "image/png", jpg: "image/jpeg", webp: "image/webp" } as const

/**
 * A file, or a 304 when the client has it already.
 *
 * @param tag What the file is known by, of all files of this server.
 * @param name The file's name, without its extension, where it was not saved.
 * @param known The request's `If-None-Match`.
 */
export const fileResponse = (
  { bytes, format, path }: ImageFile,
  { known, name, tag }: { readonly tag: string; readonly name: string; readonly known: string | undefined }
): HttpServerResponse.HttpServerResponse => {
  const headers = { "etag": `"${tag}"`, "cache-control": "private, max-age=31536000, immutable" }
  return isKnown(known, tag)
    ? HttpServerResponse.empty({ status: 304, headers })
    : HttpServerResponse.uint8Array(bytes, {
      contentType: types[format],
      headers: { ...headers, "content-disposition": disposition(path?.split(/[\\/]/).at(-1) ?? `${name}.${format}`) }
    })
}

// A weak tag stands for the same bytes as a strong one here.
const isKnown = (header: string | undefined, tag: string): boolean =>
  header !== undefined &&
  header.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === `"${tag}"`)

/** To be shown, and saved under this name: once for old readers, once in full (RFC 6266). */
const disposition = (name: string): string => {
  const plain = name.replaceAll(/[^\x20-\x7e]|["\\%]/g, "_")
  const full = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )
  return `inline; filename="${plain}"; filename*=UTF-8''${full}`
}

/**
 * PNG files, chunk by chunk (PNG specification, third edition).
 *
 * The infotext is in a `parameters` chunk, where every tool of the Stable Diffusion family looks for it (section 11.3.3).
 * Pixels are compressed elsewhere, see `ImageEncoder`.
 */
import * as Effect from "effect/Effect"
import { crc32, inflateSync } from "node:zlib"
import { ImageCodecError } from "../processing/errors.ts"

const signature = Uint8Array.of(0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A)
const keyword = "parameters"

/** Longest text that is read back from a compressed chunk, in bytes. */
const longestText = 16 * 1024 * 1024

/**
 * The infotext of a PNG file, or `undefined` for a picture without one.
 *
 * Takes `tEXt`, `zTXt` and `iTXt`. Fails with `ImageCodecError` when the bytes are not a PNG file.
 */
export const readInfotext = Effect.fn("Png.readInfotext")((bytes: Uint8Array) =>
  Effect.try({
    try: () => {
      for (const [type, data] of chunks(bytes)) {
        const text = textOf(type, data)
        if (text?.keyword === keyword) return text.text
      }
      return undefined
    },
    catch: (cause) => new ImageCodecError({ reason: cause instanceof Error ? cause.message : String(cause) })
  })
)

/** A PNG file with this infotext in it, put before the pixels. An empty text is not stored. */
export const withInfotext = (png: Uint8Array, infotext: string): Uint8Array => {
  if (infotext === "") return png
  // The header chunk is always 25 bytes long.
  const header = signature.length + 25
  const chunk = textChunk(infotext)
  const out = new Uint8Array(png.length + chunk.length)
  out.set(png.subarray(0, header))
  out.set(chunk, header)
  out.set(png.subarray(header), header + chunk.length)
  return out
}

/** A PNG file of 8-bit RGB, from scanlines that are filtered and compressed already. */
export const fromScanlines = (image: {
  readonly width: number
  readonly height: number
  /** A zlib stream of `height` scanlines, a filter type and `width` pixels each. */
  readonly compressed: Uint8Array
}): Uint8Array => {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(image.width, 0)
  header.writeUInt32BE(image.height, 4)
  // 8 bits for each sample, of red, green and blue.
  header.set([8, 2], 8)
  return new Uint8Array(Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", image.compressed),
    chunk("IEND", new Uint8Array())
  ]))
}

const latin1 = new TextDecoder("latin1")
const utf8 = new TextDecoder()

const textChunk = (text: string): Uint8Array => {
  const isLatin1 = Buffer.from(text, "latin1").toString("latin1") === text && !text.includes("\0")
  // An international text chunk has four more fields before the text: two flags, language, translated keyword.
  return isLatin1
    ? chunk("tEXt", Buffer.from(`${keyword}\0${text}`, "latin1"))
    : chunk("iTXt", Buffer.from(`${keyword}\0\0\0\0\0${text}`, "utf8"))
}

const chunk = (type: string, data: Uint8Array): Uint8Array => {
  const bytes = Buffer.alloc(data.length + 12)
  bytes.writeUInt32BE(data.length, 0)
  bytes.write(type, 4, "latin1")
  bytes.set(data, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, data.length + 8)), data.length + 8)
  return bytes
}

function* chunks(bytes: Uint8Array): Generator<readonly [type: string, data: Uint8Array]> {
  if (bytes.length < signature.length || !signature.every((byte, i) => bytes[i] === byte)) {
    throw new Error("it does not begin as a PNG file does")
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = signature.length
  while (at < bytes.length) {
    if (at + 12 > bytes.length) throw new Error("the file ends in the middle of a chunk")
    const length = view.getUint32(at)
    if (at + 12 + length > bytes.length) throw new Error("the file ends in the middle of a chunk")
    yield [latin1.decode(bytes.subarray(at + 4, at + 8)), bytes.subarray(at + 8, at + 8 + length)]
    at += length + 12
  }
}

const textOf = (type: string, data: Uint8Array): { readonly keyword: string; readonly text: string } | undefined => {
  if (type !== "tEXt" && type !== "zTXt" && type !== "iTXt") return undefined
  const end = data.indexOf(0)
  if (end < 0) return undefined
  const keyword = latin1.decode(data.subarray(0, end))
  if (type === "tEXt") return { keyword, text: latin1.decode(data.subarray(end + 1)) }
  if (type === "zTXt") return { keyword, text: latin1.decode(inflate(data.subarray(end + 2))) }
  const compressed = data[end + 1] === 1
  const language = data.indexOf(0, end + 3)
  const translated = language < 0 ? -1 : data.indexOf(0, language + 1)
  if (translated < 0) return undefined
  const text = data.subarray(translated + 1)
  return { keyword, text: utf8.decode(compressed ? inflate(text) : text) }
}

const inflate = (data: Uint8Array) => inflateSync(data, { maxOutputLength: longestText })

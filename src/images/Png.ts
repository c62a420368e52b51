/**
 * PNG files with their infotext.
 *
 * Pixels are compressed by sharp, off the main thread; the text goes into a `parameters` chunk, where every tool of the
 * Stable Diffusion family looks for it (PNG specification, third edition, section 11.3.3).
 */
import * as Effect from "effect/Effect"
import { crc32, inflateSync } from "node:zlib"
import { ImageCodecError } from "../processing/errors.ts"

const signature = Uint8Array.of(0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A)
const keyword = "parameters"

/** Longest text that is read back from a compressed chunk, in bytes. */
const longestText = 16 * 1024 * 1024

/**
 * 8-bit RGB `[height, width, 3]` as a PNG file, the same bytes for the same input.
 */
export const encode = Effect.fn("Png.encode")(function*(image: {
  readonly pixels: Uint8Array
  readonly width: number
  readonly height: number
  /** Stored in the `parameters` chunk; an empty text is not stored. */
  readonly infotext: string
}) {
  const { height, infotext, pixels, width } = image
  const png = yield* Effect.tryPromise({
    try: async () => {
      const { default: sharp } = await loadSharp()
      return await sharp(pixels, { raw: { width, height, channels: 3 } }).png().toBuffer()
    },
    catch: (cause) => new ImageCodecError({ reason: cause instanceof Error ? cause.message : String(cause) })
  })
  return infotext === "" ? new Uint8Array(png) : withText(png, infotext)
})

// Sharp brings a native library, so it is loaded when the first picture is written and not before.
const loadSharp = () => import("sharp")

/** Loads what `encode` needs, ahead of its first use. */
export const warm: Effect.Effect<void> = Effect.ignore(Effect.tryPromise(loadSharp))

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

const latin1 = new TextDecoder("latin1")
const utf8 = new TextDecoder()

// The header chunk is always 25 bytes long, so text put after it stands before the pixels.
const withText = (png: Uint8Array, text: string): Uint8Array => {
  const header = signature.length + 25
  const chunk = textChunk(text)
  const out = new Uint8Array(png.length + chunk.length)
  out.set(png.subarray(0, header))
  out.set(chunk, header)
  out.set(png.subarray(header), header + chunk.length)
  return out
}

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

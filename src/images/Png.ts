/**
 * PNG files, chunk by chunk (PNG specification, third edition).
 *
 * The infotext is in a `parameters` chunk, where every tool of the Stable Diffusion family looks for it (section
 * 11.3.3). Pixels are compressed elsewhere, see `ImageEncoder`.
 */
import type * as Effect from "effect/Effect"
import { crc32, inflateSync } from "node:zlib"
import { away, type Parts } from "../core/Work.ts"
import * as JsonInfotext from "../processing/JsonInfotext.ts"
import * as Exif from "./Exif.ts"
import * as TextEncoding from "./TextEncoding.ts"

export interface PngChunk {
  readonly type: string
  readonly data: Uint8Array
  /** Where it begins in the file, and where the next one does. */
  readonly start: number
  readonly end: number
}

const signature = Uint8Array.of(0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A)
const keyword = "parameters"

/** Texts that prompts are read from. */
const sources: ReadonlySet<string> = new Set([keyword, "Description", "Comment", ...JsonInfotext.keywords])

/** Most texts that are read of one file. */
const mostTexts = 1000

/** Longest texts of one file together, unpacked, in bytes. */
const longestTexts = 4 * 1024 * 1024

const { latin1 } = TextEncoding

/** All chunks in their order. Throws where the file is damaged. */
export function* chunks(bytes: Uint8Array): Generator<PngChunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let start = signature.length
  while (start < bytes.length) {
    const length = start + 12 <= bytes.length ? view.getUint32(start) : bytes.length
    const end = start + 12 + length
    if (end > bytes.length) throw new Error("the file ends in the middle of a chunk")
    yield {
      type: latin1(bytes.subarray(start + 4, start + 8)),
      data: bytes.subarray(start + 8, end - 4),
      start,
      end
    }
    start = end
  }
}

/**
 * Reads texts of chunks: `tEXt` and `zTXt`, which are Latin-1 by the specification and UTF-8 by many programs, and
 * `iTXt`.
 *
 * Throws when one file has more than 1,000, when they are longer than 4 MB together, and when an `iTXt` that prompts
 * are read from is not valid UTF-8.
 */
export const textReader = () => {
  let left = longestTexts
  let count = 0
  const take = (text: Uint8Array): Uint8Array => {
    if (text.length > left) throw new Error("its texts are longer than 4 MB")
    left -= text.length
    return text
  }
  const unpack = (data: Uint8Array): Uint8Array => take(inflateSync(data, { maxOutputLength: left + 1 }))
  /** The text of a chunk, or `undefined` when there is none in it. */
  return ({ data, type }: PngChunk): readonly [keyword: string, text: string] | undefined => {
    if (type !== "tEXt" && type !== "zTXt" && type !== "iTXt") return undefined
    if (++count > mostTexts) throw new Error(`it has more than ${mostTexts} texts`)
    const end = data.indexOf(0)
    if (end < 0) return undefined
    const keyword = () => latin1(data.subarray(0, end))
    switch (type) {
      case "tEXt":
        return [keyword(), TextEncoding.decodeUtf8OrLatin1(take(data.subarray(end + 1)))]
      case "zTXt":
        return [keyword(), TextEncoding.decodeUtf8OrLatin1(unpack(data.subarray(end + 2)))]
      case "iTXt": {
        // Two flags, then a language and the keyword in that language, each up to a zero.
        const language = data.indexOf(0, end + 3)
        const translated = language < 0 ? -1 : data.indexOf(0, language + 1)
        if (translated < 0) return undefined
        const packed = data.subarray(translated + 1)
        const bytes = data[end + 1] === 1 ? unpack(packed) : take(packed)
        const text = TextEncoding.keepingMark(bytes)
        if (text === undefined && sources.has(keyword())) {
          throw new Error(`its text "${keyword()}" is not valid UTF-8, as an iTXt chunk must be`)
        }
        return [keyword(), text ?? latin1(bytes)]
      }
      default:
        return undefined
    }
  }
}

/**
 * A PNG file with this infotext in it, put before the pixels, in place of its own. An empty text is not stored. Throws
 * when the file is damaged.
 */
export const withInfotext = (png: Uint8Array, infotext: string): Uint8Array => {
  if (infotext === "") return png
  const [header, ...others] = chunks(png)
  if (header === undefined) throw new Error("the file ends before the image")
  const kept = others.filter((chunk) => !holdsInfotext(chunk)).map(({ end, start }) => png.subarray(start, end))
  return new Uint8Array(Buffer.concat([png.subarray(0, header.end), textChunk(infotext), ...kept]))
}

const holdsInfotext = ({ data, type }: PngChunk): boolean => {
  switch (type) {
    case "tEXt":
    case "zTXt":
    case "iTXt":
      return latin1(data.subarray(0, keyword.length + 1)) === `${keyword}\0`
    // Readers take a comment there for the infotext, before any other text.
    case "eXIf":
      return (Exif.readUserComment(data) ?? "") !== ""
    default:
      return false
  }
}

/**
 * A PNG file with these texts in it as well, by their keywords, before the pixels. A keyword that is not one of PNG's
 * (1 to 79 characters of Latin-1) is left out. Throws when the file is damaged.
 */
export const withTexts = (png: Uint8Array, texts: Readonly<Record<string, string>>): Uint8Array => {
  const [header, ...others] = chunks(png)
  if (header === undefined) throw new Error("the file ends before the image")
  const added = Object.entries(texts).flatMap(([keyword, text]) =>
    /^[ -~\u00A1-\u00FF]{1,79}$/.test(keyword) ? [textChunk(text, keyword)] : []
  )
  return new Uint8Array(
    Buffer.concat([png.subarray(0, header.end), ...added, ...others.map(({ end, start }) => png.subarray(start, end))])
  )
}

/** The same, away from the main thread for large files. */
export const addingTexts = (png: Uint8Array, texts: Readonly<Record<string, string>>): Effect.Effect<Uint8Array> =>
  away({ module: import.meta.url, parts: textsWork }, [png, texts], png.length / 8)

export function* textsWork(png: Uint8Array, texts: Readonly<Record<string, string>>): Parts<Uint8Array> {
  return withTexts(png, texts)
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

const textChunk = (text: string, name = keyword): Uint8Array => {
  const bytes = Buffer.from(text, "latin1")
  // Latin-1 that is valid UTF-8 by chance would be read as that.
  const isLatin1 = latin1(bytes) === text && !text.includes("\0") &&
    TextEncoding.decodeUtf8OrLatin1(bytes) === text
  // An international text chunk has four more fields before the text: two flags, language, translated keyword.
  return isLatin1
    ? chunk("tEXt", Buffer.from(`${name}\0${text}`, "latin1"))
    : chunk(
      "iTXt",
      Buffer.concat([Buffer.from(`${name}\0\0\0\0\0`, "latin1"), Buffer.from(text, "utf8")])
    )
}

const chunk = (type: string, data: Uint8Array): Uint8Array => {
  const bytes = Buffer.alloc(data.length + 12)
  bytes.writeUInt32BE(data.length, 0)
  bytes.write(type, 4, "latin1")
  bytes.set(data, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, data.length + 8)), data.length + 8)
  return bytes
}

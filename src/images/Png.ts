/**
 * PNG files, chunk by chunk (PNG specification, third edition).
 *
 * The infotext is in a `parameters` chunk, where every tool of the Stable Diffusion family looks for it (section
 * 11.3.3).
 */
import * as Effect from "effect/Effect"
import { promisify } from "node:util"
import { constants, crc32, deflate, deflateSync, inflateSync } from "node:zlib"
import type { Raster } from "../core/Raster.ts"
import { atOnce, away, inTurns, joining, type Parts } from "../core/Work.ts"
import * as JsonInfotext from "../processing/JsonInfotext.ts"
import * as Exif from "./Exif.ts"
import { byLines, samplesOf } from "./Parts.ts"
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

/** Where the first chunk of every file ends, its header (section 11.2.1). */
const headerEnd = signature.length + 25

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
 * (1 to 79 characters of Latin-1) is left out. The file is one that was written here, and not checked.
 */
export const addingTexts = (png: Uint8Array, texts: Readonly<Record<string, string>>): Effect.Effect<Uint8Array> =>
  inTurns(() => {
    const added = Object.entries(texts).flatMap(([keyword, text]) =>
      /^[ -~\u00A1-\u00FF]{1,79}$/.test(keyword) ? [textChunk(text, keyword)] : []
    )
    return joining([png.subarray(0, headerEnd), ...added, png.subarray(headerEnd)])
  })

/** A PNG file of these pixels, without texts. Equal pixels give equal bytes. */
export const encoding = Effect.fnUntraced(function*(raster: Raster) {
  const { isFlat, scanlines } = yield* filtering(raster)
  const compressed = yield* Effect.promise(() => deflating(scanlines, isFlat ? ofDrawings : ofPhotographs))
  return fromScanlines(raster, compressed)
})

/** The same file, made at once in this thread. */
export const encode = (raster: Raster): Uint8Array => {
  const { isFlat, scanlines } = atOnce(filterInParts(raster))
  return fromScanlines(raster, deflateSync(scanlines, isFlat ? ofDrawings : ofPhotographs))
}

const deflating = promisify(deflate)

/**
 * Of a filtered photograph not much repeats itself but single values: to look for nothing else takes a quarter of the
 * time, and the file is smaller. Drawings repeat whole patterns, which filters would break up.
 */
const ofPhotographs = { strategy: constants.Z_RLE, memLevel: 9 }
const ofDrawings = { level: 6, memLevel: 9 }

/** A filter type and the samples as that filter leaves them, for each line (section 9). */
interface Filtered {
  readonly scanlines: Uint8Array
  readonly isFlat: boolean
}

const filtering = (raster: Raster): Effect.Effect<Filtered> =>
  away({ module: import.meta.url, parts: filterInParts }, [raster], samplesOf(raster) * 2)

const [none, sub, up] = [0, 1, 2]

/** The same in parts. */
export function* filterInParts(raster: Raster): Parts<Filtered> {
  const { channels, data, height, width } = raster
  const row = width * channels
  const scanlines = new Uint8Array((row + 1) * height)
  const isFlat = isDrawing(raster)
  yield* byLines(height, row * 2, (first, last) => {
    for (let y = first; y < last; y++) {
      const from = y * row
      const to = y * (row + 1) + 1
      const filter = isFlat ? none : y === 0 || isSmootherAcross(data, from, row, channels) ? sub : up
      scanlines[to - 1] = filter
      // The first pixel of a line has none before it.
      const kept = filter === none ? row : filter === sub ? channels : 0
      const back = filter === sub ? channels : row
      scanlines.set(data.subarray(from, from + kept), to)
      for (let i = kept; i < row; i++) {
        scanlines[to + i] = (data[from + i] as number) - (data[from + i - back] as number)
      }
    }
  })
  return { scanlines, isFlat }
}

/** Samples from one that is looked at to the next: no multiple of a number of channels. */
const stride = 7

// Whether most samples are what they are in the pixel before.
const isDrawing = ({ channels, data }: Raster): boolean => {
  let same = 0
  let all = 1
  for (let i = channels; i < data.length; i += stride) {
    all++
    if (data[i] === data[i - channels]) same++
  }
  return same / all > 5 / 8
}

// Whether the samples of a line are nearer to those before them than to those above.
const isSmootherAcross = (data: Uint8Array, from: number, row: number, channels: number): boolean => {
  let across = 0
  let down = 0
  for (let i = from + channels; i < from + row; i += stride) {
    const value = data[i] as number
    across += Math.abs(value - (data[i - channels] as number))
    down += Math.abs(value - (data[i - row] as number))
  }
  return across < down
}

/** PNG's names for 1, 3 and 4 channels (section 11.2.1). */
const colourTypes = { 1: 0, 3: 2, 4: 6 } as const

const fromScanlines = ({ channels, height, width }: Raster, compressed: Uint8Array): Uint8Array => {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // 8 bits for each sample.
  header.set([8, colourTypes[channels]], 8)
  return new Uint8Array(Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", compressed),
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

/**
 * What a picture's file tells beside the picture: the infotext, and other texts.
 *
 * PNG files have it in text chunks, JPEG, WebP and AVIF files in the user comment of their EXIF block, GIF files in a
 * comment. Only what stands around the pixels is read, and no text is unpacked to more than 16 MB.
 */
import * as Effect from "effect/Effect"
import { inflateSync } from "node:zlib"
import { ImageCodecError } from "../processing/errors.ts"
import * as Exif from "./Exif.ts"
import * as Gif from "./Gif.ts"
import * as Jpeg from "./Jpeg.ts"
import * as NovelAi from "./NovelAi.ts"
import * as Png from "./Png.ts"
import * as Webp from "./Webp.ts"

export interface Metadata {
  /** How the picture was made; `undefined` when it does not tell. */
  readonly infotext: string | undefined
  /** Other texts by their keywords, without those that only concern showing the picture. */
  readonly items: Readonly<Record<string, string>>
}

/** What was found in a file. Of texts with the same keyword, the first counts. */
interface Found {
  readonly exif?: Uint8Array | undefined
  readonly texts?: ReadonlyMap<string, string>
  /** Of a picture that NovelAI made. */
  readonly novelAi?: string | undefined
}

/** Reads a file of any of these formats. Fails when the bytes are none, or damaged where the texts are. */
export const readMetadata = Effect.fn("Metadata.read")(function*(bytes: Uint8Array) {
  const found = isAvif(bytes) ? yield* findInAvif(bytes) : yield* attempt(() => find(bytes))
  const texts = new Map(found.texts)
  const infotext = found.novelAi ?? firstText(
    found.exif === undefined ? undefined : Exif.readUserComment(found.exif),
    texts.get("parameters"),
    texts.get("comment")
  )
  const items = Object.fromEntries([...texts].filter(([keyword]) => !isPassedOver(keyword)))
  const metadata: Metadata = { infotext, items }
  return metadata
})

/**
 * A PNG, JPEG or WebP file with this infotext in it, where readers of its format look for it. An empty text is not
 * stored. Fails for other bytes, and for a text that is too long for a JPEG file (32,737 characters).
 */
export const withInfotext = Effect.fn("Metadata.withInfotext")((bytes: Uint8Array, infotext: string) =>
  attempt(() => {
    if (infotext === "") return bytes
    if (isPng(bytes)) return Png.withInfotext(bytes, infotext)
    if (Jpeg.isJpeg(bytes)) return Jpeg.withExif(bytes, Exif.fromUserComment(infotext))
    if (Webp.isWebp(bytes)) return Webp.withExif(bytes, Exif.fromUserComment(infotext))
    throw new Error("infotexts are stored in PNG, JPEG and WebP files only")
  })
)

const attempt = <A>(evaluate: () => A): Effect.Effect<A, ImageCodecError> =>
  Effect.try({ try: evaluate, catch: toError })

const toError = (cause: unknown): ImageCodecError =>
  new ImageCodecError({ reason: cause instanceof Error ? cause.message : String(cause) })

const firstText = (...texts: ReadonlyArray<string | undefined>): string | undefined =>
  texts.find((text) => text !== undefined && text !== "")

const passedOver: ReadonlySet<string> = new Set([
  "parameters",
  "dpi",
  "exif",
  "loop",
  "background",
  "timestamp",
  "duration",
  "progressive",
  "progression",
  "icc_profile",
  "chromaticity",
  "photoshop"
])

const isPassedOver = (keyword: string): boolean => passedOver.has(keyword) || keyword.startsWith("jfif")

const find = (bytes: Uint8Array): Found => {
  if (isPng(bytes)) return findInPng(bytes)
  if (Jpeg.isJpeg(bytes)) return { exif: Jpeg.exifOf(bytes), texts: commentIn(commentOfJpeg(bytes)) }
  if (Webp.isWebp(bytes)) return { exif: Webp.exifOf(bytes) }
  if (Gif.isGif(bytes)) return { texts: commentIn(Gif.commentOf(bytes)) }
  throw new Error("it is neither a PNG, JPEG, WebP, GIF nor AVIF file")
}

const utf8 = new TextDecoder()

const commentOfJpeg = (bytes: Uint8Array): string | undefined => {
  const segment = [...Jpeg.segments(bytes)].find(({ marker }) => marker === Jpeg.comment)
  return segment && utf8.decode(segment.data)
}

const commentIn = (comment: string | undefined): ReadonlyMap<string, string> =>
  new Map(comment === undefined ? [] : [["comment", comment]])

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

// AVIF files are read by sharp: their EXIF block may stand anywhere in them. Sharp is not loaded for others.
const isAvif = (bytes: Uint8Array): boolean => /^ftypavi[fs]$/.test(latin1(bytes.subarray(4, 12)))

const findInAvif = (bytes: Uint8Array): Effect.Effect<Found, ImageCodecError> =>
  Effect.tryPromise({
    try: async () => {
      const { default: sharp } = await import("sharp")
      return { exif: (await sharp(bytes).metadata()).exif }
    },
    catch: toError
  }).pipe(Effect.uninterruptible)

const signature = Uint8Array.of(0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A)

const isPng = (bytes: Uint8Array): boolean => signature.every((byte, i) => bytes[i] === byte)

const findInPng = (bytes: Uint8Array): Found => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts = new Map<string, string>()
  const unpack = unpacker()
  let exif: Uint8Array | undefined
  for (let at = signature.length; at < bytes.length;) {
    const length = at + 12 <= bytes.length ? view.getUint32(at) : bytes.length
    const end = at + 8 + length
    if (end + 4 > bytes.length) throw new Error("the file ends in the middle of a chunk")
    const [type, data] = [latin1(bytes.subarray(at + 4, at + 8)), bytes.subarray(at + 8, end)]
    const [keyword, text] = textOf(type, data, unpack) ?? []
    if (keyword !== undefined && text !== undefined && !texts.has(keyword)) texts.set(keyword, text)
    if (type === "eXIf") exif ??= data
    at = end + 4
  }
  // The first chunk is the header, which begins with the size.
  if (bytes.length < 33) throw new Error("the file ends before the picture")
  const novelAi = NovelAi.infotextOf({ texts, width: view.getUint32(16), height: view.getUint32(20) })
  return { texts, exif, novelAi }
}

const longestTexts = 16 * 1024 * 1024

// Unpacks compressed texts until they are too long together.
const unpacker = () => {
  let left = longestTexts
  return (data: Uint8Array): Uint8Array => {
    if (left === 0) throw new Error("its texts are longer than 16 MB")
    const text = inflateSync(data, { maxOutputLength: left })
    left -= text.length
    return text
  }
}

const textOf = (
  type: string,
  data: Uint8Array,
  unpack: (data: Uint8Array) => Uint8Array
): readonly [keyword: string, text: string] | undefined => {
  const end = data.indexOf(0)
  if (end < 0) return undefined
  const keyword = latin1(data.subarray(0, end))
  switch (type) {
    case "tEXt":
      return [keyword, latin1(data.subarray(end + 1))]
    case "zTXt":
      return [keyword, latin1(unpack(data.subarray(end + 2)))]
    case "iTXt": {
      // Two flags, then a language and the keyword in that language, each up to a zero.
      const language = data.indexOf(0, end + 3)
      const translated = language < 0 ? -1 : data.indexOf(0, language + 1)
      if (translated < 0) return undefined
      const text = data.subarray(translated + 1)
      return [keyword, utf8.decode(data[end + 1] === 1 ? unpack(text) : text)]
    }
    default:
      return undefined
  }
}

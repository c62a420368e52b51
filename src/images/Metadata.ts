/**
 * An image file's metadata: the infotext, and other texts.
 *
 * PNG files have it in text chunks, JPEG, WebP and AVIF files in the user comment of their EXIF block, GIF files in a
 * comment. Only what stands around the pixels is read, and no text is unpacked to more than 4 MB.
 */
import * as Effect from "effect/Effect"
import { away, type Parts, type Work } from "../core/Work.ts"
import * as JsonInfotext from "../processing/JsonInfotext.ts"
import * as Exif from "./Exif.ts"
import * as FileSignature from "./FileSignature.ts"
import * as Gif from "./Gif.ts"
import { ImageCodecError } from "./ImageError.ts"
import * as Jpeg from "./Jpeg.ts"
import * as NovelAi from "./NovelAi.ts"
import * as Png from "./Png.ts"
import * as TextEncoding from "./TextEncoding.ts"
import * as Webp from "./Webp.ts"
import * as Xmp from "./Xmp.ts"

export interface Metadata {
  /** How the image was made; `undefined` when the file does not say. */
  readonly infotext: string | undefined
  /** Other texts by their keywords, without those that only concern showing the image. */
  readonly items: Readonly<Record<string, string>>
}

/** What was found in a file. Of texts with the same keyword, the first counts. */
export interface FoundTexts {
  readonly exif?: Uint8Array | undefined
  readonly texts?: ReadonlyMap<string, string>
  /** Of an image that NovelAI made. */
  readonly novelAi?: string | undefined
}

/** Reads a file of any of these formats. Fails when the bytes are none, or damaged where the texts are. */
export const readMetadata = Effect.fn("Metadata.read")(function*(bytes: Uint8Array) {
  const format = FileSignature.sniff(bytes)
  const found = format === "avif" ?
    yield* findInAvif(bytes)
    // Short files may be long texts, packed.
    : yield* attempted(
      { module: import.meta.url, parts: readWork, lane: "requests" },
      [bytes, format],
      bytes.length * 256
    )
  const texts = new Map(found.texts)
  const infotext = found.novelAi ?? firstText(
    found.exif === undefined ? undefined : Exif.readUserComment(found.exif),
    texts.get("parameters"),
    texts.get("comment")
  )
  if (infotext === undefined && found.exif !== undefined && Exif.isUnreadable(found.exif)) {
    return yield* new ImageCodecError({
      reason: "its EXIF user comment is not valid text in any encoding that it may have"
    })
  }
  const items = Object.fromEntries([...texts].filter(([keyword]) => !isPassedOver(keyword)))
  const metadata: Metadata = { infotext, items }
  return metadata
})

/** The infotext, or else the JSON that other programs keep in its place; `undefined` without either. */
export const parametersOf = ({ infotext, items }: Metadata): string | undefined => {
  const found = infotext ?? JsonInfotext.among(items)
  if (found !== undefined || !Object.hasOwn(items, Xmp.keyword)) return found
  const comment = Xmp.userComment(items[Xmp.keyword] ?? "")
  return comment !== undefined && JsonInfotext.isMeant(comment) ? comment : undefined
}

/**
 * A PNG, JPEG or WebP file with this infotext in it, where readers of its format look for it. An empty text is not
 * stored. Fails for other bytes, and for a text that is too long for a JPEG file (32,737 characters).
 */
export const withInfotext = (bytes: Uint8Array, infotext: string): Effect.Effect<Uint8Array, ImageCodecError> =>
  infotext === ""
    ? Effect.succeed(bytes)
    : attempted({ module: import.meta.url, parts: writeWork }, [bytes, infotext], bytes.length / 8)

export function* writeWork(bytes: Uint8Array, infotext: string): Parts<Attempt<Uint8Array>> {
  return attempt(() => {
    switch (FileSignature.sniff(bytes)) {
      case "png":
        return Png.withInfotext(bytes, infotext)
      case "jpeg":
        return Jpeg.withExif(bytes, Exif.fromUserComment(infotext))
      case "webp":
        return Webp.withExif(bytes, Exif.fromUserComment(infotext))
      default:
        throw new Error("infotexts are stored in PNG, JPEG and WebP files only")
    }
  })
}

/** A result, or why there is none: what one thread can say to another. */
export type Attempt<A> = { readonly value: A } | { readonly reason: string }

const attempt = <A>(evaluate: () => A): Attempt<A> => {
  try {
    return { value: evaluate() }
  } catch (cause) {
    return { reason: reasonOf(cause) }
  }
}

const attempted = <Args extends ReadonlyArray<unknown>, A>(
  work: Work<Args, Attempt<A>>,
  args: Args,
  effort: number
): Effect.Effect<A, ImageCodecError> =>
  Effect.flatMap(
    away(work, args, effort),
    (attempt) => "value" in attempt ? Effect.succeed(attempt.value) : Effect.fail(new ImageCodecError(attempt))
  )

const reasonOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const toError = (cause: unknown): ImageCodecError => new ImageCodecError({ reason: reasonOf(cause) })

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

export function* readWork(
  bytes: Uint8Array,
  format: FileSignature.FileFormat | undefined
): Parts<Attempt<FoundTexts>> {
  return attempt(() => {
    const found = find(bytes, format)
    const { exif, texts = new Map<string, string>() } = found
    if ((exif?.length ?? 0) > longest || (texts.get("comment")?.length ?? 0) > longest) {
      throw new Error("its texts are longer than 4 MB")
    }
    return found
  })
}

/** Longest block of EXIF, and longest comment. */
const longest = 4 * 1024 * 1024

const find = (bytes: Uint8Array, format: FileSignature.FileFormat | undefined): FoundTexts => {
  switch (format) {
    case "png":
      return findInPng(bytes)
    case "jpeg":
      return { exif: Jpeg.exifOf(bytes), texts: commentIn(commentOfJpeg(bytes)) }
    case "webp":
      return { exif: Webp.exifOf(bytes) }
    case "gif":
      return { texts: commentIn(Gif.commentOf(bytes)) }
    default:
      throw new Error("it is neither a PNG, JPEG, WebP, GIF nor AVIF file")
  }
}

const commentOfJpeg = (bytes: Uint8Array): string | undefined => {
  const segment = [...Jpeg.segments(bytes)].find(({ marker }) => marker === Jpeg.comment)
  return segment && TextEncoding.decodeComment(segment.data)
}

const commentIn = (comment: string | undefined): ReadonlyMap<string, string> =>
  new Map(comment === undefined ? [] : [["comment", comment]])

// AVIF files are read by sharp: their EXIF block may stand anywhere in them. Sharp is not loaded for others.
const findInAvif = (bytes: Uint8Array): Effect.Effect<FoundTexts, ImageCodecError> =>
  Effect.tryPromise({
    try: async () => {
      const { default: sharp } = await import("sharp")
      return { exif: (await sharp(bytes).metadata()).exif }
    },
    catch: toError
  }).pipe(Effect.uninterruptible)

const findInPng = (bytes: Uint8Array): FoundTexts => {
  const texts = new Map<string, string>()
  const textOf = Png.textReader()
  let header: Png.PngChunk | undefined
  let exif: Uint8Array | undefined
  for (const chunk of Png.chunks(bytes)) {
    header ??= chunk
    const [keyword, text] = textOf(chunk) ?? []
    if (keyword !== undefined && text !== undefined && !texts.has(keyword)) texts.set(keyword, text)
    if (chunk.type === "eXIf") exif ??= chunk.data
  }
  if (header === undefined || header.data.length < 8) throw new Error("the file ends before the image")
  // The header begins with the size.
  const size = new DataView(header.data.buffer, header.data.byteOffset, 8)
  const novelAi = NovelAi.infotextOf({ texts, width: size.getUint32(0), height: size.getUint32(4) })
  return { texts, exif, novelAi }
}

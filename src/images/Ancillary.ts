/**
 * Image files without what is not pixels.
 *
 * Decoders unpack and keep texts, profiles and thumbnails that Serena never shows them for: forty compressed texts of a
 * small PNG file took gigabytes. So they get the parts that decide about pixels, and nothing else. Metadata are read
 * from the whole file, see `Metadata`.
 */
import type { FileFormat } from "./FileSignature.ts"
import * as Jpeg from "./Jpeg.ts"
import * as Png from "./Png.ts"
import * as Webp from "./Webp.ts"

/**
 * The file as a decoder is to see it: the same bytes when there is nothing to take out. Orientation stays, and of CMYK
 * images the profile. A file without a readable list of its parts stays as it is: the decoder refuses it.
 */
export const withoutAncillary = (bytes: Uint8Array, format: FileFormat): Uint8Array => {
  try {
    return strip[format](bytes)
  } catch {
    return bytes
  }
}

/** Keeps some parts of a file, which are in its order. */
const keeping = (bytes: Uint8Array, dropped: ReadonlyArray<{ readonly start: number; readonly end: number }>) => {
  if (dropped.length === 0) return bytes
  const kept: Array<Uint8Array> = []
  let from = 0
  for (const { end, start } of dropped) {
    kept.push(bytes.subarray(from, start))
    from = end
  }
  return new Uint8Array(Buffer.concat([...kept, bytes.subarray(from)]))
}

// The parts up to the first that is damaged: a decoder reads those too.
const soundParts = <A>(parts: Generator<A>): ReadonlyArray<A> => {
  const found: Array<A> = []
  try {
    for (const part of parts) found.push(part)
  } catch {
    return found
  }
  return found
}

const first = <A>(isMeant: (value: A) => boolean) => {
  let found = false
  return (value: A): boolean => isMeant(value) && !found && (found = true)
}

/** Chunks that may be left out by their name, but decide about pixels. */
const pngPixels: ReadonlySet<string> = new Set(["tRNS", "gAMA", "cHRM", "sRGB", "sBIT"])

const stripPng = (bytes: Uint8Array): Uint8Array => {
  const isExif = first(({ type }: Png.PngChunk) => type === "eXIf")
  // Names of chunks that decoders need begin with a capital letter.
  const isPixels = (chunk: Png.PngChunk) => /^[A-Z]/.test(chunk.type) || pngPixels.has(chunk.type) || isExif(chunk)
  return keeping(bytes, soundParts(Png.chunks(bytes)).filter((chunk) => !isPixels(chunk)))
}

const stripJpeg = (bytes: Uint8Array): Uint8Array => {
  const segments = soundParts(Jpeg.segments(bytes))
  const frame = segments.find(({ marker }) => marker >= 0xC0 && marker <= 0xCF && ![0xC4, 0xC8, 0xCC].includes(marker))
  const isCmyk = frame?.data[5] === 4
  const isExif = first(Jpeg.isExif)
  // The application segments are JFIF's, EXIF's, those of colour profiles, and Adobe's, which names the colours.
  const isPixels = (segment: Jpeg.Segment) =>
    segment.marker <= 0xE0 || segment.marker === 0xEE ||
    (segment.marker === 0xE2 && isCmyk) || isExif(segment)
  return keeping(bytes, segments.filter((segment) => !isPixels(segment)))
}

const webpPixels: ReadonlySet<string> = new Set(["VP8X", "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF"])

const stripWebp = (bytes: Uint8Array): Uint8Array => {
  const isExif = first(({ type }: Webp.WebpChunk) => type === "EXIF")
  const all = soundParts(Webp.chunks(bytes))
  const kept = all.filter((chunk) => webpPixels.has(chunk.type) || isExif(chunk))
  return kept.length === all.length ? bytes : Webp.fromChunks(kept)
}

// Comments, plain texts and the blocks of applications; what stands before an image says how it is shown.
const stripGif = (bytes: Uint8Array): Uint8Array => {
  const dropped: Array<{ readonly start: number; readonly end: number }> = []
  const byte = (at: number): number => bytes[at] ?? 0
  const afterColours = (flags: number, at: number) => (flags & 0x80) === 0 ? at : at + 3 * 2 ** ((flags & 7) + 1)
  const afterBlocks = (from: number): number => {
    let at = from
    while (at < bytes.length && byte(at) > 0) at += 1 + byte(at)
    return at + 1
  }
  for (let at = afterColours(byte(10), 13); at < bytes.length;) {
    const start = at
    if (byte(at) === 0x21) {
      at = afterBlocks(at + 2)
      if (byte(start + 1) !== 0xF9) dropped.push({ start, end: Math.min(at, bytes.length) })
    } else if (byte(at) === 0x2C) at = afterBlocks(afterColours(byte(at + 9), at + 10) + 1)
    else break
  }
  return keeping(bytes, dropped)
}

/** Tags up to 532 are those of TIFF 6.0; these of them are texts, or lead to other images. */
const tiffTexts: ReadonlySet<number> = new Set([269, 270, 271, 272, 285, 305, 306, 315, 316, 330, 333, 337])
const tiffProfile = 34675
const tiffPhotometric = 262
/** Parameters of LERC compression. */
const tiffLerc = 50674

// The list of the first image's tags is written again in its place, and no other image follows.
const stripTiff = (bytes: Uint8Array): Uint8Array => {
  const out = new Uint8Array(bytes)
  const view = new DataView(out.buffer)
  const little = out[0] === 0x49
  const isBig = view.getUint16(2, little) === 43
  const [count, entry, pointer] = isBig ? [8, 20, 8] : [2, 12, 4]
  const number = (at: number, size: number) =>
    size === 8
      ? Number(view.getBigUint64(at, little))
      : size === 4
      ? view.getUint32(at, little)
      : view.getUint16(at, little)
  const write = (at: number, size: number, value: number) =>
    size === 8
      ? view.setBigUint64(at, BigInt(value), little)
      : size === 4
      ? view.setUint32(at, value, little)
      : view.setUint16(at, value, little)
  const list = number(isBig ? 8 : 4, pointer)
  const places = Array.from({ length: Math.min(number(list, count), 4096) }, (_, i) => list + count + i * entry)
  const photometric = places.find((at) => number(at, 2) === tiffPhotometric)
  const isCmyk = photometric !== undefined && number(photometric + (isBig ? 12 : 8), 2) === 5
  const kept = places.filter((at) => {
    const tag = number(at, 2)
    return (tag <= 532 && !tiffTexts.has(tag)) || tag === tiffLerc || (tag === tiffProfile && isCmyk)
  })
  for (const [i, at] of kept.entries()) out.copyWithin(list + count + i * entry, at, at + entry)
  write(list, count, kept.length)
  write(list + count + kept.length * entry, pointer, 0)
  return out
}

// Which item describes the image (`cdsc`) is said in a box of references. Items that describe nothing are not read.
const stripHeif = (bytes: Uint8Array): Uint8Array => {
  const out = new Uint8Array(bytes)
  const view = new DataView(out.buffer)
  const typeAt = (at: number) => String.fromCharCode(...out.subarray(at + 4, at + 8))
  const boxes = (
    from: number,
    to: number
  ): ReadonlyArray<{ type: string; start: number; inside: number; end: number }> => {
    const found = []
    for (let start = from; start + 8 <= to;) {
      const size = view.getUint32(start)
      const inside = size === 1 ? start + 16 : start + 8
      const end = size === 0 ? to : size === 1 ? start + Number(view.getBigUint64(start + 8)) : start + size
      if (end < inside || end > to) break
      found.push({ type: typeAt(start), start, inside, end })
      start = end
    }
    return found
  }
  for (const meta of boxes(0, out.length)) {
    if (meta.type !== "meta") continue
    // Both boxes begin with a version and flags.
    for (const references of boxes(meta.inside + 4, meta.end)) {
      if (references.type !== "iref") continue
      for (const { start, type } of boxes(references.inside + 4, references.end)) {
        if (type === "cdsc") out.set([0x66, 0x72, 0x65, 0x65], start + 4)
      }
    }
  }
  return out
}

const strip: Readonly<Record<FileFormat, (bytes: Uint8Array) => Uint8Array>> = {
  png: stripPng,
  jpeg: stripJpeg,
  webp: stripWebp,
  gif: stripGif,
  tiff: stripTiff,
  avif: stripHeif,
  heif: stripHeif,
  // It has nothing but pixels, which are read in place.
  bmp: (bytes) => bytes
}

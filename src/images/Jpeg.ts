/**
 * JPEG files, segment by segment (ITU-T T.81, annex B), up to the first scan.
 */
import * as Exif from "./Exif.ts"

export interface Segment {
  /** The byte after 0xFF. */
  readonly marker: number
  readonly data: Uint8Array
  /** Where it begins in the file, and where the next one does. */
  readonly start: number
  readonly end: number
}

const application0 = 0xE0
const application1 = 0xE1
export const comment = 0xFE
const startOfScan = 0xDA
const endOfImage = 0xD9

/** The segments before the image itself. Throws where the file is damaged. */
export function* segments(bytes: Uint8Array): Generator<Segment> {
  let at = 2
  while (at < bytes.length) {
    const start = at
    if (bytes[at] !== 0xFF) throw new Error("a segment is missing where one should begin")
    while (bytes[at] === 0xFF) at++
    const marker = bytes[at++]
    if (marker === startOfScan || marker === endOfImage) return
    if (marker === undefined) break
    // Restart markers and TEM stand alone.
    if (marker === 0x01 || (marker >= 0xD0 && marker <= 0xD7)) continue
    const length = (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
    const end = at + length
    if (length < 2 || end > bytes.length) break
    yield { marker, data: bytes.subarray(at + 2, end), start, end }
    at = end
  }
  throw new Error("the file ends in the middle of a segment")
}

/** Whether a segment is an EXIF block. */
export const isExif = ({ data, marker }: Segment): boolean =>
  marker === application1 && Exif.prefix.every((byte, i) => data[i] === byte)

/** The EXIF block of a file. */
export const exifOf = (bytes: Uint8Array): Uint8Array | undefined => [...segments(bytes)].find(isExif)?.data

/** A file with this EXIF block in place of its own. Throws when the block is longer than a segment can be. */
export const withExif = (jpeg: Uint8Array, block: Uint8Array): Uint8Array => {
  const length = 2 + Exif.prefix.length + block.length
  if (length > 0xFFFF) throw new Error("its infotext is longer than the 64 kB that a JPEG file holds")
  const all = [...segments(jpeg)]
  const start = all[0]?.marker === application0 ? all[0].end : 2
  const own = all.filter((segment) => segment.start >= start && isExif(segment))
  const kept: Array<Uint8Array> = []
  let from = start
  for (const segment of own) {
    kept.push(jpeg.subarray(from, segment.start))
    from = segment.end
  }
  const header = Uint8Array.of(0xFF, application1, length >> 8, length & 0xFF)
  return new Uint8Array(
    Buffer.concat([jpeg.subarray(0, start), header, Exif.prefix, block, ...kept, jpeg.subarray(from)])
  )
}

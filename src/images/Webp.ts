/**
 * WebP files, chunk by chunk (RFC 9649).
 */

/** A part of a file, by its four letters. */
export interface WebpChunk {
  readonly type: string
  readonly data: Uint8Array
}

const ascii = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

/** All chunks in their order. Throws where the file is damaged. */
export function* chunks(bytes: Uint8Array): Generator<WebpChunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 12
  while (at < bytes.length) {
    const length = at + 8 <= bytes.length ? view.getUint32(at + 4, true) : bytes.length
    const end = at + 8 + length
    if (end > bytes.length) throw new Error("the file ends in the middle of a chunk")
    yield { type: ascii(bytes.subarray(at, at + 4)), data: bytes.subarray(at + 8, end) }
    // Chunks begin at even places.
    at = end + (length % 2)
  }
}

/** The EXIF block of a file. */
export const exifOf = (bytes: Uint8Array): Uint8Array | undefined =>
  [...chunks(bytes)].find(({ type }) => type === "EXIF")?.data

const extended = "VP8X"
const exifFlag = 0x08
const alphaFlag = 0x10
/** Flags of the header for chunks that need not be there. */
const optional = [["ICCP", 0x20], ["EXIF", exifFlag], ["XMP ", 0x04]] as const

/** A file with this EXIF block in place of its own. Throws when the file is damaged. */
export const withExif = (webp: Uint8Array, block: Uint8Array): Uint8Array => {
  const all = [...chunks(webp)].filter(({ type }) => type !== "EXIF")
  const [first, ...rest] = all
  if (first === undefined) throw new Error("it has no image in it")
  const header = first.type === extended ? Buffer.from(first.data) : headerFor(first)
  header[0] = (header[0] ?? 0) | exifFlag
  const imageChunks = (first.type === extended ? rest : all).filter(({ type }) => type !== "XMP ")
  return written([
    { type: extended, data: header },
    ...imageChunks,
    { type: "EXIF", data: block },
    ...all.filter(({ type }) => type === "XMP ")
  ])
}

/** A file of these chunks. Its header names only what is in them. */
export const fromChunks = (chunks: ReadonlyArray<WebpChunk>): Uint8Array =>
  written(chunks.map((chunk) => {
    if (chunk.type !== extended) return chunk
    const data = Buffer.from(chunk.data)
    for (const [type, flag] of optional) {
      if (!chunks.some((each) => each.type === type)) data[0] = (data[0] ?? 0) & ~flag
    }
    return { type: extended, data }
  }))

const written = (chunks: ReadonlyArray<WebpChunk>): Uint8Array => {
  const body = Buffer.concat([Buffer.from("WEBP", "latin1"), ...chunks.map(toBytes)])
  const riff = Buffer.from("RIFF\0\0\0\0", "latin1")
  riff.writeUInt32LE(body.length, 4)
  return new Uint8Array(Buffer.concat([riff, body]))
}

const toBytes = ({ data, type }: WebpChunk): Uint8Array => {
  const bytes = Buffer.alloc(8 + data.length + (data.length % 2))
  bytes.write(type, 0, "latin1")
  bytes.writeUInt32LE(data.length, 4)
  bytes.set(data, 8)
  return bytes
}

// Only a file with this header may have more in it than an image. It repeats the image's size.
const headerFor = ({ data, type }: WebpChunk): Buffer => {
  const { alpha, height, width } = type === "VP8L" ? losslessHeader(data) : lossyHeader(data)
  const header = Buffer.alloc(10)
  header[0] = alpha ? alphaFlag : 0
  header.writeUIntLE(width - 1, 4, 3)
  header.writeUIntLE(height - 1, 7, 3)
  return header
}

/** What the header of an image says of it. */
interface WebpHeader {
  readonly width: number
  readonly height: number
  readonly alpha: boolean
}

const lossyHeader = (data: Uint8Array): WebpHeader => {
  const bytes = Buffer.from(data.subarray(0, 10))
  if (bytes.length < 10 || bytes.readUIntBE(3, 3) !== 0x9D012A) throw new Error("its image is damaged")
  return headerOf(bytes.readUInt16LE(6) & 0x3FFF, bytes.readUInt16LE(8) & 0x3FFF, false)
}

const losslessHeader = (data: Uint8Array): WebpHeader => {
  const bytes = Buffer.from(data.subarray(0, 5))
  if (bytes.length < 5 || bytes[0] !== 0x2F) throw new Error("its image is damaged")
  const bits = bytes.readUInt32LE(1)
  return headerOf((bits & 0x3FFF) + 1, ((bits >>> 14) & 0x3FFF) + 1, ((bits >>> 28) & 1) === 1)
}

const headerOf = (width: number, height: number, alpha: boolean): WebpHeader => {
  if (width === 0 || height === 0) throw new Error("its image is damaged")
  return { width, height, alpha }
}

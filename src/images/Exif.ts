/**
 * The one thing of EXIF (version 2.32) that matters here: the user comment, where JPEG, WebP and AVIF files keep the
 * infotext.
 *
 * An EXIF block is a TIFF file without an image: directories of 12-byte entries that point to each other.
 */

/** Bytes that some formats put before the block. */
export const prefix = Buffer.from("Exif\0\0", "latin1")

const exifDirectory = 0x8769
const userComment = 0x9286

/** The user comment of a block, or `undefined` when there is none or the block is damaged. */
export const readUserComment = (block: Uint8Array): string | undefined => {
  const start = prefix.every((byte, i) => block[i] === byte) ? prefix.length : 0
  const tiff = block.subarray(start)
  if (tiff.length < 8) return undefined
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  const order = view.getUint16(0)
  if (order !== 0x4949 && order !== 0x4D4D) return undefined
  const isLittle = order === 0x4949
  if (view.getUint16(2, isLittle) !== 42) return undefined
  const directory = find(view, isLittle, view.getUint32(4, isLittle), exifDirectory)
  const comment = directory === undefined
    ? undefined
    : find(view, isLittle, view.getUint32(directory + 8, isLittle), userComment)
  if (comment === undefined) return undefined
  const length = view.getUint32(comment + 4, isLittle)
  // Up to four bytes stand in the entry itself.
  const at = length <= 4 ? comment + 8 : view.getUint32(comment + 8, isLittle)
  return at + length > tiff.length ? undefined : decodeComment(tiff.subarray(at, at + length))
}

// Where the entry of a tag stands, in the directory at `offset`.
const find = (view: DataView, isLittle: boolean, offset: number, tag: number): number | undefined => {
  if (offset + 2 > view.byteLength) return undefined
  const count = view.getUint16(offset, isLittle)
  for (let i = 0; i < count; i++) {
    const entry = offset + 2 + i * 12
    if (entry + 12 > view.byteLength) return undefined
    if (view.getUint16(entry, isLittle) === tag) return entry
  }
  return undefined
}

const utf8 = new TextDecoder()
const utf16be = new TextDecoder("utf-16be")
const utf16le = new TextDecoder("utf-16le")

// The first 8 bytes name the encoding. Where they do not, it is taken for UTF-8.
const decodeComment = (bytes: Uint8Array): string => {
  const code = Buffer.from(bytes.subarray(0, 8)).toString("latin1")
  const text = bytes.subarray(8)
  switch (code.toUpperCase()) {
    case "UNICODE\0":
      return unpadded(decodeUtf16(text))
    case "ASCII\0\0\0":
    case "\0\0\0\0\0\0\0\0":
      return unpadded(utf8.decode(text))
    case "JIS\0\0\0\0\0":
      return unpadded(new TextDecoder("shift_jis").decode(text))
    default:
      return unpadded(utf8.decode(bytes))
  }
}

// Big-endian by rule, but not all keep to it. In the line of parameters most characters are of ASCII: their zero bytes
// tell the order, when no mark at the start does.
const decodeUtf16 = (bytes: Uint8Array): string => {
  if (bytes[0] === 0xFF && bytes[1] === 0xFE) return utf16le.decode(bytes)
  if (bytes[0] === 0xFE && bytes[1] === 0xFF) return utf16be.decode(bytes)
  let zeros = 0
  for (let i = 0; i + 1 < bytes.length; i += 2) zeros += Number(bytes[i] === 0) - Number(bytes[i + 1] === 0)
  return (zeros < 0 ? utf16le : utf16be).decode(bytes.subarray(0, bytes.length & ~1))
}

const unpadded = (text: string): string => {
  let end = text.length
  while (end > 0 && text[end - 1] === "\0") end--
  return text.slice(0, end)
}

/** A block, without the prefix, that holds nothing but this user comment: `UNICODE` and big-endian UTF-16. */
export const fromUserComment = (comment: string): Uint8Array => {
  const text = Buffer.from(comment.toWellFormed(), "utf16le").swap16()
  const block = Buffer.alloc(52)
  // A header of 8 bytes, then two directories of 18 bytes with one entry each, the comment behind them.
  block.write("MM\0*", 0, "latin1")
  block.writeUInt32BE(8, 4)
  writeEntry(block, 8, { tag: exifDirectory, type: 4, count: 1, value: 26 })
  writeEntry(block, 26, { tag: userComment, type: 7, count: 8 + text.length, value: 44 })
  block.write("UNICODE\0", 44, "latin1")
  return Buffer.concat([block, text])
}

const writeEntry = (
  block: Buffer,
  at: number,
  entry: { readonly tag: number; readonly type: number; readonly count: number; readonly value: number }
): void => {
  block.writeUInt16BE(1, at)
  block.writeUInt16BE(entry.tag, at + 2)
  block.writeUInt16BE(entry.type, at + 4)
  block.writeUInt32BE(entry.count, at + 6)
  block.writeUInt32BE(entry.value, at + 10)
}

/**
 * The one thing of EXIF (version 2.32) that matters here: the user comment, where JPEG, WebP and AVIF files keep the
 * infotext.
 *
 * An EXIF block is a TIFF file without an image: directories of 12-byte entries that point to each other.
 */

import * as TextEncoding from "./TextEncoding.ts"

/** Bytes that some formats put before the block. */
export const prefix = Buffer.from("Exif\0\0", "latin1")

const exifDirectory = 0x8769
const userComment = 0x9286

/**
 * The user comment of a block. `undefined` when there is none, when the block is damaged, and when the comment is not
 * valid text in any encoding that it may have.
 */
export const readUserComment = (block: Uint8Array): string | undefined => {
  const comment = userCommentOf(block)
  return comment === undefined ? undefined : decodeComment(comment)
}

/** Whether a block has a user comment that is not valid text. */
export const isUnreadable = (block: Uint8Array): boolean => {
  const comment = userCommentOf(block)
  return comment !== undefined && decodeComment(comment) === undefined
}

const userCommentOf = (block: Uint8Array): Uint8Array | undefined => {
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
  return at + length > tiff.length ? undefined : tiff.subarray(at, at + length)
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

// The first 8 bytes name the encoding, often wrongly. Exif 3 lets `UNICODE` mean UTF-8, and readers have to guess.
const decodeComment = (bytes: Uint8Array): string | undefined => {
  const code = TextEncoding.latin1(bytes.subarray(0, 8)).toUpperCase()
  const text = withoutPadding(bytes.subarray(8))
  const marked = TextEncoding.decodeMarked(text)
  const utf8 = () => TextEncoding.decodeAs(withoutZeros(text), "utf-8")
  switch (code) {
    case "UNICODE\0": {
      const decoded = marked ?? (text.includes(0) ? undefined : utf8()) ?? TextEncoding.decodeUtf16(bytes.subarray(8))
      return decoded === undefined ? undefined : unpadded(decoded)
    }
    case "JIS\0\0\0\0\0":
      return marked ?? ["iso-2022-jp", "utf-8", "shift_jis", "euc-jp"]
        .filter((encoding) => (encoding === "iso-2022-jp") === text.includes(0x1B))
        .map((encoding) => TextEncoding.decodeAs(text, encoding))
        .find((decoded) => decoded !== undefined)
    case "ASCII\0\0\0":
    case "\0\0\0\0\0\0\0\0":
      return marked ?? eightBit(bytes.subarray(8))
    default:
      return eightBit(bytes)
  }
}

const eightBit = (bytes: Uint8Array): string | undefined => {
  const text = withoutZeros(bytes)
  if (TextEncoding.looksLikeUtf16(text)) {
    const decoded = TextEncoding.decodeUtf16(bytes)
    if (decoded !== undefined) return unpadded(decoded)
  }
  return TextEncoding.decodeMarked(text) ?? TextEncoding.decodeAs(text, "utf-8") ??
    // Text has no control characters; other bytes are some program's own.
    (text.some((byte) => byte < 9) ? undefined : TextEncoding.decodeAs(text, "windows-1252"))
}

const withoutZeros = (bytes: Uint8Array): Uint8Array => {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return bytes.subarray(0, end)
}

// Without the zeros, or spaces, that fill a comment of fixed length. The last character may end in one zero.
const withoutPadding = (bytes: Uint8Array): Uint8Array => {
  const text = withoutZeros(bytes)
  return text.includes(0) ? bytes.subarray(0, text.length + (text.length % 2)) : text
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

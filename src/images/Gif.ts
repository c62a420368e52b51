/**
 * GIF files, block by block (GIF89a specification).
 */
import * as TextEncoding from "./TextEncoding.ts"

/** The first comment of a file. Throws where the file is damaged before it. */
export const commentOf = (bytes: Uint8Array): string | undefined => {
  const byte = (at: number): number => {
    const value = bytes[at]
    if (value === undefined) throw new Error("the file ends in the middle of a block")
    return value
  }
  // A table of colours, when the flags of its owner say that there is one.
  const afterColours = (flags: number, at: number) => (flags & 0x80) === 0 ? at : at + 3 * 2 ** ((flags & 7) + 1)
  const afterBlocks = (from: number, parts: Array<Uint8Array>): number => {
    let at = from
    for (let length = byte(at); length > 0; length = byte(at)) {
      parts.push(bytes.subarray(at + 1, at + 1 + length))
      at += 1 + length
    }
    return at + 1
  }
  let at = afterColours(byte(10), 13)
  for (;;) {
    const parts: Array<Uint8Array> = []
    switch (byte(at)) {
      case 0x21: {
        const label = byte(at + 1)
        at = afterBlocks(at + 2, parts)
        if (label === 0xFE) return TextEncoding.decodeComment(Buffer.concat(parts))
        break
      }
      case 0x2C:
        // The minimum code size stands before the blocks of an image.
        at = afterBlocks(afterColours(byte(at + 9), at + 10) + 1, parts)
        break
      case 0x3B:
        return undefined
      default:
        throw new Error("a block is missing where one should begin")
    }
  }
}

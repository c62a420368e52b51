/**
 * The format of an image's file, by its first bytes.
 */

export type FileFormat = "png" | "jpeg" | "webp" | "gif" | "tiff" | "avif" | "heif" | "bmp"

// Of the first 12 bytes, as Latin-1. `\cZ` is 0x1A.
const signatures: ReadonlyArray<readonly [FileFormat, RegExp]> = [
  ["png", /^\x89PNG\r\n\cZ\n/],
  ["jpeg", /^\xFF\xD8\xFF/],
  ["webp", /^RIFF[^]{4}WEBP/],
  ["gif", /^GIF8[79]a/],
  ["tiff", /^(?:II[*+]\0|MM\0[*+])/],
  ["avif", /^[^]{4}ftypavi[fs]/],
  ["heif", /^[^]{4}ftypm[is]f1/],
  ["bmp", /^BM/]
]

/** The format that a file begins as; undefined when it is none of these. */
export const sniff = (bytes: Uint8Array): FileFormat | undefined => {
  const head = Buffer.from(bytes.subarray(0, 12)).toString("latin1")
  return signatures.find(([, signature]) => signature.test(head))?.[0]
}

/** What names of files of a format end in. */
export const extensions: Readonly<Record<FileFormat, string>> = {
  png: "png",
  jpeg: "jpg",
  webp: "webp",
  gif: "gif",
  tiff: "tif",
  avif: "avif",
  heif: "heif",
  bmp: "bmp"
}

import { assert, describe, it } from "@effect/vitest"
import * as FileSignature from "../../src/images/FileSignature.ts"

const file = (head: string) => new Uint8Array(Buffer.from(`${head}, and more`, "latin1"))

describe("FileSignature.sniff", () => {
  it.each([
    ["png", "\x89PNG\r\n\x1A\n"],
    ["jpeg", "\xFF\xD8\xFF\xE0"],
    ["webp", "RIFF\0\x01\x02\x03WEBPVP8 "],
    ["gif", "GIF87a"],
    ["gif", "GIF89a"],
    ["tiff", "II*\0"],
    ["tiff", "MM\0*"],
    ["tiff", "II+\0"],
    ["avif", "\0\0\0\x20ftypavif"],
    ["avif", "\0\0\0\x20ftypavis"],
    ["heif", "\0\0\0\x20ftypmif1"],
    ["heif", "\0\0\0\x20ftypmsf1"],
    ["bmp", "BM"]
  ])("finds %s", (format, head) => {
    assert.strictEqual(FileSignature.sniff(file(head)), format)
  })

  it.each(["", "\x89PN", "\x89PNG\r\n\n\n", "\xFF\xD8", "GIF88a", "RIFF\0\0\0\0WAVE", " BM", "<svg>", "ftypavif"])(
    "finds no format in %j",
    (head) => assert.isUndefined(FileSignature.sniff(file(head)))
  )

  it("takes the bytes of a part of a buffer", () => {
    assert.strictEqual(FileSignature.sniff(file("xxBM").subarray(2)), "bmp")
    assert.isUndefined(FileSignature.sniff(new Uint8Array()))
  })
})

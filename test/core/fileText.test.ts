import { assert, describe, it } from "@effect/vitest"
import { fileText } from "../../src/core/fileText.ts"
import { savedAs } from "../textFiles.ts"

describe("fileText", () => {
  it.each(Object.entries(savedAs))("reads a file that was saved as %s", (_, save) => {
    assert.strictEqual(fileText(save("na\u00EFve \u732B \u{1F431}")), "na\u00EFve \u732B \u{1F431}")
    assert.strictEqual(fileText(save("")), "")
  })

  it("reads a replacement character that a file really holds", () => {
    assert.strictEqual(fileText(Buffer.from("a \uFFFD")), "a \uFFFD")
  })

  it.each([
    ["Latin-1", Buffer.from("na\u00EFve", "latin1")],
    ["UTF-16 without a mark", Buffer.from("name", "utf16le")],
    ["UTF-8 that is cut off", Buffer.from("\u732B").subarray(0, 2)],
    ["UTF-16 with half a pair", Buffer.from("\uFEFFa \uD83D", "utf16le")]
  ])("refuses %s", (_, bytes) => {
    assert.isUndefined(fileText(bytes))
  })
})

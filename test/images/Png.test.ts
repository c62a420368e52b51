import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { deflateSync } from "node:zlib"
import type { Raster } from "../../src/core/Raster.ts"
import * as Exif from "../../src/images/Exif.ts"
import { readMetadata } from "../../src/images/Metadata.ts"
import * as Png from "../../src/images/Png.ts"
import { PlainEncoder } from "../../src/testing/index.ts"

const data = Uint8Array.from({ length: 16 * 8 * 3 }, (_, i) => (i * 7) % 256)
const raster: Raster = { width: 16, height: 8, channels: 3, data }

const chunkTypes = (png: Uint8Array) => {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength)
  const types: Array<string> = []
  for (let at = 8; at < png.length; at += view.getUint32(at) + 12) {
    types.push(String.fromCharCode(...png.subarray(at + 4, at + 8)))
  }
  return types
}

const chunk = (type: string, data: Uint8Array) => {
  const bytes = Buffer.alloc(data.length + 12)
  bytes.writeUInt32BE(data.length)
  bytes.write(type, 4)
  bytes.set(data, 8)
  return bytes
}

const plain = PlainEncoder.encode({ raster, infotext: "" })

describe("Png", () => {
  it.effect.prop("gives back any text that was stored", [Schema.String], ([text]) =>
    Effect.gen(function*() {
      const { infotext } = yield* readMetadata(Png.withInfotext(yield* plain, text))
      assert.strictEqual(infotext, text === "" ? undefined : text.toWellFormed())
    }), { arbitrary: { runs: 50 } })

  it.effect.each(["\u0080 \u0092 \u009F \u00FF", "\uFEFFa cat", "a\0cat", "猫 👍"])(
    "gives back %j",
    (text) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* readMetadata(Png.withInfotext(yield* plain, text))).infotext, text)
      })
  )

  it.effect("stores Latin-1 texts as tEXt and others as iTXt, before the pixels, and nothing for an empty one", () =>
    Effect.gen(function*() {
      const file = yield* plain
      assert.deepStrictEqual(chunkTypes(Png.withInfotext(file, "é ñ")), ["IHDR", "tEXt", "IDAT", "IEND"])
      assert.deepStrictEqual(chunkTypes(Png.withInfotext(file, "猫")), ["IHDR", "iTXt", "IDAT", "IEND"])
      assert.strictEqual(Png.withInfotext(file, ""), file)
    }))

  it.effect("replaces a text that is there, wherever and in whatever chunk, and no other", () =>
    Effect.gen(function*() {
      const file = yield* plain
      const stored = Png.withInfotext(file, "a dog")
      for (const before of ["a cat", "猫"]) {
        assert.deepStrictEqual(Png.withInfotext(Png.withInfotext(file, before), "a dog"), stored)
      }
      const chunks = [
        chunk("tEXt", Buffer.from("parameters\0one")),
        chunk("zTXt", Buffer.concat([Buffer.from("parameters\0\0"), deflateSync("two")])),
        chunk("eXIf", Exif.fromUserComment("three"))
      ]
      const others = [
        chunk("tEXt", Buffer.from("parameters too\0four")),
        chunk("tEXt", Buffer.from("Title\0five")),
        chunk("eXIf", Exif.fromUserComment(""))
      ]
      const end = file.length - 12
      const replaced = Png.withInfotext(
        Buffer.concat([file.subarray(0, end), ...chunks, ...others, file.subarray(end)]),
        "a dog"
      )
      assert.deepStrictEqual(chunkTypes(replaced), ["IHDR", "tEXt", "IDAT", "tEXt", "tEXt", "eXIf", "IEND"])
      assert.deepStrictEqual(yield* readMetadata(replaced), {
        infotext: "a dog",
        items: { "parameters too": "four", Title: "five" }
      })
    }))
})

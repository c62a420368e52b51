import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { deflateSync } from "node:zlib"
import * as Png from "../../src/images/Png.ts"
import { PlainEncoder } from "../../src/testing/index.ts"

const pixels = Uint8Array.from({ length: 16 * 8 * 3 }, (_, i) => (i * 7) % 256)
const image = (infotext: string) => ({ pixels, width: 16, height: 8, infotext })

const chunkTypes = (png: Uint8Array) => {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength)
  const types: Array<string> = []
  for (let at = 8; at < png.length; at += view.getUint32(at) + 12) {
    types.push(String.fromCharCode(...png.subarray(at + 4, at + 8)))
  }
  return types
}

const withChunk = (png: Uint8Array, type: string, data: Uint8Array) => {
  const chunk = Buffer.alloc(data.length + 12)
  chunk.writeUInt32BE(data.length)
  chunk.write(type, 4)
  chunk.set(data, 8)
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)])
}

const plain = PlainEncoder.encode(image(""))

describe("Png", () => {
  it.effect.prop("gives back any text that was stored", [Schema.String], ([text]) =>
    Effect.gen(function*() {
      const read = yield* Png.readInfotext(Png.withInfotext(yield* plain, text))
      assert.strictEqual(read, text === "" ? undefined : text.toWellFormed())
    }), { arbitrary: { runs: 50 } })

  it.effect("stores Latin-1 texts as tEXt and others as iTXt, before the pixels, and nothing for an empty one", () =>
    Effect.gen(function*() {
      const file = yield* plain
      assert.deepStrictEqual(chunkTypes(Png.withInfotext(file, "é ñ")), ["IHDR", "tEXt", "IDAT", "IEND"])
      assert.deepStrictEqual(chunkTypes(Png.withInfotext(file, "猫")), ["IHDR", "iTXt", "IDAT", "IEND"])
      assert.strictEqual(Png.withInfotext(file, ""), file)
    }))

  it.effect("reads compressed texts", () =>
    Effect.gen(function*() {
      const png = yield* plain
      const zTXt = Buffer.concat([Buffer.from("parameters\0\0"), deflateSync("é")])
      assert.strictEqual(yield* Png.readInfotext(withChunk(png, "zTXt", zTXt)), "Ã©")
      const iTXt = Buffer.concat([Buffer.from("parameters\0\x01\0\0\0"), deflateSync("猫")])
      assert.strictEqual(yield* Png.readInfotext(withChunk(png, "iTXt", iTXt)), "猫")
    }))

  it.effect("has no infotext where there is none", () =>
    Effect.gen(function*() {
      const png = yield* plain
      assert.isUndefined(yield* Png.readInfotext(png))
      assert.isUndefined(yield* Png.readInfotext(withChunk(png, "tEXt", Buffer.from("Software\0x"))))
    }))

  it.effect("refuses a text that would unpack to more than 16 MB", () =>
    Effect.gen(function*() {
      const bomb = Buffer.concat([Buffer.from("parameters\0\0"), deflateSync(Buffer.alloc(64 * 1024 * 1024))])
      const error = yield* Effect.flip(Png.readInfotext(withChunk(yield* plain, "zTXt", bomb)))
      assert.strictEqual(error._tag, "ImageCodecError")
    }))

  it.effect("gives a typed error for anything that is not a PNG file", () =>
    Effect.gen(function*() {
      const png = yield* PlainEncoder.encode(image("a cat"))
      for (const bytes of [new Uint8Array(), Buffer.from("hello"), png.subarray(0, 60), png.subarray(0, 36)]) {
        assert.strictEqual((yield* Effect.flip(Png.readInfotext(bytes)))._tag, "ImageCodecError")
      }
    }))

  it.effect.prop("never crashes on damaged bytes", [Schema.Uint8Array], ([noise]) =>
    Effect.gen(function*() {
      const png = (yield* PlainEncoder.encode(image("a cat"))).slice()
      png.set(noise.subarray(0, png.length - 8), 8)
      yield* Effect.exit(Png.readInfotext(png))
      yield* Effect.ignore(Png.readInfotext(png))
    }), { arbitrary: { runs: 50 } })
})

import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import sharp from "sharp"
import { ImageEncoder } from "../../src/images/ImageEncoder.ts"
import { readMetadata } from "../../src/images/Metadata.ts"
import { PlainEncoder } from "../../src/testing/index.ts"

const pixels = Uint8Array.from({ length: 16 * 8 * 3 }, (_, i) => (i * 7) % 256)
const image = (infotext: string) => ({ pixels, width: 16, height: 8, infotext })

const encode = (...args: Parameters<ImageEncoder["Service"]["encode"]>) =>
  Effect.flatMap(ImageEncoder, ({ encode }) => encode(...args))

/** What every encoder keeps to. */
const suite = (name: string, layer: Layer.Layer<ImageEncoder>) =>
  it.layer(layer)(name, (it) => {
    it.effect("keeps every pixel", () =>
      Effect.gen(function*() {
        const png = yield* encode(image("a cat"))
        const { data, info } = yield* Effect.promise(() => sharp(png).raw().toBuffer({ resolveWithObject: true }))
        assert.deepStrictEqual([info.width, info.height, info.channels], [16, 8, 3])
        assert.deepStrictEqual(new Uint8Array(data), pixels)
      }))

    it.effect("gives the same bytes for the same picture", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* encode(image("a cat")), yield* encode(image("a cat")))
      }))

    it.effect("stores a text that libraries can read", () =>
      Effect.gen(function*() {
        const png = yield* encode(image("a cat"))
        const { comments } = yield* Effect.promise(() => sharp(png).metadata())
        assert.deepStrictEqual(comments, [{ keyword: "parameters", text: "a cat" }])
      }))

    it.effect.prop("stores any text", [Schema.String], ([text]) =>
      Effect.gen(function*() {
        const { infotext } = yield* readMetadata(yield* encode(image(text)))
        assert.strictEqual(infotext, text === "" ? undefined : text.toWellFormed())
      }), { arbitrary: { runs: 20 } })

    it.effect("gives a typed error for pixels that do not fill the picture", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(encode({ ...image(""), width: 17 }))
        assert.strictEqual(error._tag, "ImageCodecError")
      }))
  })

suite("ImageEncoder.layer", ImageEncoder.layer)
suite("PlainEncoder.layer", PlainEncoder.layer)

it.layer(ImageEncoder.layer)("ImageEncoder.layer, interrupted", (it) => {
  it.effect("waits for the file that is being written", () =>
    Effect.gen(function*() {
      const [width, height] = [2048, 2048]
      const large = { pixels: new Uint8Array(width * height * 3), width, height, infotext: "" }
      const fiber = yield* Effect.forkChild(encode(large), { startImmediately: true })
      while (sharp.counters().process === 0) yield* Effect.promise(() => new Promise(setImmediate))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(sharp.counters(), { queue: 0, process: 0 })
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import sharp from "sharp"
import type { Raster } from "../../src/core/Raster.ts"
import { formatFor, formatOf, type Image, ImageEncoder, type ImageFormat } from "../../src/images/ImageEncoder.ts"
import { readMetadata } from "../../src/images/Metadata.ts"
import { Options } from "../../src/processing/Options.ts"
import * as PlainEncoder from "../../src/testing/PlainEncoder.ts"

const [width, height] = [16, 8]
const raster = (channels: Raster["channels"]): Raster => ({
  width,
  height,
  channels,
  data: Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 7) % 256)
})
const image = (infotext: string, channels: Raster["channels"] = 3): Image => ({ raster: raster(channels), infotext })
/** One colour all over, which lossy formats keep nearly. */
const plain = (...colour: ReadonlyArray<number>): Image => ({
  raster: {
    width,
    height,
    channels: colour.length === 4 ? 4 : 3,
    data: Uint8Array.from({ length: width * height * colour.length }, (_, i) => colour[i % colour.length] ?? 0)
  },
  infotext: ""
})

const png: ImageFormat = { format: "png", quality: 80, lossless: false }
const jpg: ImageFormat = { ...png, format: "jpg" }
const webp: ImageFormat = { ...png, format: "webp" }
const lossless: ImageFormat = { ...webp, lossless: true }

const encode = (...args: Parameters<ImageEncoder["Service"]["encode"]>) =>
  Effect.flatMap(ImageEncoder, ({ encode }) => encode(...args))

const decode = (file: Uint8Array) =>
  Effect.promise(async () => {
    const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true })
    return { data: new Uint8Array(data), size: [info.width, info.height, info.channels] }
  })

const Side = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
const Channels = Schema.Literals([1, 3, 4])
const Kind = Schema.Literals(["noise", "plain", "across", "down"])
const samplesOf = {
  noise: (i: number) => Math.imul(i + 1, 2654435761) >>> 24,
  plain: () => 200,
  across: (i: number, row: number) => i % row,
  down: (i: number, row: number) => Math.floor(i / row) * 5
} as const

/** What every encoder keeps to. */
const suite = (name: string, layer: Layer.Layer<ImageEncoder>) =>
  it.layer(layer)(name, (it) => {
    it.effect.each([3, 4] as const)("keeps every pixel of %d channels in a PNG file", (channels) =>
      Effect.gen(function*() {
        const { data, size } = yield* decode(yield* encode(image("a cat", channels), png))
        assert.deepStrictEqual(size, [width, height, channels])
        assert.deepStrictEqual(data, raster(channels).data)
      }))

    it.effect("keeps grey as grey in a PNG file", () =>
      Effect.gen(function*() {
        const file = yield* encode(image("a cat", 1), png)
        const metadata = yield* Effect.promise(() =>
          sharp(file).metadata()
        )
        assert.deepStrictEqual([metadata.channels, metadata.space], [1, "b-w"])
        const { data } = yield* Effect.promise(() =>
          sharp(file).toColourspace("b-w").raw().toBuffer({ resolveWithObject: true })
        )
        assert.deepStrictEqual(new Uint8Array(data), raster(1).data)
      }))

    it.effect("gives the same bytes for the same image", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* encode(image("a cat"), png), yield* encode(image("a cat"), png))
      }))

    it.effect("stores a text that libraries can read", () =>
      Effect.gen(function*() {
        const file = yield* encode(image("a cat"), png)
        const { comments } = yield* Effect.promise(() => sharp(file).metadata())
        assert.deepStrictEqual(comments, [{ keyword: "parameters", text: "a cat" }])
      }))

    it.effect.prop("stores any text", [Schema.String], ([text]) =>
      Effect.gen(function*() {
        const { infotext } = yield* readMetadata(yield* encode(image(text), png))
        assert.strictEqual(infotext, text === "" ? undefined : text.toWellFormed())
      }), { arbitrary: { runs: 20 } })

    it.effect.each([
      { width: 17 },
      { height: 7 },
      { width: 0, data: new Uint8Array() },
      { width: -16, height: -8 }
    ])("gives a typed error for pixels that do not fill the image: %j", (change) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(encode({ raster: { ...raster(3), ...change }, infotext: "" }, png))
        assert.strictEqual(error._tag, "ImageCodecError")
        assert.include(error.message, "3 channels")
      }))
  })

suite("ImageEncoder.layer", ImageEncoder.layer)
suite("PlainEncoder.layer", PlainEncoder.layer)

it.layer(ImageEncoder.layer)("ImageEncoder.layer", (it) => {
  it.effect.prop(
    "keeps every pixel in a PNG file",
    [Channels, Side, Side, Kind],
    ([channels, width, height, kind]) =>
      Effect.gen(function*() {
        const length = width * height * channels
        const data = Uint8Array.from({ length }, (_, i) => samplesOf[kind](i, width * channels))
        const file = yield* encode({ raster: { width, height, channels, data }, infotext: "a cat, 猫" }, png)
        const pixels = yield* Effect.promise(() =>
          sharp(file).toColourspace(channels === 1 ? "b-w" : "srgb").raw().toBuffer()
        )
        assert.deepStrictEqual(new Uint8Array(pixels), data)
        assert.strictEqual((yield* readMetadata(file)).infotext, "a cat, 猫")
      })
  )

  it.effect("writes smaller PNG files of photographs than sharp does by itself, and small ones of plain colours", () =>
    Effect.gen(function*() {
      const [width, height] = [256, 256]
      // Waves with grain.
      const grain = (i: number) => Math.imul(Math.imul(i, 2654435761) ^ (Math.imul(i, 2654435761) >>> 15), i) >>> 29
      const wave = (i: number) => 128 + 90 * Math.sin((i / 3 % width) / 24) * Math.cos(i / 3 / width / 33) + grain(i)
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => wave(i))
      const file = yield* encode({ raster: { width, height, channels: 3, data }, infotext: "" }, png)
      const own = yield* Effect.promise(() => sharp(data, { raw: { width, height, channels: 3 } }).png().toBuffer())
      assert.isBelow(file.length, own.length)
      const plain = { width, height, channels: 3, data: new Uint8Array(data.length).fill(70) } as const
      assert.isBelow((yield* encode({ raster: plain, infotext: "" }, png)).length, 2000)
    }))

  it.effect.each(
    [
      ["jpeg", jpg],
      ["webp", webp],
      ["webp", lossless]
    ] as const
  )("writes %s files with their infotext, the same each time", ([name, format]) =>
    Effect.gen(function*() {
      const file = yield* encode(image("a cat, 猫\nSteps: 2"), format)
      const metadata = yield* Effect.promise(() => sharp(file).metadata())
      assert.deepStrictEqual([metadata.format, metadata.width, metadata.height], [name, width, height])
      assert.strictEqual((yield* readMetadata(file)).infotext, "a cat, 猫\nSteps: 2")
      assert.deepStrictEqual(yield* encode(image("a cat, 猫\nSteps: 2"), format), file)
      assert.isUndefined((yield* readMetadata(yield* encode(image(""), format))).infotext)
    }))

  it.effect.each([jpg, webp])("loses little of a plain colour: %j", (format) =>
    Effect.gen(function*() {
      const { data } = yield* decode(yield* encode(plain(200, 100, 50), format))
      for (const [i, value] of data.entries()) assert.approximately(value, [200, 100, 50][i % 3] ?? 0, 4)
    }))

  it.effect("loses nothing in lossless WebP files", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* decode(yield* encode(image("a cat"), lossless))).data, raster(3).data)
    }))

  it.effect("makes larger files of higher quality", () =>
    Effect.gen(function*() {
      for (const format of [jpg, webp]) {
        const [low, high] = yield* Effect.all([
          encode(image(""), { ...format, quality: 10 }),
          encode(image(""), { ...format, quality: 95 })
        ])
        assert.isBelow(low.length, high.length)
      }
    }))

  it.effect("lays what is transparent over white in JPEG files, and keeps it in WebP files", () =>
    Effect.gen(function*() {
      const half = plain(255, 0, 0, 127)
      const jpeg = yield* decode(yield* encode(half, jpg))
      assert.deepStrictEqual(jpeg.size, [width, height, 3])
      // 255 * 127 / 255 + 255 * 128 / 255, and 0 * 127 / 255 + 255 * 128 / 255.
      for (const [i, value] of jpeg.data.entries()) assert.approximately(value, [255, 128, 128][i % 3] ?? 0, 4)
      const { data, size } = yield* decode(yield* encode(half, lossless))
      assert.deepStrictEqual(size, [width, height, 4])
      assert.deepStrictEqual(data, half.raster.data)
    }))

  it.effect("writes grey images in every format", () =>
    Effect.gen(function*() {
      for (const format of [jpg, webp]) {
        const { data } = yield* decode(
          yield* encode({ raster: { ...raster(1), data: new Uint8Array(128).fill(90) }, infotext: "" }, format)
        )
        for (const value of data) assert.approximately(value, 90, 4)
      }
    }))

  it.effect("leaves a text out of a JPEG file that has no room for it", () =>
    Effect.gen(function*() {
      const fits = "x".repeat(32_737)
      assert.strictEqual((yield* readMetadata(yield* encode(image(fits), jpg))).infotext, fits)
      assert.deepStrictEqual(yield* encode(image(`${fits}x`), jpg), yield* encode(image(""), jpg))
      assert.strictEqual((yield* readMetadata(yield* encode(image(`${fits}x`), webp))).infotext, `${fits}x`)
    }))

  it.effect("gives a typed error for a size that the format does not know", () =>
    Effect.gen(function*() {
      const wide: Raster = { width: 16_384, height: 1, channels: 1, data: new Uint8Array(16_384) }
      assert.strictEqual((yield* Effect.flip(encode({ raster: wide, infotext: "" }, webp)))._tag, "ImageCodecError")
    }))

  it.effect("waits for the file that is being written, when it is interrupted", () =>
    Effect.gen(function*() {
      const [width, height] = [2048, 2048]
      const large: Raster = { data: new Uint8Array(width * height * 3), width, height, channels: 3 }
      const fiber = yield* Effect.forkChild(encode({ raster: large, infotext: "" }, jpg), { startImmediately: true })
      while (sharp.counters().process === 0) yield* Effect.promise(() => new Promise(setImmediate))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(sharp.counters(), { queue: 0, process: 0 })
    }))
})

describe("PlainEncoder", () => {
  it.effect.each([jpg, webp])("says that it writes PNG files only: %j", (format) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(PlainEncoder.encode(image(""), format))
      assert.strictEqual(error._tag, "ImageCodecError")
      assert.include(error.message, `PNG files only, not ${format.format}`)
    }))
})

describe("formatOf", () => {
  it("takes format, quality and losslessness from the settings, of images and of grids", () => {
    assert.deepStrictEqual(formatOf(Options.defaults), png)
    const opts = Options.patched(Options.defaults, {
      samples_format: "jpeg",
      grid_format: "webp",
      jpeg_quality: 95,
      webp_lossless: true
    })
    assert.deepStrictEqual(formatOf(opts), { format: "jpg", quality: 95, lossless: true })
    assert.deepStrictEqual(formatOf(opts, "samples"), formatOf(opts))
    assert.deepStrictEqual(formatOf(opts, "grid"), { format: "webp", quality: 95, lossless: true })
  })
})

describe("formatFor", () => {
  it("is PNG for what is larger than the format allows", () => {
    assert.strictEqual(formatFor({ width: 16_383, height: 1 }, webp), webp)
    assert.deepStrictEqual(formatFor({ width: 16_384, height: 1 }, webp), png)
    assert.deepStrictEqual(formatFor({ width: 1, height: 16_384 }, lossless), { ...lossless, format: "png" })
    assert.strictEqual(formatFor({ width: 1, height: 65_535 }, jpg), jpg)
    assert.deepStrictEqual(formatFor({ width: 1, height: 65_536 }, jpg), png)
  })
})

describe("the encoder for tests", () => {
  it.effect("writes the same PNG files, and takes no time by any clock", () =>
    Effect.gen(function*() {
      for (const channels of [1, 3, 4] as const) {
        const given = image("a cat", channels)
        assert.deepStrictEqual(Effect.runSync(PlainEncoder.encode(given)), yield* encode(given, png))
      }
    }).pipe(Effect.provide(ImageEncoder.layer)))
})

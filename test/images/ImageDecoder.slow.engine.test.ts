import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { crc32, deflateSync } from "node:zlib"
import sharp, { type Color, type Sharp } from "sharp"
import type { Raster } from "../../src/core/Raster.ts"
import { withoutAncillary } from "../../src/images/Ancillary.ts"
import type { FileFormat } from "../../src/images/FileSignature.ts"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"

const limits = { max_image_bytes: 2 ** 20, max_image_pixels: 4096 }
const decode = (bytes: Uint8Array, given: Partial<typeof limits> = {}) =>
  Effect.flatMap(ImageDecoder, ({ decode }) => decode(bytes, { ...limits, ...given }))
const reasonFor = (...args: Parameters<typeof decode>) =>
  Effect.map(Effect.flip(decode(...args)), ({ reason }) => reason)

const width = 6
const height = 4
const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256)
const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) => (i * 29) % 256)
const image: Raster = { width, height, channels: 3, data: rgb }
const transparent: Raster = { width, height, channels: 4, data: rgba }
const raw = (data: Uint8Array | Uint16Array, channels: 1 | 2 | 3 | 4) =>
  sharp(data, { raw: { width, height, channels } })
const written = (image: Sharp) => Effect.map(Effect.promise(() => image.toBuffer()), (buffer) => new Uint8Array(buffer))
const solid = (channels: 3 | 4, background: Color) => sharp({ create: { width, height, channels, background } })

const black = (side: number) => sharp({ create: { width: side, height: side, channels: 3, background: "#000" } })

/** An AVIF or HEIF file whose items have another width and height. */
const withExtents = (side: number) => (file: Uint8Array): Uint8Array => {
  const changed = Buffer.from(file)
  for (let at = changed.indexOf("ispe"); at !== -1; at = changed.indexOf("ispe", at + 1)) {
    changed.writeUInt32BE(side, at + 8)
    changed.writeUInt32BE(side, at + 12)
  }
  return new Uint8Array(changed)
}

/** An AVIF file as one of its container only. */
const asHeif = (file: Uint8Array): Uint8Array => {
  const changed = Buffer.from(file)
  changed.write("mif1", 8, "latin1")
  return new Uint8Array(changed)
}

/** A TIFF file, of the little-endian kind, with other values in the first entries of its directory. */
const withTags =
  (...values: ReadonlyArray<readonly [tag: number, value: number]>) => (file: Uint8Array): Uint8Array => {
    const changed = Buffer.from(file)
    const directory = changed.readUInt32LE(4)
    const given = new Map(values)
    for (let i = 0; i < changed.readUInt16LE(directory); i++) {
      const entry = directory + 2 + i * 12
      const value = given.get(changed.readUInt16LE(entry))
      if (value === undefined) continue
      // A single unsigned integer of 32 bits.
      changed.writeUInt16LE(4, entry + 2)
      changed.writeUInt32LE(1, entry + 4)
      changed.writeUInt32LE(value, entry + 8)
    }
    return new Uint8Array(changed)
  }

/** An uncompressed BMP file. */
const bmp = (bits: 24 | 32, { topDown = false, alpha = false } = {}) => {
  const step = bits / 8
  const stride = (width * step + 3) & ~3
  const begin = alpha ? 122 : 54
  const file = Buffer.alloc(begin + stride * height)
  file.write("BM")
  file.writeUInt32LE(begin, 10)
  file.writeUInt32LE(begin - 14, 14)
  file.writeInt32LE(width, 18)
  file.writeInt32LE(topDown ? -height : height, 22)
  file.writeUInt16LE(1, 26)
  file.writeUInt16LE(bits, 28)
  if (alpha) {
    file.writeUInt32LE(3, 30)
    for (const [i, mask] of [0xFF0000, 0xFF00, 0xFF, 0xFF000000].entries()) file.writeUInt32LE(mask, 54 + i * 4)
  }
  const { channels, data } = alpha ? transparent : image
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = begin + (topDown ? y : height - 1 - y) * stride + x * step
      const from = (y * width + x) * channels
      file.set([data[from + 2] ?? 0, data[from + 1] ?? 0, data[from] ?? 0], at)
      if (bits === 32) file[at + 3] = alpha ? data[from + 3] ?? 0 : 0
    }
  }
  return new Uint8Array(file)
}

it.layer(ImageDecoder.layer)("ImageDecoder.layer", (it) => {
  it.effect.each<[string, () => Sharp, Raster]>([
    ["PNG", () => raw(rgb, 3).png(), image],
    ["PNG with alpha", () => raw(rgba, 4).png(), transparent],
    ["WebP", () => raw(rgb, 3).webp({ lossless: true }), image],
    ["TIFF", () => raw(rgb, 3).tiff({ compression: "lzw" }), image],
    ["PNG with a palette", () => solid(3, "#102030").png({ palette: true }), filledWith([16, 32, 48])],
    ["GIF", () => solid(4, "#102030").gif(), filledWith([16, 32, 48, 255])]
  ])("reads every pixel of a %s", ([, image, expected]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* decode(yield* written(image())), expected)
    }))

  it.effect("makes RGB of grey, and RGB and alpha of grey with alpha", () =>
    Effect.gen(function*() {
      const grey = Uint8Array.from({ length: width * height }, (_, i) => i * 9)
      const three = yield* decode(yield* written(raw(grey, 1).toColourspace("b-w").png()))
      assert.deepStrictEqual([three.channels, ...three.data.subarray(0, 9)], [3, 0, 0, 0, 9, 9, 9, 18, 18, 18])
      const two = Uint8Array.from({ length: width * height * 2 }, (_, i) => i * 5)
      const four = yield* decode(yield* written(raw(two, 2).toColourspace("b-w").png()))
      assert.deepStrictEqual([four.channels, ...four.data.subarray(0, 8)], [4, 0, 0, 0, 5, 10, 10, 10, 15])
    }))

  it.effect("takes the high byte of 16 bits", () =>
    Effect.gen(function*() {
      const deep = Uint16Array.from(rgb, (value, i) => value * 256 + (i * 91) % 256)
      const file = yield* written(raw(deep, 3).toColourspace("rgb16").png())
      assert.strictEqual(file[24], 16)
      assert.deepStrictEqual(yield* decode(file), image)
    }))

  it.effect("reads JPEG and AVIF, and CMYK as RGB", () =>
    Effect.gen(function*() {
      for (const file of [solid(3, "#c02040").jpeg(), solid(3, "#c02040").avif()]) {
        const { channels, data } = yield* decode(yield* written(file))
        assert.strictEqual(channels, 3)
        assert.isTrue([0xC0, 0x20, 0x40].every((value, i) => Math.abs((data[i] ?? 0) - value) <= 4))
      }
      const cmyk = yield* written(solid(3, "#c02040").toColourspace("cmyk").jpeg())
      const { channels, data } = yield* decode(cmyk)
      assert.strictEqual(channels, 3)
      assert.isTrue([0xC0, 0x20, 0x40].every((value, i) => Math.abs((data[i] ?? 0) - value) <= 24))
    }))

  it.effect("turns an image as its EXIF says", () =>
    Effect.gen(function*() {
      const turned = yield* decode(yield* written(raw(rgb, 3).png().withMetadata({ orientation: 6 })))
      assert.deepStrictEqual([turned.width, turned.height], [height, width])
      // Clockwise: what was at the bottom left is at the top left.
      assert.deepStrictEqual(
        turned.data.subarray(0, 3),
        rgb.subarray(width * 3 * (height - 1), width * 3 * (height - 1) + 3)
      )
    }))

  it.effect("takes the first image of several", () =>
    Effect.gen(function*() {
      const frames = [solid(4, "#ff0000"), solid(4, "#0000ff")].map((frame) => frame.png().toBuffer())
      const file = yield* Effect.promise(async () =>
        sharp(await Promise.all(frames), { join: { animated: true } }).gif()
      )
      const { data, height: rows } = yield* decode(yield* written(file))
      assert.deepStrictEqual([rows, data[0], data[1], data[2]], [height, 255, 0, 0])
    }))

  it.effect("reads BMP files of 24 and 32 bits", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* decode(bmp(24)), image)
      assert.deepStrictEqual(yield* decode(bmp(24, { topDown: true })), image)
      assert.deepStrictEqual(yield* decode(bmp(32)), image)
      assert.deepStrictEqual(yield* decode(bmp(32, { alpha: true })), transparent)
      assert.match(yield* reasonFor(bmp(24).subarray(0, 80)), /ends in the middle of its pixels/)
      assert.match(yield* reasonFor(bmp(24).subarray(0, 20)), /ends in the middle of its header/)
    }))

  it.effect("says what is wrong with a file that is none", () =>
    Effect.gen(function*() {
      const text = (value: string) => new TextEncoder().encode(value)
      assert.strictEqual(yield* reasonFor(new Uint8Array()), "it is empty")
      assert.match(yield* reasonFor(text("a cat on a mat")), /^it is neither/)
      assert.match(yield* reasonFor(text("<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>")), /SVG/)
      assert.match(yield* reasonFor(text("<?xml version='1.0'?>\n<!-- -->\n<svg width='1' height='1'/>")), /SVG/)
      const png = yield* written(raw(rgb, 3).png({ compressionLevel: 0 }))
      for (const end of [8, 20, 40, png.length - 40]) {
        assert.notStrictEqual(yield* reasonFor(png.subarray(0, end)), "")
      }
    }))

  it.effect.each(["png", "jpeg", "webp", "gif", "tiff", "avif"] as const)(
    "refuses a %s file that was cut short",
    (format) =>
      Effect.gen(function*() {
        const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24)
        const file = yield* written(sharp(noise, { raw: { width: 64, height: 64, channels: 3 } }).toFormat(format))
        assert.strictEqual((yield* decode(file)).width, 64)
        for (const share of [0.3, 0.6, 0.9]) {
          assert.notStrictEqual(yield* reasonFor(file.subarray(0, Math.floor(file.length * share))), "")
        }
      })
  )

  it.effect("keeps to the limits, before pixels are unpacked", () =>
    Effect.gen(function*() {
      const png = yield* written(raw(rgb, 3).png())
      assert.match(yield* reasonFor(png, { max_image_bytes: png.length - 1 }), /max_image_bytes/)
      assert.match(yield* reasonFor(png, { max_image_pixels: 23 }), /6x4 pixels, more than the 23 of max_image_pixels/)
      assert.deepStrictEqual(yield* decode(png, { max_image_bytes: png.length, max_image_pixels: 24 }), image)
      // The header alone claims the size: nothing of it may be believed.
      const bomb = Uint8Array.from(bmp(24))
      new DataView(bomb.buffer).setInt32(18, 0x7FFFFFFF, true)
      assert.match(yield* reasonFor(bomb), /max_image_pixels/)
      const large = yield* written(
        sharp({ create: { width: 3000, height: 3000, channels: 3, background: "#000" } }).png()
      )
      assert.match(yield* reasonFor(large), /3000x3000 pixels/)
    }))

  // Texts, a profile and EXIF of 60 kB in every format that can have them, and an orientation.
  const text = "ancillary".repeat(6000)
  const laden = (image: Sharp) =>
    image.withExif({ IFD0: { ImageDescription: text } }).withXmp(`<x:xmpmeta>${text}</x:xmpmeta>`).withIccProfile("p3")
      .withMetadata({ orientation: 6 })
  it.effect.each<[FileFormat, (image: Sharp) => Sharp]>([
    ["png", (image) => image.png()],
    ["jpeg", (image) => image.jpeg({ quality: 100 })],
    ["webp", (image) => image.webp({ lossless: true })],
    ["tiff", (image) => image.tiff({ compression: "lzw" })],
    ["tiff", (image) => image.tiff({ compression: "lzw", bigtiff: true })],
    ["gif", (image) => image.gif()],
    ["avif", (image) => image.avif({ lossless: true })]
  ])("sees only the pixels of a %s file", ([format, write]) =>
    Effect.gen(function*() {
      const file = yield* written(write(laden(raw(rgb, 3))))
      const stripped = withoutAncillary(file, format)
      const pixels = (bytes: Uint8Array) =>
        Effect.promise(() =>
          sharp(bytes, { ignoreIcc: true }).autoOrient().toColourspace("srgb").raw({ depth: "uchar" }).toBuffer()
        )
      assert.deepStrictEqual(yield* pixels(stripped), yield* pixels(file))
      const { exif, icc, orientation, xmp } = yield* Effect.promise(() => sharp(stripped).metadata())
      assert.strictEqual(xmp, undefined)
      // The profile of an AVIF file is a property of its image.
      if (format !== "avif") assert.strictEqual(icc, undefined)
      assert.isTrue(exif === undefined || format === "png" || format === "jpeg" || format === "webp")
      if (format !== "gif" && format !== "avif") assert.strictEqual(orientation, 6)
      // What has nothing to take out is not copied, where the parts say so.
      if (format !== "tiff" && format !== "avif") assert.strictEqual(withoutAncillary(stripped, format), stripped)
    }))

  it.effect("unpacks no texts: forty of 15 MB in 585 kB cost nothing", () =>
    Effect.gen(function*() {
      const small = yield* written(raw(rgb, 3).png())
      const packed = deflateSync(Buffer.alloc(15_000_000, "a"))
      const chunkOf = (name: string) => {
        const data = Buffer.concat([Buffer.from(`zTXt${name}\0\0`), packed])
        const size = Buffer.alloc(4)
        size.writeUInt32BE(data.length - 4)
        const sum = Buffer.alloc(4)
        sum.writeUInt32BE(crc32(data))
        return Buffer.concat([size, data, sum])
      }
      // After the header: 8 bytes of signature and 25 of its chunk. Rubbish at the end hides nothing.
      const texts = Array.from({ length: 40 }, (_, i) => chunkOf(`text ${i}`))
      const bomb = Buffer.concat([small.subarray(0, 33), ...texts, small.subarray(33), Buffer.from("rubbish")])
      const before = process.memoryUsage().rss
      assert.deepStrictEqual(yield* decode(bomb), image)
      assert.isBelow(process.memoryUsage().rss - before, 100 * 2 ** 20)
      assert.isAtMost(withoutAncillary(bomb, "png").length, small.length + "rubbish".length)
    }))

  // Files of a few hundred bytes that unpack to gigabytes, each in the way of its format.
  it.effect.each<[string, () => Effect.Effect<Uint8Array>]>([
    [
      "an AVIF file whose item claims 60000x60000",
      () => Effect.map(written(solid(3, "#000").avif()), withExtents(60_000))
    ],
    [
      "an HEIF file whose item claims 60000x60000",
      () => Effect.map(written(solid(3, "#000").avif()), (file) => asHeif(withExtents(60_000)(file)))
    ],
    [
      "a TIFF file that claims 60000x60000",
      () => Effect.map(written(raw(rgb, 3).tiff()), withTags([256, 60_000], [257, 60_000]))
    ],
    ["a TIFF file of black pixels", () => written(black(8000).tiff({ compression: "deflate" }))],
    ["a WebP file of black pixels", () => written(black(8000).webp({ effort: 0 }))],
    ["an AVIF file of black pixels", () => written(black(3000).avif({ effort: 0 }))]
  ])("refuses bombs before they are unpacked: %s", ([, file]) =>
    Effect.gen(function*() {
      const bytes = yield* file()
      assert.isBelow(bytes.length, limits.max_image_bytes)
      assert.match(yield* reasonFor(bytes), /\d+x\d+ pixels, more than the 4096 of max_image_pixels/)
    }))

  it.effect.each<[string, () => Effect.Effect<Uint8Array>]>([
    ["the pixels of an AVIF file", () => Effect.map(written(black(3000).avif({ effort: 0 })), withExtents(8))],
    [
      "the strips of a TIFF file",
      () => Effect.map(written(raw(rgb, 3).tiff()), withTags([278, 0xFFFFFFFF], [279, 0x7FFFFFFF]))
    ],
    [
      "the tiles of a TIFF file",
      () =>
        Effect.map(
          written(raw(rgb, 3).tiff({ tile: true, tileWidth: 16, tileHeight: 16 })),
          withTags([322, 0x7FFFFFF0], [323, 0x7FFFFFF0])
        )
    ]
  ])("allocates nothing for a header that lies about %s", ([, file]) =>
    Effect.gen(function*() {
      const bytes = yield* file()
      const before = process.resourceUsage().maxRSS
      const exit = yield* Effect.exit(decode(bytes))
      if (Exit.isSuccess(exit)) assert.isAtMost(exit.value.width * exit.value.height, limits.max_image_pixels)
      // Kilobytes: the file stands for 27 MB and for gigabytes.
      assert.isBelow(process.resourceUsage().maxRSS - before, 200_000)
    }))

  it.effect("waits for the file that is being read, when interrupted", () =>
    Effect.gen(function*() {
      const large = sharp({ create: { width: 2048, height: 2048, channels: 3, background: "#123456" } })
      const file = yield* written(large.png())
      const fiber = yield* Effect.forkChild(decode(file, { max_image_pixels: 2 ** 22 }), { startImmediately: true })
      while (sharp.counters().process === 0) yield* Effect.promise(() => new Promise(setImmediate))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(sharp.counters(), { queue: 0, process: 0 })
    }))

  const Changes = Schema.Array(
    Schema.Tuple([Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })), Schema.Int])
  )
  it.effect.prop(
    "gives an image or a typed error for any damage",
    [Changes, Schema.Uint8Array],
    ([changes, tail]) =>
      Effect.gen(function*() {
        for (const file of yield* samples) {
          const damaged = Uint8Array.from(file)
          for (const [at, value] of changes) damaged[at % file.length] = value
          for (
            const bytes of [damaged, damaged.subarray(0, damaged.length - changes.length), Buffer.concat([file, tail])]
          ) {
            const exit = yield* Effect.exit(decode(bytes))
            if (Exit.isSuccess(exit)) {
              const { channels, data, height, width } = exit.value
              assert.strictEqual(data.length, width * height * channels)
            } else {
              assert.isTrue(Exit.hasFails(exit) && !Exit.hasDies(exit))
            }
          }
        }
      }),
    { arbitrary: { runs: 15 } }
  )
})

const filledWith = (colour: ReadonlyArray<number>): Raster => ({
  width,
  height,
  channels: colour.length === 4 ? 4 : 3,
  data: Uint8Array.from({ length: width * height * colour.length }, (_, i) => colour[i % colour.length] ?? 0)
})

const samples = Effect.all([
  written(raw(rgb, 3).png()),
  written(raw(rgb, 3).jpeg()),
  written(raw(rgb, 3).webp()),
  written(raw(rgb, 3).gif()),
  written(raw(rgb, 3).tiff()),
  Effect.succeed(bmp(24))
])

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { deflateSync } from "node:zlib"
import sharp from "sharp"
import * as Exif from "../../src/images/Exif.ts"
import { readMetadata, withInfotext } from "../../src/images/Metadata.ts"
import * as Webp from "../../src/images/Webp.ts"
import * as Infotext from "../../src/processing/Infotext.ts"

const [width, height] = [17, 9]
const image = (channels: 3 | 4 = 3) =>
  sharp(Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 7) % 251), {
    raw: { width, height, channels }
  })

const file = (encoded: ReturnType<typeof image>) => Effect.promise(async () => new Uint8Array(await encoded.toBuffer()))

const formats = {
  png: file(image().png()),
  jpeg: file(image().jpeg()),
  "lossy webp": file(image().webp()),
  "lossless webp": file(image().webp({ lossless: true })),
  "transparent webp": file(image(4).webp()),
  "transparent lossless webp": file(image(4).webp({ lossless: true }))
} as const
const names = [
  "png",
  "jpeg",
  "lossy webp",
  "lossless webp",
  "transparent webp",
  "transparent lossless webp"
] as const satisfies ReadonlyArray<keyof typeof formats>

const pixels = (bytes: Uint8Array) => Effect.promise(() => sharp(bytes).raw().toBuffer())

const textChunk = (type: string, data: string | Uint8Array) => {
  const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data
  const chunk = Buffer.alloc(bytes.length + 12)
  chunk.writeUInt32BE(bytes.length)
  chunk.write(type, 4)
  chunk.set(bytes, 8)
  return chunk
}

/** A PNG file with more chunks in it. */
const pngWith = (...chunks: ReadonlyArray<Uint8Array>) =>
  Effect.map(formats.png, (png) => new Uint8Array(Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)])))

/** A block with a user comment of these bytes, in either order, behind another entry. */
const block = (comment: Uint8Array, order: "II" | "MM") => {
  const bytes = Buffer.alloc(64)
  const u16 = (value: number, at: number) =>
    order === "II" ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at)
  const u32 = (value: number, at: number) =>
    order === "II" ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at)
  bytes.write(order)
  u16(42, 2)
  u32(8, 4)
  const entries = [[0x0112, 3, 1, 0, 10], [0x8769, 4, 1, 38, 22], [0x9286, 7, comment.length, 56, 40]] as const
  u16(2, 8)
  u16(1, 38)
  for (const [tag, type, count, value, at] of entries) {
    u16(tag, at)
    u16(type, at + 2)
    u32(count, at + 4)
    u32(value, at + 8)
  }
  // So short a comment stands where its place would.
  if (comment.length <= 4) bytes.set(comment, 48)
  return new Uint8Array(Buffer.concat([bytes.subarray(0, 56), comment]))
}

const coded = (code: string, text: Uint8Array | string) =>
  Buffer.concat([Buffer.from(code, "latin1"), Buffer.from(text)])

const infotext = "a cat, é 猫 👍\nSteps: 2, Sampler: Euler a, Seed: 5"

describe("withInfotext", () => {
  it.effect.each(names)("stores a text in a %s file, and changes no pixel", (name) =>
    Effect.gen(function*() {
      const plain = yield* formats[name]
      assert.deepStrictEqual(yield* readMetadata(plain), { infotext: undefined, items: {} })
      assert.strictEqual(yield* withInfotext(plain, ""), plain)
      const once = yield* withInfotext(plain, "something else")
      for (const file of [yield* withInfotext(plain, infotext), yield* withInfotext(once, infotext)]) {
        assert.deepStrictEqual(yield* readMetadata(file), { infotext, items: {} })
        assert.deepStrictEqual(yield* pixels(file), yield* pixels(plain))
      }
    }))

  it.effect.each(names)("stores it in a %s file where libraries find it", (name) =>
    Effect.gen(function*() {
      const { comments, exif } = yield* Effect.flatMap(
        withInfotext(yield* formats[name], infotext),
        (file) => Effect.promise(() => sharp(file).metadata())
      )
      if (name === "png") return assert.deepStrictEqual(comments, [{ keyword: "parameters", text: infotext }])
      assert.strictEqual(Exif.readUserComment(exif ?? new Uint8Array()), infotext)
    }))

  it.effect("keeps what else is in a file", () =>
    Effect.gen(function*() {
      for (const encoded of [image().withIccProfile("p3").jpeg(), image().withIccProfile("p3").webp()]) {
        const before = yield* Effect.promise(async () => sharp(await encoded.toBuffer()).metadata())
        const stored = yield* withInfotext(yield* file(encoded), infotext)
        const after = yield* Effect.promise(() => sharp(stored).metadata())
        assert.isDefined(before.icc)
        assert.deepStrictEqual(after.icc, before.icc)
        assert.strictEqual((yield* readMetadata(stored)).infotext, infotext)
      }
    }))

  it.effect("writes the user comment as the webui does", () =>
    Effect.gen(function*() {
      const file = Buffer.from(yield* withInfotext(yield* formats.jpeg, "é猫"))
      assert.isAbove(file.indexOf(Buffer.from("UNICODE\0\0\xE9\x73\x2B", "latin1")), 0)
      const webp = [...Webp.chunks(yield* withInfotext(yield* formats["lossy webp"], "é猫"))]
      assert.deepStrictEqual(webp.map(({ type }) => type), ["VP8X", "VP8 ", "EXIF"])
    }))

  it.effect("refuses a text that is too long for JPEG, and takes one that just fits", () =>
    Effect.gen(function*() {
      const jpeg = yield* formats.jpeg
      const fits = "x".repeat(32_737)
      assert.strictEqual((yield* readMetadata(yield* withInfotext(jpeg, fits))).infotext, fits)
      const error = yield* Effect.flip(withInfotext(jpeg, `${fits}x`))
      assert.strictEqual(error._tag, "ImageCodecError")
      const webp = yield* withInfotext(yield* formats["lossy webp"], fits.repeat(10))
      assert.lengthOf((yield* readMetadata(webp)).infotext ?? "", 327_370)
    }))

  it.effect("gives a typed error for files of other formats", () =>
    Effect.gen(function*() {
      for (const bytes of [new Uint8Array(), Buffer.from("hello"), yield* file(image().gif())]) {
        assert.strictEqual((yield* Effect.flip(withInfotext(bytes, "a")))._tag, "ImageCodecError")
      }
    }))

  it.effect.prop("gives back any text", [Schema.String], ([text]) =>
    Effect.gen(function*() {
      for (const format of [formats.jpeg, formats["lossy webp"]]) {
        const read = yield* readMetadata(yield* withInfotext(yield* format, `ab${text}`))
        assert.strictEqual(read.infotext, `ab${text.toWellFormed().replace(/\0+$/, "")}`)
      }
    }), { arbitrary: { runs: 50 } })
})

describe("readMetadata, PNG", () => {
  it.effect("reads texts of every kind, and leaves out those that only concern showing", () =>
    Effect.gen(function*() {
      const png = yield* pngWith(
        textChunk("tEXt", "parameters\0a \xE9\x85 cat"),
        textChunk("tEXt", "dpi\x0072"),
        textChunk("tEXt", "jfif_unit\x001"),
        textChunk("tEXt", "prompt\0{}"),
        textChunk("zTXt", Buffer.concat([Buffer.from("workflow\0\0"), deflateSync(Buffer.from("\xE9", "latin1"))])),
        textChunk("iTXt", Buffer.from("Title\0\0\0de\0Titel\0猫")),
        textChunk("iTXt", Buffer.concat([Buffer.from("Author\0\x01\0\0\0"), deflateSync("猫")])),
        textChunk("tEXt", "__proto__\0x"),
        textChunk("tEXt", "no end")
      )
      const { infotext, items } = yield* readMetadata(png)
      assert.strictEqual(infotext, "a \xE9\x85 cat")
      assert.deepStrictEqual(Object.entries(items), [
        ["prompt", "{}"],
        ["workflow", "é"],
        ["Title", "猫"],
        ["Author", "猫"],
        ["__proto__", "x"]
      ])
    }))

  it.effect("reads UTF-8 where the specification asks for Latin-1, and refuses an iTXt that is not UTF-8", () =>
    Effect.gen(function*() {
      const packed = Buffer.concat([Buffer.from("parameters\0\0"), deflateSync("d\u00E9tail 猫")])
      for (const chunk of [textChunk("tEXt", Buffer.from("parameters\0d\u00E9tail 猫")), textChunk("zTXt", packed)]) {
        assert.strictEqual((yield* readMetadata(yield* pngWith(chunk))).infotext, "détail 猫")
      }
      const cut = Buffer.concat([Buffer.from("parameters\0\0\0\0\0"), Buffer.from("猫").subarray(0, 2)])
      assert.include(
        (yield* Effect.flip(readMetadata(yield* pngWith(textChunk("iTXt", cut))))).message,
        "not valid UTF-8"
      )
    }))

  it.effect("writes Latin-1 that reads as UTF-8 by chance so that it is read as it was", () =>
    Effect.gen(function*() {
      for (const text of ["Ã© cat", "é cat", "猫"]) {
        assert.strictEqual((yield* readMetadata(yield* withInfotext(yield* formats.png, text))).infotext, text)
      }
    }))

  it.effect("prefers EXIF to a chunk, and a chunk to a comment", () =>
    Effect.gen(function*() {
      const [exif, parameters, comment] = [
        textChunk("eXIf", Exif.fromUserComment("from EXIF")),
        textChunk("tEXt", "parameters\0from a chunk"),
        textChunk("tEXt", "comment\0from a comment")
      ]
      assert.strictEqual((yield* readMetadata(yield* pngWith(comment, parameters, exif))).infotext, "from EXIF")
      assert.strictEqual((yield* readMetadata(yield* pngWith(comment, parameters))).infotext, "from a chunk")
      assert.strictEqual((yield* readMetadata(yield* pngWith(comment))).infotext, "from a comment")
      const empty = textChunk("eXIf", Exif.fromUserComment(""))
      assert.strictEqual((yield* readMetadata(yield* pngWith(parameters, empty))).infotext, "from a chunk")
    }))

  const novelAi = (comment: string) =>
    pngWith(
      textChunk("tEXt", "Software\0NovelAI"),
      textChunk("tEXt", "Description\0a cat, {best quality}"),
      textChunk("tEXt", `Comment\0${comment}`)
    )

  it.effect("turns what NovelAI writes into an infotext", () =>
    Effect.gen(function*() {
      const { infotext = "", items } = yield* readMetadata(
        yield* novelAi(`{"steps":28,"sampler":"k_dpmpp_2m","seed":123,"strength":0.7,"scale":11.0,"uc":"bad, ugly"}`)
      )
      assert.strictEqual(
        infotext,
        "a cat, {best quality}\nNegative prompt: bad, ugly\n" +
          "Steps: 28, Sampler: DPM++ 2M, CFG scale: 11.0, Seed: 123, Size: 17x9, Clip skip: 2, ENSD: 31337"
      )
      assert.strictEqual(Infotext.parse(infotext).fields["Clip skip"], "2")
      assert.deepStrictEqual(Object.keys(items), ["Software", "Description", "Comment"])
      const other = yield* novelAi(`{"steps":28,"sampler":"new","seed":1,"scale":5,"uc":""}`)
      assert.include((yield* readMetadata(other)).infotext, "Sampler: Euler a")
      const large = yield* novelAi(`{"steps":28,"sampler":"new","seed":6302954713490123530,"scale":5,"uc":""}`)
      assert.include((yield* readMetadata(large)).infotext, "Seed: 6302954713490123530, ")
    }))

  it.effect.each(["", "{}", "not JSON", `{"steps":"x"}`])(
    "leaves what it does not know of NovelAI: %j",
    (comment) =>
      Effect.gen(function*() {
        assert.isUndefined((yield* readMetadata(yield* novelAi(comment))).infotext)
      })
  )

  it.effect("refuses texts that would unpack to more than 4 MB together", () =>
    Effect.gen(function*() {
      const packed = deflateSync(Buffer.alloc(1.5 * 1024 * 1024))
      const bomb = (i: number) => textChunk("zTXt", Buffer.concat([Buffer.from(`key${i}\0\0`), packed]))
      assert.lengthOf(Object.keys((yield* readMetadata(yield* pngWith(bomb(1), bomb(2)))).items), 2)
      const error = yield* Effect.flip(readMetadata(yield* pngWith(bomb(1), bomb(2), bomb(3))))
      assert.strictEqual(error._tag, "ImageCodecError")
      const plain = textChunk("tEXt", Buffer.concat([Buffer.from("key\0"), Buffer.alloc(5_000_000, "a")]))
      assert.match((yield* Effect.flip(readMetadata(yield* pngWith(plain)))).message, /longer than 4 MB/)
      const many = Array.from({ length: 1001 }, (_, i) => textChunk("tEXt", Buffer.from(`key${i}\0a`)))
      assert.match((yield* Effect.flip(readMetadata(yield* pngWith(...many)))).message, /more than 1000 texts/)
    }))
})

describe("readMetadata, user comments", () => {
  const text = "a cat\nSteps: 2, Sampler: Euler a, Seed: 5"
  const le = (text: string) => Buffer.from(text, "utf16le")
  const be = (text: string) => Buffer.from(text, "utf16le").swap16()

  it.each<readonly [string, Uint8Array, string]>([
    ["UTF-16, big-endian", coded("UNICODE\0", be(infotext)), infotext],
    ["UTF-16, little-endian", coded("UNICODE\0", le(infotext)), infotext],
    ["UTF-16, little-endian, marked", coded("UNICODE\0", le("\uFEFF猫")), "猫"],
    ["UTF-16, big-endian, marked", coded("UNICODE\0", be("\uFEFF猫")), "猫"],
    ["UTF-16 of no ASCII", coded("UNICODE\0", be("猫犬")), "猫犬"],
    ["UTF-16 with half a character", coded("UNICODE\0", Buffer.concat([be(text), Buffer.of(0)])), text],
    ["another spelling of the code", coded("Unicode\0", be(text)), text],
    ["ASCII", coded("ASCII\0\0\0", text), text],
    ["ASCII that is UTF-8", coded("ASCII\0\0\0", infotext), infotext],
    ["ASCII with zeros behind", coded("ASCII\0\0\0", `${text}\0\0`), text],
    ["JIS", coded("JIS\0\0\0\0\0", Uint8Array.of(0x83, 0x65, 0x61)), "テa"],
    ["no code", coded("\0".repeat(8), infotext), infotext],
    ["no code at all", Buffer.from(infotext), infotext],
    ["UTF-8 under UNICODE, as Exif 3 has it", coded("UNICODE\0", infotext), infotext],
    ["the same with zeros behind", coded("UNICODE\0", `${infotext}\0\0`), infotext],
    ["UTF-16 of no ASCII, little-endian", coded("UNICODE\0", le("猫と犬の写真")), "猫と犬の写真"],
    ["ASCII that is UTF-16", coded("ASCII\0\0\0", le(infotext)), infotext],
    ["ASCII that is Windows-1252", coded("ASCII\0\0\0", Buffer.from("d\xE9tail", "latin1")), "détail"],
    ["JIS with escapes", coded("JIS\0\0\0\0\0", Buffer.from("\x1B$B%F\x1B(Ba", "latin1")), "テa"],
    ["JIS that is UTF-8", coded("JIS\0\0\0\0\0", "猫"), "猫"],
    ["nothing", coded("UNICODE\0", ""), ""],
    ["four bytes", Buffer.from("cat\0"), "cat"]
  ])("reads %s", (_, comment, expected) => {
    for (const order of ["II", "MM"] as const) {
      assert.strictEqual(Exif.readUserComment(block(comment, order)), expected)
      assert.strictEqual(Exif.readUserComment(Buffer.concat([Exif.prefix, block(comment, order)])), expected)
    }
  })

  it.effect("are refused when they are no text, unless the file has another", () =>
    Effect.gen(function*() {
      const lone = block(coded("UNICODE\0", Buffer.alloc(6, 0xD8)), "MM")
      assert.isUndefined(Exif.readUserComment(lone))
      const exif = textChunk("eXIf", lone)
      const error = yield* Effect.flip(readMetadata(yield* pngWith(exif)))
      assert.include(error.message, "EXIF user comment")
      assert.strictEqual(
        (yield* readMetadata(yield* pngWith(exif, textChunk("tEXt", "parameters\0a cat")))).infotext,
        "a cat"
      )
    }))

  it.effect.each(["jpeg", "webp", "avif", "png"] as const)(
    "reads what sharp writes into %s files",
    (format) =>
      Effect.gen(function*() {
        const written = yield* file(image().withExif({ IFD2: { UserComment: text } })[format]())
        assert.deepStrictEqual(yield* readMetadata(written), { infotext: text, items: {} })
      })
  )

  it.effect("has none in an AVIF file without EXIF, and fails for a damaged one", () =>
    Effect.gen(function*() {
      const avif = yield* file(image().avif())
      assert.deepStrictEqual(yield* readMetadata(avif), { infotext: undefined, items: {} })
      assert.strictEqual((yield* Effect.flip(readMetadata(avif.subarray(0, 40))))._tag, "ImageCodecError")
    }))

  it.prop("never fails on damaged blocks", [Schema.Uint8Array, Schema.Uint8Array], ([noise, more]) => {
    for (const order of ["II", "MM"] as const) {
      const damaged = block(coded("UNICODE\0", be(text)), order).slice()
      damaged.set(noise.subarray(0, 40), 4)
      Exif.readUserComment(damaged)
      Exif.readUserComment(damaged.subarray(0, noise.length))
      Exif.readUserComment(Buffer.concat([Buffer.from(`${order}*\0`), noise, more]))
    }
    Exif.readUserComment(noise)
  }, { arbitrary: { runs: 500 } })
})

describe("readMetadata, comments", () => {
  const block = (bytes: string) => [...Buffer.from([bytes.length]), ...Buffer.from(bytes, "latin1")]
  const gifWith = (gif: Uint8Array, extension: ReadonlyArray<number>) => {
    const colours = ((gif[10] ?? 0) & 0x80) === 0 ? 0 : 3 * 2 ** (((gif[10] ?? 0) & 7) + 1)
    return Buffer.concat([gif.subarray(0, 13 + colours), Uint8Array.from(extension), gif.subarray(13 + colours)])
  }

  it.effect("reads the comment of a GIF file, in one block or more", () =>
    Effect.gen(function*() {
      const gif = yield* file(image().gif())
      assert.deepStrictEqual(yield* readMetadata(gif), { infotext: undefined, items: {} })
      const commented = gifWith(gif, [0x21, 0xFE, ...block("a c"), ...block("at \xC3\xA9"), 0])
      assert.deepStrictEqual(yield* readMetadata(commented), { infotext: "a cat é", items: { comment: "a cat é" } })
      assert.deepStrictEqual(yield* pixels(commented), yield* pixels(gif))
    }))

  it.effect("reads a comment behind the images, and takes one next to EXIF for another text", () =>
    Effect.gen(function*() {
      const gif = yield* file(image().gif())
      const commented = Buffer.concat([gif.subarray(0, -1), Uint8Array.from([0x21, 0xFE, ...block("x"), 0, 0x3B])])
      assert.strictEqual((yield* readMetadata(commented)).infotext, "x")
      const jpeg = yield* withInfotext(yield* formats.jpeg, infotext)
      const both = Buffer.concat([jpeg.subarray(0, 2), Uint8Array.of(0xFF, 0xFE, 0, 4, 104, 105), jpeg.subarray(2)])
      assert.deepStrictEqual(yield* readMetadata(both), { infotext, items: { comment: "hi" } })
      const french = Buffer.concat([jpeg.subarray(0, 2), Uint8Array.of(0xFF, 0xFE, 0, 4, 0xE9, 0x21), jpeg.subarray(2)])
      assert.deepStrictEqual((yield* readMetadata(french)).items, { comment: "é!" })
    }))
})

describe("readMetadata, of anything", () => {
  it.effect("gives a typed error for bytes that are no image", () =>
    Effect.gen(function*() {
      const png = yield* formats.png
      const jpeg = yield* formats.jpeg
      const webp = yield* formats["lossy webp"]
      const gif = yield* file(image().gif())
      const damaged = [
        new Uint8Array(),
        Buffer.from("hello"),
        Buffer.from("GIF89a"),
        png.subarray(0, 8),
        png.subarray(0, 50),
        jpeg.subarray(0, 3),
        jpeg.subarray(0, 30),
        webp.subarray(0, 30),
        gif.subarray(0, 20),
        Buffer.concat([jpeg.subarray(0, 2), Uint8Array.of(0xFF, 0xE0, 0, 1)])
      ]
      for (const bytes of damaged) {
        const error = yield* Effect.flip(readMetadata(bytes))
        assert.strictEqual(error._tag, "ImageCodecError")
        assert.isNotEmpty(error.reason)
      }
    }))

  it.effect.prop(
    "gives texts or a typed error, for any damage",
    [Schema.Uint8Array, Schema.Int],
    ([noise, at]) =>
      Effect.gen(function*() {
        const files: Array<Uint8Array> = [yield* file(image().gif()), yield* file(image().avif({ effort: 0 }))]
        for (const name of names) files.push(yield* withInfotext(yield* formats[name], infotext))
        for (const whole of files) {
          const damaged = whole.slice()
          const place = 4 + Math.abs(at) % (whole.length - 4)
          damaged.set(noise.subarray(0, whole.length - place), place)
          for (const bytes of [damaged, whole.subarray(0, place)]) {
            yield* Effect.ignore(readMetadata(bytes))
            yield* Effect.ignore(withInfotext(bytes, infotext))
          }
        }
      }),
    { arbitrary: { runs: 30 } }
  )

  it.effect("reads many megabytes of small chunks in no time", () =>
    Effect.gen(function*() {
      const chunk = textChunk("prVt", "k\0v")
      const png = yield* pngWith(Buffer.concat(Array.from({ length: 300_000 }, () => chunk)))
      const before = process.threadCpuUsage()
      yield* readMetadata(png)
      const { user } = process.threadCpuUsage(before)
      // Microseconds of this thread alone, however busy the machine is.
      assert.isBelow(user, 5_000_000)
    }))
})

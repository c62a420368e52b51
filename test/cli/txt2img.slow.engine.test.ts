import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"
import sharp from "sharp"
import { readMetadata, withInfotext } from "../../src/images/Metadata.ts"
import { PlainEncoder } from "../../src/testing/index.ts"
import { serena, withEnvironment } from "./command.ts"
import { filesIn, lines, temporaryFolder } from "./process.ts"

const png = (bytes: Uint8Array) => Buffer.from(bytes.subarray(1, 4)).toString("latin1")

describe("serena txt2img", () => {
  it.live("prints a line of JSON for each image that is not saved, too", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const small = ["--outdir", outdir, "--steps", "1", "--width", "64", "--height", "64", "--quiet", "--seed", "5"]
      const unsaved = ["--set", "samples_save=false"]
      const [json, text] = yield* Effect.all([
        serena(["txt2img", "a star", ...small, ...unsaved, "--json", "--batch-size", "2"]),
        serena(["txt2img", "a star", ...small, ...unsaved])
      ])
      assert.deepStrictEqual(
        lines(json.stdout).map((line) => JSON.parse(line)).map(({ path, seed }) => ({ path, seed })),
        [{ path: null, seed: 5 }, { path: null, seed: 6 }]
      )
      assert.deepStrictEqual(text, { code: 0, stdout: "", stderr: "" })
      assert.deepStrictEqual(yield* filesIn(outdir), [])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("writes images where it says, and info reads them back", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const outdir = yield* temporaryFolder
      const { code, stderr, stdout } = yield* serena(
        [
          "txt2img",
          "a green star",
          "--outdir",
          outdir,
          "--steps",
          "3",
          "--seed",
          "5",
          "--batch-size",
          "2",
          "--format",
          "PNG",
          "--json"
        ]
      )
      assert.strictEqual(code, 0, stderr)
      const pictures = lines(stdout).map((line) => JSON.parse(line))
      assert.deepStrictEqual(pictures.map(({ seed }) => seed), [5, 6])
      assert.deepStrictEqual(
        (yield* filesIn(outdir)).map((name) => `${outdir}/${name}`),
        pictures.map(({ path }) => path)
      )
      for (const { height, infotext, path, width } of pictures) {
        assert.strictEqual(png(yield* fs.readFile(path)), "PNG")
        assert.deepStrictEqual({ height, width }, { height: 128, width: 128 })
        assert.match(infotext, /^a green star\nSteps: 3, Sampler: Euler/)
      }
      assert(lines(stderr).every((line) => line.startsWith("Progress: ")), stderr)

      const paths = pictures.map(({ path }) => path)
      const [text, json, both, bothJson] = yield* Effect.all(
        [
          serena(["info", pictures[0].path]),
          serena(["info", "--json", pictures[1].path]),
          serena(["info", paths[0], `${outdir}/missing.png`, paths[1]]),
          serena(["info", "--json", ...paths])
        ],
        { concurrency: 2 }
      )
      assert.strictEqual(both.code, 1)
      assert.strictEqual(
        both.stdout,
        `${paths[0]}\n${pictures[0].infotext}\n\n${paths[1]}\n${pictures[1].infotext}\n`
      )
      assert.strictEqual(both.stderr, `${outdir}/missing.png: there is no such file. Check the path.\n`)
      assert.deepStrictEqual(lines(bothJson.stdout).map((line) => JSON.parse(line).file), paths)
      assert.deepStrictEqual(text, { code: 0, stdout: `${pictures[0].infotext}\n`, stderr: "" })
      const { infotext, items, parameters } = JSON.parse(json.stdout)
      assert.deepStrictEqual({ infotext, items }, { infotext: pictures[1].infotext, items: {} })
      assert.deepInclude(parameters, { Prompt: "a green star", Seed: "6", "Size-1": "128", "Clip skip": "1" })
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("makes an image again from what it tells, but for what the flags say", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const outdir = yield* temporaryFolder
      const make = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
        const { code, stderr, stdout } = yield* serena([...args, "--outdir", outdir, "--quiet", "--threads", "1"])
        assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
        const path = stdout.trim()
        const bytes = yield* fs.readFile(path)
        return { path, bytes, infotext: (yield* readMetadata(bytes)).infotext ?? "" }
      })
      const first = yield* make(
        "txt2img",
        "a green star, \"big\": é 猫",
        ..."--negative-prompt red --steps 4 --cfg-scale 3.5 --seed 9 --width 96 --height 112".split(" "),
        "--sampler",
        "DPM++ 2M Karras"
      )
      const jpeg = `${outdir}/picture.jpg`
      const pixels = yield* Effect.promise(async () => new Uint8Array(await sharp(first.bytes).jpeg().toBuffer()))
      yield* fs.writeFile(jpeg, yield* withInfotext(pixels, first.infotext))
      const [again, fromJpeg, other, rough] = yield* Effect.all([
        make("txt2img", "--from", first.path),
        make("demo", "--from", jpeg),
        make("txt2img", "--from", first.path, "--seed", "5"),
        make("txt2img", "--from", first.path, "--precision", "int8")
      ], { concurrency: 2 })
      assert.notStrictEqual(again.path, first.path)
      assert.deepStrictEqual(again.bytes, first.bytes)
      assert.deepStrictEqual(fromJpeg.bytes, first.bytes)
      assert.strictEqual(other.infotext, first.infotext.replace("Seed: 9", "Seed: 5"))
      assert.notDeepEqual(other.bytes, first.bytes)

      assert.match(rough.infotext, /, Precision: int8, /)
      assert.strictEqual(rough.infotext.replace(", Precision: int8", ""), first.infotext)
      const [roughAgain, exact] = yield* Effect.all([
        make("txt2img", "--from", rough.path),
        make("txt2img", "--from", rough.path, "--precision", "Automatic")
      ], { concurrency: 2 })
      assert.deepStrictEqual(roughAgain.bytes, rough.bytes)
      assert.deepStrictEqual(exact.bytes, first.bytes)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("takes seeds of 64 bits with all of their digits, from a flag and from an image", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const picture = fileURLToPath(new URL("../cases/seed-64bit/seed.png", import.meta.url))
      const seed = "6302954713490123530"
      for (
        const args of [
          ["--from", picture, "--batch-size", "2"],
          ["a green star", "--steps", "1", "--width", "64", "--height", "64", "--seed", seed, "--batch-size", "2"]
        ]
      ) {
        const { code, stderr, stdout } = yield* serena(["txt2img", ...args, "--json", "--quiet", "--outdir", outdir])
        assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
        const images = lines(stdout).map((line) => JSON.parse(line))
        assert.deepStrictEqual(images.map(({ seed }) => seed), [seed, "6302954713490123531"])
        assert.include(images[1].infotext, "Seed: 6302954713490123531, Size: 64x64")
        assert.include(images[0].path, `-${seed}`)
      }
      const beyond = yield* serena(["txt2img", "--seed", "18446744073709551616", "--outdir", outdir])
      assert.strictEqual(beyond.code, 2)
      assert.include(beyond.stderr, "--seed: 18446744073709551616 is out of range: -2^63 to 2^64 - 1")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("names by its flag what an image tells and cannot be made, and says what is not the same", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const raster = { data: new Uint8Array(3), width: 1, height: 1, channels: 3 } as const
      const bytes = yield* PlainEncoder.encode({ raster, infotext: "" })
      const save = Effect.fnUntraced(function*(name: string, infotext: string) {
        yield* fs.writeFile(`${folder}/${name}`, yield* withInfotext(bytes, infotext))
        return `${folder}/${name}`
      })
      const bad = yield* save("bad.png", "Steps: many, Sampler: Euler, CFG scale: 7, Size: 4096x64, ENSD: x, Seed: 1")
      const wrong = yield* serena(["txt2img", "--from", bad, "--threads", "-1"])
      assert.deepStrictEqual({ code: wrong.code, stdout: wrong.stdout }, { code: 2, stdout: "" })
      assert.lengthOf(lines(wrong.stderr), 1)
      for (
        const problem of [
          `--steps: the infotext of ${bad} says Steps: "many"`,
          "--width: 4096",
          `; the infotext of ${bad} says Size: "4096"`,
          `--from: the infotext of ${bad} says ENSD: "x", which is not a whole number; give another with --set eta_noise_`,
          "--threads: "
        ]
      ) {
        assert.include(wrong.stderr, problem)
      }
      const foreign = yield* save(
        "foreign.png",
        "a heart\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Model hash: 535cf750e0, Model: tiny, " +
          "Face restoration: CodeFormer"
      )
      const { code, stderr } = yield* serena(["txt2img", "--from", foreign, "--steps", "1", "--outdir", folder])
      assert.strictEqual(code, 0, stderr)
      assert.include(stderr, "Warning: Faces were restored (Face restoration).")
      assert.match(
        stderr,
        /Warning: the image was generated with tiny 535cf750e0, not with shapes-128 \w+\. .*--model\.\n/
      )
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("leaves nothing behind when the folder cannot be used", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const outdir = yield* temporaryFolder
      const file = `${outdir}/file`
      yield* fs.writeFileString(file, "in the way")
      // The folder of the day is a file. Tomorrow's as well, should midnight strike.
      const today = yield* DateTime.now
      for (const day of [today, DateTime.add(today, { days: 1 })]) {
        const local = DateTime.formatIsoDate(DateTime.setZone(day, DateTime.zoneMakeLocal()))
        yield* fs.writeFileString(`${outdir}/${local}`, "in the way")
      }
      const before = yield* fs.readDirectory(outdir)
      const [inTheWay, notAFolder] = yield* Effect.all([
        serena(["txt2img", "--steps", "1", "--quiet", "--outdir", outdir]),
        serena(["txt2img", "--steps", "1", "--quiet", "--outdir", file])
      ], { concurrency: 2 })
      assert.deepStrictEqual({ code: inTheWay.code, stdout: inTheWay.stdout }, { code: 1, stdout: "" })
      assert.lengthOf(lines(inTheWay.stderr), 1)
      assert.match(inTheWay.stderr, /^The image was not saved in .*--outdir, .*\n$/)
      assert.strictEqual(notAFolder.code, 2)
      assert.include(notAFolder.stderr, "--outdir: ")
      assert.deepStrictEqual(yield* fs.readDirectory(outdir), before)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("shows what it can do in a demo that takes the same flags", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const { code, stderr, stdout } = yield* serena(
        ["demo", "--outdir", outdir, "--prompt", "a green star", "--seed", "3", "--steps", "2"]
      ).pipe(withEnvironment({ npm_lifecycle_event: "start" }))
      assert.strictEqual(code, 0, stderr)
      const [path = ""] = lines(stdout)
      assert.match(path, /-3\.png$/)
      assert.include(stderr, path)
      assert.include(stderr, "npm run --silent serena -- txt2img")
      assert.include(stderr, `serena -- info "${path}"`)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

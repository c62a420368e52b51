import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Stdio from "effect/Stdio"
import { contactSheet } from "../../src/cli/contactSheet.ts"
import { sheet } from "../../src/cli/drawContactSheet.ts"
import { crop, filled, type Raster } from "../../src/core/Raster.ts"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { label, labelSize } from "../../src/images/Label.ts"
import { readMetadata } from "../../src/images/Metadata.ts"
import { Limits } from "../../src/processing/Limits.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"

/** Runs the command and gives what it printed. */
const run = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const console = yield* Console.Console
  yield* Command.runWith(contactSheet, { version: "1" })(args).pipe(
    Effect.provideService(Console.Console, {
      ...console,
      log: (line: string) => void stdout.push(line),
      error: (line: string) => void stderr.push(line)
    })
  )
  return { stdout, stderr }
})

// Progress is drawn where nobody sees it.
const layer = Layer.mergeAll(NodeServices.layer, ImageDecoder.layer, Stdio.layerTest({}))

const temporaryFile = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  return `${yield* fs.makeTempDirectoryScoped()}/sheet.png`
})

/** The rows of a label with "#" for what is white. */
const shown = ({ data, height, width }: Raster) =>
  Array.from(
    { length: height },
    (_, y) => Array.from({ length: width }, (_, x) => data[(y * width + x) * 3] === 255 ? "#" : ".").join("")
  )

describe("a label", () => {
  it("is drawn with five by seven pixels a letter, and one more below the line", () => {
    assert.deepStrictEqual(shown(label("a+")), [
      ".............",
      ".............",
      ".........#...",
      "..###....#...",
      ".....#.#####.",
      "..####...#...",
      ".#...#...#...",
      "..####.......",
      "............."
    ])
    assert.deepStrictEqual(shown(label("y")).slice(-3), ["..####.", ".....#.", "..###.."])
    assert.deepStrictEqual(labelSize("a+"), { width: 13, height: 9 })
  })

  it("has another shape for every character that can be typed, and a box for others", () => {
    const typed = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))
    const shapes = new Set(typed.map((character) => shown(label(character)).join("\n")))
    assert.strictEqual(shapes.size, 94)
    const box = shown(label("猫"))
    assert.isFalse(shapes.has(box.join("\n")))
    assert.deepStrictEqual(shown(label("😀")), box)
    assert.isTrue(shown(label(" ")).every((row) => row === "......."))
  })

  it("grows in whole pixels", () => {
    const large = label("R", { scale: 3 })
    assert.deepStrictEqual([large.width, large.height], [21, 27])
    const small = shown(label("R"))
    assert.deepStrictEqual(
      shown(large),
      small.flatMap((row) => Array.from({ length: 3 }, () => row.replaceAll(/./g, "$&$&$&")))
    )
  })

  it("is centred in a width, and cut at the end where it is wider", () => {
    assert.deepStrictEqual(shown(label("i", { width: 11 })), shown(label("i")).map((row) => `..${row}..`))
    assert.deepStrictEqual(shown(label("ab", { width: 7 })), shown(label("ab")).map((row) => row.slice(0, 7)))
  })
})

describe("a sheet", () => {
  it("has every image with its name under it", () => {
    const pictures = [50, 100, 150].map((value) => ({
      name: `no ${value}`,
      raster: filled({ width: 64, height: 32 }, 3, value)
    }))
    const raster = sheet(pictures)
    assert.deepStrictEqual([raster.width, raster.height], [3 * 68, 32 + 9 + 4])
    for (const [i, picture] of pictures.entries()) {
      const left = 68 * i
      assert.deepStrictEqual(crop(raster, { left, top: 0, right: left + 64, bottom: 32 }), picture.raster)
      assert.deepStrictEqual(
        crop(raster, { left, top: 33, right: left + 64, bottom: 42 }),
        label(picture.name, { width: 64 })
      )
    }
  })

  it("is as wide as its names where the images are small, and writes larger where they are large", () => {
    const of = (side: number) => sheet([{ name: "Align Your Steps", raster: filled({ width: side, height: side }, 3) }])
    assert.strictEqual(of(8).width, labelSize("Align Your Steps").width + 4)
    assert.strictEqual(of(512).height, 512 + 4 + 5 * 9)
    assert.deepStrictEqual(sheet([]).data.length, 0)
  })
})

describe("serena contact-sheet", () => {
  it.live("makes one image of all samplers, and says how the first was made", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const out = yield* temporaryFile
      const { stderr, stdout } = yield* run("a red ring", "--steps", "2", "--size", "32", "--out", out)
      assert.deepStrictEqual(stdout, [out])
      assert.deepStrictEqual(
        stderr.filter((line) => line.includes(" of 21)")),
        Samplers.all.map(({ name }, i) => `${name} (${i + 1} of 21)`)
      )
      const bytes = yield* fs.readFile(out)
      const { infotext = "" } = yield* readMetadata(bytes)
      assert.match(infotext, /^a red ring\nSteps: 2, Sampler: DPM\+\+ 2M, .*CFG scale: 4.0, Seed: 1, Size: 32x32/)
      const { decode } = yield* ImageDecoder
      const raster = yield* decode(bytes, Limits.make({}))
      const width = labelSize("DPM++ 2M SDE Heun").width + 4
      assert.deepStrictEqual([raster.width, raster.height], [7 * width, 3 * (32 + 9 + 4)])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("makes one of all schedules with one sampler, all from one seed, the same bytes for the same seed", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [one, again] = [yield* temporaryFile, yield* temporaryFile]
      const args = ["--schedules", "--sampler", "Euler a", "--steps", "2", "--size", "32"]
      const { stderr } = yield* run(...args, "--seed", "-1", "--out", one, "--quiet")
      assert.deepStrictEqual(stderr, [])
      const { infotext = "" } = yield* readMetadata(yield* fs.readFile(one))
      const [, seed = ""] = /Sampler: Euler a, .*Seed: (\d+)/.exec(infotext) ?? []
      const told = yield* run(...args, "--seed", seed, "--out", again)
      assert.deepStrictEqual(
        told.stderr.filter((line) => line.includes(" of 12)")),
        Schedules.all.map(({ label }, i) => `${label} (${i + 1} of 12)`)
      )
      assert.deepStrictEqual(yield* fs.readFile(again), yield* fs.readFile(one))
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("names each flag that is wrong once, and makes nothing that it cannot write", () =>
    Effect.gen(function*() {
      const wrong = yield* Effect.flip(run("--steps", "x", "--size", "7", "--seed", "1.5", "--cfg-scale", "2000"))
      assert(wrong._tag === "InvalidProcessing")
      assert.deepStrictEqual(wrong.problems.map(({ path }) => path).toSorted(), [
        "--cfg-scale",
        "--seed",
        "--size",
        "--steps"
      ])
      const size = yield* Effect.flip(run("--size", "44", "--quiet"))
      assert(size._tag === "InvalidProcessing")
      assert.lengthOf(size.problems, 1)
      assert.match(size.problems[0]?.message ?? "", /^44 is not a multiple of/)
      assert.strictEqual(size.problems[0]?.path, "--size")
      const sampler = yield* Effect.flip(run("--schedules", "--sampler", "Eulr", "--quiet"))
      assert.strictEqual(sampler._tag, "UnknownSampler")
      const file = yield* Effect.flip(run("--out", `${yield* temporaryFile}/x.png`))
      assert(file._tag === "UnusableFile")
      assert.match(file.message, /x\.png: the file cannot be written: \w+\. Name another with --out\.$/)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

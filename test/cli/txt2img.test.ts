import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { filesIn, lines, serena, temporaryFolder } from "./process.ts"

const png = (bytes: Uint8Array) => Buffer.from(bytes.subarray(1, 4)).toString("latin1")

describe("serena txt2img", () => {
  it.live("writes pictures where it says, and info reads them back", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const outdir = yield* temporaryFolder
      const { code, stderr, stdout } = yield* serena(
        ["txt2img", "a green star", "--outdir", outdir, "--steps", "3", "--seed", "5", "--batch-size", "2", "--json"]
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

      const [text, json] = yield* Effect.all(
        [serena(["info", pictures[0].path]), serena(["info", "--json", pictures[1].path])],
        { concurrency: 2 }
      )
      assert.deepStrictEqual(text, { code: 0, stdout: `${pictures[0].infotext}\n`, stderr: "" })
      assert.deepStrictEqual(JSON.parse(json.stdout), { infotext: pictures[1].infotext })
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("makes the same bytes for the same seed, beside another process in the same folder", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const outdir = yield* temporaryFolder
      const run = serena(
        ["txt2img", "--prompt", "a red ring", "--outdir", outdir, "--steps", "3", "--seed", "9", "--n-iter", "3", "-q"]
      )
      const [one, other] = yield* Effect.all([run, run], { concurrency: 2 })
      for (const { code, stderr } of [one, other]) assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      const [mine, yours] = [lines(one.stdout), lines(other.stdout)]
      assert.strictEqual(new Set([...mine, ...yours]).size, 6)
      assert.lengthOf(yield* filesIn(outdir), 6)
      for (const [i, path] of mine.entries()) {
        assert.deepStrictEqual(yield* fs.readFile(path), yield* fs.readFile(yours[i] ?? ""))
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("leaves nothing behind when the folder cannot be used, and survives a reader that hangs up", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [outdir, elsewhere] = [yield* temporaryFolder, yield* temporaryFolder]
      const file = `${outdir}/file`
      yield* fs.writeFileString(file, "in the way")
      // The folder of the day is a file. Tomorrow's as well, should midnight strike.
      const today = yield* DateTime.now
      for (const day of [today, DateTime.add(today, { days: 1 })]) {
        const local = DateTime.formatIsoDate(DateTime.setZone(day, DateTime.zoneMakeLocal()))
        yield* fs.writeFileString(`${outdir}/${local}`, "in the way")
      }
      const before = yield* fs.readDirectory(outdir)
      const [inTheWay, notAFolder, hungUp] = yield* Effect.all([
        serena(["txt2img", "--steps", "1", "--quiet", "--outdir", outdir]),
        serena(["txt2img", "--steps", "1", "--quiet", "--outdir", file]),
        serena(["txt2img", "--steps", "1", "--quiet", "--outdir", elsewhere], { closed: true })
      ], { concurrency: 2 })
      assert.deepStrictEqual({ code: inTheWay.code, stdout: inTheWay.stdout }, { code: 1, stdout: "" })
      assert.lengthOf(lines(inTheWay.stderr), 1)
      assert.match(inTheWay.stderr, /^The image was not saved in .*--outdir\.\n$/)
      assert.strictEqual(notAFolder.code, 2)
      assert.include(notAFolder.stderr, "--outdir: ")
      assert.deepStrictEqual(yield* fs.readDirectory(outdir), before)
      assert.deepStrictEqual({ code: hungUp.code, stderr: hungUp.stderr }, { code: 0, stderr: "" })
      assert.lengthOf(yield* filesIn(elsewhere), 1)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("shows what it can do in a demo that takes the same flags", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const { code, stderr, stdout } = yield* serena(
        ["demo", "--outdir", outdir, "--prompt", "a green star", "--seed", "3", "--steps", "2"],
        { env: { npm_lifecycle_event: "start" } }
      )
      assert.strictEqual(code, 0, stderr)
      const [path = ""] = lines(stdout)
      assert.match(path, /-3\.png$/)
      assert.include(stderr, path)
      assert.include(stderr, "npm run --silent serena -- txt2img")
      assert.include(stderr, `serena -- info "${path}"`)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { execFileSync } from "node:child_process"
import { version } from "../../src/version.ts"
import { filesIn, lines, serena, temporaryFolder } from "./process.ts"

describe("the serena process", () => {
  it.live("tells in a sentence that Node is too old", () =>
    Effect.gen(function*() {
      const pretend = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.19.4'})"
      const { code, stderr, stdout } = yield* serena(["--version"], { node: ["--import", pretend] })
      assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
      assert.match(stderr, /^Serena needs Node\.js 22\.19 or newer, and this is 20\.19\.4\..*\n$/)
    }))

  it.live("exits with 0, 1 or 2, and keeps results and mistakes apart", () =>
    Effect.gen(function*() {
      const number = yield* serena(["--version"])
      assert.deepStrictEqual({ code: number.code, stderr: number.stderr }, { code: 0, stderr: "" })
      assert.include(number.stdout, version)
      const flag = yield* serena(["txt2img", "--stepz", "3"])
      assert.deepStrictEqual({ code: flag.code, stdout: flag.stdout }, { code: 2, stdout: "" })
      assert.include(flag.stderr, "There is no flag --stepz. Did you mean --steps?")
      const missing = yield* serena(["info", "missing.png"])
      assert.deepStrictEqual({ code: missing.code, stdout: missing.stdout }, { code: 1, stdout: "" })
      assert.lengthOf(lines(missing.stderr), 1)
    }))

  it.live("prints completions that bash can read", () =>
    Effect.gen(function*() {
      const { stdout } = yield* serena(["--completions", "bash"])
      assert.include(stdout, "--negative-prompt")
      execFileSync("bash", ["-n"], { input: stdout })
    }))

  it.live("writes paths to standard output, and progress to standard error", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const { code, stderr, stdout } = yield* serena(["txt2img", "a star", "--steps", "3", "--outdir", outdir])
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(lines(stdout), (yield* filesIn(outdir)).map((name) => `${outdir}/${name}`))
      assert.isAbove(lines(stderr).length, 0)
      assert(lines(stderr).every((line) => line.startsWith("Progress: ")), stderr)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("makes the same bytes for the same seed, next to another process in the same folder", () =>
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

  it.live("survives a reader that hangs up", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const { code, stderr } = yield* serena(["txt2img", "--steps", "1", "--quiet", "--outdir", outdir], {
        closed: true
      })
      assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      assert.lengthOf(yield* filesIn(outdir), 1)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

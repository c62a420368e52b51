import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { filesIn, lines, start, temporaryFolder } from "./process.ts"

const sentence = "Stopping after this step; press Ctrl-C again to stop at once."

describe("a signal", () => {
  it.live("ends a run after the step, and what is whole is saved", () => {
    const stops = Effect.fnUntraced(function*(signal: "SIGINT" | "SIGTERM", exit: number) {
      const outdir = yield* temporaryFolder
      const run = yield* start(
        ["txt2img", "a heart", "--outdir", outdir, "--steps", "30", "--n-iter", "100", "--seed", "1"]
      )
      // The first line comes after two seconds, by when several of the pictures are there.
      yield* run.said(/batch [2-9]/)
      yield* run.send(signal)
      yield* run.said(new RegExp(sentence))
      const { code, stderr, stdout } = yield* run.end
      assert.strictEqual(code, exit, stderr)
      const saved = yield* filesIn(outdir)
      assert.isAtLeast(saved.length, 1)
      assert.isBelow(saved.length, 100)
      assert.deepStrictEqual(lines(stdout), saved.map((name) => `${outdir}/${name}`))
      assert.include(stderr, `Stopped: saved ${saved.length} of 100 images.`)
      assert.notMatch(stderr, /\n {4}at /)
    })
    return Effect.all([stops("SIGINT", 130), stops("SIGTERM", 143)], { concurrency: 2 }).pipe(
      Effect.provide(NodeFileSystem.layer)
    )
  })

  it.live("that comes twice ends a run without waiting for its images", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      // One step takes longer than a second, so that the run is still in it when the second signal comes.
      const run = yield* start(
        "txt2img a-heart --steps 150 --width 256 --height 256 --batch-size 16 --threads 1".split(" ").concat(
          "--outdir",
          outdir
        )
      )
      yield* run.said(/Progress: /)
      yield* run.send("SIGINT")
      yield* run.said(new RegExp(sentence))
      // Presses that come together count as one, so this is somebody who presses until told that it was heard.
      const presses = Effect.repeat(run.send("SIGINT"), Schedule.spaced("300 millis"))
      yield* Effect.raceFirst(run.said(/Stopping at once\./), presses)
      const { code, stderr, stdout } = yield* run.end
      assert.strictEqual(code, 130, stderr)
      assert.strictEqual(stdout, "")
      assert.deepStrictEqual(yield* filesIn(outdir), [])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("that comes twice ends a run that hangs, as when a disk no longer answers", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const hangs = `
        import fs from "node:fs"
        import { syncBuiltinESMExports } from "node:module"
        fs.link = () => {
          process.stderr.write("It hangs.\\n")
          setInterval(() => {}, 1000)
        }
        syncBuiltinESMExports()
      `
      const run = yield* start(["txt2img", "a heart", "--outdir", outdir, "--steps", "1"], {
        node: ["--import", `data:text/javascript,${encodeURIComponent(hangs)}`]
      })
      yield* run.said(/It hangs\./)
      yield* run.send("SIGTERM")
      yield* run.said(new RegExp(sentence))
      const presses = Effect.repeat(run.send("SIGTERM"), Schedule.spaced("300 millis"))
      yield* Effect.raceFirst(run.said(/Stopping at once\./), presses)
      const { code, stderr, stdout } = yield* run.end
      assert.strictEqual(code, 143, stderr)
      assert.strictEqual(stdout, "")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { filesIn, start, temporaryFolder } from "./process.ts"

/** The last chunk of every PNG file. */
const end = Buffer.from("0000000049454e44ae426082", "hex")

describe("A command that is killed", () => {
  it.live("loses only the batch in flight: every file that is there is whole", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const outdir = yield* temporaryFolder
      const run = yield* start(["txt2img", "a heart", "--outdir", outdir, "--steps", "30", "--n-iter", "100"])
      // By then the first two batches are written: of the third, at most the file is open.
      yield* run.said(/batch [4-9]/)
      yield* run.send("SIGKILL")
      yield* run.end
      const saved = (yield* filesIn(outdir)).filter((name) => name.endsWith(".png"))
      assert.isAtLeast(saved.length, 2)
      assert.isBelow(saved.length, 100)
      for (const name of saved) {
        const bytes = yield* fs.readFile(`${outdir}/${name}`)
        assert.isTrue(end.equals(bytes.subarray(-end.length)), name)
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { unpack } from "../models/checkpoint/data.ts"
import { serena } from "./command.ts"
import { lines, temporaryFolder } from "./process.ts"

describe("a checkpoint in a models folder", () => {
  it.live("makes images with nothing next to it, by its name with or without ending", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("checkpoints/sd1-full-vocabulary.safetensors")
      const outdir = yield* temporaryFolder
      const run = ["txt2img", "a cat", "--models-dir", folder, "--outdir", outdir, "--quiet"]
      const size = ["--steps", "1", "--width", "64", "--height", "64", "--seed", "1"]
      for (const model of ["sd1-full-vocabulary", "sd1-full-vocabulary.safetensors"]) {
        const { code, stderr, stdout } = yield* serena([...run, ...size, "--model", model])
        assert.deepStrictEqual({ code, stderr, files: lines(stdout).length }, { code: 0, stderr: "", files: 1 })
      }
      const listed = yield* serena(["models", "--models-dir", folder])
      assert.match(listed.stdout, /^sd1-full-vocabulary +checkpoint +sd1 /m)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

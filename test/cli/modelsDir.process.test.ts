import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { checkpoint, saved } from "../models/checkpoint/savedTensors.ts"
import { embedded } from "../models/fixtures.ts"
import { lines, serena, temporaryFolder } from "./process.ts"

describe("the folder ./models", () => {
  it.live.each(["sd15", "sd2-v", "sdxl"])("needs nothing but a checkpoint in it: %s", (name) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const cwd = yield* fs.realPath(yield* temporaryFolder)
      yield* fs.makeDirectory(`${cwd}/models`)
      yield* fs.writeFile(`${cwd}/models/some.safetensors`, saved(checkpoint(name)))
      const size = ["--steps", "1", "--width", "64", "--height", "64", "--quiet"]
      const { code, stderr, stdout } = yield* serena(["txt2img", "a cat in the rain", ...size], { cwd })
      assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      const [image = ""] = lines(stdout)
      assert.include(new TextDecoder("latin1").decode(yield* fs.readFile(image)), ", Model: some,")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("is used when it holds models, and only then", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const cwd = yield* fs.realPath(yield* temporaryFolder)
      yield* fs.makeDirectory(`${cwd}/models/notes`, { recursive: true })
      const without = yield* serena(["models", "--names"], { cwd })
      assert.deepStrictEqual(lines(without.stdout), ["shapes-128"])
      // A checkpoint there is named, rather than passed over for the embedded model.
      yield* fs.writeFileString(`${cwd}/models/sd.safetensors`, "x")
      for (const model of [[], ["--model", "models/sd.safetensors"]]) {
        const { code, stderr, stdout } = yield* serena(["txt2img", "a star", ...model], { cwd })
        assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
        assert.match(stderr, /sd\.safetensors.*: it has 1 bytes, which is no safetensors file/)
      }
      yield* fs.remove(`${cwd}/models/sd.safetensors`)
      yield* fs.symlink(embedded, `${cwd}/models/mine`)
      const used = yield* serena(["models", "--json"], { cwd })
      assert.include(lines(used.stdout)[0], `"folder":"${cwd}/models/mine"`)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

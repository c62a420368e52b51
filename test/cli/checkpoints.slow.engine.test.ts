import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { contents, unpack } from "../models/checkpoint/data.ts"
import { checkpoint, saved } from "../models/checkpoint/savedTensors.ts"
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

  it.live("takes a VAE by a setting or next to it, and the same one again from the image", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const file = (name: string) => `${folder}/${name}.safetensors`
      yield* fs.writeFile(file("sd15"), saved(checkpoint("sd15")))
      for (const [name, vae] of [["soft", "diffusers"], ["sd15.vae", "original-with-training-keys"]]) {
        yield* fs.writeFile(file(name ?? ""), contents(`vaes/${vae}.safetensors`))
      }
      const made = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
        const { code, stderr, stdout } = yield* serena([
          "txt2img",
          ...args,
          "--models-dir",
          folder,
          "--outdir",
          `${folder}/out`,
          "--quiet"
        ])
        assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
        const [image = ""] = lines(stdout)
        const { stdout: infotext } = yield* serena(["info", image])
        return { image, bytes: yield* fs.readFile(image), infotext }
      })
      const size = ["a cat", "--steps", "1", "--width", "64", "--height", "64", "--seed", "1"]
      const near = yield* made(...size)
      assert.match(near.infotext, /, VAE hash: [0-9a-f]{10}, VAE: sd15\.vae\.safetensors,/)
      const chosen = yield* made(...size, "--set", "sd_vae=soft")
      assert.match(chosen.infotext, /, VAE hash: [0-9a-f]{10}, VAE: soft\.safetensors,/)
      const again = yield* made("--from", chosen.image)
      assert.deepStrictEqual(again.bytes, chosen.bytes)
      assert.notDeepEqual(near.bytes, chosen.bytes)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Sharp from "sharp"
import { unpack } from "../models/checkpoint/data.ts"
import { largestDifference } from "../models/numbers.ts"
import { serena } from "./command.ts"
import { lines } from "./process.ts"

describe("serena models optimize", () => {
  it.live("makes networks that runs open from then on, says what they take, and takes them away", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack("checkpoints/sd1-full-vocabulary.safetensors")
      const places = ["--models-dir", `${folder}/checkpoints`, "--data-dir", `${folder}/data`]
      const models = (...args: ReadonlyArray<string>) => serena(["models", ...args, ...places])
      const name = "sd1-full-vocabulary"
      const pixels = Effect.fnUntraced(function*(...more: ReadonlyArray<string>) {
        const size = ["--steps", "2", "--seed", "1", "--width", "64", "--height", "64", "--model", name]
        const output = ["--set", `outdir_samples=${folder}/out`, "--quiet"]
        const made = yield* serena(["txt2img", "a cat", ...size, ...more, ...places, ...output])
        assert.strictEqual(made.code, 0, made.stderr)
        return Float32Array.from(
          yield* Effect.promise(() => Sharp.default(lines(made.stdout)[0]).raw().toBuffer())
        )
      })
      const shown = Effect.map(models("show", name, "--json"), ({ stdout }) => JSON.parse(stdout).optimized)

      const plain = yield* pixels()
      assert.deepStrictEqual(yield* shown, [])
      const made = yield* models("optimize", name, "--json")
      assert.strictEqual(made.code, 0, made.stderr)
      assert.match(
        made.stderr,
        /^Optimising sd1-full-vocabulary: up to [\d.]+ MB in .*optimized, and up to [\d.]+ MB of mem/
      )
      assert.match(made.stderr, /^1\. text_encoder/m)
      const { networks, size } = JSON.parse(made.stdout)
      assert.deepStrictEqual(
        yield* shown,
        networks.map(({ network, size }: { network: string; size: number }) => ({ network, size, valid: true }))
      )
      assert.isAtMost(largestDifference(yield* pixels(), plain), 1)
      assert.isAtMost(largestDifference(yield* pixels("--lowvram"), plain), 1)

      assert.match((yield* models("optimize", name)).stdout, /^unet +[\d.]+ [kM]B +\(was there\)$/m)
      const removed = JSON.parse((yield* models("optimize", name, "--remove", "--json")).stdout)
      assert.deepStrictEqual([removed.removed, removed.size], [3, size])
      assert.deepStrictEqual(yield* shown, [])
      assert.deepStrictEqual(yield* fs.readDirectory(`${folder}/data/optimized`), [])

      const none = yield* models("optimize", "sd1-full")
      assert.strictEqual(none.code, 1)
      assert.include(none.stderr, "has this name or hash.")
      assert.include((yield* models("optimize", "shapes-128")).stderr, "it is a folder of exported networks")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

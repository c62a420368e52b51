import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { createHash } from "node:crypto"
import { contents, unpack } from "../models/checkpoint/data.ts"
import { serena } from "./command.ts"
import { lines } from "./process.ts"

const sha256 = (name: string) => createHash("sha256").update(contents(name)).digest("hex")
const sd2 = "checkpoints/sd2-v.safetensors"
const lora = "adapters/sdxl-kohya.safetensors"

describe("serena models show", () => {
  it.live("says what a file is and why, what it predicts, its hashes and what is ignored, by name or hash", () =>
    Effect.gen(function*() {
      const folder = yield* unpack(sd2, lora)
      const show = (name: string, ...more: ReadonlyArray<string>) =>
        serena(["models", "show", name, "--models-dir", folder, ...more])
      const text = yield* show("sd2-v")
      assert.strictEqual(text.code, 0, text.stderr)
      assert.match(text.stdout, /^kind +checkpoint$/m)
      assert.match(text.stdout, /^family +sd2$/m)
      assert.match(text.stdout, /^because +the UNet's projections are linear, its text is 48 wide/m)
      assert.match(text.stdout, /^prediction +v_prediction: the standard deviation of /m)
      assert.match(text.stdout, new RegExp(`^hash +${sha256(sd2).slice(0, 10)}$`, "m"))
      assert.match(text.stdout, /^ignored +1: the projection of the pooled text/m)
      const byHash = yield* show(sha256(sd2).slice(0, 10), "--json")
      assert.strictEqual(JSON.parse(byHash.stdout).name, "sd2-v")
      const about = JSON.parse((yield* show("sdxl-kohya.safetensors", "--json")).stdout)
      assert.deepStrictEqual([about.kind, about.family, about.sha256], ["lora", "sdxl", sha256(lora)])
      const none = yield* show("sdxl-koyha")
      assert.strictEqual(none.code, 1)
      assert.include(none.stderr, `sdxl-koyha: nothing in ${folder}`)
      assert.include(none.stderr, "Did you mean \"sdxl-kohya\"?")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

describe("serena models verify", () => {
  it.live("reads every file whole and fails with those that are damaged", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack(sd2, lora)
      const verify = (...more: ReadonlyArray<string>) => serena(["models", "verify", "--models-dir", folder, ...more])
      const good = yield* verify()
      assert.strictEqual(good.code, 0, good.stderr)
      assert.deepStrictEqual(lines(good.stdout), [
        `${folder}/${lora}  ${sha256(lora)}`,
        `${folder}/${sd2}  ${sha256(sd2)}`
      ])
      // A cache of the hub names files by their checksum.
      const wrong = "0".repeat(64)
      yield* fs.rename(`${folder}/${lora}`, `${folder}/${wrong}`)
      yield* fs.symlink(`${folder}/${wrong}`, `${folder}/${lora}`)
      yield* fs.truncate(`${folder}/${sd2}`, 100_000)
      const bad = yield* verify("--json")
      assert.strictEqual(bad.code, 1)
      assert.include(bad.stderr, "2 of 2 are damaged")
      const found = lines(bad.stdout).map((line) => JSON.parse(line))
      assert.deepStrictEqual(found.map(({ ok }) => ok), [false, false])
      assert.match(found[0].problem, /checksum/)
      assert.match(found[1].problem, /truncated/)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { safetensors } from "../models/hub/files.ts"
import { sha256, start as startHub } from "../models/hub/HubServer.ts"
import { filesIn, serena, start, temporaryFolder } from "./process.ts"

const half = 1 << 20
const weights = safetensors({ "lora_unet_a.lora_up.weight": [half, 1] }, 7)

// Waits until a partial file has more than so many bytes.
const arrived = (folder: string, bytes: number): Effect.Effect<void, never, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    for (;;) {
      const names = yield* Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => [])
      for (const name of names.filter((name) => name.endsWith(".partial"))) {
        const stat = yield* Effect.option(fs.stat(`${folder}/${name}`))
        if (stat._tag === "Some" && Number(stat.value.size) > bytes) return
      }
      yield* Effect.sleep("20 millis")
    }
  })

describe("serena models pull", () => {
  it.live("continues after a kill with what had arrived, and prints where the model is", () =>
    Effect.gen(function*() {
      const cwd = yield* FileSystem.FileSystem.use((fs) => Effect.flatMap(temporaryFolder, fs.realPath))
      const stalls = [0, half]
      const { endpoint, requests } = yield* startHub({
        "owner/name": { files: { "a.safetensors": { bytes: weights, isLarge: true, stalls } } }
      })
      const options = { cwd, env: { HF_ENDPOINT: endpoint } }
      const args = ["models", "pull", "owner/name/a.safetensors", "--json"]
      const killed = yield* start(args, options)
      yield* arrived(`${cwd}/models`, half - 1)
      // A second process keeps out of its way.
      const second = yield* serena(args, options)
      assert.deepStrictEqual([second.code, second.stdout], [1, ""])
      assert.match(second.stderr, /another process is fetching a.safetensors/)
      yield* killed.send("SIGKILL")
      yield* killed.end
      const { code, stderr, stdout } = yield* serena(args, options)
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(JSON.parse(stdout), {
        file: `${cwd}/models/a.safetensors`,
        kind: "lora",
        family: null,
        size: weights.length,
        sha256: sha256(weights),
        verified: true,
        downloaded: true,
        problem: null
      })
      assert.strictEqual(requests.at(-1)?.headers.range, `bytes=${half}-`)
      assert.deepStrictEqual(yield* filesIn(cwd), ["models/a.safetensors"])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("says that there is no room, and keeps what has arrived", () =>
    Effect.gen(function*() {
      const cwd = yield* FileSystem.FileSystem.use((fs) => Effect.flatMap(temporaryFolder, fs.realPath))
      const { endpoint } = yield* startHub({
        "owner/name": { files: { "a.safetensors": { bytes: weights, isLarge: true } } }
      })
      const env = { HF_ENDPOINT: endpoint }
      const args = ["models", "pull", "owner/name", "--to", "kept", "--quiet"]
      // No file may be larger than a megabyte.
      const limited = ["sh", "-c", "ulimit -f 2048; exec \"$@\"", "sh"] as const
      const full = yield* serena(args, { cwd, env, through: limited })
      assert.strictEqual(full.code, 1)
      assert.match(full.stderr, /owner\/name: .*the file is larger than allowed here/)
      const { code, stdout } = yield* serena(args, { cwd, env })
      assert.deepStrictEqual([code, stdout], [0, `${cwd}/kept/a.safetensors\n`])
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

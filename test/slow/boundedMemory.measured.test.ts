import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../server/serveMain.ts", import.meta.url))

/** A server of the embedded model that may hold so many MiB, until the scope closes. */
const serving = Effect.fnUntraced(function*(maxMemory: number) {
  const args = [main, "--port", "0", "--max-memory", `${maxMemory}`]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"], cwd: tmpdir() })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const url = yield* Effect.promise(() =>
    new Promise<string>((resolve) => {
      let output = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text
        const [found] = /https?:\S+/.exec(output) ?? []
        if (found !== undefined) resolve(found)
      })
    })
  )
  /** A row of the process's status, in MiB. */
  const memory = (row: "VmRSS" | "VmHWM") => {
    const [, kilobytes] = new RegExp(`^${row}:\\s*(\\d+) kB`, "m")
      .exec(readFileSync(`/proc/${child.pid}/status`, "utf8")) ?? []
    return Number(kilobytes) / 1024
  }
  const make = (side: number, fields: object = {}) =>
    Effect.promise(async () => {
      const response = await fetch(`${url}/sdapi/v1/txt2img`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          prompt: "a red circle",
          seed: 1,
          steps: 1,
          width: side,
          height: side,
          override_settings: { samples_save: false, live_previews_enable: false },
          ...fields
        })
      })
      return { status: response.status, text: await response.text() }
    })
  return { make, memory }
})

describe.runIf(process.platform === "linux")("a server with --max-memory", () => {
  it.live("makes what fits within it, refuses the rest with numbers, and gives back what a large image took", () =>
    Effect.gen(function*() {
      const most = 900
      const { make, memory } = yield* serving(most)
      assert.strictEqual((yield* make(128)).status, 200)
      const before = memory("VmRSS")

      // Scores of attention alone would take 4 GiB for each row. In slices both rows take less than a tenth of that.
      assert.strictEqual((yield* make(1024)).status, 200)
      assert.isBelow(memory("VmHWM"), most)
      assert.isBelow(memory("VmRSS"), before + 450)

      // The VAE's features of so many pixels are too much for it, unless it works in tiles.
      for (const batch_size of [1, 4]) {
        const override_settings = { samples_save: false, vae_tile_threshold: 0 }
        const refused = yield* make(2048, { batch_size, override_settings })
        assert.strictEqual(refused.status, 422, refused.text)
        assert.match(refused.text, /(sampling|decoding) 2048x2048 pixels with shapes-128 needs [01]\.\d+ GiB/)
        assert.match(refused.text, /and 0\.\d+ GiB is available\..*--max-memory/)
      }
      assert.isBelow(memory("VmHWM"), most)
      assert.strictEqual((yield* make(128)).status, 200)
    }))
})

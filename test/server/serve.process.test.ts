import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("serveMain.ts", import.meta.url))

/** Starts `serena serve`; gives its address, and how it ends. */
const start = (args: ReadonlyArray<string>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) => {
      let output = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => output += text)
      let errors = ""
      child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text)
      const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
      const address = new Promise<string>((resolve) =>
        child.stdout.on("data", () => {
          const url = /https?:\S+/.exec(output)?.[0]
          if (url !== undefined) resolve(url)
        })
      )
      return {
        child,
        address: Effect.promise(() => address),
        ended: Effect.map(Effect.promise(() => ended), (code) => ({ code, errors, output }))
      }
    }
  )

describe("serena serve", () => {
  it.live("says where it listens, answers, and ends in peace when it is asked to", () =>
    Effect.gen(function*() {
      const { address, child, ended } = yield* start(["--port", "0"])
      const url = yield* address
      const ready = yield* Effect.promise(() => fetch(`${url}/health/ready`))
      assert.deepStrictEqual(yield* Effect.promise(() => ready.json()), { status: "ready" })
      child.kill("SIGTERM")
      const { code, errors } = yield* ended
      assert.strictEqual(code, 0)
      assert.match(errors, /Stopping\./)
    }))

  it.live("names every flag that is wrong, and does not start", () =>
    Effect.gen(function*() {
      const { ended } = yield* start(["--port", "x", "--queue", "-1", "--device", "abacus", "--max-width", "0"])
      const { code, errors } = yield* ended
      assert.strictEqual(code, 2)
      for (const flag of ["--port", "--queue", "--device", "--max-width"]) assert.include(errors, `${flag}: `)
    }))

  it.live("does not listen to others without sign-in, unless somebody insists", () =>
    Effect.gen(function*() {
      const { ended } = yield* start(["--listen", "--port", "0"])
      const { code, errors } = yield* ended
      assert.strictEqual(code, 2)
      assert.match(errors, /--api-auth.*--insecure/)
      const { address } = yield* start(["--listen", "--port", "0", "--insecure"])
      assert.match(yield* address, /^http:\/\/0\.0\.0\.0:\d+$/)
    }))
})

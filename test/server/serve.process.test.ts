import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { mkdtemp, readdir, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { embedded } from "../models/fixtures.ts"
import { assertAnswers, samplesIn } from "../runs/dashboard.ts"
import { freePort, knock } from "./sockets.ts"

const main = fileURLToPath(new URL("serveMain.ts", import.meta.url))

const folder = Effect.acquireRelease(
  Effect.promise(async () => realpath(await mkdtemp(join(tmpdir(), "serena-serve-")))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** Starts `serena serve` with a data folder of its own; gives its address, and how it ends. */
const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(folder, (data) =>
        spawn(process.execPath, [main, ...args], {
          env: { ...process.env, SERENA_DATA_DIR: data, ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })),
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
      const data = yield* folder
      const { address, child, ended } = yield* start(["--port", "0"], { SERENA_DATA_DIR: data })
      const url = yield* address
      const ready = yield* Effect.promise(() => fetch(`${url}/health/ready`))
      assert.deepStrictEqual(yield* Effect.promise(() => ready.json()), { status: "ready" })
      child.kill("SIGTERM")
      const { code, errors, output } = yield* ended
      assert.strictEqual(code, 0)
      assert.include(output, `Settings are kept in ${data}/settings.json`)
      assert.match(errors, /Stopping\./)
    }))

  it.live("says what is in the models folder and does not load", () =>
    Effect.gen(function*() {
      const models = yield* folder
      yield* Effect.promise(() => symlink(embedded, join(models, "shapes")))
      yield* Effect.promise(() => writeFile(join(models, "dream.safetensors"), "weights"))
      const { address, child, ended } = yield* start(["--port", "0", "--models-dir", models])
      yield* address
      child.kill("SIGTERM")
      const { code, errors } = yield* ended
      assert.strictEqual(code, 0)
      assert.match(errors, /level=WARN.* message="Not used: .*dream\.safetensors \(.* no safetensors file.*\)\."/)
    }))

  it.live("names every flag that is wrong, and does not start", () =>
    Effect.gen(function*() {
      const { ended } = yield* start(["--port", "x", "--queue", "-1", "--device", "abacus", "--max-width", "0"])
      const { code, errors } = yield* ended
      assert.strictEqual(code, 2)
      for (const flag of ["--port", "--queue", "--device", "--max-width"]) assert.include(errors, `${flag}: `)
    }))

  it.live("does not listen to others without sign-in, unless someone insists", () =>
    Effect.gen(function*() {
      const { ended } = yield* start(["--listen", "--port", "0"])
      const { code, errors } = yield* ended
      assert.strictEqual(code, 2)
      assert.match(errors, /--api-auth.*--insecure/)
      const { address } = yield* start(["--listen", "--port", "0", "--insecure"])
      assert.match(yield* address, /^http:\/\/0\.0\.0\.0:\d+$/)
    }))

  it.live("keeps settings in its data folder, also when it is killed, and shares it with no other server", () =>
    Effect.gen(function*() {
      const data = yield* folder
      const args = ["--port", "0", "--data-dir", `${data}/made/for/it`]
      const file = `${data}/made/for/it/settings.json`
      const first = yield* start(args)
      const url = yield* first.address
      const change = { method: "POST", body: JSON.stringify({ jpeg_quality: 91 }) }
      assert.strictEqual((yield* Effect.promise(() => fetch(`${url}/sdapi/v1/options`, change))).status, 200)

      const second = yield* Effect.flatMap(start(args), ({ ended }) => ended)
      assert.strictEqual(second.code, 2)
      assert.include(second.errors, `process ${first.child.pid}`)
      assert.match(second.errors, /Stop it, or .*--data-dir/)

      first.child.kill("SIGKILL")
      assert.include((yield* first.ended).output, `Settings are kept in ${file}`)
      const third = yield* start(args)
      const next = yield* third.address
      const options: unknown = yield* Effect.promise(async () => (await fetch(`${next}/sdapi/v1/options`)).json())
      assert.strictEqual(Reflect.get(Object(options), "jpeg_quality"), 91)
      third.child.kill("SIGTERM")
      assert.strictEqual((yield* third.ended).code, 0)
      const kept = yield* Effect.promise(() => readdir(`${data}/made/for/it`))
      // By now the hash of its model may be known, too.
      assert.sameMembers(kept.filter((name) => name !== "hashes"), ["blobs", "runs.sqlite", "settings.json"])
    }))

  it.live("has the data folder of the user where none is named, or none that can be used", () =>
    Effect.gen(function*() {
      const data = yield* folder
      const user = { SERENA_DATA_DIR: "", XDG_DATA_HOME: data }
      const started = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>) {
        const { address, child, ended } = yield* start(["--port", "0"], env)
        yield* address
        child.kill("SIGTERM")
        return yield* ended
      })
      assert.include((yield* started(user)).output, `Settings are kept in ${data}/serena/settings.json`)
      const none = yield* started({ ...user, XDG_DATA_HOME: main })
      assert.include(none.output, "Settings are in memory only")
      assert.match(none.errors, /There is no data folder: nothing can be saved in .*--data-dir or SERENA_DATA_DIR/)
      const wrong = yield* Effect.flatMap(start(["--port", "0"], { SERENA_DATA_DIR: main }), ({ ended }) => ended)
      assert.strictEqual(wrong.code, 2)
      assert.include(wrong.errors, `SERENA_DATA_DIR: nothing can be saved in ${main}`)
    }))

  it.live.each([["text", []], ["JSON", ["--log-json"]]] as const)(
    "writes one line for each request, as %s, and none for health checks",
    ([, flags]) =>
      Effect.gen(function*() {
        const { address, child, ended } = yield* start(["--port", "0", ...flags])
        const url = yield* address
        const asked = ["/health/live", "/health/ready", "/internal/ping", "/v1/runs/nobody?secret=1", "/v1/models"]
        for (const path of asked) {
          const response = yield* Effect.promise(() => fetch(url + path, { headers: { "x-request-id": "mine" } }))
          yield* Effect.promise(() => response.arrayBuffer())
        }
        child.kill("SIGTERM")
        const { errors, output } = yield* ended
        const lines = (errors + output).split("\n").filter((line) => line.includes("mine"))
        const fields = lines.map((line) =>
          flags.length > 0
            ? JSON.parse(line).annotations
            : Object.fromEntries(
              [...line.matchAll(/(\S+?)=(?:"([^"]*)"|(\S*))/g)].map(([, name, a, b]) => [name, a ?? b])
            )
        )
        assert.deepStrictEqual(
          fields.map((line) => [line["http.method"], line["http.path"], Number(line["http.status"])]),
          [["GET", "/v1/runs/nobody", 404], ["GET", "/v1/models", 200]]
        )
        for (const line of fields) assert.isAtLeast(Number(line["http.seconds"]), 0)
        assert.notInclude(lines.join(""), "secret")
      })
  )

  it.live("shows its metrics without sign-in where it is asked to, those that the dashboard asks for", () =>
    Effect.gen(function*() {
      const { address, child, ended } = yield* start(["--port", "0", "--metrics", "--api-keys", "12345678"])
      const url = yield* address
      const request = (path: string, init: RequestInit = {}) =>
        Effect.promise(async () => {
          const reply = await fetch(url + path, { ...init, headers: { "x-request-id": "mine", ...init.headers } })
          return { status: reply.status, type: reply.headers.get("content-type"), text: await reply.text() }
        })
      assert.strictEqual((yield* request("/v1/status")).status, 401)
      const body = JSON.stringify({ prompt: "a heart", steps: 1, width: 64, height: 64, task_id: "first" })
      const headers = { authorization: "Bearer 12345678", "content-type": "application/json" }
      assert.strictEqual((yield* request("/v1/runs", { method: "POST", body, headers })).status, 202)
      assert.include((yield* request("/v1/runs/first/events", { headers })).text, "event: done")
      const { status, text, type } = yield* request("/metrics")
      assert.deepStrictEqual([status, type], [200, "text/plain; version=0.0.4; charset=utf-8"])
      const samples = samplesIn(text)
      assertAnswers(samples)
      const counted = ["serena_queue_runs{state=\"done\"}", "serena_queue_taken_total", "serena_images_total"]
      assert.deepStrictEqual(counted.map((name) => samples.get(name)), [1, 1, 1])
      child.kill("SIGTERM")
      assert.notInclude((yield* ended).errors, "/metrics")
    }))

  it.live("answers every request that it accepts, from the first moment", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const { address } = yield* start(["--port", String(port)])
      // Knocks without a pause until the server has answered a hundred times.
      let answered = 0
      while (answered < 100) {
        const answer = yield* knock(port, "/v1/status")
        if (answer === undefined) continue
        assert.match(answer, /^HTTP\/1\.1 200 /)
        answered++
      }
      yield* address
    }))

  it.live("ends in peace from its first answer on, while it is still looking through its models", () =>
    Effect.gen(function*() {
      const models = yield* folder
      yield* Effect.promise(() =>
        Promise.all(
          Array.from({ length: 300 }, (_, index) => writeFile(join(models, `${index}.safetensors`), "weights"))
        )
      )
      const port = yield* freePort
      const { child, ended } = yield* start(["--port", String(port), "--models-dir", models])
      while ((yield* knock(port, "/health/live")) === undefined) { /* it does not listen yet */ }
      child.kill("SIGTERM")
      const { code, errors } = yield* ended
      assert.strictEqual(code, 0, errors)
    }))

  it.live("works where nothing can be written to the folder of temporary files", () =>
    Effect.gen(function*() {
      const place = yield* folder
      // Where a file is, every attempt to write below it fails, as on a full disk.
      const full = `${place}/full`
      yield* Effect.promise(() => writeFile(full, ""))
      const { address } = yield* start(["--port", "0", "--outdir", `${place}/out`], { TMPDIR: full })
      const url = yield* address
      const body = { prompt: "a red circle", steps: 1, width: 64, height: 64, save_images: true }
      const reply = yield* Effect.promise(() =>
        fetch(`${url}/sdapi/v1/txt2img`, { method: "POST", body: JSON.stringify(body) })
      )
      assert.strictEqual(reply.status, 200)
      yield* Effect.promise(() => reply.arrayBuffer())
      const saved = yield* Effect.promise(() => readdir(`${place}/out`, { recursive: true }))
      assert.lengthOf(saved.filter((name) => name.endsWith(".png")), 1)
    }))
})

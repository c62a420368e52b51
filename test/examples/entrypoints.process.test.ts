import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import sharp from "sharp"
import { folderWith, lines, run, runEach, start } from "./reader.ts"

class Folder extends Context.Service<Folder, string>()("test/Folder") {}

const folder = Layer.effect(Folder, folderWith("entrypoints"))

const sizeOf = (png: string | Uint8Array) =>
  Effect.promise(async () => {
    const { format, height, width } = await sharp(png).metadata()
    return { format, height, width }
  })

layer(folder, { excludeTestServices: true })("an entrypoint", (it) => {
  it.effect("that is a script ends with 0 and prints where the image is", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run(yield* Folder, ["script.mts", "a yellow star"])
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(yield* sizeOf(stdout.trim()), { format: "png", height: 128, width: 128 })
    }))

  it.effect("that is a script ends with 1 when the run fails, and says why", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run(yield* Folder, ["script.mts", "x".repeat(100_001)])
      assert.strictEqual(code, 1)
      assert.include(stdout + stderr, "prompt: 100001 is over the limit of 100000 bytes")
    }))

  it.effect("that is a server of node:http answers, refuses, and ends the run of a client that goes away", () =>
    Effect.gen(function*() {
      const server = yield* start(yield* Folder, "http.mts", { PORT: "0" })
      const [, port] = yield* server.said(/"port":(\d+)/)
      const post = (body: string, signal?: AbortSignal) =>
        fetch(`http://127.0.0.1:${port}/`, { method: "POST", body, signal: signal ?? null })

      const good = yield* Effect.promise(() => post(JSON.stringify({ prompt: "a circle", steps: 2, width: 64 })))
      assert.strictEqual(good.status, 200)
      assert.strictEqual(good.headers.get("content-type"), "image/png")
      const png = new Uint8Array(yield* Effect.promise(() => good.arrayBuffer()))
      assert.deepStrictEqual(yield* sizeOf(png), { format: "png", height: 128, width: 64 })

      for (
        const [body, reason] of [
          ["{", "this is not JSON"],
          ["{\"steps\":0}", "steps: Expected a value greater"],
          ["{\"sampler_name\":\"Yuler\"}", "Did you mean \"Euler\"?"]
        ] as const
      ) {
        const bad = yield* Effect.promise(() => post(body))
        assert.strictEqual(bad.status, 400)
        assert.include(yield* Effect.promise(() => bad.text()), reason)
      }

      const client = new AbortController()
      const left = post(JSON.stringify({ prompt: "a ring", steps: 150, n_iter: 50 }), client.signal).then(
        () => "answered",
        () => "left"
      )
      yield* server.said(/started: a ring/)
      client.abort()
      assert.strictEqual(yield* Effect.promise(() => left), "left")
      yield* server.said(/the client disconnected/)

      yield* server.send("SIGTERM")
      const { code, stderr } = yield* server.end
      assert.strictEqual(code, 0, stderr)
    }))

  it.effect("that is a handler ends the run when its stream is cancelled", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run(yield* Folder, "gone.mts")
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(lines(stdout), ["runs: 1", "runs: 0"])
    }))

  it.effect("that is a handler, a worker on a queue, or a thread gives what it was asked for", () =>
    Effect.gen(function*() {
      const folder = yield* Folder
      const { stdout: [handler, queue, thread] } = yield* runEach(folder, ["events.mts", "queue.mts", "images.mts"])
      assert.deepStrictEqual(handler, [
        "progress: true",
        "event: images",
        "data: [\"iVBORw0KGgoAAAAN",
        "event: failed",
        "data: \"The request cannot be processed. Correct steps: Expected a value greater than or equal to 1.\""
      ])
      assert.deepStrictEqual(queue, ["one: 1", "two: UnknownSampler", "three: 2"])
      assert.deepStrictEqual(thread, ["No sampler is named \"Yuler\". Did you mean \"Euler\"? Kn"])
      const png = yield* Effect.promise(() => readFile(join(folder, "diamond.png")))
      assert.deepStrictEqual(yield* sizeOf(png), { format: "png", height: 128, width: 128 })
    }))
})

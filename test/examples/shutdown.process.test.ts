import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { globSync } from "node:fs"
import { folderWith, lines, type Running, start } from "./reader.ts"

const decodePaths = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.mutable(Schema.Array(Schema.String))))

const pngsIn = (folder: string) => globSync("outputs/**/*.png", { cwd: folder })

/** Sends SIGTERM, and gives how the process ended and how long that took. */
const terminate = Effect.fnUntraced(function*(running: Running) {
  const began = yield* Clock.currentTimeMillis
  yield* running.send("SIGTERM")
  const ended = yield* running.end
  return { ...ended, took: (yield* Clock.currentTimeMillis) - began }
})

describe("SIGTERM", { concurrent: true }, () => {
  it.live("lets a worker end its run: it saves the images of its run and exits with 0", () =>
    Effect.gen(function*() {
      const folder = yield* folderWith("shutdown")
      const worker = yield* start(folder, "worker.mts")
      yield* worker.said(/Progress: .*step/)
      const { code, stderr, stdout } = yield* terminate(worker)
      assert.strictEqual(code, 0, stderr)
      const saved = pngsIn(folder)
      assert.isAtLeast(saved.length, 1)
      // The second run was not started.
      assert.deepStrictEqual(lines(stdout), [`saved ${saved.length} images`])
      assert.isAtMost(saved.length, 50)
    }))

  it.live("lets a server end its runs: it saves the images, answers with them, and exits with 0", () =>
    Effect.gen(function*() {
      const folder = yield* folderWith("shutdown")
      const server = yield* start(folder, "service.mts", { PORT: "0" })
      const [, port] = yield* server.said(/"port":(\d+)/)
      const body = JSON.stringify({ prompt: "a ring", steps: 50, n_iter: 50 })
      const answer = fetch(`http://127.0.0.1:${port}/`, { method: "POST", body }).then((response) => response.text())
      yield* server.said(/Progress: .*step/)
      const { code, stderr } = yield* terminate(server)
      assert.strictEqual(code, 0, stderr)
      const saved = pngsIn(folder)
      assert.isAtLeast(saved.length, 1)
      assert.isBelow(saved.length, 50)
      assert.sameMembers(decodePaths(yield* Effect.promise(() => answer)), saved.map((path) => `${folder}/${path}`))
    }))

  it.live("interrupts a run that does not end when it is asked to", () =>
    Effect.gen(function*() {
      const stubborn = yield* start(yield* folderWith("shutdown"), "stubborn.mts")
      yield* stubborn.said(/hanging/)
      const { stdout, took } = yield* terminate(stubborn)
      assert.deepStrictEqual(lines(stdout), ["hanging", "interrupted"])
      assert.isAtLeast(took, 190)
    }))
})

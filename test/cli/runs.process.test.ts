import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { lines, serena, start, temporaryFolder } from "./process.ts"

const state = Effect.fnUntraced(function*(data: string, id: string) {
  const { stderr, stdout } = yield* serena(["runs", "show", id, "--json", "--data-dir", data])
  assert.strictEqual(stderr, "")
  const run: { readonly state: string } = JSON.parse(stdout)
  return run.state
})

describe("serena runs and a server", () => {
  it.live("share a data folder: the server hears what the command asks, and what it leaves can be read", () =>
    Effect.gen(function*() {
      const data = yield* temporaryFolder
      const server = yield* start(["serve", "--port", "0", "--data-dir", data])
      const url = yield* server.printed(/http:\S+/)
      const submit = (body: object) =>
        Effect.promise(async (): Promise<string> => {
          const response = await fetch(`${url}/v1/runs`, { method: "POST", body: JSON.stringify(body) })
          return JSON.parse(await response.text()).id
        })
      const endless = yield* submit({ prompt: "a ring", steps: 150, n_iter: 100 })
      const waiting = yield* submit({ prompt: "a star", steps: 1 })
      const { stdout } = yield* serena(["runs", "list", "--data-dir", data])
      assert.deepStrictEqual(lines(stdout).slice(1).map((line) => line.slice(0, 8)), [
        waiting.slice(0, 8),
        endless.slice(0, 8)
      ])
      const cancelled = yield* serena(["runs", "cancel", endless.slice(0, 8), "--data-dir", data])
      assert.strictEqual(cancelled.stdout, `${endless} was asked to end\n`)
      // The server executes the next one once it has heard of it.
      const events = yield* Effect.promise(async () => (await fetch(`${url}/v1/runs/${waiting}/events`)).text())
      assert.include(events, "event: done")
      yield* server.send("SIGKILL")
      yield* server.end
      assert.deepStrictEqual([yield* state(data, endless), yield* state(data, waiting)], ["cancelled", "done"])
      const retried = yield* serena(["runs", "retry", endless, "--data-dir", data])
      assert.strictEqual(retried.stdout, `${endless} is in the queue again\n`)
      assert.strictEqual(yield* state(data, endless), "queued")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { listening, type ListeningOptions, posted } from "./listening.ts"

const started = Effect.fnUntraced(function*(options?: ListeningOptions) {
  const { send } = yield* listening(options)
  return (path: string, init?: RequestInit) =>
    Effect.flatMap(send(path, init), (response) =>
      Effect.promise(async () => {
        const body: unknown = await response.json()
        return { status: response.status, body }
      }))
})

describe("/v1/count-tokens", () => {
  it.live("counts both prompts", () =>
    Effect.gen(function*() {
      const ask = yield* started()
      const { body, status } = yield* ask("/v1/count-tokens", posted({ prompt: "a (cat:1.2) BREAK here" }))
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body, {
        model: "test-model",
        prompt: { tokens: 76, capacity: 150, chunks: [2, 1], dynamic: false },
        negative_prompt: { tokens: 0, capacity: 75, chunks: [0], dynamic: false }
      })
    }))

  it.live("says what is wrong with a request", () =>
    Effect.gen(function*() {
      const ask = yield* started()
      const problem = Effect.fnUntraced(function*(body: object) {
        const answer = yield* ask("/v1/count-tokens", posted(body))
        return [answer.status, JSON.stringify(answer.body)] as const
      })
      for (
        const [body, status, words] of [
          [{ prompt: 1 }, 400, /prompt/],
          [{ prompts: "a" }, 400, /prompts/],
          [{ prompt: "a".repeat(100_001) }, 422, /100000/],
          [{ model: "../../etc/passwd" }, 422, /by path/],
          [{ prompt: "{a", dynamic_prompts: true }, 422, /"path":"prompt"/]
        ] as const
      ) {
        const [found, text] = yield* problem(body)
        assert.strictEqual(found, status, text)
        assert.match(text, words)
      }
    }))
})

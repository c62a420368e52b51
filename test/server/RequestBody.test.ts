import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { serving, small } from "./serving.ts"
import { listening } from "./v1/listening.ts"

const post = (body: string | Uint8Array) => ({ method: "POST", body, headers: { "content-type": "application/json" } })

/** What `/v1/runs` replies. */
const submitted = Effect.fnUntraced(function*(body: string) {
  const { send } = yield* listening()
  const reply = yield* send("/v1/runs", post(body))
  return { status: reply.status, text: yield* Effect.promise(() => reply.text()) }
})

describe("a body", () => {
  it.live("may have 5,000 values, and texts of 4 million characters", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const fields = (count: number) => JSON.stringify({ ...small, list: Array.from({ length: count }, () => 1) })
      assert.strictEqual((yield* send("/sdapi/v1/txt2img", post(fields(4_900)))).status, 200)
      const many = yield* send("/sdapi/v1/txt2img", post(fields(5_000)))
      assert.deepStrictEqual(many.body, {
        detail: [{ loc: ["body"], msg: "more than 5000 values", type: "value_error" }]
      })
      assert.include((yield* submitted(fields(5_000))).text, "more than 5000 values")
      // Commas and brackets in texts are no values, also after an escaped quotation mark.
      const text = JSON.stringify({ ...small, comment: `\\"${"[,".repeat(20_000)}\\\\` })
      assert.strictEqual((yield* send("/sdapi/v1/txt2img", post(text))).status, 200)
      const long = yield* send("/sdapi/v1/txt2img", post(JSON.stringify({ ...small, prompt: "a".repeat(5_000_000) })))
      assert.deepStrictEqual(long.body, {
        detail: [{ loc: ["body"], msg: "texts of more than 4194304 characters", type: "value_error" }]
      })
    }).pipe(Effect.scoped))

  it.live("is refused by the length of an image while it arrives", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const body = `{"init_images":["${"A".repeat(120_000_000)}"]}`
      const webui = yield* send("/sdapi/v1/img2img", post(body))
      assert.deepInclude(webui.body, { detail: "Invalid encoded image" })
      assert.include(webui.text, "max_image_bytes")
      assert.strictEqual((yield* submitted(body)).status, 413)
    }).pipe(Effect.scoped))

  it.live("of line ends is as blank as an empty one, and its mistakes are located", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const ends = "\n".repeat(3_000_000)
      const blank = yield* send("/sdapi/v1/txt2img", post(ends))
      assert.deepStrictEqual(blank.body, {
        detail: [{ loc: ["body"], msg: "field required", type: "value_error.missing" }]
      })
      const wrong = yield* send("/sdapi/v1/txt2img", post(`${ends}x`))
      assert.include(wrong.text, "Expecting value: line 3000001 column 1 (char 3000000)")
    }).pipe(Effect.scoped))

  it.live("names a hundred unknown settings, and counts the rest", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const patch = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`sample_format_${i}`, 1]))
      const webui = yield* send("/sdapi/v1/options", post(JSON.stringify(patch)))
      assert.strictEqual(webui.status, 422)
      assert.include(webui.text, "did you mean")
      assert.include(webui.text, "900 more names are no setting's")
      const body = JSON.stringify({ ...small, override_settings: patch })
      for (const { text } of [yield* send("/sdapi/v1/txt2img", post(body)), yield* submitted(body)]) {
        assert.include(text, "900 more names are no setting's")
      }
    }).pipe(Effect.scoped))
})

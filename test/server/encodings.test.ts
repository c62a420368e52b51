import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { serving, small } from "./serving.ts"
import { listening } from "./v1/listening.ts"

const bytes = (prompt: string) => {
  const [before = "", after = ""] = JSON.stringify({ ...small, prompt: "|" }).split("|")
  return new Uint8Array(Buffer.from(`${before}${prompt}${after}`, "latin1"))
}

const marked = new Uint8Array(Buffer.concat([Uint8Array.of(0xEF, 0xBB, 0xBF), bytes("d\xC3\xA9tail")]))

describe("a body that is not valid UTF-8", () => {
  it.live("is refused by /sdapi/v1, and one with a mark is read", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const { status, text } = yield* send("/sdapi/v1/txt2img", { method: "POST", body: bytes("d\xE9tail") })
      assert.deepStrictEqual([status, text.includes("not valid UTF-8")], [400, true])
      assert.strictEqual((yield* send("/sdapi/v1/txt2img", { method: "POST", body: marked })).status, 200)
    }))

  it.live("is refused by /v1, and one with a mark is read", () =>
    Effect.gen(function*() {
      const { send } = yield* listening()
      const refused = yield* send("/v1/runs", { method: "POST", body: bytes("d\xE9tail") })
      assert.strictEqual(refused.status, 400)
      assert.include(yield* Effect.promise(() => refused.text()), "not valid UTF-8")
      assert.strictEqual((yield* send("/v1/runs", { method: "POST", body: marked })).status, 202)
    }))
})

describe("a body that is declared to be in another encoding", () => {
  it.live("is refused by both APIs, and one in ASCII is read", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const v1 = yield* listening()
      const expected: Record<string, Array<number>> = {
        "iso-8859-1": [400, 400],
        "utf-16le": [400, 400],
        "UTF-8": [200, 202],
        "\"us-ascii\"": [200, 202]
      }
      for (const [charset, statuses] of Object.entries(expected)) {
        const init = {
          method: "POST",
          headers: { "content-type": `application/json; charset=${charset}` },
          body: JSON.stringify(small)
        }
        const replies = [yield* send("/sdapi/v1/txt2img", init), yield* v1.send("/v1/runs", init)]
        assert.deepStrictEqual(replies.map(({ status }) => status), statuses, charset)
      }
    }))
})

describe("half of a surrogate pair, which JSON can spell", () => {
  it.live("is refused by both APIs, in any text of a request", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const { send } = yield* listening()
      const half = "\uD83D"
      for (const field of [{ prompt: `a cat ${half}` }, { negative_prompt: half }, { styles: ["a", half] }]) {
        const sdapi = yield* post("/sdapi/v1/txt2img", { ...small, ...field })
        assert.deepStrictEqual([sdapi.status, sdapi.text.includes("not valid Unicode")], [422, true], sdapi.text)
        const v1 = yield* send("/v1/runs", { method: "POST", body: JSON.stringify({ ...small, ...field }) })
        assert.strictEqual(v1.status, 422)
        assert.include(yield* Effect.promise(() => v1.text()), "not valid Unicode")
      }
      const whole = yield* post("/sdapi/v1/txt2img", { ...small, prompt: "a cat \u{1F431}" })
      assert.strictEqual(whole.status, 200)
    }))
})

describe("an infotext without a word of the noise", () => {
  it.live("is answered with warnings, in places that a plain reply does not have", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const infotext =
        "a cat\nSteps: 2, Sampler: Undefined, Seed: 5, Size: 64x64, ControlNet 0: \"Module: x\", RNG: cuda"
      const { body } = yield* post("/sdapi/v1/txt2img", { infotext })
      const told: unknown = JSON.parse(String(Object(body).info))
      assert.match(String(Object(told).warnings), /"cuda".*"Undefined".*ControlNet/)
      const plain = yield* post("/sdapi/v1/txt2img", small)
      assert.notInclude(plain.text, "warnings")
      const json = yield* post("/sdapi/v1/txt2img", { infotext: "{\"nodes\": []}" })
      assert.strictEqual(json.status, 422)
    }))
})

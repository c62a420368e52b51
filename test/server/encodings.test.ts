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

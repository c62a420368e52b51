import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestModel } from "../../src/testing/index.ts"
import { serving, small } from "./serving.ts"

describe("clip skip where the text encoder has no hidden states", () => {
  it.live("is claimed neither by the reply nor by the infotext, and a client gets the warning", () =>
    Effect.gen(function*() {
      const plain = TestModel.make()
      const [encoder] = plain.textEncoders
      const model = { ...plain, textEncoders: [{ ...encoder, largestClipSkip: Effect.succeed(1) }] as const }
      const { post } = yield* serving({ model })
      const { body } = yield* post("/sdapi/v1/txt2img", {
        ...small,
        override_settings: { CLIP_stop_at_last_layers: 2 }
      })
      const info: unknown = JSON.parse(String(Object(body).info))
      assert.strictEqual(Object(info).clip_skip, 1)
      assert.notInclude(String(Object(info).infotexts), "Clip skip")
      assert.match(String(Object(info).warnings), /Clip skip was left out/)
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { serving, small } from "./serving.ts"
import { listening, posted } from "./v1/listening.ts"

const misspelt = { promt: "a cat", negativ_prompt: "a dog", taskid: "mine", savee: true }

// What clients fill in whether or not the second pass is wanted.
const dormant = {
  enable_hr: false,
  hr_scale: 0,
  hr_upscaler: "Nothing",
  hr_sampler_name: "No such sampler",
  hr_scheduler: "No such schedule",
  hr_checkpoint_name: "no such model",
  hr_second_pass_steps: -1
}

describe("unknown fields of a request", () => {
  it.live("are refused by /v1 with the nearest ones, in JSON and in forms", () =>
    Effect.gen(function*() {
      const { send } = yield* listening()
      const form = new FormData()
      for (const [name, value] of Object.entries(misspelt)) form.append(name, String(value))
      form.append("init_image", new Blob([Uint8Array.of(1)]), "x.png")
      for (const init of [posted(misspelt), { method: "POST", body: form }]) {
        const response = yield* send("/v1/runs", init)
        const text = yield* Effect.promise(() => response.text())
        assert.strictEqual(response.status, 422, text)
        for (const near of ["prompt", "negative_prompt", "task_id", "save"]) {
          assert.include(text, `did you mean \\"${near}\\"?`)
        }
        assert.strictEqual(text.includes("init_image"), init.body === form)
      }
    }))

  it.live("are passed over by /sdapi/v1, as by the webui", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const { status, text } = yield* post("/sdapi/v1/txt2img", { ...small, ...misspelt })
      assert.strictEqual(status, 200, text)
    }))
})

describe("fields of a second pass that is not wanted", () => {
  it.live("are not looked at by either API", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const { status, text } = yield* post("/sdapi/v1/txt2img", { ...small, ...dormant })
      assert.strictEqual(status, 200, text)
      const { send } = yield* listening()
      const response = yield* send("/v1/runs", posted({ ...small, ...dormant }))
      assert.strictEqual(response.status, 202, yield* Effect.promise(() => response.text()))
      const wanted = yield* send("/v1/runs", posted({ ...small, ...dormant, enable_hr: true }))
      assert.isAtLeast(wanted.status, 400)
    }))
})

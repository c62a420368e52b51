import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Client from "../../src/client/Client.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { serving } from "./serving.ts"
import { listening } from "./v1/listening.ts"

const seed = 6302954713490123530n
const subseed = 18446744073709551614n

const body = (seed: string, more = "") =>
  `{"prompt":"a green star","seed":${seed},"steps":1,"width":64,"height":64,"batch_size":2${more}}`

const request = Txt2Img.make({ prompt: "a green star", seed, steps: 1, width: 64, height: 64, batch_size: 2 })

describe("a seed over 2^53", () => {
  it.live.each([String(seed), `"${seed}"`])(
    "has all of its digits in a reply of /sdapi/v1: %s",
    (written) =>
      Effect.gen(function*() {
        const { post } = yield* serving()
        const { status, text } = yield* post("/sdapi/v1/txt2img", undefined, {
          body: body(written, `,"subseed":${subseed},"subseed_strength":0.5`)
        })
        assert.strictEqual(status, 200, text)
        assert.include(text, `"seed":${seed},`)
        assert.include(text, `"subseed":${subseed},`)
        const { info }: { readonly info: string } = JSON.parse(text)
        assert.include(info, `"seed": ${seed},`)
        assert.include(info, `"all_seeds": [${seed}, ${seed}]`)
        assert.include(info, `"all_subseeds": [${subseed}, ${subseed + 1n}]`)
        assert.include(info, `Seed: ${seed}, Size: 64x64`)
        assert.include(info, `Variation seed: ${subseed + 1n}, `)
      })
  )

  it.live("counts on from image to image, also from an infotext", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const infotext = `a green star\\nSteps: 1, Sampler: Euler, CFG scale: 7, Seed: ${seed}, Size: 64x64`
      const { text } = yield* post("/sdapi/v1/txt2img", undefined, {
        body: `{"infotext":"${infotext}","batch_size":2}`
      })
      assert.include(JSON.parse(text).info, `"all_seeds": [${seed}, ${seed + 1n}]`)
    }))

  it.live("is refused where torch refuses it, with the range", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      for (const written of ["18446744073709551616", "-9223372036854775809", "18446744073709551615"]) {
        const { status, text } = yield* post("/sdapi/v1/txt2img", undefined, { body: body(written) })
        assert.strictEqual(status, 422, text)
        assert.match(text, /seed.*(?:2\^64|18446744073709551614, the largest for 2 images)/)
      }
    }))

  it.live("is a text in JSON of /v1, and exact in its client", () =>
    Effect.gen(function*() {
      const { queue, send, url } = yield* listening()
      const form = new FormData()
      for (const [name, value] of Object.entries({ ...request, seed: String(seed) })) {
        if (typeof value !== "object") form.append(name, String(value))
      }
      for (const sent of [body(String(seed)), body(`"${seed}"`), form]) {
        const response = yield* send("/v1/runs", { method: "POST", body: sent })
        const text = yield* Effect.promise(() => response.text())
        assert.strictEqual(response.status, 202, text)
        assert.include(text, `"seed":"${seed}"`)
        const { id }: { readonly id: string } = JSON.parse(text)
        yield* Stream.runDrain(queue.watch(id))
        const done = yield* Effect.promise(async () => (await fetch(`${url}/v1/runs/${id}`)).text())
        assert.include(done, `"seed":"${seed + 1n}"`)
      }
      const client = yield* Client.make({ url })
      const { images } = yield* client.generate(request)
      assert.deepStrictEqual(images.map(({ seed }) => seed), [seed, seed + 1n])
    }))
})

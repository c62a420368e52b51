/**
 * What Open WebUI and SillyTavern send, in the order in which they send it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { type Answer, serving, until } from "./serving.ts"

const v1 = "/sdapi/v1"

const field = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (inner, key) => typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined,
    value
  )

const titles = ({ body }: Answer): ReadonlyArray<string> =>
  Array.isArray(body) ? body.map((model) => String(field(model, "title"))) : []

const names = ({ body }: Answer): ReadonlyArray<string> =>
  Array.isArray(body) ? body.map((item) => String(field(item, "name"))) : []

const ready = ({ body }: Answer): boolean => field(body, "progress") === 0 && field(body, "state", "job_count") === 0

describe("Open WebUI", () => {
  // It sends the header even when it has nothing to say.
  const headers = { "content-type": "application/json", authorization: "" }

  it.live("checks the connection, changes the model with all settings at once, and makes images", () =>
    Effect.gen(function*() {
      const { post, send } = yield* serving()
      assert.strictEqual((yield* send(`${v1}/options`, { headers })).status, 200)
      const [first, second] = titles(yield* send(`${v1}/sd-models`, { headers }))
      assert.isDefined(first)
      assert.isDefined(second)
      for (const title of [second, first]) {
        const { body: options } = yield* send(`${v1}/options`, { headers })
        const changed = yield* post(`${v1}/options`, { ...Object(options), sd_model_checkpoint: title }, { headers })
        assert.deepStrictEqual([changed.status, changed.text], [200, "null"])
        // A title is found by its name, whether its hash is known by now or not.
        const { body } = yield* send(`${v1}/options`, { headers })
        assert.include(String(field(body, "sd_model_checkpoint")), title.split(" ")[0] ?? title)
      }
      const asked = { prompt: "a cat", batch_size: 2, width: 64, height: 64, steps: 2, negative_prompt: "a dog" }
      const { body, status } = yield* post(`${v1}/txt2img`, asked, { headers })
      assert.strictEqual(status, 200)
      assert.match(String(field(body, "images", 0)), /^iVBOR/)
      assert.match(String(field(body, "images", 1)), /^iVBOR/)
      const info: unknown = JSON.parse(String(field(body, "info")))
      assert.deepStrictEqual(field(info, "negative_prompt"), "a dog")
    }))
})

describe("SillyTavern", () => {
  // The name and password that its user has not typed.
  const headers = { "content-type": "application/json", authorization: `Basic ${btoa("")}` }

  const request = {
    url: "http://localhost:7860",
    auth: "",
    prompt: "a cat",
    negative_prompt: "",
    sampler_name: "DPM++ 2M",
    scheduler: "karras",
    steps: 2,
    cfg_scale: 7,
    width: 64,
    height: 64,
    restore_faces: false,
    enable_hr: false,
    hr_upscaler: "Latent",
    hr_scale: 2,
    denoising_strength: 0.7,
    hr_second_pass_steps: 0,
    seed: -1,
    clip_skip: 1,
    override_settings: { CLIP_stop_at_last_layers: 1 },
    override_settings_restore_afterwards: true,
    send_images: true,
    do_not_save_grid: false,
    do_not_save_samples: false
  }

  it.live("checks the connection and lists what there is", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const get = (path: string) => send(`${v1}/${path}`, { headers })
      assert.strictEqual((yield* get("options")).status, 200)
      assert.include(names(yield* get("samplers")), request.sampler_name)
      assert.include(names(yield* get("schedulers")), request.scheduler)
      assert.strictEqual(names(yield* get("upscalers"))[0], "None")
      assert.include(names(yield* get("latent-upscale-modes")), request.hr_upscaler)
      assert.deepStrictEqual((yield* get("sd-vae")).body, [])
    }))

  it.live("changes the model, waits until all is at rest, and has its image", () =>
    Effect.gen(function*() {
      const { post, send } = yield* serving()
      const [, second] = titles(yield* send(`${v1}/sd-models`, { headers }))
      assert.isDefined(second)
      assert.strictEqual((yield* post(`${v1}/options`, { sd_model_checkpoint: second }, { headers })).status, 200)
      yield* until(send(`${v1}/progress`, { headers }), ready)
      const { body, status } = yield* post(`${v1}/txt2img`, request, { headers })
      assert.strictEqual(status, 200)
      assert.match(String(field(body, "images", 0)), /^iVBOR/)
      const options = yield* send(`${v1}/options`, { headers })
      assert.include(String(field(options.body, "sd_model_checkpoint")), "second-model")
    }))

  it.live("interrupts the run when its user has had enough, and finds the server at rest", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const long = { ...request, steps: 150, n_iter: 100 }
      const run = yield* Effect.forkChild(post(`${v1}/txt2img`, long, { headers }), { startImmediately: true })
      yield* until(get(`${v1}/progress`), (answer) => !ready(answer))
      assert.strictEqual((yield* post(`${v1}/interrupt`, {}, { headers })).text, "{}")
      const { body, status } = yield* Fiber.join(run)
      assert.strictEqual(status, 200)
      assert.match(String(field(body, "images", 0)), /^iVBOR/)
      assert.isUndefined(field(body, "images", 99))
      yield* until(get(`${v1}/progress`), ready)
    }))
})

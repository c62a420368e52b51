import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { crc32 } from "node:zlib"
import { endpoints } from "../../src/server/sdapi/Routes.ts"
import { TestModel } from "../../src/testing/index.ts"
import { type Answer, serving, small } from "./serving.ts"

const v1 = "/sdapi/v1"

const field = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (inner, key) => typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined,
    value
  )

const info = ({ body }: Answer): unknown => JSON.parse(String(field(body, "info")))
const images = ({ body }: Answer): ReadonlyArray<string> => {
  const value = field(body, "images")
  return Array.isArray(value) ? value : []
}
const sizeOf = (image: string | undefined): readonly [number, number] => {
  const bytes = Buffer.from(image ?? "", "base64")
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)]
}

describe("txt2img", () => {
  it.live("gives bare base64, the request as it was read, and info as a text", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const answer = yield* post(`${v1}/txt2img`, { ...small, steps: "2", cfg_scale: 7, url: "passed over" })
      assert.strictEqual(answer.status, 200)
      assert.match(images(answer)[0] ?? "", /^iVBORw0KGgo[A-Za-z0-9+/]+=*$/)
      assert.deepStrictEqual(sizeOf(images(answer)[0]), [64, 64])
      assert.include(answer.text, "\"steps\":2,\"cfg_scale\":7.0,\"width\":64")
      assert.include(answer.text, "\"subseed_strength\":0,")
      assert.notProperty(field(answer.body, "parameters"), "url")
      const told = info(answer)
      assert.deepStrictEqual(field(told, "all_seeds"), [5])
      assert.strictEqual(field(told, "sampler_name"), "Euler")
      assert.include(String(field(answer.body, "info")), "\"cfg_scale\": 7.0, \"steps\": 2,")
      assert.match(String(field(told, "infotexts", 0)), /^a cat\nSteps: 2, Sampler: Euler, .*CFG scale: 7\.0, Seed: 5/)
      assert.match(String(field(told, "job_timestamp")), /^\d{14}$/)
      assert.include(String(field(told, "infotexts", 0)), `Version: ${String(field(told, "version"))}`)
      // The same request, the same bytes.
      const again = yield* post(`${v1}/txt2img`, { ...small, cfg_scale: 7 })
      assert.deepStrictEqual(images(again), images(answer))
    }))

  it.live("counts seeds on, and sends no images when none are wanted", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const answer = yield* post(`${v1}/txt2img`, { ...small, batch_size: 2, n_iter: 2, send_images: false })
      assert.deepStrictEqual(images(answer), [])
      assert.deepStrictEqual(field(info(answer), "all_seeds"), [5, 6, 7, 8])
      assert.strictEqual(field(info(answer), "index_of_first_image"), 0)
    }))

  it.live("saves only when asked, and then gives the grid first", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const answer = yield* post(`${v1}/txt2img`, { ...small, n_iter: 2, save_images: true })
      assert.deepStrictEqual(images(answer).map(sizeOf), [[128, 64], [64, 64], [64, 64]])
      assert.strictEqual(field(info(answer), "index_of_first_image"), 1)
      const without = yield* post(`${v1}/txt2img`, { ...small, n_iter: 2 })
      assert.lengthOf(images(without), 2)
    }))

  it.live("takes a sampler by any of its names, with a schedule in it", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const cases = [
        [{ sampler_name: "DPM++ 2M Karras", scheduler: "automatic" }, "DPM++ 2M", "Karras"],
        [{ sampler_name: "", sampler_index: "k_euler_a" }, "Euler a", "Automatic"],
        [{ sampler_name: "euler", scheduler: "no such schedule" }, "Euler", "Automatic"],
        [{ sampler_index: "DDIM", scheduler: "karras" }, "DDIM", ""]
      ] as const
      for (const [names, sampler, schedule] of cases) {
        const answer = yield* post(`${v1}/txt2img`, { ...small, ...names })
        assert.strictEqual(field(info(answer), "sampler_name"), sampler)
        assert.include(String(field(info(answer), "infotexts", 0)), `Schedule type: ${schedule}`)
      }
      const unknown = yield* post(`${v1}/txt2img`, { ...small, sampler_name: "nonsense" })
      assert.strictEqual(unknown.status, 404)
      assert.strictEqual(field(unknown.body, "detail"), "Sampler not found")
    }))

  it.live("makes two passes, in the new way and in the old", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const hires = yield* post(`${v1}/txt2img`, { ...small, enable_hr: true, hr_scale: 2 })
      assert.deepStrictEqual(sizeOf(images(hires)[0]), [128, 128])
      assert.strictEqual(field(info(hires), "width"), 64)
      assert.isNull(field(info(hires), "denoising_strength"))
      const old = yield* post(`${v1}/txt2img`, {
        ...small,
        width: 128,
        height: 96,
        enable_hr: true,
        firstphase_width: 64,
        firstphase_height: 64
      })
      assert.deepStrictEqual(sizeOf(images(old)[0]), [128, 96])
    }))

  it.live("fills in what an infotext says and the request does not", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const infotext = "a dog\nSteps: 3, Sampler: Euler a, CFG scale: 4.5, Seed: 9, Size: 64x128, Version: 1.10.1"
      const answer = yield* post(`${v1}/txt2img`, { steps: 2, infotext })
      const told = info(answer)
      assert.deepStrictEqual(
        ["prompt", "steps", "cfg_scale", "seed", "width", "height", "sampler_name"].map((name) => field(told, name)),
        ["a dog", 2, 4.5, 9, 64, 128, "Euler a"]
      )
    }))

  it.live("uses settings of the request for it alone, unless they are to stay", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const clipSkip = Effect.map(get(`${v1}/options`), ({ body }) => field(body, "CLIP_stop_at_last_layers"))
      const override_settings = {
        CLIP_stop_at_last_layers: 2,
        sd_vae: "Automatic",
        sd_model_checkpoint: "no such model"
      }
      const answer = yield* post(`${v1}/txt2img`, { ...small, override_settings })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(field(info(answer), "clip_skip"), 2)
      assert.include(
        String(field(info(answer), "warnings", 0)),
        "No checkpoint is named \"no such model\": override_settings.sd_model_checkpoint was passed over, and "
      )
      assert.strictEqual(yield* clipSkip, 1)
      const unknown = yield* post(`${v1}/txt2img`, { ...small, override_settings: { CLIP_stop_at_last_layer: 2 } })
      assert.strictEqual(unknown.status, 422)
      assert.deepStrictEqual(field(unknown.body, "detail", 0, "loc"), [
        "body",
        "override_settings",
        "CLIP_stop_at_last_layer"
      ])
      yield* post(`${v1}/txt2img`, {
        ...small,
        override_settings: { CLIP_stop_at_last_layers: 2 },
        override_settings_restore_afterwards: false
      })
      assert.strictEqual(yield* clipSkip, 2)
    }))

  it.live("tolerates what clients always send of scripts, and refuses others", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const status = (fields: object) =>
        Effect.map(post(`${v1}/txt2img`, { ...small, ...fields }), ({ status }) => status)
      assert.strictEqual(yield* status({ alwayson_scripts: { ControlNet: { args: [] }, Seed: {} } }), 200)
      assert.strictEqual(yield* status({ alwayson_scripts: [] }), 200)
      assert.strictEqual(yield* status({ alwayson_scripts: { ControlNet: { args: [{ image: "x" }] } } }), 500)
      assert.strictEqual(yield* status({ alwayson_scripts: { "ControlNet m2m": { args: [] } } }), 422)
      const unknown = yield* post(`${v1}/txt2img`, { ...small, script_name: "x" })
      assert.deepStrictEqual([unknown.status, field(unknown.body, "detail")], [422, "Script 'x' not found"])
    }))

  it.live("makes the plots of the webui's scripts, by numbers and labels of axes", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const plot = (script_name: string, script_args: ReadonlyArray<unknown>, prompt = "a red cat") =>
        post(`${v1}/txt2img`, { ...small, prompt, script_name, script_args })
      // Steps, and a sampler from a list of choices; the grid alone.
      const grid = yield* plot("X/Y/Z plot", [4, "2-3", [], 9, "", ["Euler", "Heun"], 0, "", [], true, false])
      assert.strictEqual(grid.status, 200)
      assert.lengthOf(images(grid), 1)
      assert.lengthOf(Array.from(String(field(info(grid), "all_seeds")).split(",")), 4)
      const all = yield* plot("x/y/z plot", ["CFG Scale", "5, 7", [], "Nothing", "", [], "Nothing", "", [], true, true])
      assert.lengthOf(images(all), 3)
      // As before webui 1.6, without lists of choices.
      assert.strictEqual((yield* plot("X/Y/Z plot", [4, "2", 0, "", 0, "", true])).status, 200)
      const matrix = yield* plot("Prompt matrix", [false, false, "positive", "comma", 0], "a cat|night|by a lake")
      assert.lengthOf(images(matrix), 5)
      assert.include(String(field(info(matrix), "infotexts", 4)), "a cat, night, by a lake")
      assert.strictEqual((yield* plot("Prompt matrix", [true], "a cat|night")).status, 422)
      assert.strictEqual((yield* plot("X/Y/Z plot", ["Moods", "2"])).status, 422)
    }))

  it.live("names every problem of a request, wherever it is found", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const answer = yield* post(`${v1}/txt2img`, { ...small, steps: 0, batch_size: 0, width: 0 })
      assert.strictEqual(answer.status, 422)
      const detail = field(answer.body, "detail")
      assert.deepStrictEqual(
        Array.isArray(detail) ? detail.map((one) => field(one, "loc", 1)).toSorted() : [],
        ["batch_size", "steps", "width"]
      )
      // A model is a name of the list, never a path.
      const path = yield* post(`${v1}/txt2img`, {
        ...small,
        refiner_checkpoint: "../../etc/passwd",
        refiner_switch_at: 0.5
      })
      assert.strictEqual(path.status, 404)
    }))
})

describe("img2img", () => {
  const picture = Effect.fnUntraced(function*(post: (path: string, body: unknown) => Effect.Effect<Answer>) {
    return images(yield* post(`${v1}/txt2img`, small))[0] ?? ""
  })

  it.live("starts from an image, and echoes it only when asked", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const image = `data:image/png;base64,${yield* picture(post)}`
      const answer = yield* post(`${v1}/img2img`, { ...small, init_images: [image], mask: "" })
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(sizeOf(images(answer)[0]), [64, 64])
      assert.isNull(field(answer.body, "parameters", "init_images"))
      assert.strictEqual(field(info(answer), "denoising_strength"), 0.75)
      const echoed = yield* post(`${v1}/img2img`, { ...small, init_images: [image], include_init_images: true })
      assert.deepStrictEqual(field(echoed.body, "parameters", "init_images"), [image])
      const masked = yield* post(`${v1}/img2img`, {
        ...small,
        init_images: [image],
        mask: image,
        inpainting_mask_invert: true,
        inpaint_full_res: 0
      })
      assert.strictEqual(masked.status, 200)
    }))

  it.live("upscales in tiles", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const image = yield* picture(post)
      const answer = yield* post(`${v1}/img2img`, {
        ...small,
        init_images: [image],
        script_name: "SD upscale",
        script_args: ["", 8, "Lanczos", 2]
      })
      assert.deepStrictEqual(sizeOf(images(answer)[0]), [128, 128])
    }))

  it.live("refuses what is no image, and what would be fetched", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const refusal = (init_images: unknown) =>
        Effect.map(
          post(`${v1}/img2img`, { ...small, init_images }),
          ({ body, status }) => [status, field(body, "detail")]
        )
      assert.deepStrictEqual(yield* refusal(null), [404, "Init image not found"])
      assert.deepStrictEqual(yield* refusal(["%%%"]), [500, "Invalid encoded image"])
      const html = Buffer.from("<html><script>alert(1)</script></html>").toString("base64")
      assert.deepStrictEqual(yield* refusal([html]), [500, "Invalid encoded image"])
      assert.deepStrictEqual(yield* refusal(["http://127.0.0.1/a.png"]), [500, "Requests not allowed"])
      assert.strictEqual((yield* refusal([]))[0], 422)
    }))

  it.live("unpacks no bomb, and passes on nothing that hides behind an image", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const png = Buffer.from(yield* picture(post), "base64")
      // A header that promises 60000 x 60000 pixels, with its checksum.
      const bomb = Buffer.from(png)
      bomb.writeUInt32BE(60_000, 16)
      bomb.writeUInt32BE(60_000, 20)
      bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29)
      for (const path of ["img2img", "extra-single-image"]) {
        const image = bomb.toString("base64")
        const answer = yield* post(`${v1}/${path}`, { ...small, image, init_images: [image], upscaler_1: "Lanczos" })
        assert.deepStrictEqual([answer.status, field(answer.body, "detail")], [500, "Invalid encoded image"])
        assert.include(String(field(answer.body, "errors")), "max_image_pixels")
      }
      const polyglot = Buffer.concat([png, Buffer.from("<script>alert(1)</script>")]).toString("base64")
      const answer = yield* post(`${v1}/extra-single-image`, { image: polyglot, upscaler_1: "Lanczos" })
      assert.strictEqual(answer.status, 200)
      assert.notInclude(Buffer.from(String(field(answer.body, "image")), "base64").toString("latin1"), "script")
    }))

  it.live("never asks a private address for an image, by whatever name", () =>
    Effect.gen(function*() {
      const { post } = yield* serving({ server: { allow_url_hosts: ["*"] } })
      for (
        const host of ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"]
      ) {
        const { body, status } = yield* post(`${v1}/img2img`, { ...small, init_images: [`http://${host}:1/a.png`] })
        assert.deepStrictEqual([status, field(body, "detail")], [500, "Request to local resource not allowed"], host)
      }
    }))
})

describe("settings", () => {
  it.live("take back everything they gave, and answer null", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const { body } = yield* get(`${v1}/options`)
      const answer = yield* post(`${v1}/options`, body)
      assert.deepStrictEqual([answer.status, answer.text], [200, "null"])
      // Choosing the model has it read, so that its hash is known from then on.
      const after = (yield* get(`${v1}/options`)).text
      assert.strictEqual(
        after.replace("\"sd_checkpoint_hash\":\"7e57000000\"", "\"sd_checkpoint_hash\":\"\""),
        JSON.stringify(body)
      )
      assert.isAbove(Object.keys(body ?? {}).length, 250)
    }))

  it.live("are kept, those of the page as well", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      yield* post(`${v1}/options`, {
        send_seed: false,
        jpeg_quality: 90,
        sd_vae_explanation: "<p>",
        api_useragent: "x"
      })
      const { body } = yield* get(`${v1}/options`)
      assert.deepStrictEqual(
        ["send_seed", "jpeg_quality", "api_useragent", "grid_save"].map((name) => field(body, name)),
        [false, 90, "", true]
      )
    }))

  it.live("choose a model by any of its names, and tell which it is", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const chosen = Effect.map(get(`${v1}/options`), ({ body }) => field(body, "sd_model_checkpoint"))
      for (const name of ["second-model", "Second-Model.safetensors", "second-model [7e57000000]"]) {
        assert.strictEqual((yield* post(`${v1}/options`, { sd_model_checkpoint: name })).status, 200)
        assert.strictEqual(yield* chosen, name)
        const answer = yield* post(`${v1}/txt2img`, small)
        assert.strictEqual(answer.status, 200)
      }
      const { body } = yield* get(`${v1}/sd-models`)
      assert.deepStrictEqual(field(body, 1, "title"), "second-model [7e57000000]")
    }))

  it.live("change nothing when anything is wrong", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const before = (yield* get(`${v1}/options`)).text
      const answer = yield* post(`${v1}/options`, {
        jpeg_quality: 50,
        samples_format: "bmp",
        send_seed: "perhaps",
        nonsense: 1,
        sd_model_checkpoint: "none such",
        outdir_txt2img_samples: "../../../etc",
        outdir_samples: "/etc"
      })
      assert.strictEqual(answer.status, 422)
      const detail = field(answer.body, "detail")
      assert.deepStrictEqual(Array.isArray(detail) ? detail.map((one) => field(one, "loc", 1)).toSorted() : [], [
        "nonsense",
        "outdir_samples",
        "outdir_txt2img_samples",
        "samples_format",
        "sd_model_checkpoint",
        "send_seed"
      ])
      assert.strictEqual((yield* get(`${v1}/options`)).text, before)
    }))
})

describe("extras", () => {
  it.live("enlarge, and read what an image tells", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const image = images(yield* post(`${v1}/txt2img`, small))[0]
      const single = yield* post(`${v1}/extra-single-image`, { image, upscaler_1: "Lanczos", upscaling_resize: 2 })
      const large = String(field(single.body, "image"))
      assert.deepStrictEqual(sizeOf(large), [128, 128])
      assert.strictEqual(
        field(single.body, "html_info"),
        "<p>Postprocess upscale by: 2, Postprocess upscaler: Lanczos</p>"
      )
      // What was done stands beside the infotext, which stays as it was.
      const [before, after] = [
        yield* post(`${v1}/png-info`, { image }),
        yield* post(`${v1}/png-info`, { image: large })
      ]
      assert.strictEqual(field(after.body, "info"), field(before.body, "info"))
      assert.deepStrictEqual(field(after.body, "items"), {
        postprocessing: "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
      })
      const cropped = yield* post(`${v1}/extra-single-image`, {
        image,
        resize_mode: 1,
        upscaler_1: "Nearest",
        upscaling_resize_w: 100,
        upscaling_resize_h: 50
      })
      assert.deepStrictEqual(sizeOf(String(field(cropped.body, "image"))), [100, 50])
      const batch = yield* post(`${v1}/extra-batch-images`, {
        imageList: [{ data: image, name: "a" }],
        upscaler_1: "None"
      })
      assert.deepStrictEqual(sizeOf(images(batch)[0]), [64, 64])
      assert.deepStrictEqual(images(yield* post(`${v1}/extra-batch-images`, { imageList: [] })), [])
      const told = yield* post(`${v1}/png-info`, { image })
      assert.match(String(field(told.body, "info")), /^a cat\nSteps: 2/)
      assert.strictEqual(field(told.body, "parameters", "Seed"), "5")
    }))

  it.live("stay within bounds", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const wrong = yield* post(`${v1}/extra-single-image`, {
        image: "",
        resize_mode: 2,
        upscaling_resize: 0,
        gfpgan_visibility: 1.5
      })
      assert.deepStrictEqual(field(wrong.body, "detail"), [
        {
          loc: ["body", "resize_mode"],
          msg: "unexpected value; permitted: 0, 1",
          type: "value_error.const",
          ctx: { given: 2, permitted: [0, 1] }
        },
        {
          loc: ["body", "gfpgan_visibility"],
          msg: "ensure this value is less than or equal to 1",
          type: "value_error.number.not_le",
          ctx: { limit_value: 1 }
        },
        {
          loc: ["body", "upscaling_resize"],
          msg: "ensure this value is greater than 0",
          type: "value_error.number.not_gt",
          ctx: { limit_value: 0 }
        }
      ])
      const image = images(yield* post(`${v1}/txt2img`, small))[0]
      const huge = yield* post(`${v1}/extra-single-image`, { image, upscaler_1: "Lanczos", upscaling_resize: 1e6 })
      assert.strictEqual(huge.status, 422)
      const missing = yield* post(`${v1}/extra-batch-images`, { image_list: [] })
      assert.strictEqual(field(missing.body, "detail", 0, "type"), "value_error.missing")
      const upscaler = yield* post(`${v1}/extra-single-image`, { image, upscaler_1: "x" })
      assert.deepStrictEqual([upscaler.status, field(upscaler.body, "detail")], [
        404,
        "could not find upscaler named x"
      ])
    }))
})

describe("lists", () => {
  it.live("every GET answers with JSON", () =>
    Effect.gen(function*() {
      const { get } = yield* serving()
      for (const { method, path } of endpoints) {
        if (method === "GET") {
          const answer = yield* get(path)
          assert.strictEqual(answer.status, 200, path)
          assert.isDefined(answer.body, path)
          assert.match(answer.headers.get("content-type") ?? "", /^application\/json/)
        }
      }
    }))

  it.live("have the shapes that clients read", () =>
    Effect.gen(function*() {
      const { get } = yield* serving({ styles: [{ name: "s", prompt: "p", negativePrompt: "n" }] })
      const body = (path: string) => Effect.map(get(v1 + path), ({ body }) => body)
      assert.deepStrictEqual(field(yield* body("/samplers"), 0), {
        name: "DPM++ 2M",
        aliases: ["k_dpmpp_2m"],
        options: { scheduler: "karras" }
      })
      assert.deepStrictEqual(Object.keys(field(yield* body("/schedulers"), 2) ?? {}), [
        "name",
        "label",
        "aliases",
        "default_rho",
        "need_inner_model"
      ])
      assert.deepStrictEqual(field(yield* body("/upscalers"), 0), {
        name: "None",
        model_name: null,
        model_path: null,
        model_url: null,
        scale: 4
      })
      assert.deepStrictEqual(field(yield* body("/latent-upscale-modes"), 0), { name: "Latent" })
      assert.deepStrictEqual(yield* body("/prompt-styles"), [{ name: "s", prompt: "p", negative_prompt: "n" }])
      assert.includeMembers(Object.values(field(yield* body("/scripts"), "txt2img") ?? {}), [
        "seed",
        "sampler",
        "refiner"
      ])
      assert.isAbove(Object.keys((yield* body("/cmd-flags")) ?? {}).length, 100)
    }))

  it.live("bodyless requests are answered with null or an object, and what is not here with a clear error", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const text = (path: string) => Effect.map(post(v1 + path), ({ status, text }) => [status, text])
      for (const name of ["checkpoints", "vae", "embeddings", "loras"]) {
        assert.deepStrictEqual(yield* text(`/refresh-${name}`), [200, "null"])
      }
      assert.deepStrictEqual(yield* text("/skip"), [200, "null"])
      for (const path of ["/interrupt", "/unload-checkpoint", "/reload-checkpoint"]) {
        assert.deepStrictEqual(yield* text(path), [200, "{}"])
      }
      assert.deepStrictEqual(yield* text("/server-kill"), [404, "{\"detail\":\"Not Found\"}"])
      const interrogate = yield* post(`${v1}/interrogate`, { image: "", model: "clip" })
      assert.strictEqual(interrogate.status, 501)
      assert.deepStrictEqual(Object.keys(interrogate.body ?? {}), ["error", "detail", "body", "errors"])
    }))
})

describe("what a network cannot take", () => {
  it.live("is cut from a size, as what no latent value stands for is", () =>
    Effect.gen(function*() {
      const { post } = yield* serving({ model: TestModel.make({ sizeMultiple: 16 }) })
      const made = yield* post(`${v1}/txt2img`, { ...small, width: 72, height: 40 })
      assert.deepStrictEqual([made.status, sizeOf(images(made)[0])], [200, [64, 32]])
    }))
})

describe("settings that are to stay", () => {
  it.live("are set when a request was taken, and not when it is refused", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const staying = { override_settings: { eta_ddim: 0.5 }, override_settings_restore_afterwards: false }
      const eta = Effect.map(get(`${v1}/options`), ({ body }) => field(body, "eta_ddim"))
      assert.strictEqual((yield* post(`${v1}/txt2img`, { ...small, width: 0, ...staying })).status, 422)
      assert.strictEqual(yield* eta, 0)
      assert.strictEqual((yield* post(`${v1}/txt2img`, { ...small, ...staying })).status, 200)
      assert.strictEqual(yield* eta, 0.5)
    }))
})

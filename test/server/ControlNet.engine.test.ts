import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import sharp from "sharp"
import { serving, small } from "./serving.ts"

const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((inner, key) => Predicate.isObjectOrArray(inner) ? Reflect.get(inner, key) : undefined, value)

/** A white square on black, of 96 x 64 pixels. */
const square = Effect.promise(async () => {
  const white = await sharp({ create: { width: 32, height: 32, channels: 3, background: "white" } }).png().toBuffer()
  const picture = sharp({ create: { width: 96, height: 64, channels: 3, background: "black" } })
    .composite([{ input: white, left: 32, top: 16 }])
  return (await picture.png().toBuffer()).toString("base64")
})

describe("/controlnet", () => {
  it.live("lists what sd-webui-controlnet lists", () =>
    Effect.gen(function*() {
      const { get } = yield* serving()
      const body = (path: string) => Effect.map(get(path), ({ body }) => body)
      assert.deepStrictEqual(yield* body("/controlnet/version"), { version: 3 })
      assert.deepStrictEqual(yield* body("/controlnet/settings"), { control_net_unit_count: 10 })
      assert.deepStrictEqual(yield* body("/controlnet/model_list?update=true"), { model_list: [] })
      const modules = yield* body("/controlnet/module_list")
      assert.deepStrictEqual(at(modules, "module_list"), [
        "none",
        "invert",
        "canny",
        "threshold",
        "tile_resample",
        "inpaint_only",
        "blur_gaussian",
        "scribble_xdog",
        "shuffle"
      ])
      assert.deepStrictEqual(at(modules, "module_detail", "canny"), {
        model_free: false,
        sliders: [
          { name: "Preprocessor Resolution", value: 512, min: 64, max: 2048 },
          { name: "Low Threshold", value: 100, min: 1, max: 255, step: 1 },
          { name: "High Threshold", value: 200, min: 1, max: 255, step: 1 }
        ]
      })
      const labels = yield* body("/controlnet/module_list?alias_names=true")
      assert.strictEqual(at(labels, "module_list", 1), "invert (from white bg & black line)")
      const types = at(yield* body("/controlnet/control_types"), "control_types")
      assert.deepStrictEqual(at(types, "Canny"), {
        module_list: ["none", "invert", "canny"],
        model_list: ["None"],
        default_option: "canny",
        default_model: "None"
      })
      assert.strictEqual(at(types, "All", "default_option"), "none")
      for (const kind of ["txt2img", "img2img"]) {
        assert.include(JSON.stringify(at(yield* body("/sdapi/v1/scripts"), kind)), "\"controlnet\"")
      }
    }))

  it.live("shows what a preprocessor makes of images, and says which there are not", () =>
    Effect.gen(function*() {
      const { post } = yield* serving()
      const image = yield* square
      const detect = (body: object) => post("/controlnet/detect", body)
      const made = yield* detect({
        controlnet_module: "canny",
        controlnet_input_images: [image, `data:image/png;base64,${image}`],
        controlnet_processor_res: 128,
        controlnet_threshold_a: 64,
        controlnet_threshold_b: 64
      })
      assert.strictEqual(at(made.body, "info"), "Success")
      const [first, second] = [at(made.body, "images", 0), at(made.body, "images", 1)]
      assert.strictEqual(first, second)
      const pixels = sharp(Buffer.from(String(first), "base64"))
      const [{ height, width }, { channels }] = yield* Effect.promise(() =>
        Promise.all([pixels.metadata(), pixels.stats()])
      )
      assert.deepStrictEqual([width, height], [192, 128])
      // Lines, white on black.
      assert.strictEqual(channels[0]?.max, 255)
      assert.isBelow(channels[0]?.mean ?? 255, 40)
      const none = yield* detect({ controlnet_module: "canny" })
      assert.deepStrictEqual([none.status, at(none.body, "detail")], [422, "No image selected"])
      const network = yield* detect({ controlnet_module: "openpose_full", controlnet_input_images: [image] })
      assert.deepStrictEqual([network.status, at(network.body, "detail")], [422, "Module not available"])
      assert.match(String(at(network.body, "errors")), /"openpose_full" needs a network of its own/)
      const broken = yield* detect({ controlnet_input_images: ["bm8gcGljdHVyZQ=="] })
      assert.deepStrictEqual([broken.status, at(broken.body, "detail")], [500, "Invalid encoded image"])
    }))

  it.live("says by the argument what is wrong with a unit", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const asked = (unit: object) =>
        post("/sdapi/v1/txt2img", { ...small, alwayson_scripts: { ControlNet: { args: [unit] } } })
      const loc = (name: string) => ["body", "alwayson_scripts", "controlnet", "args", 0, name]
      const image = yield* square
      const faults: ReadonlyArray<readonly [unit: object, name: string, message: RegExp]> = [
        [{ model: "a" }, "image", /give the image to follow/],
        [{ image, model: "a", weight: 3 }, "weight", /between 0 and 2/],
        [{ image, model: "a", module: "depth_midas" }, "module", /needs a network of its own/],
        [{ image, model: "a" }, "model", /takes no ControlNet/]
      ]
      for (const [unit, name, message] of faults) {
        const { body, status } = yield* asked(unit)
        assert.strictEqual(status, 422)
        assert.deepStrictEqual(at(body, "detail", 0, "loc"), loc(name))
        assert.match(String(at(body, "detail", 0, "msg")), message)
      }
      const unknown = yield* get("/controlnet/unload")
      assert.deepStrictEqual([unknown.status, unknown.body], [404, { detail: "Not Found" }])
    }))
})

/** A grey PNG file of a size, in base64. */
const grey = (width: number, height: number) =>
  Effect.promise(async () => {
    const file = sharp({ create: { width, height, channels: 3, background: { r: 90, g: 90, b: 90 } } }).png()
    return (await file.toBuffer()).toString("base64")
  })

describe("/v1/preprocess", () => {
  const started = Effect.map(serving({ routes: "all" }), ({ url }) => {
    const ask = (body: unknown) =>
      Effect.promise(() =>
        fetch(`${url}/v1/preprocess`, {
          method: "POST",
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" }
        })
      )
    const made = Effect.fnUntraced(function*(unit: object) {
      const reply = yield* ask(unit)
      assert.deepStrictEqual([reply.status, reply.headers.get("content-type")], [200, "image/png"])
      return yield* Effect.promise(async () => {
        const { data, info } = await sharp(await reply.arrayBuffer()).raw().toBuffer({ resolveWithObject: true })
        return { width: info.width, height: info.height, first: data[0] }
      })
    })
    return { ask, made }
  })

  it.live("shows what the preprocessor of a unit makes of its image", () =>
    Effect.gen(function*() {
      const { made } = yield* started
      const image = yield* grey(96, 64)
      assert.deepStrictEqual(
        yield* made({ image, module: "invert", model: "any", weight: 0.5, enabled: false }),
        { width: 96, height: 64, first: 165 }
      )
      const canny = { image, module: "canny" }
      assert.deepStrictEqual(yield* made({ ...canny, processor_res: 128 }), { width: 192, height: 128, first: 0 })
      const perfect = yield* made({ ...canny, pixel_perfect: true, width: 192, height: 64 })
      assert.deepStrictEqual(perfect, { width: 192, height: 128, first: 0 })
      assert.strictEqual((yield* made({ image, module: "threshold", threshold_a: 100 })).first, 0)
      assert.strictEqual((yield* made({ image, module: "threshold", threshold_a: 80 })).first, 255)
      // However narrow an image is, its longer side stays within bounds.
      const narrow = { image: yield* grey(2, 1024), module: "threshold", processor_res: 2048 }
      assert.deepStrictEqual(yield* made(narrow), { width: 32, height: 16_384, first: 0 })
    }))

  it.live("says by field what is wrong", () =>
    Effect.gen(function*() {
      const { ask } = yield* started
      const image = yield* grey(8, 8)
      const wrong: ReadonlyArray<readonly [body: unknown, path: string, message: RegExp]> = [
        [{ image, module: "openpose" }, "module", /needs a network of its own/],
        [{ image, modul: "canny" }, "modul", /did you mean "module"/i],
        [{ image, processor_res: 4 }, "processor_res", /64/],
        [{ module: "canny" }, "image", /give the image/],
        [{ image: "bm8gcGljdHVyZQ==" }, "image", /cannot be read as an image/],
        [{ image, width: 1e6 }, "width", /limit/],
        [[], "", /an object/]
      ]
      for (const [body, path, message] of wrong) {
        const reply = yield* ask(body)
        const refusal: unknown = yield* Effect.promise(() => reply.json())
        assert.deepStrictEqual([reply.status, at(refusal, "_tag")], [422, "InvalidProcessing"], path)
        assert.strictEqual(at(refusal, "problems", 0, "path"), path)
        assert.match(String(at(refusal, "problems", 0, "message")), message)
      }
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CommandOptions } from "../../../src/processing/CommandOptions.ts"
import { ServerOptions } from "../../../src/server/host/ServerOptions.ts"
import * as ControlNet from "../../../src/server/sdapi/ControlNet.ts"
import { decodeTxt2Img } from "../../../src/server/sdapi/ImageRequest.ts"
import { RequestImages } from "../../../src/server/sdapi/RequestImages.ts"

const layer = RequestImages.layer.pipe(
  Layer.provide(Layer.mergeAll(CommandOptions.layer(), ServerOptions.layer()))
)

const units = (args: unknown, title = "ControlNet") =>
  decodeTxt2Img({ alwayson_scripts: { [title]: args } }).pipe(
    Effect.flatMap(ControlNet.unitsOf),
    Effect.provide(layer)
  )

const image = Buffer.from("a picture").toString("base64")
const bytes = new Uint8Array(Buffer.from("a picture"))

describe("the arguments of ControlNet", () => {
  it.effect("are units, whatever form and spelling their fields have", () =>
    Effect.gen(function*() {
      const plain = { enabled: true, image: bytes }
      const forms: ReadonlyArray<readonly [given: object, read: Readonly<Record<string, unknown>>]> = [
        [{ image }, plain],
        [{ input_image: `data:image/png;base64,${image}` }, plain],
        [{ image: { image, mask: image } }, { ...plain, mask: bytes }],
        [{ image: [image, image] }, { ...plain, mask: bytes }],
        [{ input_image: image, mask: image }, { ...plain, mask: bytes }],
        [{ image, mask_image: image, mask: null }, { ...plain, mask: bytes }],
        [{ image, model: "canny [d14c016b]", module: "canny" }, {
          ...plain,
          model: "canny [d14c016b]",
          module: "canny"
        }],
        [{ image, model: "None" }, { ...plain, model: "" }],
        [{ image, model: null, effective_region_mask: null, hr_option: "Both", nonsense: {} }, plain],
        [{ image, control_mode: 1, resize_mode: 2 }, { ...plain, control_mode: "prompt", resize_mode: "fill" }],
        [{ image, control_mode: "2", resize_mode: "0" }, { ...plain, control_mode: "control", resize_mode: "resize" }],
        [{ image, control_mode: "My prompt is more important", resize_mode: "just resize" }, {
          ...plain,
          control_mode: "prompt",
          resize_mode: "resize"
        }],
        [{ image, control_mode: "balanced", resize_mode: "Scale to Fit (Inner Fit)" }, {
          ...plain,
          control_mode: "balanced",
          resize_mode: "crop"
        }],
        [{ image, guessmode: true }, { ...plain, control_mode: "control" }],
        [{ image, weight: "0.5", guidance_start: 0.25, guidance: 0.75, processor_res: -1, threshold_a: -1 }, {
          ...plain,
          weight: 0.5,
          guidance_start: 0.25,
          guidance_end: 0.75
        }],
        [{ image, processor_res: 384, threshold_a: 64, threshold_b: 128, pixel_perfect: "true", lowvram: false }, {
          ...plain,
          processor_res: 384,
          threshold_a: 64,
          threshold_b: 128,
          pixel_perfect: true,
          low_vram: false
        }]
      ]
      for (const [given, read] of forms) {
        assert.deepStrictEqual(yield* units({ args: [given] }, "controlnet"), [read], JSON.stringify(given))
      }
    }))

  it.effect("may be none, or not act", () =>
    Effect.gen(function*() {
      for (const entry of [{}, { args: [] }, { args: [null, {}, { enabled: false, image: 3, weight: "much" }] }]) {
        assert.deepStrictEqual(yield* units(entry), [])
      }
      const [first, second] = yield* units({ args: [null, { image }, {}] })
      assert.deepStrictEqual([first, second], [{ enabled: false }, { enabled: true, image: bytes }])
    }))

  it.effect("are refused by their place when they cannot be read", () =>
    Effect.gen(function*() {
      const faults: ReadonlyArray<readonly [given: unknown, ...path: ReadonlyArray<string>]> = [
        [7],
        [{ weight: "much" }, "weight"],
        [{ control_mode: 3 }, "control_mode"],
        [{ resize_mode: "elastic" }, "resize_mode"],
        [{ input_image: 3 }, "image"],
        [{ enabled: "perhaps" }, "enabled"]
      ]
      for (const [given, ...path] of faults) {
        const error = yield* Effect.flip(units({ args: [{}, given] }))
        assert.deepStrictEqual(
          error._tag === "Unprocessable" ? error.detail[0]?.loc : error,
          ["body", "alwayson_scripts", "controlnet", "args", 1, ...path]
        )
      }
    }))
})

import { assert, layer } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readMetadata } from "../../src/images/Metadata.ts"
import { Options } from "../../src/processing/Options.ts"
import { Img2Img, Txt2Img } from "../../src/processing/requests.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import * as pictures from "./pictures.ts"

const oneOf = <const L extends ReadonlyArray<string | number | boolean>>(values: L) => Schema.Literals(values)
const share = oneOf([0, 0.25, 0.3, 0.5, 0.75, 1])
const words = Schema.Array(
  oneOf([
    "a cat",
    "(dog:1.3)",
    "[bird]",
    "[sun:moon:0.5]",
    "[red|green]",
    "AND",
    "BREAK",
    "\"quoted\"",
    "a: b",
    "é 猫",
    "\n"
  ])
)

const Shared = Schema.Struct({
  prompt: words,
  negative_prompt: words,
  seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 })),
  subseed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 })),
  subseed_strength: share,
  seed_resize_from_w: oneOf([-1, 0, 48]),
  seed_resize_from_h: oneOf([-1, 0, 80]),
  steps: oneOf([1, 2, 5]),
  sampler_name: oneOf(["Euler", ...Samplers.all.map(({ name }) => name).filter((name) => name !== "DPM adaptive")]),
  scheduler: oneOf(["Automatic", ...Schedules.all.map(({ label }) => label)]),
  cfg_scale: oneOf([1, 2.5, 7]),
  width: oneOf([32, 64]),
  height: oneOf([32, 40]),
  eta: oneOf([0, 0.5, 1]),
  tiling: Schema.Boolean
})

const Settings = Schema.Struct({
  emphasis: oneOf(["Original", "No norm", "Ignore", "None"]),
  CLIP_stop_at_last_layers: oneOf([1, 2]),
  randn_source: oneOf(["CPU", "NV"]),
  eta_noise_seed_delta: oneOf([0, 31337]),
  sgm_noise_multiplier: Schema.Boolean,
  always_discard_next_to_last_sigma: Schema.Boolean,
  s_churn: oneOf([0, 5])
})

const Hires = Schema.Struct({
  enable_hr: Schema.Boolean,
  hr_scale: oneOf([1.5, 2]),
  hr_upscaler: oneOf(["Latent", "Lanczos", "Latent (nearest)"]),
  hr_second_pass_steps: oneOf([0, 3]),
  denoising_strength: share,
  hr_prompt: oneOf(["", "a dog, \"big\""]),
  hr_sampler_name: oneOf(["Euler", "DPM++ 2M"])
})

const Masking = Schema.Struct({
  denoising_strength: share,
  resize_mode: oneOf([0, 1, 2, 3]),
  inpainting_fill: oneOf([0, 1, 2, 3]),
  inpaint_full_res: Schema.Boolean,
  inpaint_full_res_padding: oneOf([0, 16]),
  inpainting_mask_invert: oneOf([0, 1])
})

// White space at the ends of lines is no part of what an infotext keeps.
const joined = (parts: ReadonlyArray<string>): string =>
  parts.join(" ").split("\n").map((line) => line.trim()).join("\n").trim()

layer(TestRuntime.layer())("a picture made again from its infotext", (it) => {
  it.effect.prop(
    "is the same to the byte",
    [Arbitrary.schema(Shared), Arbitrary.schema(Settings), Arbitrary.schema(Hires)],
    ([shared, override_settings, hires]) =>
      Effect.gen(function*() {
        const asked = Txt2Img.make({
          ...shared,
          ...hires,
          prompt: joined(shared.prompt),
          negative_prompt: joined(shared.negative_prompt),
          override_settings
        })
        const { images: [made] } = yield* processImages(asked)
        assert.isDefined(made)
        const { infotext = "" } = yield* readMetadata(made.bytes)
        const again = yield* Txt2Img.fromInfotext(infotext, {}, { opts: Options.defaults })
        const { images: [remade] } = yield* processImages(again)
        assert.strictEqual(remade?.infotext, infotext)
        assert.deepStrictEqual(remade?.bytes, made.bytes)
      }),
    { arbitrary: { runs: 60 } }
  )

  it.effect.prop(
    "is the same to the byte with the picture and mask that it came from",
    [Arbitrary.schema(Shared), Arbitrary.schema(Settings), Arbitrary.schema(Masking)],
    ([shared, override_settings, masking]) =>
      Effect.gen(function*() {
        const init_images = [yield* pictures.file(pictures.slopes(72, 60))] as const
        const mask = yield* pictures.file(pictures.rectangle([10, 10, 40, 50], 72, 60))
        const asked = Img2Img.make({
          ...shared,
          ...masking,
          prompt: joined(shared.prompt),
          negative_prompt: joined(shared.negative_prompt),
          override_settings,
          init_images,
          mask
        })
        const { images: [made] } = yield* processImages(asked)
        assert.isDefined(made)
        const given = {
          init_images,
          mask,
          resize_mode: masking.resize_mode
        }
        const again = yield* Img2Img.fromInfotext(made.infotext, given, { opts: Options.defaults })
        const { images: [remade] } = yield* processImages(again)
        assert.strictEqual(remade?.infotext, made.infotext)
        assert.deepStrictEqual(remade?.bytes, made.bytes)
      }),
    { arbitrary: { runs: 40 } }
  )
})

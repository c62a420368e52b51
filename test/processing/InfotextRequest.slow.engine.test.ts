import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readMetadata } from "../../src/images/Metadata.ts"
import * as Infotext from "../../src/processing/Infotext.ts"
import { fieldsOf, fromInfotext, settingsOf } from "../../src/processing/InfotextRequest.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Options } from "../../src/processing/Options.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"

const text =
  "a cat\nNegative prompt: bad, ugly\nSteps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, " +
  "Seed: 965400086, Size: 512x768, Model hash: 45dee52b, Model: v1-5, ENSD: 31337, RNG: NV, Version: 1.10.1"

const request = {
  prompt: "a cat",
  negative_prompt: "bad, ugly",
  steps: 30,
  sampler_name: "DPM++ 2M",
  scheduler: "Karras",
  cfg_scale: 7.5,
  seed: 965400086,
  width: 512,
  height: 768
}
const override_settings = { eta_noise_seed_delta: 31337, randn_source: "NV" } as const

// With the settings as they are when nobody set them, so that only those that differ are named.
const opts = Options.patched(Options.defaults, { randn_source: "GPU" })

const problems = (...args: Parameters<typeof fromInfotext>) =>
  Effect.map(Effect.flip(fromInfotext(...args)), ({ problems }) => problems)

describe("InfotextRequest.fromInfotext", () => {
  it.effect("makes the request that the text tells of", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* fromInfotext(text, {}, { opts }), Txt2Img.make({ ...request, override_settings }))
    }))

  it.effect("takes a text without parameters for a prompt", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* fromInfotext("a cat", {}, { opts: Options.defaults }),
        Txt2Img.make({ prompt: "a cat", override_settings: { randn_source: "GPU" } })
      )
    }))

  it.effect("leaves old combined names to those who know samplers", () =>
    Effect.gen(function*() {
      const made = yield* fromInfotext("cat\nSteps: 20, Sampler: DPM++ 2M Karras, Seed: 5")
      assert.deepStrictEqual([made.sampler_name, made.scheduler], ["DPM++ 2M Karras", "Automatic"])
    }))

  it.effect("never replaces what is given, but nulls", () =>
    Effect.gen(function*() {
      const given = { prompt: "", seed: 7, width: 64, n_iter: 2, steps: null, cfg_scale: undefined }
      assert.deepStrictEqual(
        yield* fromInfotext(text, given, { opts }),
        Txt2Img.make({ ...request, prompt: "", seed: 7, width: 64, n_iter: 2, override_settings })
      )
      const settings = { override_settings: { randn_source: "CPU", samples_save: false } }
      assert.deepStrictEqual((yield* fromInfotext(text, settings, { opts })).override_settings, {
        eta_noise_seed_delta: 31337,
        randn_source: "CPU",
        samples_save: false
      })
    }))

  it.effect("does not look at what is wrong where another value is given", () =>
    Effect.gen(function*() {
      const { steps } = yield* fromInfotext("Steps: many, Sampler: Euler, Seed: 5", { steps: 3 })
      assert.strictEqual(steps, 3)
    }))

  it.effect("overrides no setting that is as the text says", () =>
    Effect.gen(function*() {
      const opts = Options.patched(Options.defaults, { randn_source: "NV" })
      assert.deepStrictEqual((yield* fromInfotext(text, {}, { opts })).override_settings, {
        eta_noise_seed_delta: 31337
      })
      assert.deepStrictEqual((yield* fromInfotext("a cat", {}, { opts })).override_settings, { randn_source: "GPU" })
    }))

  it.effect("asks for the image's model only when asked to", () =>
    Effect.gen(function*() {
      const { override_settings: overrides } = yield* fromInfotext(text, {}, { swapModel: true, opts })
      assert.deepStrictEqual(overrides, { ...override_settings, sd_model_checkpoint: "45dee52b" })
    }))

  it.effect("names every setting that the text stands for when none is in force", () =>
    Effect.gen(function*() {
      const { override_settings: overrides } = yield* fromInfotext("a cat (big)")
      assert.deepStrictEqual(overrides, {
        CLIP_stop_at_last_layers: 1,
        emphasis: "Original",
        randn_source: "GPU",
        refiner_switch_by_sample_steps: false,
        rho: 0,
        sigma_max: 0,
        sigma_min: 0
      })
    }))

  it.effect("makes the second pass that the text tells of", () =>
    Effect.gen(function*() {
      const hires =
        `${text}, Denoising strength: 0.6, Hires checkpoint: xl, Hires sampler: Euler, Hires prompt: "a, b", ` +
        "Hires resize: 1024x0, Hires steps: 4, Hires upscaler: Lanczos, Refiner: r, Refiner switch at: 0.8"
      assert.deepStrictEqual(
        yield* fromInfotext(hires, {}, { opts }),
        Txt2Img.make({
          ...request,
          override_settings,
          enable_hr: true,
          denoising_strength: 0.6,
          hr_checkpoint_name: "xl",
          hr_sampler_name: "Euler",
          hr_prompt: "a, b",
          hr_resize_x: 1024,
          hr_second_pass_steps: 4,
          hr_upscaler: "Lanczos",
          refiner_checkpoint: "r",
          refiner_switch_at: 0.8
        })
      )
    }))

  it.effect("makes an Img2Img of images that are given", () =>
    Effect.gen(function*() {
      const inpaint = `${text}, Denoising strength: 0.5, Mask mode: Inpaint not masked, Mask blur: 8, ` +
        "Inpaint area: Only masked, Masked area padding: 16, Masked content: fill, Noise multiplier: 2.0"
      const bytes = new Uint8Array([0])
      const given = { _tag: "Img2Img", init_images: [bytes], mask: bytes, steps: 5 }
      assert.deepStrictEqual(
        yield* fromInfotext(inpaint, given, { opts }),
        Img2Img.make({
          ...request,
          steps: 5,
          override_settings,
          init_images: [bytes],
          mask: bytes,
          denoising_strength: 0.5,
          inpainting_mask_invert: 1,
          mask_blur_x: 8,
          mask_blur_y: 8,
          inpaint_full_res_padding: 16,
          inpainting_fill: 0,
          initial_noise_multiplier: 2
        })
      )
      assert.deepStrictEqual((yield* problems(inpaint, { _tag: "Img2Img" })).map(({ path }) => path), ["init_images"])
    }))

  it.effect("names every problem, from either side", () =>
    Effect.gen(function*() {
      const bad = "Steps: many, CFG scale: nan, Seed: 1.5, Size: 4x64, ENSD: x, RNG: TPU, Sampler: Euler"
      const found = yield* problems(bad, { n_iter: 0 })
      assert.sameMembers(found.map(({ path }) => path), [
        "steps",
        "cfg_scale",
        "seed",
        "width",
        "n_iter",
        "override_settings.eta_noise_seed_delta"
      ])
      const messages = found.map(({ message }) => message)
      assert.include(messages, `the infotext says Steps: "many", which is not a whole number`)
      assert.isTrue(messages.some((message) => message.endsWith(`; the infotext says Size: "4"`)))
    }))

  it.effect("names settings that are none, a seed beyond all numbers, and what is over the limits", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* problems(text, { override_settings: 5 })).map(({ path }) => path), [
        "override_settings"
      ])
      const huge = "cat\nSteps: 20, Sampler: Euler, Seed: 103234213234123412341"
      assert.deepStrictEqual((yield* problems(huge)).map(({ path }) => path), ["seed"])
      const limits = Limits.make({ max_width: 256 })
      assert.deepStrictEqual((yield* problems(text, {}, { limits })).map(({ path }) => path), ["width"])
    }))

  it.effect.prop(
    "gives a request or names what is wrong, for any text",
    [Schema.String, Schema.String],
    ([a, b]) =>
      Effect.gen(function*() {
        for (const text of [a, `${a}\nSteps: ${b}, Sampler: ${a}, Seed: ${b}, RNG: ${a}, Size: 64x64`]) {
          const result = yield* Effect.result(fromInfotext(text))
          if (result._tag === "Failure") assert.isNotEmpty(result.failure.problems)
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})

describe("InfotextRequest, every key", () => {
  const read = (text: string) => {
    const said = Infotext.withDefaults(Infotext.parse(`cat\nSteps: 20, Seed: 5, Sampler: Euler, ${text}`))
    return Object.fromEntries([...fieldsOf(said), ...settingsOf(said)].map(({ name, value }) => [name, value]))
  }

  it.each<readonly [string, Readonly<Record<string, unknown>>]>([
    ["Batch size: 4", { batch_size: 4 }],
    ["Denoising strength: 0.7", { denoising_strength: 0.7, enable_hr: false }],
    ["Denoising strength: 0.7, Hires upscale: 1.5, Hires steps: 1, Hires upscaler: Latent", {
      enable_hr: true,
      hr_scale: 1.5,
      hr_second_pass_steps: 1,
      hr_upscaler: "Latent",
      hr_sampler_name: null,
      hr_scheduler: null,
      hr_checkpoint_name: null,
      hr_prompt: ""
    }],
    ["Denoising strength: 0.5, Hires resize: 96x0", { enable_hr: true, hr_resize_x: 96, hr_resize_y: 0 }],
    ["Hires upscale: 2.0", { enable_hr: false, hr_scale: 2 }],
    [`Hires sampler: Euler, Hires prompt: "dog, \\"big\\"", Hires negative prompt: x, Hires schedule type: Karras`, {
      hr_sampler_name: "Euler",
      hr_prompt: `dog, "big"`,
      hr_negative_prompt: "x",
      hr_scheduler: "Karras"
    }],
    ["Variation seed: 100, Variation seed strength: 0.3", { subseed: 100, subseed_strength: 0.3 }],
    ["Seed resize from: 64x32", { seed_resize_from_w: 64, seed_resize_from_h: 32 }],
    ["Refiner: xl [abc], Refiner switch at: 0.8", { refiner_checkpoint: "xl [abc]", refiner_switch_at: 0.8 }],
    ["Mask mode: Inpaint not masked, Mask blur: 4, Inpaint area: Only masked, Masked area padding: 0", {
      inpainting_mask_invert: 1,
      mask_blur_x: 4,
      mask_blur_y: 4,
      inpaint_full_res: true,
      inpaint_full_res_padding: 0
    }],
    ["Masked content: latent noise", { inpainting_fill: 2, inpainting_mask_invert: 0, inpaint_full_res: false }],
    ["Masked content: unheard of", { inpainting_fill: undefined }],
    ["Face restoration: CodeFormer, Tiling: True, Clip skip: 2", {
      face_restoration: "CodeFormer",
      tiling: true,
      CLIP_stop_at_last_layers: 2
    }],
    ["VAE: v, VAE Encoder: TAESD", { sd_vae: "v", sd_vae_encode_method: "TAESD", sd_vae_decode_method: "Full" }],
    ["Eta: 0.5, Eta DDIM: 0.25, Sigma churn: 1.0", { eta_ancestral: 0.5, eta_ddim: 0.25, s_churn: 1 }],
    ["Schedule min sigma: 0.1, Schedule rho: 7.0", { sigma_min: 0.1, sigma_max: 0, rho: 7 }],
    ["Beta schedule alpha: 0.6, Beta schedule beta: 0.6", { beta_dist_alpha: 0.6, beta_dist_beta: 0.6 }],
    ["Token merging ratio: 0.5, NGMS: 1e-05, Discard penultimate sigma: True", {
      token_merging_ratio: 0.5,
      s_min_uncond: 0.00001,
      always_discard_next_to_last_sigma: true
    }],
    ["Version: v1.5.2", { use_downcasted_alpha_bar: true, refiner_switch_by_sample_steps: false }]
  ])("%s", (text, expected) => {
    assert.deepInclude(read(text), expected)
  })
})

layer(Serena.layer({ cmdOpts: { threads: 1 } }))("InfotextRequest, on the embedded model", (it) => {
  it.effect("makes the same file again from what an image tells", () =>
    Effect.gen(function*() {
      const saveNothing = { override_settings: { samples_save: false } }
      const { images: [first] } = yield* processImages(Txt2Img.make({
        prompt: "a red circle,\non a blue background",
        negative_prompt: "green: \"dark\"",
        sampler_name: "DPM2 a Karras",
        steps: 3,
        cfg_scale: 4,
        width: 64,
        height: 128,
        override_settings: { ...saveNothing.override_settings, eta_noise_seed_delta: 31337, randn_source: "NV" }
      }))
      assert.isDefined(first)
      const { infotext = "" } = yield* readMetadata(first.bytes)
      assert.strictEqual(infotext, first.infotext)
      const { images: [second] } = yield* processImages(yield* fromInfotext(infotext, saveNothing))
      assert.isTrue(second !== undefined && Buffer.compare(first.bytes, second.bytes) === 0)
    }))
})

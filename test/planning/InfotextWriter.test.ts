import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { format, type InfotextFacts } from "../../src/planning/InfotextWriter.ts"
import { fromInfotext } from "../../src/processing/InfotextRequest.ts"
import { Options } from "../../src/processing/Options.ts"
import { OptionsPatch } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, type Processing, Txt2Img } from "../../src/processing/Processing.ts"

const eulerA = { name: "Euler a", usesEnsd: true, space: "sigma", noise: "ancestral" } as const
const euler = { name: "Euler", usesEnsd: false, space: "sigma", noise: "churn", scalesNoise: true } as const
const ddim = { name: "DDIM", usesEnsd: false, space: "timestep", noise: "ancestral" } as const

// The facts of the reference's examples: 64x64, two steps, seed 5, model "tiny".
const about = (processing: Processing, facts: Partial<InfotextFacts> = {}): InfotextFacts => ({
  processing,
  opts: Options.patched(Options.defaults, { randn_source: "GPU", ...processing.override_settings }),
  prompt: processing.prompt,
  negativePrompt: processing.negative_prompt,
  steps: 2,
  sampler: eulerA,
  scheduleLabel: "Automatic",
  seed: 5,
  subseed: 100,
  width: 64,
  height: 64,
  model: { name: "tiny", hash: "535cf750e0" },
  usesBrackets: false,
  isInpaintingModel: false,
  hasMask: false,
  tiling: false,
  clipSkip: 1,
  version: "1.10.1",
  ...facts
})

const base = "a cat\nSteps: 2, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 5, Size: 64x64, " +
  "Model hash: 535cf750e0, Model: tiny"
const cat = (fields: Parameters<typeof Txt2Img.make>[0] = {}) => Txt2Img.make({ prompt: "a cat", ...fields })
const dog = (fields: Partial<Img2Img> = {}) =>
  Img2Img.make({ prompt: "a cat", init_images: [new Uint8Array([1])], ...fields })

// What follows the model, before the version.
const told = (facts: InfotextFacts): string => {
  const text = format(facts)
  assert.isTrue(text.endsWith(", Version: 1.10.1"), text)
  return text.slice(text.indexOf("Model: tiny") + "Model: tiny".length, -", Version: 1.10.1".length).replace(/^, /, "")
}

describe("InfotextWriter.format", () => {
  it.effect("writes how much an image guides the result, for models that edit images", () =>
    Effect.gen(function*() {
      const edited = dog({ image_cfg_scale: 1.5 })
      const written = format(about(edited, { isEditingModel: true }))
      assert.include(written, "CFG scale: 7.0, Image CFG scale: 1.5, Seed: 5")
      const read = yield* fromInfotext(written, { _tag: "Img2Img", init_images: [new Uint8Array([1])] })
      assert.isTrue(read._tag === "Img2Img" && read.image_cfg_scale === 1.5)
      for (
        const facts of [about(edited), about(dog(), { isEditingModel: true }), about(cat(), { isEditingModel: true })]
      ) {
        assert.notInclude(format(facts), "Image CFG")
      }
    }))

  it("writes the reference's plain texts", () => {
    assert.strictEqual(format(about(cat())), `${base}, Version: 1.10.1`)
    assert.strictEqual(
      format(about(cat({ negative_prompt: "bad, ugly" }), {
        sampler: { name: "DPM++ 2M", usesEnsd: false, space: "sigma", noise: "none" },
        scheduleLabel: "Karras"
      })),
      "a cat\nNegative prompt: bad, ugly\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 5, " +
        "Size: 64x64, Model hash: 535cf750e0, Model: tiny, Version: 1.10.1"
    )
  })

  it("names model and version only where the settings say so", () => {
    const override_settings = {
      add_model_hash_to_info: false,
      add_model_name_to_info: false,
      add_version_to_infotext: false
    }
    assert.isTrue(format(about(cat({ override_settings }))).endsWith("Size: 64x64"))
    assert.isTrue(format(about(cat(), { model: { name: "tiny", hash: undefined } })).includes("64x64, Model: tiny"))
  })

  it.each<readonly [string, InfotextFacts]>([
    ["Variation seed: 100, Variation seed strength: 0.3", about(cat({ subseed_strength: 0.3 }))],
    ["Seed resize from: 32x64", about(cat({ seed_resize_from_w: 32, seed_resize_from_h: 64 }))],
    ["", about(cat({ seed_resize_from_w: 32, seed_resize_from_h: 0 }))],
    ["Tiling: True", about(cat(), { tiling: true })],
    [
      "Clip skip: 2, ENSD: 31337, RNG: CPU",
      about(cat({ override_settings: { eta_noise_seed_delta: 31337, randn_source: "CPU" } }), { clipSkip: 2 })
    ],
    ["Eta: 0.0", about(cat({ eta: 0, override_settings: { eta_noise_seed_delta: 31337 } }))],
    [
      "Denoising strength: 0.7, Hires upscale: 1.5, Hires steps: 1, Hires upscaler: Latent",
      about(cat({ enable_hr: true, denoising_strength: 0.7, hr_scale: 1.5, hr_second_pass_steps: 1 }), { hires: {} })
    ],
    [
      `Denoising strength: 0.5, Hires sampler: Euler, Hires prompt: "dog, \\"big\\"", Hires negative prompt: x, ` +
      "Hires schedule type: Karras, Hires upscale: 2.0, Hires upscaler: Latent",
      about(cat({ enable_hr: true, denoising_strength: 0.5 }), {
        hires: { sampler: euler, scheduleLabel: "Karras", prompt: `dog, "big"`, negativePrompt: "x" }
      })
    ],
    [
      "Denoising strength: 0.5, Hires checkpoint: xl, Hires resize: 96x0, Hires upscaler: None",
      about(cat({ enable_hr: true, denoising_strength: 0.5, hr_resize_x: 96, hr_upscaler: "None" }), {
        hires: { checkpoint: "xl" }
      })
    ],
    ["Denoising strength: 0.75", about(dog())],
    [
      "Denoising strength: 0.75, Mask mode: Inpaint not masked, Mask blur: 4, Inpaint area: Only masked, " +
      "Masked area padding: 0, Masked content: fill",
      about(dog({ inpainting_mask_invert: 1, inpaint_full_res_padding: 0, inpainting_fill: 0 }), { hasMask: true })
    ],
    [
      "Denoising strength: 0.75, Conditional mask weight: 0.5, Mask blur x: 0, Mask blur y: 4, " +
      "Masked content: latent nothing",
      about(
        dog({
          inpaint_full_res: false,
          mask_blur_x: 0,
          inpainting_fill: 3,
          override_settings: { inpainting_mask_weight: 0.5 }
        }),
        { hasMask: true, isInpaintingModel: true }
      )
    ],
    [
      "Denoising strength: 0.75, Mask blur: 0, Mask round: False, Mask overlay: False",
      about(
        dog({
          inpaint_full_res: false,
          mask_blur_x: 0,
          mask_blur_y: 0,
          mask_round: false,
          override_settings: { overlay_inpaint: false }
        }),
        { hasMask: true }
      )
    ],
    [
      "Denoising strength: 0.75, Resize mode: Resize and fill, Img2img upscaler: ESRGAN, Background color: #000000, " +
      "Full steps: True, Color correction: True, Upscaler tile size: 64, Upscaler tile overlap: 16",
      about(
        dog({
          resize_mode: 2,
          override_settings: {
            upscaler_for_img2img: "ESRGAN",
            img2img_background_color: "#000000",
            img2img_fix_steps: true,
            img2img_color_correction: true,
            ESRGAN_tile: 64,
            ESRGAN_tile_overlap: 16
          }
        })
      )
    ],
    [
      "Disable extra networks: True, Prompt comments: False, Comma padding backtrack: 0, Tiled VAE threshold: 512, " +
      "Latent tile size: 64, Latent tile overlap: 8",
      about(
        cat({
          disable_extra_networks: true,
          override_settings: {
            enable_prompt_comments: false,
            comma_padding_backtrack: 0,
            vae_tile_threshold: 512,
            latent_tile_size: 64,
            latent_tile_overlap: 8
          }
        }),
        { prompt: "a cat # not a comment <lora:x:1>" }
      )
    ],
    [
      "Clip skip: 2, Clip skip SDXL: True, SDXL crop top: 8, SDXL high aesthetic score: 7.0",
      about(
        cat({
          override_settings: {
            CLIP_stop_at_last_layers: 2,
            sdxl_clip_l_skip: true,
            sdxl_crop_top: 8,
            sdxl_refiner_high_aesthetic_score: 7
          }
        }),
        { clipSkip: 2, familySettings: "all" }
      )
    ],
    [
      "Denoising strength: 0.75, Noise multiplier: 0.5, Extra noise: 0.1",
      about(dog({ initial_noise_multiplier: 0.5, override_settings: { img2img_extra_noise: 0.1 } }))
    ],
    ["Eta: 0.5", about(cat({ eta: 0.5 }))],
    ["Eta DDIM: 0.5", about(cat({ eta: 0.5 }), { sampler: ddim })],
    ["", about(cat({ eta: 0 }), { sampler: ddim })],
    ["", about(cat({ eta: 0.5 }), { sampler: euler })],
    ["Beta schedule alpha: 0.6, Beta schedule beta: 0.6", about(cat(), { scheduleLabel: "Beta", sampler: euler })],
    [
      "Schedule min sigma: 0.1, Schedule max sigma: 10.0, Schedule rho: 5.0",
      about(cat({ override_settings: { sigma_min: 0.1, sigma_max: 10, rho: 5 } }), { scheduleLabel: "Karras" })
    ],
    ["", about(cat({ override_settings: { sigma_min: 0.1, sigma_max: 10, rho: 5 } }))],
    [
      "Sigma churn: 1.0, Sigma tmax: 5.0, Sigma noise: 1.1",
      about(cat({ s_churn: 1, s_noise: 1.1, override_settings: { s_tmax: 5, s_churn: 3 } }), { sampler: euler })
    ],
    [
      "Old prompt editing timelines: True, Emphasis: No norm, Noise Schedule: Zero Terminal SNR, " +
      "Discard penultimate sigma: True, SGM noise multiplier: True, Skip Early CFG: 0.2, NGMS: 3.0, NGMS all steps: True",
      about(
        cat({
          override_settings: {
            use_old_scheduling: true,
            emphasis: "No norm",
            sd_noise_schedule: "Zero Terminal SNR",
            always_discard_next_to_last_sigma: true,
            sgm_noise_multiplier: true,
            skip_early_cond: 0.2,
            s_min_uncond: 3,
            s_min_uncond_all: true
          }
        }),
        { negativePrompt: "", usesBrackets: true, prompt: "[a|b] cat" }
      )
    ],
    [
      "Skip Late CFG: 0.25, DeepCache interval: 3, DeepCache start: 0.2",
      about(cat({ override_settings: { skip_late_cond: 0.25, deepcache_interval: 3, deepcache_start: 0.2 } }))
    ],
    [
      "Token merging ratio: 0.5",
      about(cat({ override_settings: { token_merging_ratio: 0.5, token_merging_ratio_hr: 0.25 } }))
    ],
    [
      "DeepCache interval: 3",
      about(cat({ override_settings: { deepcache_interval: 3 } }))
    ],
    [
      "",
      about(cat({ override_settings: { deepcache_start: 0.2 } }))
    ],
    [
      "Refiner switch by sampling steps: True, Refiner: xl, Refiner switch at: 0.8",
      about(cat({ override_settings: { refiner_switch_by_sample_steps: true } }), {
        refiner: { name: "xl", switchAt: 0.8 }
      })
    ],
    [
      "UniPC variant: bh2, UniPC order: 2, UniPC lower order final: False",
      about(cat({ override_settings: { uni_pc_variant: "bh2", uni_pc_order: 2, uni_pc_lower_order_final: false } }), {
        sampler: { name: "UniPC", usesEnsd: false, space: "timestep", noise: "none" }
      })
    ]
  ])("%s", (expected, facts) => {
    assert.strictEqual(told(facts), expected)
  })
})

const words = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(Schema.Literals(["a", "cat", "(big:1.2)", "\"x\"", "é", "猫", "a: b", "#1", "\n", "\\"]))
  ),
  (words) => words.join(" ").split("\n").map((line) => line.trim()).join("\n").trim()
)
const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
const hundredths = (maximum: number) => Arbitrary.map(int(0, maximum * 100), (count) => count / 100)
const either = Arbitrary.schema(Schema.Boolean)
const model = Arbitrary.schema(Schema.Literals(["xl", "v1, pruned", "a: b"]))

const settings = Arbitrary.map(
  Arbitrary.all([
    either,
    hundredths(1),
    int(-5, 5),
    hundredths(5),
    either,
    Arbitrary.schema(Schema.Literals(["CPU", "NV"]))
  ]),
  ([tiling, eta_ancestral, eta_noise_seed_delta, s_min_uncond, sgm_noise_multiplier, randn_source]): OptionsPatch => ({
    tiling,
    eta_ancestral,
    // With an eta of 0 the delta does nothing, and is not told.
    eta_noise_seed_delta: eta_ancestral === 0 ? 0 : eta_noise_seed_delta,
    s_min_uncond,
    sgm_noise_multiplier,
    randn_source
  })
)
const shared = Arbitrary.map(
  Arbitrary.all([
    words,
    words,
    int(0, 2 ** 32),
    int(1, 150),
    hundredths(30),
    int(1, 16),
    int(1, 16),
    int(0, 2 ** 32),
    hundredths(1),
    int(0, 1),
    hundredths(1),
    model
  ]),
  ([prompt, negative_prompt, seed, steps, cfg_scale, width, height, subseed, strength, resize, share, name]) => ({
    prompt,
    negative_prompt,
    seed,
    steps,
    cfg_scale,
    sampler_name: "Euler a",
    scheduler: "Karras",
    width: width * 8,
    height: height * 8,
    ...(strength > 0 && { subseed, subseed_strength: strength }),
    ...(resize === 1 && { seed_resize_from_w: width * 4, seed_resize_from_h: height * 2 }),
    ...(share < 0.5 && { refiner_checkpoint: name, refiner_switch_at: share })
  })
)
// A value in quotes loses them on the way, so no prompt of the second pass begins with one.
const led = (prompt: string): string => prompt === "" ? "" : `b ${prompt}`
const hires = Arbitrary.map(
  Arbitrary.all([hundredths(1), int(100, 400), int(0, 3), int(0, 8), int(0, 10), words, words, model, either]),
  ([denoising_strength, scale, which, side, hr_second_pass_steps, prompt, negative, name, differs]) => ({
    enable_hr: true,
    denoising_strength,
    ...(which === 0
      ? { hr_scale: scale / 100 }
      : { hr_resize_x: which === 1 ? 0 : side * 8 + 8, hr_resize_y: which === 2 ? 0 : 64 }),
    hr_second_pass_steps,
    hr_upscaler: differs ? "Lanczos" : "Latent",
    ...(differs && {
      hr_checkpoint_name: name,
      hr_sampler_name: "Euler",
      hr_scheduler: "Beta",
      hr_prompt: led(prompt),
      hr_negative_prompt: led(negative)
    })
  })
)
const masks = Arbitrary.map(
  Arbitrary.all([
    hundredths(1),
    int(1, 64),
    Arbitrary.schema(Schema.Literals([0, 1, 2, 3])),
    either,
    int(0, 64),
    hundredths(3)
  ]),
  ([denoising_strength, blur, inpainting_fill, inpaint_full_res, padding, multiplier]) => ({
    denoising_strength,
    mask_blur_x: blur,
    mask_blur_y: blur,
    inpainting_fill,
    inpaint_full_res,
    inpaint_full_res_padding: inpaint_full_res ? padding : 32,
    inpainting_mask_invert: padding % 2 === 0 ? 1 as const : 0 as const,
    ...(multiplier !== 1 && { initial_noise_multiplier: multiplier })
  })
)

// What a pipeline would settle for a request that leaves nothing open.
const settled = (processing: Processing, opts = Options.defaults): InfotextFacts =>
  about(processing, {
    opts: Options.patched(opts, processing.override_settings),
    scheduleLabel: processing.scheduler,
    steps: processing.steps,
    seed: processing.seed,
    subseed: processing.subseed,
    width: processing.width ?? 0,
    height: processing.height ?? 0,
    tiling: processing.override_settings.tiling ?? false,
    hasMask: processing._tag === "Img2Img" && processing.mask !== undefined,
    refiner: processing.refiner_checkpoint === undefined
      ? undefined
      : { name: processing.refiner_checkpoint, switchAt: processing.refiner_switch_at ?? 0.8 },
    hires: processing._tag === "Txt2Img" && processing.enable_hr
      ? {
        checkpoint: processing.hr_checkpoint_name,
        sampler: processing.hr_sampler_name === undefined
          ? undefined
          : { name: processing.hr_sampler_name, usesEnsd: false, space: "sigma", noise: "none" },
        scheduleLabel: processing.hr_scheduler,
        prompt: processing.hr_prompt === "" ? undefined : processing.hr_prompt,
        negativePrompt: processing.hr_negative_prompt === "" ? undefined : processing.hr_negative_prompt
      }
      : undefined
  })

describe("a request comes back from its infotext", () => {
  const opts = Options.defaults
  // Settings that are as the defaults are not overridden.
  const changed = (patch: OptionsPatch): OptionsPatch => {
    const before: Readonly<Record<string, unknown>> = { ...opts }
    return OptionsPatch.make(
      Object.fromEntries(Object.entries(patch).filter(([name, value]) => before[name] !== value))
    )
  }

  it.effect.prop("when it is a Txt2Img", [shared, settings], ([fields, patch]) =>
    Effect.gen(function*() {
      const request = Txt2Img.make({ ...fields, override_settings: changed(patch) })
      assert.deepStrictEqual(yield* fromInfotext(format(settled(request)), {}, { opts }), request)
    }), { arbitrary: { runs: 300 } })

  it.effect.prop(
    "when it has a second pass",
    [shared, hires, settings],
    ([fields, second, patch]) =>
      Effect.gen(function*() {
        const request = Txt2Img.make({ ...fields, ...second, override_settings: changed(patch) })
        assert.deepStrictEqual(yield* fromInfotext(format(settled(request)), {}, { opts }), request)
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect.prop("when it is an Img2Img", [shared, masks, settings], ([fields, mask, patch]) =>
    Effect.gen(function*() {
      const pictures = { init_images: [new Uint8Array([1])], mask: new Uint8Array([2]) } as const
      const request = Img2Img.make({
        ...fields,
        ...mask,
        ...pictures,
        override_settings: changed({ ...patch, sgm_noise_multiplier: false })
      })
      const given = { _tag: "Img2Img", ...pictures }
      assert.deepStrictEqual(yield* fromInfotext(format(settled(request)), given, { opts }), request)
    }), { arbitrary: { runs: 300 } })
})

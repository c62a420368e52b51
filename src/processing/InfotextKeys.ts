/**
 * Which key of an infotext fills which field of a request, and which setting.
 *
 * A row takes effect as soon as requests, or options, have what it names.
 */
import type * as Infotext from "./Infotext.ts"

/** A type of value. */
export interface Kind {
  readonly what: string
  /** The value as the request has it, or `undefined` for one of another kind. */
  readonly read: (value: Infotext.Field) => unknown
  /** Whether a value that cannot be read is left out, with a warning, instead of refused. */
  readonly isOptional?: boolean
}

const matching = (what: string, pattern: RegExp): Kind => ({
  what,
  read: (value) => pattern.test(String(value)) ? Number(value) : undefined
})

const text: Kind = { what: "a text", read: String }
const list: Kind = { what: "a list", read: (value) => typeof value === "object" ? value : [String(value)] }
const whole = matching("a whole number", /^\s*[+-]?\d+(?:\.0*)?\s*$/)
/**
 * A seed's low 32 bits where the seed is no exact number, `undefined` for all others. They are all of it that the CPU
 * generator uses, for this image and for those that count on from it.
 */
export const low32OfLargeSeed = (value: unknown): number | undefined => {
  const digits = String(value).trim()
  if (!/^[+-]?\d{16,20}$/.test(digits)) return undefined
  const seed = BigInt(digits.replace(/^\+/, ""))
  const isExact = BigInt.asIntN(54, seed) === seed && Number.isSafeInteger(Number(seed))
  return isExact || seed < -(2n ** 63n) || seed >= 2n ** 64n ? undefined : Number(BigInt.asUintN(32, seed))
}
const seed: Kind = { what: whole.what, read: (value) => low32OfLargeSeed(value) ?? whole.read(value) }
const number = matching("a number", /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i)
const oneOf = (values: Readonly<Record<string, unknown>>): Kind => ({
  what: `one of ${Object.keys(values).join(", ")}`,
  read: (value) => {
    const name = String(value).trim()
    return Object.hasOwn(values, name) ? values[name] : undefined
  }
})
const flag = oneOf({ True: true, False: false, true: true, false: false })
// A name, or the words for "as in the first pass", which are said by leaving the field out.
const unlessSame: Kind = { what: "a name", read: (value) => String(value).startsWith("Use same ") ? null : value }

// Other programs have names of their own, such as stable-diffusion.cpp's `cuda` and `std_default`.
const randomSource: Kind = { ...oneOf({ GPU: "GPU", CPU: "CPU", NV: "NV" }), isOptional: true }

/** A key and what it fills. */
export interface Row {
  /** Of the request or the setting. */
  readonly name: string
  /** Of the infotext; or what follows from several. */
  readonly key: string | ((said: Infotext.Fields) => Infotext.Field | undefined)
  readonly kind: Kind
}

const row = (name: string, key: Row["key"], kind: Kind): Row => ({ name, key, kind })

const asksForHires = (said: Infotext.Fields): boolean =>
  said["Denoising strength"] !== undefined &&
  (said["Hires upscale"] !== undefined || said["Hires upscaler"] !== undefined || Number(said["Hires resize-1"]) > 0)

/** Fields of requests of every kind. */
export const fieldRows: ReadonlyArray<Row> = [
  row("prompt", "Prompt", text),
  row("negative_prompt", "Negative prompt", text),
  row("styles", "Styles array", list),
  row("steps", "Steps", whole),
  // Old texts have a schedule in the sampler's name; it is taken apart where samplers are known.
  row("sampler_name", "Sampler", text),
  row("scheduler", "Schedule type", text),
  row("cfg_scale", "CFG scale", number),
  row("seed", "Seed", seed),
  row("width", "Size-1", whole),
  row("height", "Size-2", whole),
  row("batch_size", "Batch size", whole),
  row("denoising_strength", "Denoising strength", number),
  row("subseed", "Variation seed", seed),
  row("subseed_strength", "Variation seed strength", number),
  row("seed_resize_from_w", "Seed resize from-1", whole),
  row("seed_resize_from_h", "Seed resize from-2", whole),
  row("refiner_checkpoint", "Refiner", text),
  row("refiner_switch_at", "Refiner switch at", number),
  row("enable_hr", asksForHires, flag),
  row("hr_scale", "Hires upscale", number),
  row("hr_upscaler", "Hires upscaler", text),
  row("hr_second_pass_steps", "Hires steps", whole),
  row("hr_resize_x", "Hires resize-1", whole),
  row("hr_resize_y", "Hires resize-2", whole),
  row("hr_checkpoint_name", "Hires checkpoint", unlessSame),
  row("hr_sampler_name", "Hires sampler", unlessSame),
  row("hr_scheduler", "Hires schedule type", unlessSame),
  row("hr_prompt", "Hires prompt", text),
  row("hr_negative_prompt", "Hires negative prompt", text),
  row("inpainting_mask_invert", "Mask mode", oneOf({ "Inpaint masked": 0, "Inpaint not masked": 1 })),
  row("mask_blur_x", "Mask blur", whole),
  row("mask_blur_y", "Mask blur", whole),
  row(
    "inpainting_fill",
    "Masked content",
    oneOf({ "fill": 0, "original": 1, "latent noise": 2, "latent nothing": 3 })
  ),
  row("inpaint_full_res", "Inpaint area", oneOf({ "Whole picture": false, "Only masked": true })),
  row("inpaint_full_res_padding", "Masked area padding", whole),
  // The webui has it set the setting of this name; the request's own field does the same, and takes larger values.
  row("initial_noise_multiplier", "Noise multiplier", number)
]

/** Settings. */
export const settingRows: ReadonlyArray<Row> = [
  row("face_restoration", "Face restoration", text),
  row("sd_model_checkpoint", "Model hash", text),
  row("emphasis", "Emphasis", text),
  row("CLIP_stop_at_last_layers", "Clip skip", whole),
  row("randn_source", "RNG", randomSource),
  row("tiling", "Tiling", flag),
  row("hires_fix_refiner_pass", "Hires refiner", text),
  row("sd_vae", "VAE", text),
  row("sd_vae_encode_method", "VAE Encoder", text),
  row("sd_vae_decode_method", "VAE Decoder", text),
  row("inpainting_mask_weight", "Conditional mask weight", number),
  row("img2img_extra_noise", "Extra noise", number),
  row("s_min_uncond", "NGMS", number),
  row("s_min_uncond_all", "NGMS all steps", flag),
  row("token_merging_ratio", "Token merging ratio", number),
  row("token_merging_ratio_hr", "Token merging ratio hr", number),
  row("pad_cond_uncond", "Pad conds", flag),
  row("pad_cond_uncond_v0", "Pad conds v0", flag),
  row("use_old_scheduling", "Old prompt editing timelines", flag),
  row("use_downcasted_alpha_bar", "Downcast alphas_cumprod", flag),
  row("refiner_switch_by_sample_steps", "Refiner switch by sampling steps", flag),
  row("eta_ddim", "Eta DDIM", number),
  row("eta_ancestral", "Eta", number),
  row("s_churn", "Sigma churn", number),
  row("s_tmin", "Sigma tmin", number),
  row("s_tmax", "Sigma tmax", number),
  row("s_noise", "Sigma noise", number),
  row("sigma_min", "Schedule min sigma", number),
  row("sigma_max", "Schedule max sigma", number),
  row("rho", "Schedule rho", number),
  row("eta_noise_seed_delta", "ENSD", whole),
  row("always_discard_next_to_last_sigma", "Discard penultimate sigma", flag),
  row("sgm_noise_multiplier", "SGM noise multiplier", flag),
  row("uni_pc_variant", "UniPC variant", text),
  row("uni_pc_skip_type", "UniPC skip type", text),
  row("uni_pc_order", "UniPC order", whole),
  row("uni_pc_lower_order_final", "UniPC lower order final", flag),
  row("sd_noise_schedule", "Noise Schedule", text),
  row("skip_early_cond", "Skip Early CFG", number),
  // The webui reads "scheduler" here, which it never wrote.
  row("beta_dist_alpha", "Beta schedule alpha", number),
  row("beta_dist_beta", "Beta schedule beta", number)
]

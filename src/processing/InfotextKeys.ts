/**
 * The keys of infotexts with the fields of requests and the settings that they fill.
 *
 * The keys are in the fields' descriptions. Rows of settings that Serena does not have name their key here.
 */
import { type Described, fieldOf } from "../core/Field.ts"
import * as Seed from "../core/Seed.ts"
import type * as Infotext from "./Infotext.ts"
import { isOwn } from "./InfotextDefaults.ts"
import { OptionsPatch } from "./Options.ts"
import { Img2Img, Txt2Img } from "./Processing.ts"

/** A type of value. */
export interface Kind {
  readonly what: string
  /** Converts a value to the request's, or to `undefined` if it is of another type. */
  readonly read: (value: Infotext.Field) => unknown
  /** Whether an invalid value is ignored with a warning, instead of refused. */
  readonly isOptional?: boolean
}

const matching = (what: string, pattern: RegExp): Kind => ({
  what,
  read: (value) => pattern.test(String(value)) ? Number(value) : undefined
})

const text: Kind = { what: "a text", read: String }
const list: Kind = { what: "a list", read: (value) => typeof value === "object" ? value : [String(value)] }
const whole = matching("a whole number", /^\s*[+-]?\d+(?:\.0*)?\s*$/)
const seed: Kind = {
  what: whole.what,
  read: (value) => {
    const [, digits] = /^([^.]*)(?:\.0*)?\s*$/.exec(String(value)) ?? []
    return Seed.fromText(digits ?? "")
  }
}
const number = matching("a number", /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i)
const oneOf = (values: Readonly<Record<string, unknown>>): Kind => ({
  what: `one of ${Object.keys(values).join(", ")}`,
  read: (value) => {
    const name = String(value).trim()
    return Object.hasOwn(values, name) ? values[name] : undefined
  }
})
const flag = oneOf({ True: true, False: false, true: true, false: false })
// A name, or a phrase for "as in the first pass", for which the field is omitted.
const unlessSame: Kind = { what: "a name", read: (value) => String(value).startsWith("Use same ") ? null : value }

// Without an upscaler, images are enlarged by Lanczos.
const upscaler: Kind = { what: "a name", read: (value) => value === "" ? null : String(value) }

// Other programs have names of their own, such as stable-diffusion.cpp's `cuda` and `std_default`.
const randomSource: Kind = { ...oneOf({ GPU: "GPU", CPU: "CPU", NV: "NV" }), isOptional: true }

/** A key with the field or setting that it fills. */
export interface Row {
  /** Name of the field or setting. */
  readonly name: string
  /** The infotext's key, or a value derived from several keys. */
  readonly key: string | ((said: Infotext.Fields) => Infotext.Field | undefined)
  readonly kind: Kind
}

const row = (name: string, key: Row["key"], kind: Kind): Row => ({ name, key, kind })

// Rows whose key is the one that the field's description names.
const described = (struct: Described) => (name: string, kind: Kind): Row => {
  const key = fieldOf(struct, name)?.infotext
  if (key === undefined) throw new Error(`the description of ${name} names no key of infotexts`)
  return row(name, key, kind)
}
const plain = described({ fields: { ...Txt2Img.fields, ...Img2Img.fields } })
const setting = described(OptionsPatch)

const asksForHires = (said: Infotext.Fields): boolean =>
  said["Denoising strength"] !== undefined &&
  (said["Hires upscale"] !== undefined || said["Hires upscaler"] !== undefined || Number(said["Hires resize-1"]) > 0)

/** The resize modes as infotexts name them, in the order of their numbers. */
export const resizeModes = [
  "Just resize",
  "Crop and resize",
  "Resize and fill",
  "Just resize (latent upscale)"
] as const

/** Fields of requests of every kind. */
export const fieldRows: ReadonlyArray<Row> = [
  plain("prompt", text),
  plain("negative_prompt", text),
  plain("styles", list),
  plain("disable_extra_networks", flag),
  plain("steps", whole),
  // Old texts have the schedule in the sampler's name, which is split where samplers are known.
  plain("sampler_name", text),
  plain("scheduler", text),
  plain("cfg_scale", number),
  plain("seed", seed),
  plain("width", whole),
  plain("height", whole),
  plain("batch_size", whole),
  plain("denoising_strength", number),
  plain("subseed", seed),
  plain("subseed_strength", number),
  plain("seed_resize_from_w", whole),
  plain("seed_resize_from_h", whole),
  plain("refiner_checkpoint", text),
  plain("refiner_switch_at", number),
  row("enable_hr", asksForHires, flag),
  plain("hr_scale", number),
  plain("hr_upscaler", text),
  plain("hr_second_pass_steps", whole),
  plain("hr_resize_x", whole),
  plain("hr_resize_y", whole),
  plain("hr_checkpoint_name", unlessSame),
  plain("hr_sampler_name", unlessSame),
  plain("hr_scheduler", unlessSame),
  plain("hr_prompt", text),
  plain("hr_negative_prompt", text),
  plain("inpainting_mask_invert", oneOf({ "Inpaint masked": 0, "Inpaint not masked": 1 })),
  plain("mask_blur_x", whole),
  plain("mask_blur_y", whole),
  // Written where they differ. The last row of a field counts.
  row("mask_blur_x", "Mask blur x", whole),
  row("mask_blur_y", "Mask blur y", whole),
  plain("mask_round", flag),
  plain("inpainting_fill", oneOf({ "fill": 0, "original": 1, "latent noise": 2, "latent nothing": 3 })),
  plain("inpaint_full_res", oneOf({ "Whole picture": false, "Only masked": true })),
  plain("inpaint_full_res_padding", whole),
  plain("resize_mode", oneOf(Object.fromEntries(resizeModes.map((mode, i) => [mode, i])))),
  // The webui fills the setting of this name; the request's field has the same effect and accepts larger values.
  plain("initial_noise_multiplier", number)
]

/** Settings. */
export const settingRows: ReadonlyArray<Row> = [
  row("face_restoration", "Face restoration", text),
  // Serena writes the name alone where hashes are not wanted.
  row(
    "sd_model_checkpoint",
    (said) => said["Model hash"] ?? (isOwn(said) ? said["Model"] : undefined),
    text
  ),
  setting("emphasis", text),
  setting("comma_padding_backtrack", whole),
  setting("enable_prompt_comments", flag),
  setting("CLIP_stop_at_last_layers", whole),
  setting("sdxl_clip_l_skip", flag),
  setting("randn_source", randomSource),
  setting("tiling", flag),
  setting("hires_fix_refiner_pass", text),
  row("sd_vae", "VAE", text),
  row("sd_vae_encode_method", "VAE Encoder", text),
  row("sd_vae_decode_method", "VAE Decoder", text),
  setting("inpainting_mask_weight", number),
  // The request's field of this name is read, but the setting must not act in its place.
  row(
    "initial_noise_multiplier",
    (said) => isOwn(said) && said["Noise multiplier"] === undefined ? 1 : undefined,
    number
  ),
  setting("img2img_extra_noise", number),
  setting("img2img_fix_steps", flag),
  setting("img2img_color_correction", flag),
  setting("img2img_background_color", text),
  setting("overlay_inpaint", flag),
  setting("upscaler_for_img2img", upscaler),
  setting("ESRGAN_tile", whole),
  setting("ESRGAN_tile_overlap", whole),
  setting("vae_tile_threshold", whole),
  setting("latent_tile_size", whole),
  setting("latent_tile_overlap", whole),
  setting("s_min_uncond", number),
  setting("s_min_uncond_all", flag),
  row("token_merging_ratio", "Token merging ratio", number),
  row("token_merging_ratio_hr", "Token merging ratio hr", number),
  row("pad_cond_uncond", "Pad conds", flag),
  row("pad_cond_uncond_v0", "Pad conds v0", flag),
  setting("use_old_scheduling", flag),
  row("use_downcasted_alpha_bar", "Downcast alphas_cumprod", flag),
  setting("refiner_switch_by_sample_steps", flag),
  setting("eta_ddim", number),
  setting("eta_ancestral", number),
  setting("s_churn", number),
  setting("s_tmin", number),
  setting("s_tmax", number),
  setting("s_noise", number),
  setting("sigma_min", number),
  setting("sigma_max", number),
  setting("rho", number),
  setting("eta_noise_seed_delta", whole),
  setting("always_discard_next_to_last_sigma", flag),
  setting("sgm_noise_multiplier", flag),
  setting("uni_pc_variant", text),
  setting("uni_pc_skip_type", text),
  setting("uni_pc_order", whole),
  setting("uni_pc_lower_order_final", flag),
  setting("sd_noise_schedule", text),
  setting("skip_early_cond", number),
  setting("sdxl_crop_top", whole),
  setting("sdxl_crop_left", whole),
  setting("sdxl_refiner_high_aesthetic_score", number),
  setting("sdxl_refiner_low_aesthetic_score", number),
  // The webui reads "scheduler" here, which it never wrote.
  setting("beta_dist_alpha", number),
  setting("beta_dist_beta", number)
]

/**
 * The keys of infotexts with the fields of requests and the settings that they fill.
 *
 * The keys are in the fields' descriptions. Rows of settings that Serena does not have name their key here.
 */
import type * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { type Described, fieldOf, fieldsOf, type FlagValue, takenBy } from "../core/Field.ts"
import * as Seed from "../core/Seed.ts"
import { unitWords } from "./ControlUnit.ts"
import type * as Infotext from "./Infotext.ts"
import { isOwn } from "./InfotextDefaults.ts"
import { Options } from "./Options.ts"
import { OptionsPatch, OptionsSnapshot } from "./OptionsSnapshot.ts"
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

// Words as the keys of what they mean.
const byWord = (words: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(words).map(([name, word]) => [word, name]))

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

/** Units of ControlNets, each a text of `Key: value` pairs; without their images. */
const units: Kind = {
  what: "a list of ControlNet units",
  isOptional: true,
  read: (value) => Array.isArray(value) ? value.map((text) => unitOf(String(text))) : undefined
}

/** The fields of a unit by the names that infotexts have for them. */
const unitFields: Readonly<Record<string, Kind & { readonly field: string }>> = {
  "module": { ...text, field: "module" },
  "preprocessor": { ...text, field: "module" },
  "model": { ...text, field: "model" },
  "weight": { ...number, field: "weight" },
  "processor res": { ...whole, field: "processor_res" },
  "threshold a": { ...number, field: "threshold_a" },
  "threshold b": { ...number, field: "threshold_b" },
  "guidance start": { ...number, field: "guidance_start" },
  "guidance end": { ...number, field: "guidance_end" },
  "pixel perfect": { ...flag, field: "pixel_perfect" },
  "low vram": { ...flag, field: "low_vram" },
  "control mode": { ...oneOf(byWord(unitWords.control_mode)), field: "control_mode" },
  "resize mode": { ...oneOf(byWord(unitWords.resize_mode)), field: "resize_mode" }
}

const unitOf = (said: string): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    said.split(",").flatMap((pair) => {
      const [, key = "", value = ""] = /^\s*([^:]*?)\s*:\s*(.*?)\s*$/s.exec(pair) ?? []
      const known = Object.hasOwn(unitFields, key.toLowerCase()) ? unitFields[key.toLowerCase()] : undefined
      // -1 stands for a number that the preprocessor does not have.
      const read = known === undefined || Number(value) === -1 ? undefined : known.read(value)
      return known === undefined || read === undefined ? [] : [[known.field, read]]
    })
  )

/** Keys of units, from 0. */
export const unitKey = /^ControlNet \d+$/

// The texts of units, in their order.
const unitsSaid = (said: Infotext.Fields): ReadonlyArray<string> | undefined => {
  const texts = Object.entries(said).flatMap(([key, value]) => unitKey.test(key) ? [String(value)] : [])
  return texts.length === 0 ? undefined : texts
}

const row = (name: string, key: Row["key"], kind: Kind): Row => ({ name, key, kind })

const kinds: Readonly<Record<FlagValue, Kind>> = {
  text,
  name: text,
  names: list,
  folder: text,
  folders: list,
  file: text,
  url: text,
  integer: whole,
  seed,
  number,
  switch: flag,
  parts: list,
  words: list
}

// Rows whose key is the one that the field's description names, and whose kind is the field's unless it is given.
const described = (struct: Described) => (name: string, kind: Kind = kinds[takenBy(struct, name)]): Row => {
  const key = fieldOf(struct, name)?.infotext
  if (key === undefined) throw new Error(`the description of ${name} names no key of infotexts`)
  return row(name, key, kind)
}
const requests = { fields: { ...Txt2Img.fields, ...Img2Img.fields } }
const plain = described(requests)
const setting = described(OptionsPatch)

interface KeyOf extends Struct.Lambda {
  (field: Schema.Top): string
  readonly "~lambda.out": string
}

const keyOf = Struct.lambda<KeyOf>((field) => fieldOf({ fields: { field } }, "field")?.infotext ?? "")

/** Keys of the fields of requests; empty for a field without one. */
export const fieldKeys = Struct.map(requests.fields, keyOf)

/** Keys of the settings; empty for a setting without one. */
export const settingKeys = Struct.map(OptionsPatch.fields, keyOf)

/** The key of two numbers, from the key of the first one: `Size` from `Size-1`. */
export const pairKey = (key: string): string => key.replace(/-1$/, "")

/** Keys of two numbers. */
export const pairKeys: ReadonlySet<string> = new Set(
  Object.values(fieldKeys).filter((key) => key.endsWith("-1")).map(pairKey)
)

/** A row that is written where its value is not the default. */
export interface PlainRow {
  readonly struct: "field" | "setting"
  readonly name: string
  readonly key: string
  readonly defaults: object
}

const plainRowsOf = (struct: PlainRow["struct"], fields: Described, defaults: object): ReadonlyArray<PlainRow> =>
  fieldsOf(fields).flatMap(([name, { infotext: key, written }]) =>
    key === undefined || written === undefined ? [] : [{ struct, name, key, defaults }]
  )

/** The rows whose descriptions say when they are written. */
export const plainRows: ReadonlyArray<PlainRow> = [
  ...plainRowsOf("field", requests, { ...Img2Img.make({ init_images: [new Uint8Array()] }), ...Txt2Img.make({}) }),
  ...plainRowsOf("setting", OptionsSnapshot, Options.defaults)
]

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

// The fields whose rows are not plain.
const otherRows: Readonly<Record<string, ReadonlyArray<Row>>> = {
  control_units: [row("control_units", unitsSaid, units)],
  enable_hr: [row("enable_hr", asksForHires, flag)],
  hr_checkpoint_name: [plain("hr_checkpoint_name", unlessSame)],
  hr_sampler_name: [plain("hr_sampler_name", unlessSame)],
  hr_scheduler: [plain("hr_scheduler", unlessSame)],
  inpainting_mask_invert: [
    plain("inpainting_mask_invert", oneOf({ "Inpaint masked": 0, "Inpaint not masked": 1 }))
  ],
  // One key where both are alike. The last row of a field counts.
  mask_blur_x: [plain("mask_blur_x"), row("mask_blur_x", "Mask blur x", whole)],
  mask_blur_y: [plain("mask_blur_y"), row("mask_blur_y", "Mask blur y", whole)],
  inpainting_fill: [
    plain("inpainting_fill", oneOf({ "fill": 0, "original": 1, "latent noise": 2, "latent nothing": 3 }))
  ],
  inpaint_full_res: [plain("inpaint_full_res", oneOf({ "Whole picture": false, "Only masked": true }))],
  resize_mode: [plain("resize_mode", oneOf(Object.fromEntries(resizeModes.map((mode, i) => [mode, i]))))]
}

/**
 * Fields of requests of every kind. Old texts have the schedule in the sampler's name, which is split where samplers
 * are known. The webui fills the setting `initial_noise_multiplier`; the request's field has the same effect and
 * accepts larger values.
 */
export const fieldRows: ReadonlyArray<Row> = Struct.keys(fieldKeys).flatMap((name) =>
  otherRows[name] ?? (fieldKeys[name] === "" ? [] : [plain(name)])
)

// In the order of the webui, which the settings of a request made of an infotext have.
const orderedRows: ReadonlyArray<Row> = [
  row("face_restoration", "Face restoration", text),
  // Serena writes the name alone where hashes are not wanted.
  row(
    "sd_model_checkpoint",
    (said) => said["Model hash"] ?? (isOwn(said) ? said["Model"] : undefined),
    text
  ),
  setting("emphasis"),
  setting("comma_padding_backtrack"),
  setting("enable_prompt_comments"),
  setting("CLIP_stop_at_last_layers"),
  setting("sdxl_clip_l_skip"),
  setting("randn_source", randomSource),
  setting("tiling"),
  setting("hires_fix_refiner_pass"),
  setting("sd_vae"),
  // A VAE that a text names counts more than one that is named like the checkpoint.
  row(
    "sd_vae_overrides_per_model_preferences",
    (said) => said["VAE"] !== undefined || isOwn(said) ? true : undefined,
    flag
  ),
  row("sd_vae_encode_method", "VAE Encoder", text),
  row("sd_vae_decode_method", "VAE Decoder", text),
  setting("inpainting_mask_weight"),
  // The request's field of this name is read, but the setting must not act in its place.
  row(
    "initial_noise_multiplier",
    (said) => isOwn(said) && said["Noise multiplier"] === undefined ? 1 : undefined,
    number
  ),
  setting("img2img_extra_noise"),
  setting("img2img_fix_steps"),
  setting("img2img_color_correction"),
  setting("img2img_background_color"),
  setting("overlay_inpaint"),
  setting("upscaler_for_img2img", upscaler),
  setting("ESRGAN_tile"),
  setting("ESRGAN_tile_overlap"),
  setting("vae_tile_threshold"),
  setting("latent_tile_size"),
  setting("latent_tile_overlap"),
  setting("s_min_uncond"),
  setting("s_min_uncond_all"),
  setting("token_merging_ratio"),
  // Images made of images have the same key.
  row("token_merging_ratio_img2img", (said) => isOwn(said) ? 0 : undefined, number),
  setting("token_merging_ratio_hr"),
  row("pad_cond_uncond", "Pad conds", flag),
  row("pad_cond_uncond_v0", "Pad conds v0", flag),
  setting("use_old_scheduling"),
  row("use_downcasted_alpha_bar", "Downcast alphas_cumprod", flag),
  setting("refiner_switch_by_sample_steps"),
  setting("eta_ddim"),
  setting("eta_ancestral"),
  setting("s_churn"),
  setting("s_tmin"),
  setting("s_tmax"),
  setting("s_noise"),
  setting("sigma_min"),
  setting("sigma_max"),
  setting("rho"),
  setting("eta_noise_seed_delta"),
  setting("always_discard_next_to_last_sigma"),
  setting("sgm_noise_multiplier"),
  setting("uni_pc_variant"),
  setting("uni_pc_skip_type"),
  setting("uni_pc_order"),
  setting("uni_pc_lower_order_final"),
  setting("sd_noise_schedule"),
  setting("skip_early_cond"),
  setting("skip_late_cond"),
  setting("deepcache_interval"),
  setting("deepcache_start"),
  setting("sdxl_crop_top"),
  setting("sdxl_crop_left"),
  setting("sdxl_refiner_high_aesthetic_score"),
  setting("sdxl_refiner_low_aesthetic_score"),
  // The webui reads "scheduler" here, which it never wrote.
  setting("beta_dist_alpha"),
  setting("beta_dist_beta")
]

const isOrdered = new Set(orderedRows.map(({ name }) => name))

/** Settings. */
export const settingRows: ReadonlyArray<Row> = [
  ...orderedRows,
  ...Struct.keys(settingKeys).flatMap((name) => settingKeys[name] === "" || isOrdered.has(name) ? [] : [setting(name)])
]

/**
 * The form: one for all tabs, with the API's field names.
 *
 * A number is null where the field is empty or holds no number.
 */
import { toJson } from "../../core/Seed.ts"
import { Img2Img, Txt2Img } from "../../processing/Processing.ts"
import { isRecord } from "../api.ts"
import { kept } from "./persist.ts"
import { clearProblems } from "./problems.ts"

export interface Form {
  readonly prompt: string
  readonly negative_prompt: string
  readonly styles: ReadonlyArray<string>
  readonly sampler_name: string
  readonly scheduler: string
  readonly steps: number | null
  readonly cfg_scale: number | null
  readonly width: number | null
  readonly height: number | null
  readonly seed: SeedText | null
  readonly batch_size: number | null
  readonly n_iter: number | null
  readonly has_variation: boolean
  readonly subseed: SeedText | null
  readonly subseed_strength: number | null
  readonly seed_resize_from_w: number | null
  readonly seed_resize_from_h: number | null
  readonly tiling: boolean
  readonly eta: number | null
  readonly refiner_checkpoint: string
  readonly refiner_switch_at: number | null
  readonly enable_hr: boolean
  readonly hr_scale: number | null
  readonly hr_resize_x: number | null
  readonly hr_resize_y: number | null
  readonly hr_upscaler: string
  readonly hr_second_pass_steps: number | null
  /** `denoising_strength` of a `Txt2Img`. */
  readonly hr_denoising_strength: number | null
  readonly denoising_strength: number | null
  readonly resize_mode: string
  readonly initial_noise_multiplier: number | null
  readonly image_cfg_scale: number | null
  /** Both `mask_blur_x` and `mask_blur_y`. */
  readonly mask_blur: number | null
  readonly mask_round: boolean
  readonly inpainting_fill: string
  readonly inpaint_full_res: string
  readonly inpaint_full_res_padding: number | null
  readonly inpainting_mask_invert: string
  /** `Steps: 5, 10`: an axis and its values. Values without an axis are kept for the next one. */
  readonly x_axis: string
  readonly y_axis: string
  readonly z_axis: string
}

/** A seed in its form for JSON: large ones are the text of their digits. Another text is one that was not finished. */
export type SeedText = number | string

type FieldsOf<A> = { [K in keyof Form]: Form[K] extends A ? K : never }[keyof Form]
export type NumberField = Exclude<FieldsOf<number | null>, FieldsOf<string>>
export type SeedField = Exclude<FieldsOf<SeedText | null>, FieldsOf<string> | NumberField>
export type TextField = FieldsOf<string>
export type FlagField = FieldsOf<boolean>

const txt2img = Txt2Img.make({})
const img2img = Img2Img.make({ init_images: [new Uint8Array()] })

/** A request's defaults, except for the variation strength once it is switched on, and the inpaint area. */
export const defaults: Form = {
  prompt: txt2img.prompt,
  negative_prompt: txt2img.negative_prompt,
  styles: txt2img.styles,
  sampler_name: txt2img.sampler_name,
  scheduler: txt2img.scheduler,
  steps: txt2img.steps,
  cfg_scale: txt2img.cfg_scale,
  width: null,
  height: null,
  seed: toJson(txt2img.seed),
  batch_size: txt2img.batch_size,
  n_iter: txt2img.n_iter,
  has_variation: false,
  subseed: toJson(txt2img.subseed),
  subseed_strength: 0.2,
  seed_resize_from_w: null,
  seed_resize_from_h: null,
  tiling: false,
  eta: null,
  refiner_checkpoint: "",
  refiner_switch_at: 0.8,
  enable_hr: txt2img.enable_hr,
  hr_scale: txt2img.hr_scale,
  hr_resize_x: null,
  hr_resize_y: null,
  hr_upscaler: txt2img.hr_upscaler,
  hr_second_pass_steps: null,
  hr_denoising_strength: 0.7,
  denoising_strength: img2img.denoising_strength,
  resize_mode: String(img2img.resize_mode),
  initial_noise_multiplier: null,
  image_cfg_scale: null,
  mask_blur: img2img.mask_blur_x,
  mask_round: img2img.mask_round,
  inpainting_fill: String(img2img.inpainting_fill),
  inpaint_full_res: "false",
  inpaint_full_res_padding: img2img.inpaint_full_res_padding,
  inpainting_mask_invert: String(img2img.inpainting_mask_invert),
  x_axis: "",
  y_axis: "",
  z_axis: ""
}

/** Fields that may be empty: the server then chooses the value. */
export const mayBeEmpty: ReadonlySet<string> = new Set<keyof Form>([
  "width",
  "height",
  "seed_resize_from_w",
  "seed_resize_from_h",
  "eta",
  "hr_resize_x",
  "hr_resize_y",
  "hr_second_pass_steps",
  "initial_noise_multiplier",
  "image_cfg_scale"
])

/** Whether a stored value is a seed. */
export const isSeed = (value: unknown): value is SeedText => typeof value === "number" || typeof value === "string"

const isLike = (value: unknown, like: unknown): boolean =>
  Array.isArray(like)
    ? Array.isArray(value) && value.every((item) => typeof item === "string")
    : like === null || typeof like === "number"
    ? value === null || typeof value === "number"
    : typeof value === typeof like

const isSeedField = (name: string): boolean => name === "seed" || name === "subseed"

/** The defaults, and over them the stored values that still have their field's type. */
export const revived = <A extends object>(defaults: A, value: unknown): A =>
  isRecord(value)
    ? {
      ...defaults,
      ...Object.fromEntries(
        Object.entries(defaults).flatMap(([name, like]) =>
          isLike(value[name], like) || (isSeedField(name) && isSeed(value[name])) ? [[name, value[name]]] : []
        )
      )
    }
    : defaults

export const form = kept("form", (value) => revived(defaults, value))

/** Changes some fields and clears their problems. */
export const change = (patch: Partial<Form>) => {
  clearProblems(Object.keys(patch))
  form.value = { ...form.value, ...patch }
}

/** Which collapsible sections are open. */
export const open = kept(
  "open",
  (value): Readonly<Record<string, boolean>> =>
    isRecord(value)
      ? Object.fromEntries(
        Object.entries(value).filter(([, is]) => typeof is === "boolean").map(([name, is]) => [name, is === true])
      )
      : {}
)

/** The seed of the latest image. */
export const lastSeed = kept("lastSeed", (value) => isSeed(value) ? value : undefined)

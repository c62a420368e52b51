/**
 * The bodies of `txt2img` and `img2img`: every field in the order of the webui's models, with its default.
 *
 * A field of Serena's requests is read by its description, with its default; what the webui has otherwise is written
 * out. ControlNets are the arguments of a script there. Replies contain the request as it was read, so order and
 * defaults matter; unknown fields are ignored.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { type Described, fieldOf, fieldsOf } from "../../core/Field.ts"
import { Img2Img, Txt2Img } from "../../processing/Processing.ts"
import {
  decoder,
  Dict,
  Flag,
  FloatNumber,
  ImageText,
  ImageTexts,
  Int,
  List,
  otherwise,
  SeedNumber,
  Text,
  Texts
} from "./Fields.ts"
import { Float } from "./PythonJson.ts"

/** What a field holds whose description says all of it. */
type PlainValue = string | number | bigint | boolean | Float | ReadonlyArray<string> | null

interface PlainField extends Schema.Codec<PlainValue, unknown> {}

interface Plain extends Struct.Lambda {
  (field: Schema.Codec<unknown, unknown>): PlainField
  readonly "~lambda.out": PlainField
}

const defaultOf = (field: Schema.Codec<unknown, unknown>): unknown => {
  const decode = Schema.decodeUnknownOption(Schema.Struct({ field }))
  return Option.getOrUndefined(decode({}))?.field ?? null
}

const isSeed = Schema.is(Schema.Union([Schema.Finite, Schema.BigInt]))

// A field of Serena's as the webui reads one of its kind.
const plain = Struct.lambda<Plain>((field) => {
  const value = defaultOf(field)
  switch (fieldOf({ fields: { field } }, "field")?.value) {
    case "integer":
      return otherwise(Int.nullable, typeof value === "number" ? value : null)
    case "seed":
      return otherwise(SeedNumber.nullable, isSeed(value) ? value : null)
    case "number":
      return otherwise(FloatNumber.nullable, typeof value === "number" ? new Float(value) : null)
    case "switch":
      return otherwise(Flag.nullable, typeof value === "boolean" ? value : null)
    case "names":
      return otherwise(Texts.nullable, null)
    default:
      return otherwise(Text.nullable, typeof value === "string" ? value : null)
  }
})

const anything = Schema.Unknown.pipe((schema) => otherwise(schema, null))
const words = otherwise(Text.nullable, null)

/** What the webui has otherwise than Serena, or has alone. */
const both = {
  // The webui's source writes this default without a decimal point, and replies show it so.
  subseed_strength: otherwise(FloatNumber.nullable, new Float(0, "0")),
  sampler_name: words,
  scheduler: words,
  steps: otherwise(Int.nullable, 50),
  width: otherwise(Int.nullable, 512),
  height: otherwise(Int.nullable, 512),
  batch_size: otherwise(Int.nullable, 1),
  restore_faces: otherwise(Flag.nullable, null),
  do_not_save_samples: otherwise(Flag.nullable, false),
  do_not_save_grid: otherwise(Flag.nullable, false),
  override_settings: otherwise(Dict.nullable, null),
  override_settings_restore_afterwards: otherwise(Flag.nullable, true),
  refiner_checkpoint: words,
  firstpass_image: anything,
  comments: anything,
  force_task_id: words,
  durable: otherwise(Flag.nullable, null),
  sampler_index: otherwise(Text.required, "Euler"),
  script_name: words,
  script_args: otherwise(List.required, []),
  send_images: otherwise(Flag.required, true),
  save_images: otherwise(Flag.required, false),
  alwayson_scripts: otherwise(Dict.required, {}),
  infotext: words
}

const txt2img = {
  ...Struct.map(Struct.omit(Txt2Img.fields, ["_tag", "control_units"]), plain),
  ...both,
  denoising_strength: otherwise(FloatNumber.nullable, null),
  firstphase_width: otherwise(Int.nullable, 0),
  firstphase_height: otherwise(Int.nullable, 0),
  hr_upscaler: words,
  hr_checkpoint_name: words,
  hr_sampler_name: words,
  hr_scheduler: words
}

const img2img = {
  ...Struct.map(Struct.omit(Img2Img.fields, ["_tag", "control_units"]), plain),
  ...both,
  denoising_strength: otherwise(FloatNumber.required, new Float(0.75)),
  init_images: otherwise(ImageTexts.nullable, null),
  mask: otherwise(ImageText.nullable, null),
  mask_blur: otherwise(Int.nullable, null),
  inpainting_fill: otherwise(Int.nullable, 0),
  inpaint_full_res_padding: otherwise(Int.nullable, 0),
  inpainting_mask_invert: otherwise(Int.nullable, 0),
  latent_mask: anything,
  include_init_images: otherwise(Flag.nullable, false)
}

const head = [
  "prompt",
  "negative_prompt",
  "styles",
  "seed",
  "subseed",
  "subseed_strength",
  "seed_resize_from_h",
  "seed_resize_from_w",
  "sampler_name",
  "scheduler",
  "batch_size",
  "n_iter",
  "steps",
  "cfg_scale",
  "width",
  "height",
  "restore_faces",
  "tiling",
  "do_not_save_samples",
  "do_not_save_grid",
  "eta",
  "denoising_strength",
  "s_min_uncond",
  "s_churn",
  "s_tmax",
  "s_tmin",
  "s_noise",
  "override_settings",
  "override_settings_restore_afterwards",
  "refiner_checkpoint",
  "refiner_switch_at",
  "disable_extra_networks",
  "firstpass_image",
  "comments"
] as const

const scripts = [
  "script_name",
  "script_args",
  "send_images",
  "save_images",
  "alwayson_scripts",
  "infotext"
] as const

/** The order of the webui's models. */
const txt2imgOrder = [
  ...head,
  "enable_hr",
  "firstphase_width",
  "firstphase_height",
  "hr_scale",
  "hr_upscaler",
  "hr_second_pass_steps",
  "hr_resize_x",
  "hr_resize_y",
  "hr_checkpoint_name",
  "hr_sampler_name",
  "hr_scheduler",
  "hr_prompt",
  "hr_negative_prompt",
  "force_task_id",
  "durable",
  "sampler_index",
  ...scripts
] as const

const img2imgOrder = [
  ...head,
  "init_images",
  "resize_mode",
  "image_cfg_scale",
  "mask",
  "mask_blur_x",
  "mask_blur_y",
  "mask_blur",
  "mask_round",
  "inpainting_fill",
  "inpaint_full_res",
  "inpaint_full_res_padding",
  "inpainting_mask_invert",
  "initial_noise_multiplier",
  "latent_mask",
  "force_task_id",
  "durable",
  "sampler_index",
  "include_init_images",
  ...scripts
] as const

// Fields that are not in the order come last.
const inOrder = <Fields extends object>(fields: Fields, order: ReadonlyArray<keyof Fields>): Fields => ({
  ...Object.fromEntries(order.map((name) => [name, fields[name]])),
  ...fields
})

export const Txt2ImgRequest = Schema.Struct(inOrder(txt2img, txt2imgOrder)).annotate({
  identifier: "StableDiffusionTxt2ImgProcessingAPI"
})
export type Txt2ImgRequest = typeof Txt2ImgRequest.Type

export const Img2ImgRequest = Schema.Struct(inOrder(img2img, img2imgOrder)).annotate({
  identifier: "StableDiffusionImg2ImgProcessingAPI"
})
export type Img2ImgRequest = typeof Img2ImgRequest.Type

export type ImageRequest = Txt2ImgRequest | Img2ImgRequest

export const isImg2Img = (request: ImageRequest): request is Img2ImgRequest => "init_images" in request

export const decodeTxt2Img = decoder(Txt2ImgRequest)
export const decodeImg2Img = decoder(Img2ImgRequest)

/** A number of a request without its mark as a float. */
export const number = (value: PlainValue): number | undefined =>
  value instanceof Float ? value.value : typeof value === "number" ? value : undefined

/** The fields that a request shares with Serena's, as Serena reads them. `groups` are left out. */
export const sharedFields = (
  request: ImageRequest,
  struct: Described,
  groups: ReadonlyArray<string> = []
): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    fieldsOf(struct).flatMap(([name, { group }]) => {
      const value: unknown = Reflect.get(request, name)
      return groups.includes(group) ? [] : [[name, value instanceof Float ? value.value : value]]
    })
  )

/**
 * The bodies of `txt2img` and `img2img`: every field in the order of the webui's models, with its default.
 *
 * Replies contain the request as it was read, so order and defaults matter; unknown fields are ignored.
 */
import * as Schema from "effect/Schema"
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

const anything = Schema.Unknown.pipe((schema) => otherwise(schema, null))

// Defaults that the webui shares with Serena are Serena's; the others are written out.
const txt2img = Txt2Img.make({})
const img2img = Img2Img.make({ init_images: [new Uint8Array()] })

const head = {
  prompt: otherwise(Text.nullable, txt2img.prompt),
  negative_prompt: otherwise(Text.nullable, txt2img.negative_prompt),
  styles: otherwise(Texts.nullable, null),
  seed: otherwise(SeedNumber.nullable, txt2img.seed),
  subseed: otherwise(SeedNumber.nullable, txt2img.subseed),
  // The webui's source writes this default without a decimal point, and replies show it so.
  subseed_strength: otherwise(FloatNumber.nullable, new Float(0, "0")),
  seed_resize_from_h: otherwise(Int.nullable, txt2img.seed_resize_from_h),
  seed_resize_from_w: otherwise(Int.nullable, txt2img.seed_resize_from_w),
  sampler_name: otherwise(Text.nullable, null),
  scheduler: otherwise(Text.nullable, null),
  batch_size: otherwise(Int.nullable, txt2img.batch_size),
  n_iter: otherwise(Int.nullable, txt2img.n_iter),
  steps: otherwise(Int.nullable, 50),
  cfg_scale: otherwise(FloatNumber.nullable, new Float(txt2img.cfg_scale)),
  width: otherwise(Int.nullable, 512),
  height: otherwise(Int.nullable, 512),
  restore_faces: otherwise(Flag.nullable, null),
  tiling: otherwise(Flag.nullable, null),
  do_not_save_samples: otherwise(Flag.nullable, false),
  do_not_save_grid: otherwise(Flag.nullable, false),
  eta: otherwise(FloatNumber.nullable, null)
}

const middle = {
  s_min_uncond: otherwise(FloatNumber.nullable, null),
  s_churn: otherwise(FloatNumber.nullable, null),
  s_tmax: otherwise(FloatNumber.nullable, null),
  s_tmin: otherwise(FloatNumber.nullable, null),
  s_noise: otherwise(FloatNumber.nullable, null),
  override_settings: otherwise(Dict.nullable, null),
  override_settings_restore_afterwards: otherwise(Flag.nullable, true),
  refiner_checkpoint: otherwise(Text.nullable, null),
  refiner_switch_at: otherwise(FloatNumber.nullable, null),
  disable_extra_networks: otherwise(Flag.nullable, txt2img.disable_extra_networks),
  firstpass_image: anything,
  comments: anything
}

const scripts = {
  script_name: otherwise(Text.nullable, null),
  script_args: otherwise(List.required, []),
  send_images: otherwise(Flag.required, true),
  save_images: otherwise(Flag.required, false),
  alwayson_scripts: otherwise(Dict.required, {}),
  infotext: otherwise(Text.nullable, null)
}

export const Txt2ImgRequest = Schema.Struct({
  ...head,
  denoising_strength: otherwise(FloatNumber.nullable, null),
  ...middle,
  enable_hr: otherwise(Flag.nullable, txt2img.enable_hr),
  firstphase_width: otherwise(Int.nullable, 0),
  firstphase_height: otherwise(Int.nullable, 0),
  hr_scale: otherwise(FloatNumber.nullable, new Float(txt2img.hr_scale)),
  hr_upscaler: otherwise(Text.nullable, null),
  hr_second_pass_steps: otherwise(Int.nullable, txt2img.hr_second_pass_steps),
  hr_resize_x: otherwise(Int.nullable, txt2img.hr_resize_x),
  hr_resize_y: otherwise(Int.nullable, txt2img.hr_resize_y),
  hr_checkpoint_name: otherwise(Text.nullable, null),
  hr_sampler_name: otherwise(Text.nullable, null),
  hr_scheduler: otherwise(Text.nullable, null),
  hr_prompt: otherwise(Text.nullable, txt2img.hr_prompt),
  hr_negative_prompt: otherwise(Text.nullable, txt2img.hr_negative_prompt),
  force_task_id: otherwise(Text.nullable, null),
  sampler_index: otherwise(Text.required, "Euler"),
  ...scripts
}).annotate({ identifier: "StableDiffusionTxt2ImgProcessingAPI" })
export type Txt2ImgRequest = typeof Txt2ImgRequest.Type

export const Img2ImgRequest = Schema.Struct({
  ...head,
  denoising_strength: otherwise(FloatNumber.required, new Float(img2img.denoising_strength)),
  ...middle,
  init_images: otherwise(ImageTexts.nullable, null),
  resize_mode: otherwise(Int.nullable, img2img.resize_mode),
  image_cfg_scale: otherwise(FloatNumber.nullable, null),
  mask: otherwise(ImageText.nullable, null),
  mask_blur_x: otherwise(Int.nullable, img2img.mask_blur_x),
  mask_blur_y: otherwise(Int.nullable, img2img.mask_blur_y),
  mask_blur: otherwise(Int.nullable, null),
  mask_round: otherwise(Flag.nullable, img2img.mask_round),
  inpainting_fill: otherwise(Int.nullable, 0),
  inpaint_full_res: otherwise(Flag.nullable, img2img.inpaint_full_res),
  inpaint_full_res_padding: otherwise(Int.nullable, 0),
  inpainting_mask_invert: otherwise(Int.nullable, img2img.inpainting_mask_invert),
  initial_noise_multiplier: otherwise(FloatNumber.nullable, null),
  latent_mask: anything,
  force_task_id: otherwise(Text.nullable, null),
  sampler_index: otherwise(Text.required, "Euler"),
  include_init_images: otherwise(Flag.nullable, false),
  ...scripts
}).annotate({ identifier: "StableDiffusionImg2ImgProcessingAPI" })
export type Img2ImgRequest = typeof Img2ImgRequest.Type

export type ImageRequest = Txt2ImgRequest | Img2ImgRequest

export const isImg2Img = (request: ImageRequest): request is Img2ImgRequest => "init_images" in request

export const decodeTxt2Img = decoder(Txt2ImgRequest)
export const decodeImg2Img = decoder(Img2ImgRequest)

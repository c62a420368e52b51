/**
 * One flag for each field of a request. Types, bounds and defaults are those of the schemas.
 */
import { type Img2Img, Txt2Img } from "../processing/Processing.ts"
import type { Description } from "./Flags.ts"

const image = Txt2Img.make({})

type Settings = "_tag" | "override_settings"
/** What is a file on the command line. */
type Pictures = "init_images" | "mask"

const first = {
  prompt: { flag: "prompt", value: "text", about: "What to show; the flag's name may be left out", otherwise: "empty" },
  negative_prompt: { flag: "negative-prompt", value: "text", about: "What to keep away from", otherwise: "empty" },
  styles: { flag: "styles", value: "names", about: "Styles to apply, separated by commas", otherwise: "none" },
  steps: { flag: "steps", value: "integer", about: "Sampling steps", otherwise: image.steps },
  sampler_name: {
    flag: "sampler",
    value: "name",
    about: "Sampler; list them with \"serena samplers\"",
    otherwise: image.sampler_name
  },
  scheduler: {
    flag: "scheduler",
    value: "name",
    about: "Noise schedule; listed there too",
    otherwise: image.scheduler
  },
  cfg_scale: {
    flag: "cfg-scale",
    value: "number",
    about: "How strictly the prompt is followed; 1 for no guidance",
    otherwise: image.cfg_scale
  },
  seed: {
    flag: "seed",
    value: "integer",
    about: "Seed of the first picture; -1 for a random one",
    otherwise: image.seed
  },
  width: { flag: "width", value: "integer", about: "Width in pixels", otherwise: "the model's own" },
  height: { flag: "height", value: "integer", about: "Height in pixels", otherwise: "the model's own" },
  batch_size: { flag: "batch-size", value: "integer", about: "Pictures sampled at once", otherwise: image.batch_size },
  n_iter: { flag: "n-iter", value: "integer", about: "Batches, one after the other", otherwise: image.n_iter }
} satisfies Readonly<Record<string, Description>>

const denoising_strength = {
  flag: "denoising-strength",
  value: "number",
  about: "How much a picture is changed: 0 nothing, 1 all",
  otherwise: image.denoising_strength
} satisfies Description

const last = {
  subseed: {
    flag: "subseed",
    value: "integer",
    about: "Variation seed; -1 for a random one",
    otherwise: image.subseed
  },
  subseed_strength: {
    flag: "subseed-strength",
    value: "number",
    about: "Share of the variation seed's noise, 0 to 1",
    otherwise: image.subseed_strength
  },
  seed_resize_from_w: {
    flag: "seed-resize-from-w",
    value: "integer",
    about: "Width whose noise is put into the middle",
    otherwise: "none"
  },
  seed_resize_from_h: {
    flag: "seed-resize-from-h",
    value: "integer",
    about: "Height whose noise is put into the middle",
    otherwise: "none"
  },
  refiner_checkpoint: {
    flag: "refiner-checkpoint",
    value: "name",
    about: "Model that takes over before the end",
    otherwise: "none"
  },
  refiner_switch_at: {
    flag: "refiner-switch-at",
    value: "number",
    about: "Share of the steps after which it does, 0 to 1",
    otherwise: "none"
  },
  tiling: {
    flag: "tiling",
    value: "switch",
    about: "Whether pictures can be laid side by side without seams",
    otherwise: "the setting"
  },
  eta: {
    flag: "eta",
    value: "number",
    about: "Share of fresh noise in ancestral, SDE and DDIM steps",
    otherwise: "the setting"
  },
  s_churn: { flag: "s-churn", value: "number", about: "Churn of Euler, Heun and DPM2", otherwise: "the setting" },
  s_tmin: { flag: "s-tmin", value: "number", about: "Lowest noise level with churn", otherwise: "the setting" },
  s_tmax: { flag: "s-tmax", value: "number", about: "Highest noise level with churn", otherwise: "the setting" },
  s_noise: { flag: "s-noise", value: "number", about: "Factor on the churn's noise", otherwise: "the setting" },
  s_min_uncond: {
    flag: "s-min-uncond",
    value: "number",
    about: "Noise level below which every second call is without guidance",
    otherwise: "the setting"
  },
  disable_extra_networks: {
    flag: "disable-extra-networks",
    value: "switch",
    about: "Whether tags such as <lora:name:1> are taken out without a word",
    otherwise: image.disable_extra_networks
  }
} satisfies Readonly<Record<string, Description>>

/** Flags of a text-to-image run. */
export const txt2img = {
  ...first,
  enable_hr: {
    flag: "enable-hr",
    value: "switch",
    about: "Whether there is a second pass in a larger size (hires fix)",
    otherwise: image.enable_hr
  },
  hr_scale: {
    flag: "hr-scale",
    value: "number",
    about: "How much larger the second pass is",
    otherwise: image.hr_scale
  },
  hr_resize_x: {
    flag: "hr-resize-x",
    value: "integer",
    about: "Width of the second pass, in place of a scale",
    otherwise: "none"
  },
  hr_resize_y: {
    flag: "hr-resize-y",
    value: "integer",
    about: "Height of the second pass, in place of a scale",
    otherwise: "none"
  },
  hr_upscaler: {
    flag: "hr-upscaler",
    value: "name",
    about: "Latent upscale mode, or an upscaler",
    otherwise: image.hr_upscaler
  },
  denoising_strength: { ...denoising_strength, about: "How much the second pass changes: 0 nothing, 1 all" },
  hr_second_pass_steps: {
    flag: "hr-second-pass-steps",
    value: "integer",
    about: "Steps of the second pass",
    otherwise: "those of the first"
  },
  hr_checkpoint_name: {
    flag: "hr-checkpoint",
    value: "name",
    about: "Model of the second pass",
    otherwise: "that of the first"
  },
  hr_sampler_name: {
    flag: "hr-sampler",
    value: "name",
    about: "Sampler of the second pass",
    otherwise: "that of the first"
  },
  hr_scheduler: {
    flag: "hr-scheduler",
    value: "name",
    about: "Noise schedule of the second pass",
    otherwise: "that of the first"
  },
  hr_prompt: { flag: "hr-prompt", value: "text", about: "Prompt of the second pass", otherwise: "that of the first" },
  hr_negative_prompt: {
    flag: "hr-negative-prompt",
    value: "text",
    about: "Negative prompt of the second pass",
    otherwise: "that of the first"
  },
  ...last
} satisfies Record<Exclude<keyof Txt2Img, Settings>, Description>

/** Flags of an image-to-image run that are files. */
export const pictures = {
  init_images: {
    flag: "init",
    value: "file",
    about: "One more picture to start from, for the next one of the batch; can be repeated",
    otherwise: "none"
  },
  mask: { flag: "mask", value: "file", about: "Picture that is white where to make anew", otherwise: "none" }
} satisfies Record<Pictures, Description>

/** The other flags of an image-to-image run. */
export const img2img = {
  ...first,
  denoising_strength,
  resize_mode: {
    flag: "resize-mode",
    value: "integer",
    about: "Pictures of another size: 0 stretch, 1 crop, 2 fill, 3 stretch latents",
    otherwise: 0
  },
  mask_blur_x: { flag: "mask-blur-x", value: "integer", about: "Blur of the mask across, in pixels", otherwise: 4 },
  mask_blur_y: { flag: "mask-blur-y", value: "integer", about: "Blur of the mask down, in pixels", otherwise: 4 },
  mask_round: {
    flag: "mask-round",
    value: "switch",
    about: "Whether latents are either kept or made anew",
    otherwise: true
  },
  inpainting_fill: {
    flag: "inpainting-fill",
    value: "integer",
    about: "Under the mask: 0 surroundings, 1 picture, 2 noise, 3 nothing",
    otherwise: 1
  },
  inpaint_full_res: {
    flag: "inpaint-full-res",
    value: "switch",
    about: "Whether only the masked part is made, in the whole size",
    otherwise: true
  },
  inpaint_full_res_padding: {
    flag: "inpaint-full-res-padding",
    value: "integer",
    about: "Pixels around that part",
    otherwise: 32
  },
  inpainting_mask_invert: {
    flag: "inpainting-mask-invert",
    value: "switch",
    about: "Whether to make anew what the mask leaves out",
    otherwise: false
  },
  initial_noise_multiplier: {
    flag: "initial-noise-multiplier",
    value: "number",
    about: "Factor on the noise over the picture",
    otherwise: "the setting"
  },
  ...last
} satisfies Record<Exclude<keyof Img2Img, Settings | Pictures>, Description>

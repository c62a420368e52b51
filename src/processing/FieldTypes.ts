/**
 * The types of requests, settings and process options, written out so that editors show what each field does.
 *
 * Made by `npm run docs` from the schemas of this folder. Do not edit.
 */
import type { Seed } from "../core/Seed.ts"
import type { ImageBytes } from "./ImageBytes.ts"
import type { SamplerName, SchedulerName } from "./SamplerName.ts"

/** A ControlNet of a request: the image that the result follows, and how. */
export interface ControlUnit {
  /**
   * Whether the unit acts.
   *
   * Default: `true`.
   */
  readonly enabled: boolean
  /**
   * The ControlNet, by its file's name, with or without the hash.
   *
   * Text, at most 1000 characters. Default: `""`.
   */
  readonly model: string
  /**
   * The image to follow.
   *
   * Default: the first init image.
   */
  readonly image?: ImageBytes | undefined
  /**
   * What the preprocessor inpaint_only hides of the image: white areas.
   *
   * Default: the request's mask.
   */
  readonly mask?: ImageBytes | undefined
  /**
   * What is made of the image for the ControlNet: canny finds edges, none leaves it as it is.
   *
   * Text, at most 1000 characters. Default: `"none"`.
   */
  readonly module: string
  /**
   * How closely the result follows the image: 0 not at all.
   *
   * Number, 0 to 2. Default: `1`.
   */
  readonly weight: number
  /**
   * Share of the steps after which the unit begins to act.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly guidance_start: number
  /**
   * Share of the steps after which it ceases to act.
   *
   * Number, 0 to 1. Default: `1`.
   */
  readonly guidance_end: number
  /**
   * What counts more where they disagree: prompt gives the deeper layers more weight, control does so for the prompt
   * and leaves the negative prompt alone.
   *
   * Default: `"balanced"`.
   */
  readonly control_mode: "balanced" | "prompt" | "control"
  /**
   * How an image of other proportions is brought to size: resize stretches it, crop cuts it, fill continues its
   * edges.
   *
   * Default: `"crop"`.
   */
  readonly resize_mode: "resize" | "crop" | "fill"
  /**
   * Whether the preprocessor works at the size that the image will have.
   *
   * Default: `false`.
   */
  readonly pixel_perfect: boolean
  /**
   * The shorter side of the image that the preprocessor works on.
   *
   * Whole number, 64 to 2048, pixels. Default: 512.
   */
  readonly processor_res?: number | undefined
  /**
   * The preprocessor's first number: canny's lower threshold, for example.
   *
   * Number. Default: the preprocessor's own.
   */
  readonly threshold_a?: number | undefined
  /**
   * Its second number: canny's upper threshold.
   *
   * Number. Default: the preprocessor's own.
   */
  readonly threshold_b?: number | undefined
  /**
   * Accepted and ignored: lowvram is an option of the process.
   *
   * Default: `false`.
   */
  readonly low_vram: boolean
}

/** The same with fields that may be omitted. */
export interface ControlUnitInput {
  /**
   * Whether the unit acts.
   *
   * Default: `true`.
   */
  readonly enabled?: boolean
  /**
   * The ControlNet, by its file's name, with or without the hash.
   *
   * Text, at most 1000 characters. Default: `""`.
   */
  readonly model?: string
  /**
   * The image to follow.
   *
   * Default: the first init image.
   */
  readonly image?: ImageBytes | undefined
  /**
   * What the preprocessor inpaint_only hides of the image: white areas.
   *
   * Default: the request's mask.
   */
  readonly mask?: ImageBytes | undefined
  /**
   * What is made of the image for the ControlNet: canny finds edges, none leaves it as it is.
   *
   * Text, at most 1000 characters. Default: `"none"`.
   */
  readonly module?: string
  /**
   * How closely the result follows the image: 0 not at all.
   *
   * Number, 0 to 2. Default: `1`.
   */
  readonly weight?: number
  /**
   * Share of the steps after which the unit begins to act.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly guidance_start?: number
  /**
   * Share of the steps after which it ceases to act.
   *
   * Number, 0 to 1. Default: `1`.
   */
  readonly guidance_end?: number
  /**
   * What counts more where they disagree: prompt gives the deeper layers more weight, control does so for the prompt
   * and leaves the negative prompt alone.
   *
   * Default: `"balanced"`.
   */
  readonly control_mode?: "balanced" | "prompt" | "control"
  /**
   * How an image of other proportions is brought to size: resize stretches it, crop cuts it, fill continues its
   * edges.
   *
   * Default: `"crop"`.
   */
  readonly resize_mode?: "resize" | "crop" | "fill"
  /**
   * Whether the preprocessor works at the size that the image will have.
   *
   * Default: `false`.
   */
  readonly pixel_perfect?: boolean
  /**
   * The shorter side of the image that the preprocessor works on.
   *
   * Whole number, 64 to 2048, pixels. Default: 512.
   */
  readonly processor_res?: number | undefined
  /**
   * The preprocessor's first number: canny's lower threshold, for example.
   *
   * Number. Default: the preprocessor's own.
   */
  readonly threshold_a?: number | undefined
  /**
   * Its second number: canny's upper threshold.
   *
   * Number. Default: the preprocessor's own.
   */
  readonly threshold_b?: number | undefined
  /**
   * Accepted and ignored: lowvram is an option of the process.
   *
   * Default: `false`.
   */
  readonly low_vram?: boolean
}

/** The fields of both kinds of requests. */
export interface RequestFields {
  /**
   * What the image shows, in the prompt language.
   *
   * Default: `""`.
   */
  readonly prompt: string
  /**
   * What to avoid; acts only when the CFG scale is not 1.
   *
   * Default: `""`.
   */
  readonly negative_prompt: string
  /**
   * Names of styles whose texts are merged into both prompts.
   *
   * Default: `[]`.
   */
  readonly styles: ReadonlyArray<string>
  /**
   * Whether each image draws its own text from choices, as in {one|other}, and wildcards in the prompts.
   *
   * Default: the setting.
   */
  readonly dynamic_prompts?: boolean | undefined
  /**
   * Whether tags of extra networks, such as <lora:name:1>, are removed without a warning.
   *
   * Default: `false`.
   */
  readonly disable_extra_networks: boolean
  /**
   * Seed of the first image; later images count up from it. -1 draws a random seed.
   *
   * Whole number. Default: `-1`.
   */
  readonly seed: Seed
  /**
   * Seed of the variation noise. -1 draws a random seed.
   *
   * Whole number. Default: `-1`.
   */
  readonly subseed: Seed
  /**
   * How much of the variation seed's noise is mixed in: 0 for none, 1 for all.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly subseed_strength: number
  /**
   * Width of the noise that is pasted into the middle; 0 or less for none.
   *
   * Whole number, pixels. Default: `-1`.
   */
  readonly seed_resize_from_w: number
  /**
   * Height of the noise that is pasted into the middle; 0 or less for none.
   *
   * Whole number, pixels. Default: `-1`.
   */
  readonly seed_resize_from_h: number
  /**
   * Number of sampling steps.
   *
   * Whole number, at least 1. Default: `20`.
   */
  readonly steps: number
  /**
   * Name or alias of the sampler, from "serena samplers"; a schedule may follow, as in DPM++ 2M Karras.
   *
   * Text, not empty, at most 200 characters. Default: `"Euler"`.
   */
  readonly sampler_name: SamplerName
  /**
   * Name or label of the schedule; Automatic is the sampler's own.
   *
   * Text, not empty, at most 200 characters. Default: `"Automatic"`.
   */
  readonly scheduler: SchedulerName
  /**
   * Classifier-free guidance scale: how closely the image follows the prompt. 1 disables guidance and halves the
   * work.
   *
   * Number, 0 to 1000. Default: `7`.
   */
  readonly cfg_scale: number
  /**
   * Width of the image, a multiple of what the model needs (8 or 16).
   *
   * Whole number, at least 8, pixels. Default: the model's own.
   */
  readonly width?: number | undefined
  /**
   * Height of the image, a multiple of what the model needs (8 or 16).
   *
   * Whole number, at least 8, pixels. Default: the model's own.
   */
  readonly height?: number | undefined
  /**
   * Number of images that are sampled together.
   *
   * Whole number, at least 1. Default: `1`.
   */
  readonly batch_size: number
  /**
   * Number of batches, one after the other.
   *
   * Whole number, at least 1. Default: `1`.
   */
  readonly n_iter: number
  /**
   * What differs from column to column of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.
   *
   * Text, at most 10000 characters. Default: nothing.
   */
  readonly x_axis?: string | undefined
  /**
   * What differs from row to row of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.
   *
   * Text, at most 10000 characters. Default: nothing.
   */
  readonly y_axis?: string | undefined
  /**
   * What differs from sheet to sheet of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.
   *
   * Text, at most 10000 characters. Default: nothing.
   */
  readonly z_axis?: string | undefined
  /**
   * Share of fresh noise in ancestral, SDE and DDIM steps.
   *
   * Number, 0 to 1. Default: the settings eta_ancestral and eta_ddim.
   */
  readonly eta?: number | undefined
  /**
   * Total noise added before the steps of Euler, Heun and DPM2.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_churn?: number | undefined
  /**
   * Lowest noise level at which churn acts.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_tmin?: number | undefined
  /**
   * Highest noise level at which churn acts; 0 for no limit.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_tmax?: number | undefined
  /**
   * Factor on the noise of churn and on that of the SDE samplers, DPM++ 2S a, DPM2 a and DPM fast.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_noise?: number | undefined
  /**
   * Noise level below which every second step skips the negative prompt.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_min_uncond?: number | undefined
  /**
   * Whether the image can be tiled without seams.
   *
   * Default: the setting.
   */
  readonly tiling?: boolean | undefined
  /**
   * Model that takes over before the end.
   *
   * Default: none.
   */
  readonly refiner_checkpoint?: string | undefined
  /**
   * Fraction of the steps after which the refiner takes over.
   *
   * Number, 0 to 1. Default: 0.8.
   */
  readonly refiner_switch_at?: number | undefined
  /**
   * Images that the result follows, each by a ControlNet.
   *
   * Default: `[]`.
   */
  readonly control_units: ReadonlyArray<ControlUnit>
  /**
   * Settings for this request only.
   *
   * Default: `{}`.
   */
  readonly override_settings: OptionsPatch
}

/** The fields of both kinds of requests, of which each may be omitted. */
export interface RequestInput {
  /**
   * What the image shows, in the prompt language.
   *
   * Default: `""`.
   */
  readonly prompt?: string
  /**
   * What to avoid; acts only when the CFG scale is not 1.
   *
   * Default: `""`.
   */
  readonly negative_prompt?: string
  /**
   * Names of styles whose texts are merged into both prompts.
   *
   * Default: `[]`.
   */
  readonly styles?: ReadonlyArray<string>
  /**
   * Whether each image draws its own text from choices, as in {one|other}, and wildcards in the prompts.
   *
   * Default: the setting.
   */
  readonly dynamic_prompts?: boolean | undefined
  /**
   * Whether tags of extra networks, such as <lora:name:1>, are removed without a warning.
   *
   * Default: `false`.
   */
  readonly disable_extra_networks?: boolean
  /**
   * Seed of the first image; later images count up from it. -1 draws a random seed.
   *
   * Whole number. Default: `-1`.
   */
  readonly seed?: Seed
  /**
   * Seed of the variation noise. -1 draws a random seed.
   *
   * Whole number. Default: `-1`.
   */
  readonly subseed?: Seed
  /**
   * How much of the variation seed's noise is mixed in: 0 for none, 1 for all.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly subseed_strength?: number
  /**
   * Width of the noise that is pasted into the middle; 0 or less for none.
   *
   * Whole number, pixels. Default: `-1`.
   */
  readonly seed_resize_from_w?: number
  /**
   * Height of the noise that is pasted into the middle; 0 or less for none.
   *
   * Whole number, pixels. Default: `-1`.
   */
  readonly seed_resize_from_h?: number
  /**
   * Number of sampling steps.
   *
   * Whole number, at least 1. Default: `20`.
   */
  readonly steps?: number
  /**
   * Name or alias of the sampler, from "serena samplers"; a schedule may follow, as in DPM++ 2M Karras.
   *
   * Text, not empty, at most 200 characters. Default: `"Euler"`.
   */
  readonly sampler_name?: SamplerName
  /**
   * Name or label of the schedule; Automatic is the sampler's own.
   *
   * Text, not empty, at most 200 characters. Default: `"Automatic"`.
   */
  readonly scheduler?: SchedulerName
  /**
   * Classifier-free guidance scale: how closely the image follows the prompt. 1 disables guidance and halves the
   * work.
   *
   * Number, 0 to 1000. Default: `7`.
   */
  readonly cfg_scale?: number
  /**
   * Width of the image, a multiple of what the model needs (8 or 16).
   *
   * Whole number, at least 8, pixels. Default: the model's own.
   */
  readonly width?: number | undefined
  /**
   * Height of the image, a multiple of what the model needs (8 or 16).
   *
   * Whole number, at least 8, pixels. Default: the model's own.
   */
  readonly height?: number | undefined
  /**
   * Number of images that are sampled together.
   *
   * Whole number, at least 1. Default: `1`.
   */
  readonly batch_size?: number
  /**
   * Number of batches, one after the other.
   *
   * Whole number, at least 1. Default: `1`.
   */
  readonly n_iter?: number
  /**
   * What differs from column to column of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.
   *
   * Text, at most 10000 characters. Default: nothing.
   */
  readonly x_axis?: string | undefined
  /**
   * What differs from row to row of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.
   *
   * Text, at most 10000 characters. Default: nothing.
   */
  readonly y_axis?: string | undefined
  /**
   * What differs from sheet to sheet of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.
   *
   * Text, at most 10000 characters. Default: nothing.
   */
  readonly z_axis?: string | undefined
  /**
   * Share of fresh noise in ancestral, SDE and DDIM steps.
   *
   * Number, 0 to 1. Default: the settings eta_ancestral and eta_ddim.
   */
  readonly eta?: number | undefined
  /**
   * Total noise added before the steps of Euler, Heun and DPM2.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_churn?: number | undefined
  /**
   * Lowest noise level at which churn acts.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_tmin?: number | undefined
  /**
   * Highest noise level at which churn acts; 0 for no limit.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_tmax?: number | undefined
  /**
   * Factor on the noise of churn and on that of the SDE samplers, DPM++ 2S a, DPM2 a and DPM fast.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_noise?: number | undefined
  /**
   * Noise level below which every second step skips the negative prompt.
   *
   * Number, at least 0. Default: the setting.
   */
  readonly s_min_uncond?: number | undefined
  /**
   * Whether the image can be tiled without seams.
   *
   * Default: the setting.
   */
  readonly tiling?: boolean | undefined
  /**
   * Model that takes over before the end.
   *
   * Default: none.
   */
  readonly refiner_checkpoint?: string | undefined
  /**
   * Fraction of the steps after which the refiner takes over.
   *
   * Number, 0 to 1. Default: 0.8.
   */
  readonly refiner_switch_at?: number | undefined
  /**
   * Images that the result follows, each by a ControlNet.
   *
   * Default: `[]`.
   */
  readonly control_units?: ReadonlyArray<ControlUnitInput>
  /**
   * Settings for this request only.
   *
   * Default: `{}`.
   */
  readonly override_settings?: OptionsPatch
}

/** A text-to-image request, complete: every default is filled in. */
export interface Txt2Img extends RequestFields {
  readonly _tag: "Txt2Img"
  /**
   * Whether a second pass follows at a larger size.
   *
   * Default: `false`.
   */
  readonly enable_hr: boolean
  /**
   * How much the second pass changes the image: 0 nothing, 1 everything.
   *
   * Number, 0 to 1. Default: `0.75`.
   */
  readonly denoising_strength: number
  /**
   * Factor by which the second pass is larger.
   *
   * Number, 1 to 16. Default: `2`.
   */
  readonly hr_scale: number
  /**
   * Width of the second pass in place of the factor; 0 to keep the proportions.
   *
   * Whole number, 0 to 1048576, pixels. Default: `0`.
   */
  readonly hr_resize_x: number
  /**
   * Height of the second pass in place of the factor; 0 to keep the proportions.
   *
   * Whole number, 0 to 1048576, pixels. Default: `0`.
   */
  readonly hr_resize_y: number
  /**
   * Latent upscale mode, or upscaler, between the passes.
   *
   * Text, not empty, at most 200 characters. Default: `"Latent"`.
   */
  readonly hr_upscaler: string
  /**
   * Sampling steps of the second pass; 0 for as many as the first.
   *
   * Whole number, at least 0. Default: `0`.
   */
  readonly hr_second_pass_steps: number
  /**
   * Model of the second pass.
   *
   * Default: that of the first pass.
   */
  readonly hr_checkpoint_name?: string | undefined
  /**
   * Sampler of the second pass.
   *
   * Text, not empty, at most 200 characters. Default: that of the first pass.
   */
  readonly hr_sampler_name?: SamplerName | undefined
  /**
   * Schedule of the second pass.
   *
   * Text, not empty, at most 200 characters. Default: that of the first pass.
   */
  readonly hr_scheduler?: SchedulerName | undefined
  /**
   * Prompt of the second pass; empty for that of the first.
   *
   * Default: `""`.
   */
  readonly hr_prompt: string
  /**
   * Negative prompt of the second pass; empty for that of the first.
   *
   * Default: `""`.
   */
  readonly hr_negative_prompt: string
}

/** The fields of `Txt2Img.make`. */
export interface Txt2ImgInput extends RequestInput {
  readonly _tag?: "Txt2Img"
  /**
   * Whether a second pass follows at a larger size.
   *
   * Default: `false`.
   */
  readonly enable_hr?: boolean
  /**
   * How much the second pass changes the image: 0 nothing, 1 everything.
   *
   * Number, 0 to 1. Default: `0.75`.
   */
  readonly denoising_strength?: number
  /**
   * Factor by which the second pass is larger.
   *
   * Number, 1 to 16. Default: `2`.
   */
  readonly hr_scale?: number
  /**
   * Width of the second pass in place of the factor; 0 to keep the proportions.
   *
   * Whole number, 0 to 1048576, pixels. Default: `0`.
   */
  readonly hr_resize_x?: number
  /**
   * Height of the second pass in place of the factor; 0 to keep the proportions.
   *
   * Whole number, 0 to 1048576, pixels. Default: `0`.
   */
  readonly hr_resize_y?: number
  /**
   * Latent upscale mode, or upscaler, between the passes.
   *
   * Text, not empty, at most 200 characters. Default: `"Latent"`.
   */
  readonly hr_upscaler?: string
  /**
   * Sampling steps of the second pass; 0 for as many as the first.
   *
   * Whole number, at least 0. Default: `0`.
   */
  readonly hr_second_pass_steps?: number
  /**
   * Model of the second pass.
   *
   * Default: that of the first pass.
   */
  readonly hr_checkpoint_name?: string | undefined
  /**
   * Sampler of the second pass.
   *
   * Text, not empty, at most 200 characters. Default: that of the first pass.
   */
  readonly hr_sampler_name?: SamplerName | undefined
  /**
   * Schedule of the second pass.
   *
   * Text, not empty, at most 200 characters. Default: that of the first pass.
   */
  readonly hr_scheduler?: SchedulerName | undefined
  /**
   * Prompt of the second pass; empty for that of the first.
   *
   * Default: `""`.
   */
  readonly hr_prompt?: string
  /**
   * Negative prompt of the second pass; empty for that of the first.
   *
   * Default: `""`.
   */
  readonly hr_negative_prompt?: string
}

/** An image-to-image request, complete: every default is filled in. */
export interface Img2Img extends RequestFields {
  readonly _tag: "Img2Img"
  /**
   * Images to start from: one for the whole batch, or one for each image of it.
   *
   * Required.
   */
  readonly init_images: readonly [ImageBytes, ...Array<ImageBytes>]
  /**
   * How much the init image is changed: 0 nothing, 1 everything.
   *
   * Number, 0 to 1. Default: `0.75`.
   */
  readonly denoising_strength: number
  /**
   * How an init image of another size is resized: 0 stretch, 1 crop, 2 fill, 3 stretch latents.
   *
   * Default: `0`.
   */
  readonly resize_mode: 0 | 1 | 2 | 3
  /** Mask: white areas are regenerated; of an image with transparency, the opaque areas. */
  readonly mask?: ImageBytes | undefined
  /**
   * Horizontal blur of the mask's edge.
   *
   * Whole number, 0 to 512, pixels. Default: `4`.
   */
  readonly mask_blur_x: number
  /**
   * Vertical blur of the mask's edge.
   *
   * Whole number, 0 to 512, pixels. Default: `4`.
   */
  readonly mask_blur_y: number
  /**
   * Whether each latent value is either kept or regenerated, with nothing in between.
   *
   * Default: `true`.
   */
  readonly mask_round: boolean
  /**
   * What the masked area starts from: 0 its blurred surroundings, 1 the original, 2 latent noise, 3 latent zeros.
   *
   * Default: `1`.
   */
  readonly inpainting_fill: 0 | 1 | 2 | 3
  /**
   * Whether only the masked area is generated, at full size, and pasted back.
   *
   * Default: `true`.
   */
  readonly inpaint_full_res: boolean
  /**
   * Padding around the masked area when only that is generated.
   *
   * Whole number, 0 to 1024, pixels. Default: `32`.
   */
  readonly inpaint_full_res_padding: number
  /**
   * Whether black areas are regenerated instead of white ones: 1 to invert.
   *
   * Default: `0`.
   */
  readonly inpainting_mask_invert: 0 | 1
  /**
   * Factor on the noise that is added to the init image.
   *
   * Number, 0 to 10. Default: the setting.
   */
  readonly initial_noise_multiplier?: number | undefined
  /**
   * How closely the result follows the init image; acts only with models that edit images.
   *
   * Number, 0 to 1000. Default: 1.
   */
  readonly image_cfg_scale?: number | undefined
}

/** The fields of `Img2Img.make`. */
export interface Img2ImgInput extends RequestInput {
  readonly _tag?: "Img2Img"
  /**
   * Images to start from: one for the whole batch, or one for each image of it.
   *
   * Required.
   */
  readonly init_images: readonly [ImageBytes, ...Array<ImageBytes>]
  /**
   * How much the init image is changed: 0 nothing, 1 everything.
   *
   * Number, 0 to 1. Default: `0.75`.
   */
  readonly denoising_strength?: number
  /**
   * How an init image of another size is resized: 0 stretch, 1 crop, 2 fill, 3 stretch latents.
   *
   * Default: `0`.
   */
  readonly resize_mode?: 0 | 1 | 2 | 3
  /** Mask: white areas are regenerated; of an image with transparency, the opaque areas. */
  readonly mask?: ImageBytes | undefined
  /**
   * Horizontal blur of the mask's edge.
   *
   * Whole number, 0 to 512, pixels. Default: `4`.
   */
  readonly mask_blur_x?: number
  /**
   * Vertical blur of the mask's edge.
   *
   * Whole number, 0 to 512, pixels. Default: `4`.
   */
  readonly mask_blur_y?: number
  /**
   * Whether each latent value is either kept or regenerated, with nothing in between.
   *
   * Default: `true`.
   */
  readonly mask_round?: boolean
  /**
   * What the masked area starts from: 0 its blurred surroundings, 1 the original, 2 latent noise, 3 latent zeros.
   *
   * Default: `1`.
   */
  readonly inpainting_fill?: 0 | 1 | 2 | 3
  /**
   * Whether only the masked area is generated, at full size, and pasted back.
   *
   * Default: `true`.
   */
  readonly inpaint_full_res?: boolean
  /**
   * Padding around the masked area when only that is generated.
   *
   * Whole number, 0 to 1024, pixels. Default: `32`.
   */
  readonly inpaint_full_res_padding?: number
  /**
   * Whether black areas are regenerated instead of white ones: 1 to invert.
   *
   * Default: `0`.
   */
  readonly inpainting_mask_invert?: 0 | 1
  /**
   * Factor on the noise that is added to the init image.
   *
   * Number, 0 to 10. Default: the setting.
   */
  readonly initial_noise_multiplier?: number | undefined
  /**
   * How closely the result follows the init image; acts only with models that edit images.
   *
   * Number, 0 to 1000. Default: 1.
   */
  readonly image_cfg_scale?: number | undefined
}

/** All settings, as a run sees them: frozen. */
export interface OptionsSnapshot {
  /**
   * Name of the model; empty for the first one found.
   *
   * Default: `""`.
   */
  readonly sd_model_checkpoint: string
  /**
   * VAE of checkpoints: a file by its name; None for the checkpoint's own; Automatic for the one named like the
   * checkpoint, or else its own.
   *
   * Text, at most 1000 characters. Default: `"Automatic"`.
   */
  readonly sd_vae: string
  /**
   * Whether sd_vae, unless Automatic, counts more than a VAE named like the checkpoint.
   *
   * Default: `true`.
   */
  readonly sd_vae_overrides_per_model_preferences: boolean
  /**
   * Files of text encoders for checkpoints that hold none: their names, with commas between.
   *
   * Text, at most 1000 characters. Default: `""`.
   */
  readonly sd_text_encoders: string
  /**
   * What a checkpoint's network predicts; Automatic for what its files say.
   *
   * Default: `"Automatic"`.
   */
  readonly sd_prediction_type: "Automatic" | "epsilon" | "v_prediction"
  /**
   * How the denoising network computes; int8 is faster, and less exact.
   *
   * Default: `"Automatic"`.
   */
  readonly unet_precision: "Automatic" | "int8"
  /**
   * What a LoRA's tag is written with: the name that its file states, where no other does, or the file's. Both are
   * read.
   *
   * Default: `"Alias from file"`.
   */
  readonly lora_preferred_name: "Alias from file" | "Filename"
  /**
   * How weights in prompts act: None reads brackets as text, Ignore parses weights without applying them.
   *
   * Default: `"Original"`.
   */
  readonly emphasis: "None" | "Ignore" | "Original" | "No norm"
  /**
   * Largest distance at which a full chunk of a prompt is split after its last comma; 0 for never.
   *
   * Whole number, 0 to 74, tokens. Default: `20`.
   */
  readonly comma_padding_backtrack: number
  /**
   * Whether # starts a comment in a prompt.
   *
   * Default: `true`.
   */
  readonly enable_prompt_comments: boolean
  /**
   * Whether images draw their texts from choices and wildcards where a request does not say.
   *
   * Default: `false`.
   */
  readonly dynamic_prompts: boolean
  /**
   * Whether numbers in prompt editing count as before stable-diffusion-webui 1.6.
   *
   * Default: `false`.
   */
  readonly use_old_scheduling: boolean
  /**
   * Layer of the text encoder that is used, counted from the end.
   *
   * Whole number, 1 to 12. Default: `1`.
   */
  readonly CLIP_stop_at_last_layers: number
  /**
   * Whether clip skip also applies to the first text encoder of SDXL.
   *
   * Default: `false`.
   */
  readonly sdxl_clip_l_skip: boolean
  /**
   * Source of noise: torch's CPU generator, or that of NVIDIA GPUs. GPU means the CPU's here.
   *
   * Default: `"CPU"`.
   */
  readonly randn_source: "GPU" | "CPU" | "NV"
  /**
   * Added to the seed for every noise draw after the first, unless 0.
   *
   * Whole number. Default: `0`.
   */
  readonly eta_noise_seed_delta: number
  /**
   * Factor on the noise that is added to an init image.
   *
   * Number, 0 to 1.5. Default: `1`.
   */
  readonly initial_noise_multiplier: number
  /**
   * Additional noise on the init image that the sampler does not account for.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly img2img_extra_noise: number
  /**
   * Eta of ancestral and SDE samplers where a request has none.
   *
   * Number, 0 to 1. Default: `1`.
   */
  readonly eta_ancestral: number
  /**
   * Eta of DDIM where a request has none.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly eta_ddim: number
  /**
   * Churn of Euler, Heun and DPM2 where a request has none.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_churn: number
  /**
   * Lowest noise level at which churn acts where a request has none.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_tmin: number
  /**
   * Highest noise level at which churn acts where a request has none; 0 for no limit.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_tmax: number
  /**
   * Factor on the noise of the samplers that take one, where a request has none.
   *
   * Number, at least 0. Default: `1`.
   */
  readonly s_noise: number
  /**
   * Lowest noise level of a schedule; 0 for the model's own.
   *
   * Number, 0 to 1000. Default: `0`.
   */
  readonly sigma_min: number
  /**
   * Highest noise level of a schedule; 0 for the model's own.
   *
   * Number, 0 to 10000. Default: `0`.
   */
  readonly sigma_max: number
  /**
   * Rho of a schedule; 0 for the schedule's own.
   *
   * Number, 0 to 100. Default: `0`.
   */
  readonly rho: number
  /**
   * Whether the schedules of all samplers lose their last level above 0.
   *
   * Default: `false`.
   */
  readonly always_discard_next_to_last_sigma: boolean
  /**
   * Whether the initial noise is scaled as in Stability's own code.
   *
   * Default: `false`.
   */
  readonly sgm_noise_multiplier: boolean
  /**
   * B(h) of UniPC.
   *
   * Default: `"bh1"`.
   */
  readonly uni_pc_variant: "bh1" | "bh2"
  /**
   * Time spacing of UniPC.
   *
   * Default: `"time_uniform"`.
   */
  readonly uni_pc_skip_type: "time_uniform" | "time_quadratic" | "logSNR"
  /**
   * Order of UniPC; lowered when there are fewer steps.
   *
   * Whole number, 1 to 50. Default: `3`.
   */
  readonly uni_pc_order: number
  /**
   * Whether UniPC lowers its order in the last steps.
   *
   * Default: `true`.
   */
  readonly uni_pc_lower_order_final: boolean
  /**
   * Whether the model's noise levels are rescaled to end in pure noise.
   *
   * Default: `"Default"`.
   */
  readonly sd_noise_schedule: "Default" | "Zero Terminal SNR"
  /**
   * Alpha of the Beta schedule.
   *
   * Number, 0.01 to 5. Default: `0.6`.
   */
  readonly beta_dist_alpha: number
  /**
   * Beta of the Beta schedule.
   *
   * Number, 0.01 to 5. Default: `0.6`.
   */
  readonly beta_dist_beta: number
  /**
   * Noise level below which every second step skips the negative prompt.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_min_uncond: number
  /**
   * Whether every step below that noise level skips the negative prompt.
   *
   * Default: `false`.
   */
  readonly s_min_uncond_all: boolean
  /**
   * Fraction of the first steps that skip the negative prompt.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly skip_early_cond: number
  /**
   * Fraction of the last steps that skip the negative prompt.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly skip_late_cond: number
  /**
   * Of as many steps in a row, one computes the UNet's deep layers, and the others reuse them; 1 is off.
   *
   * Whole number, 1 to 20. Default: `1`.
   */
  readonly deepcache_interval: number
  /**
   * Fraction of the first steps that reuse none.
   *
   * Number, 0 to 1. Default: `0.4`.
   */
  readonly deepcache_start: number
  /**
   * Fraction of the tokens that go through the UNet's widest attention as one with others; 0 is off.
   *
   * Number, 0 to 0.9. Default: `0`.
   */
  readonly token_merging_ratio: number
  /**
   * The same for img2img; 0 for the token merging ratio.
   *
   * Number, 0 to 0.9. Default: `0`.
   */
  readonly token_merging_ratio_img2img: number
  /**
   * The same for the second pass of hires fix; 0 for the token merging ratio.
   *
   * Number, 0 to 0.9. Default: `0`.
   */
  readonly token_merging_ratio_hr: number
  /**
   * Most runs of one model and size whose network calls are made as one, where that is faster; 1 is off. Pixels may
   * differ by a level.
   *
   * Whole number, 1 to 8. Default: `1`.
   */
  readonly runs_per_call: number
  /**
   * Whether the refiner takes over by sampling steps instead of by noise levels.
   *
   * Default: `false`.
   */
  readonly refiner_switch_by_sample_steps: boolean
  /**
   * Passes of hires fix in which a refiner acts.
   *
   * Default: `"second pass"`.
   */
  readonly hires_fix_refiner_pass: "first pass" | "second pass" | "both passes"
  /**
   * Top of the crop that SDXL is conditioned on.
   *
   * Whole number, at least 0, pixels. Default: `0`.
   */
  readonly sdxl_crop_top: number
  /**
   * Left edge of the crop that SDXL is conditioned on.
   *
   * Whole number, at least 0, pixels. Default: `0`.
   */
  readonly sdxl_crop_left: number
  /**
   * Aesthetic score of the prompt for SDXL's refiner.
   *
   * Number. Default: `6`.
   */
  readonly sdxl_refiner_high_aesthetic_score: number
  /**
   * Aesthetic score of the negative prompt for SDXL's refiner.
   *
   * Number. Default: `2.5`.
   */
  readonly sdxl_refiner_low_aesthetic_score: number
  /**
   * Whether images can be tiled without seams where a request does not say.
   *
   * Default: `false`.
   */
  readonly tiling: boolean
  /**
   * Whether img2img makes all its steps at any denoising strength.
   *
   * Default: `false`.
   */
  readonly img2img_fix_steps: boolean
  /**
   * Whether an img2img result gets the colours of its init image.
   *
   * Default: `false`.
   */
  readonly img2img_color_correction: boolean
  /**
   * Colour behind transparent areas of an init image.
   *
   * Default: `"#ffffff"`.
   */
  readonly img2img_background_color: string
  /**
   * How much of the image under the mask is hidden from an inpainting model.
   *
   * Number, 0 to 1. Default: `1`.
   */
  readonly inpainting_mask_weight: number
  /**
   * Whether unmasked areas are restored from the original.
   *
   * Default: `true`.
   */
  readonly overlay_inpaint: boolean
  /**
   * Upscaler for init images that are enlarged; null for Lanczos.
   *
   * Text, at most 200 characters. Default: `null`.
   */
  readonly upscaler_for_img2img: string | null
  /**
   * Tile size of upscaler networks, in pixels of the small image; 0 for no tiles.
   *
   * Whole number, 0 to 512, pixels. Default: `192`.
   */
  readonly ESRGAN_tile: number
  /**
   * Overlap of the tiles of upscaler networks.
   *
   * Whole number, 0 to 48, pixels. Default: `8`.
   */
  readonly ESRGAN_tile_overlap: number
  /**
   * Side of the square above whose area images are encoded and decoded in tiles of half that side; 0 for never.
   *
   * Whole number, at least 0, pixels. Default: `1024`.
   */
  readonly vae_tile_threshold: number
  /**
   * Side of the tiles in which large latents are sampled; 0 for no tiles.
   *
   * Whole number, at least 0, pixels. Default: `0`.
   */
  readonly latent_tile_size: number
  /**
   * Overlap of the tiles in which large latents are sampled.
   *
   * Whole number, at least 0, pixels. Default: `64`.
   */
  readonly latent_tile_overlap: number
  /**
   * Whether finished images are saved.
   *
   * Default: `true`.
   */
  readonly samples_save: boolean
  /**
   * File format of images, saved or only returned.
   *
   * Default: `"png"`.
   */
  readonly samples_format: "png" | "jpg" | "jpeg" | "webp"
  /**
   * Pattern of file names, without number and extension; empty for [seed].
   *
   * Text, at most 1000 characters. Default: `""`.
   */
  readonly samples_filename_pattern: string
  /**
   * Whether a counter precedes the file name.
   *
   * Default: `true`.
   */
  readonly save_images_add_number: boolean
  /**
   * Whether images are saved in a subdirectory.
   *
   * Default: `true`.
   */
  readonly save_to_dirs: boolean
  /**
   * Whether grids are saved in a subdirectory.
   *
   * Default: `true`.
   */
  readonly grid_save_to_dirs: boolean
  /**
   * Pattern of the subdirectory's name.
   *
   * Text, at most 1000 characters. Default: `"[date]"`.
   */
  readonly directories_filename_pattern: string
  /**
   * Most words that [prompt_words] expands to.
   *
   * Whole number, 1 to 100. Default: `8`.
   */
  readonly directories_max_prompt_words: number
  /**
   * Quality of JPEG and lossy WebP files, 1 to 100.
   *
   * Whole number, 1 to 100. Default: `80`.
   */
  readonly jpeg_quality: number
  /**
   * Whether WebP files are lossless.
   *
   * Default: `false`.
   */
  readonly webp_lossless: boolean
  /**
   * Whether image files contain their infotext.
   *
   * Default: `true`.
   */
  readonly enable_pnginfo: boolean
  /**
   * Whether the infotext is also saved as a text file next to each image.
   *
   * Default: `false`.
   */
  readonly save_txt: boolean
  /**
   * Whether a grid of several images is saved.
   *
   * Default: `false`.
   */
  readonly grid_save: boolean
  /**
   * Whether the grid is returned.
   *
   * Default: `false`.
   */
  readonly return_grid: boolean
  /**
   * File format of grids.
   *
   * Default: `"png"`.
   */
  readonly grid_format: "png" | "jpg" | "jpeg" | "webp"
  /**
   * Whether a grid needs more than one image.
   *
   * Default: `true`.
   */
  readonly grid_only_if_multiple: boolean
  /**
   * Rows of a grid: -1 for a square, 0 for the batch size.
   *
   * Whole number, at least -1. Default: `-1`.
   */
  readonly n_rows: number
  /**
   * Whether images of an interrupted run are saved unfinished.
   *
   * Default: `false`.
   */
  readonly save_incomplete_images: boolean
  /**
   * Whether each image is also saved as it was before the second pass.
   *
   * Default: `false`.
   */
  readonly save_images_before_highres_fix: boolean
  /**
   * Whether each image is also saved as it was before colour correction.
   *
   * Default: `false`.
   */
  readonly save_images_before_color_correction: boolean
  /**
   * Whether init images are saved.
   *
   * Default: `false`.
   */
  readonly save_init_img: boolean
  /**
   * Whether the mask is saved with each image.
   *
   * Default: `false`.
   */
  readonly save_mask: boolean
  /**
   * Whether the masked composite is saved with each image.
   *
   * Default: `false`.
   */
  readonly save_mask_composite: boolean
  /**
   * Whether the mask is returned with each image.
   *
   * Default: `false`.
   */
  readonly return_mask: boolean
  /**
   * Whether the masked composite is returned with each image.
   *
   * Default: `false`.
   */
  readonly return_mask_composite: boolean
  /**
   * Whether replies of /sdapi/v1 leave out the maps of ControlNets.
   *
   * Default: `false`.
   */
  readonly control_net_no_detectmap: boolean
  /**
   * Folder for all images; empty for one folder per kind.
   *
   * Default: `""`.
   */
  readonly outdir_samples: string
  /**
   * Folder for txt2img images.
   *
   * Text, not empty. Default: `"outputs/txt2img-images"`.
   */
  readonly outdir_txt2img_samples: string
  /**
   * Folder for img2img images.
   *
   * Text, not empty. Default: `"outputs/img2img-images"`.
   */
  readonly outdir_img2img_samples: string
  /**
   * Folder for saved init images.
   *
   * Text, not empty. Default: `"outputs/init-images"`.
   */
  readonly outdir_init_images: string
  /**
   * Folder for all grids; empty for one folder per kind.
   *
   * Default: `""`.
   */
  readonly outdir_grids: string
  /**
   * Folder for txt2img grids.
   *
   * Text, not empty. Default: `"outputs/txt2img-grids"`.
   */
  readonly outdir_txt2img_grids: string
  /**
   * Folder for img2img grids.
   *
   * Text, not empty. Default: `"outputs/img2img-grids"`.
   */
  readonly outdir_img2img_grids: string
  /**
   * Whether the infotext of the latest request is kept in params.txt in its folder.
   *
   * Default: `true`.
   */
  readonly save_params_txt: boolean
  /**
   * Whether runs produce previews.
   *
   * Default: `true`.
   */
  readonly live_previews_enable: boolean
  /**
   * Steps between two previews.
   *
   * Whole number, at least 1. Default: `5`.
   */
  readonly show_progress_every_n_steps: number
  /**
   * How previews are made: by a tiny autoencoder (TAESD) where its file is there, by the model's own colour matrix,
   * or by decoding in full.
   *
   * Default: `"TAESD"`.
   */
  readonly show_progress_type: "TAESD" | "Approx cheap" | "Full"
  /**
   * Whether infotexts include the model's hash.
   *
   * Default: `true`.
   */
  readonly add_model_hash_to_info: boolean
  /**
   * Whether infotexts include the model's name.
   *
   * Default: `true`.
   */
  readonly add_model_name_to_info: boolean
  /**
   * Whether infotexts include the hash of a VAE from a file of its own.
   *
   * Default: `true`.
   */
  readonly add_vae_hash_to_info: boolean
  /**
   * Whether infotexts include the name of a VAE from a file of its own.
   *
   * Default: `true`.
   */
  readonly add_vae_name_to_info: boolean
  /**
   * Whether infotexts list the hashes of LoRAs.
   *
   * Default: `true`.
   */
  readonly lora_add_hashes_to_infotext: boolean
  /**
   * Whether infotexts list the hashes of embeddings.
   *
   * Default: `true`.
   */
  readonly textual_inversion_add_hashes_to_infotext: boolean
  /**
   * Whether infotexts include Serena's version.
   *
   * Default: `true`.
   */
  readonly add_version_to_infotext: boolean
}

/** Some settings: the value of `override_settings`, and a change of the settings. */
export interface OptionsPatch {
  /**
   * Name of the model; empty for the first one found.
   *
   * Default: `""`.
   */
  readonly sd_model_checkpoint?: string
  /**
   * VAE of checkpoints: a file by its name; None for the checkpoint's own; Automatic for the one named like the
   * checkpoint, or else its own.
   *
   * Text, at most 1000 characters. Default: `"Automatic"`.
   */
  readonly sd_vae?: string
  /**
   * Whether sd_vae, unless Automatic, counts more than a VAE named like the checkpoint.
   *
   * Default: `true`.
   */
  readonly sd_vae_overrides_per_model_preferences?: boolean
  /**
   * Files of text encoders for checkpoints that hold none: their names, with commas between.
   *
   * Text, at most 1000 characters. Default: `""`.
   */
  readonly sd_text_encoders?: string
  /**
   * What a checkpoint's network predicts; Automatic for what its files say.
   *
   * Default: `"Automatic"`.
   */
  readonly sd_prediction_type?: "Automatic" | "epsilon" | "v_prediction"
  /**
   * How the denoising network computes; int8 is faster, and less exact.
   *
   * Default: `"Automatic"`.
   */
  readonly unet_precision?: "Automatic" | "int8"
  /**
   * What a LoRA's tag is written with: the name that its file states, where no other does, or the file's. Both are
   * read.
   *
   * Default: `"Alias from file"`.
   */
  readonly lora_preferred_name?: "Alias from file" | "Filename"
  /**
   * How weights in prompts act: None reads brackets as text, Ignore parses weights without applying them.
   *
   * Default: `"Original"`.
   */
  readonly emphasis?: "None" | "Ignore" | "Original" | "No norm"
  /**
   * Largest distance at which a full chunk of a prompt is split after its last comma; 0 for never.
   *
   * Whole number, 0 to 74, tokens. Default: `20`.
   */
  readonly comma_padding_backtrack?: number
  /**
   * Whether # starts a comment in a prompt.
   *
   * Default: `true`.
   */
  readonly enable_prompt_comments?: boolean
  /**
   * Whether images draw their texts from choices and wildcards where a request does not say.
   *
   * Default: `false`.
   */
  readonly dynamic_prompts?: boolean
  /**
   * Whether numbers in prompt editing count as before stable-diffusion-webui 1.6.
   *
   * Default: `false`.
   */
  readonly use_old_scheduling?: boolean
  /**
   * Layer of the text encoder that is used, counted from the end.
   *
   * Whole number, 1 to 12. Default: `1`.
   */
  readonly CLIP_stop_at_last_layers?: number
  /**
   * Whether clip skip also applies to the first text encoder of SDXL.
   *
   * Default: `false`.
   */
  readonly sdxl_clip_l_skip?: boolean
  /**
   * Source of noise: torch's CPU generator, or that of NVIDIA GPUs. GPU means the CPU's here.
   *
   * Default: `"CPU"`.
   */
  readonly randn_source?: "GPU" | "CPU" | "NV"
  /**
   * Added to the seed for every noise draw after the first, unless 0.
   *
   * Whole number. Default: `0`.
   */
  readonly eta_noise_seed_delta?: number
  /**
   * Factor on the noise that is added to an init image.
   *
   * Number, 0 to 1.5. Default: `1`.
   */
  readonly initial_noise_multiplier?: number
  /**
   * Additional noise on the init image that the sampler does not account for.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly img2img_extra_noise?: number
  /**
   * Eta of ancestral and SDE samplers where a request has none.
   *
   * Number, 0 to 1. Default: `1`.
   */
  readonly eta_ancestral?: number
  /**
   * Eta of DDIM where a request has none.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly eta_ddim?: number
  /**
   * Churn of Euler, Heun and DPM2 where a request has none.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_churn?: number
  /**
   * Lowest noise level at which churn acts where a request has none.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_tmin?: number
  /**
   * Highest noise level at which churn acts where a request has none; 0 for no limit.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_tmax?: number
  /**
   * Factor on the noise of the samplers that take one, where a request has none.
   *
   * Number, at least 0. Default: `1`.
   */
  readonly s_noise?: number
  /**
   * Lowest noise level of a schedule; 0 for the model's own.
   *
   * Number, 0 to 1000. Default: `0`.
   */
  readonly sigma_min?: number
  /**
   * Highest noise level of a schedule; 0 for the model's own.
   *
   * Number, 0 to 10000. Default: `0`.
   */
  readonly sigma_max?: number
  /**
   * Rho of a schedule; 0 for the schedule's own.
   *
   * Number, 0 to 100. Default: `0`.
   */
  readonly rho?: number
  /**
   * Whether the schedules of all samplers lose their last level above 0.
   *
   * Default: `false`.
   */
  readonly always_discard_next_to_last_sigma?: boolean
  /**
   * Whether the initial noise is scaled as in Stability's own code.
   *
   * Default: `false`.
   */
  readonly sgm_noise_multiplier?: boolean
  /**
   * B(h) of UniPC.
   *
   * Default: `"bh1"`.
   */
  readonly uni_pc_variant?: "bh1" | "bh2"
  /**
   * Time spacing of UniPC.
   *
   * Default: `"time_uniform"`.
   */
  readonly uni_pc_skip_type?: "time_uniform" | "time_quadratic" | "logSNR"
  /**
   * Order of UniPC; lowered when there are fewer steps.
   *
   * Whole number, 1 to 50. Default: `3`.
   */
  readonly uni_pc_order?: number
  /**
   * Whether UniPC lowers its order in the last steps.
   *
   * Default: `true`.
   */
  readonly uni_pc_lower_order_final?: boolean
  /**
   * Whether the model's noise levels are rescaled to end in pure noise.
   *
   * Default: `"Default"`.
   */
  readonly sd_noise_schedule?: "Default" | "Zero Terminal SNR"
  /**
   * Alpha of the Beta schedule.
   *
   * Number, 0.01 to 5. Default: `0.6`.
   */
  readonly beta_dist_alpha?: number
  /**
   * Beta of the Beta schedule.
   *
   * Number, 0.01 to 5. Default: `0.6`.
   */
  readonly beta_dist_beta?: number
  /**
   * Noise level below which every second step skips the negative prompt.
   *
   * Number, at least 0. Default: `0`.
   */
  readonly s_min_uncond?: number
  /**
   * Whether every step below that noise level skips the negative prompt.
   *
   * Default: `false`.
   */
  readonly s_min_uncond_all?: boolean
  /**
   * Fraction of the first steps that skip the negative prompt.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly skip_early_cond?: number
  /**
   * Fraction of the last steps that skip the negative prompt.
   *
   * Number, 0 to 1. Default: `0`.
   */
  readonly skip_late_cond?: number
  /**
   * Of as many steps in a row, one computes the UNet's deep layers, and the others reuse them; 1 is off.
   *
   * Whole number, 1 to 20. Default: `1`.
   */
  readonly deepcache_interval?: number
  /**
   * Fraction of the first steps that reuse none.
   *
   * Number, 0 to 1. Default: `0.4`.
   */
  readonly deepcache_start?: number
  /**
   * Fraction of the tokens that go through the UNet's widest attention as one with others; 0 is off.
   *
   * Number, 0 to 0.9. Default: `0`.
   */
  readonly token_merging_ratio?: number
  /**
   * The same for img2img; 0 for the token merging ratio.
   *
   * Number, 0 to 0.9. Default: `0`.
   */
  readonly token_merging_ratio_img2img?: number
  /**
   * The same for the second pass of hires fix; 0 for the token merging ratio.
   *
   * Number, 0 to 0.9. Default: `0`.
   */
  readonly token_merging_ratio_hr?: number
  /**
   * Most runs of one model and size whose network calls are made as one, where that is faster; 1 is off. Pixels may
   * differ by a level.
   *
   * Whole number, 1 to 8. Default: `1`.
   */
  readonly runs_per_call?: number
  /**
   * Whether the refiner takes over by sampling steps instead of by noise levels.
   *
   * Default: `false`.
   */
  readonly refiner_switch_by_sample_steps?: boolean
  /**
   * Passes of hires fix in which a refiner acts.
   *
   * Default: `"second pass"`.
   */
  readonly hires_fix_refiner_pass?: "first pass" | "second pass" | "both passes"
  /**
   * Top of the crop that SDXL is conditioned on.
   *
   * Whole number, at least 0, pixels. Default: `0`.
   */
  readonly sdxl_crop_top?: number
  /**
   * Left edge of the crop that SDXL is conditioned on.
   *
   * Whole number, at least 0, pixels. Default: `0`.
   */
  readonly sdxl_crop_left?: number
  /**
   * Aesthetic score of the prompt for SDXL's refiner.
   *
   * Number. Default: `6`.
   */
  readonly sdxl_refiner_high_aesthetic_score?: number
  /**
   * Aesthetic score of the negative prompt for SDXL's refiner.
   *
   * Number. Default: `2.5`.
   */
  readonly sdxl_refiner_low_aesthetic_score?: number
  /**
   * Whether images can be tiled without seams where a request does not say.
   *
   * Default: `false`.
   */
  readonly tiling?: boolean
  /**
   * Whether img2img makes all its steps at any denoising strength.
   *
   * Default: `false`.
   */
  readonly img2img_fix_steps?: boolean
  /**
   * Whether an img2img result gets the colours of its init image.
   *
   * Default: `false`.
   */
  readonly img2img_color_correction?: boolean
  /**
   * Colour behind transparent areas of an init image.
   *
   * Default: `"#ffffff"`.
   */
  readonly img2img_background_color?: string
  /**
   * How much of the image under the mask is hidden from an inpainting model.
   *
   * Number, 0 to 1. Default: `1`.
   */
  readonly inpainting_mask_weight?: number
  /**
   * Whether unmasked areas are restored from the original.
   *
   * Default: `true`.
   */
  readonly overlay_inpaint?: boolean
  /**
   * Upscaler for init images that are enlarged; null for Lanczos.
   *
   * Text, at most 200 characters. Default: `null`.
   */
  readonly upscaler_for_img2img?: string | null
  /**
   * Tile size of upscaler networks, in pixels of the small image; 0 for no tiles.
   *
   * Whole number, 0 to 512, pixels. Default: `192`.
   */
  readonly ESRGAN_tile?: number
  /**
   * Overlap of the tiles of upscaler networks.
   *
   * Whole number, 0 to 48, pixels. Default: `8`.
   */
  readonly ESRGAN_tile_overlap?: number
  /**
   * Side of the square above whose area images are encoded and decoded in tiles of half that side; 0 for never.
   *
   * Whole number, at least 0, pixels. Default: `1024`.
   */
  readonly vae_tile_threshold?: number
  /**
   * Side of the tiles in which large latents are sampled; 0 for no tiles.
   *
   * Whole number, at least 0, pixels. Default: `0`.
   */
  readonly latent_tile_size?: number
  /**
   * Overlap of the tiles in which large latents are sampled.
   *
   * Whole number, at least 0, pixels. Default: `64`.
   */
  readonly latent_tile_overlap?: number
  /**
   * Whether finished images are saved.
   *
   * Default: `true`.
   */
  readonly samples_save?: boolean
  /**
   * File format of images, saved or only returned.
   *
   * Default: `"png"`.
   */
  readonly samples_format?: "png" | "jpg" | "jpeg" | "webp"
  /**
   * Pattern of file names, without number and extension; empty for [seed].
   *
   * Text, at most 1000 characters. Default: `""`.
   */
  readonly samples_filename_pattern?: string
  /**
   * Whether a counter precedes the file name.
   *
   * Default: `true`.
   */
  readonly save_images_add_number?: boolean
  /**
   * Whether images are saved in a subdirectory.
   *
   * Default: `true`.
   */
  readonly save_to_dirs?: boolean
  /**
   * Whether grids are saved in a subdirectory.
   *
   * Default: `true`.
   */
  readonly grid_save_to_dirs?: boolean
  /**
   * Pattern of the subdirectory's name.
   *
   * Text, at most 1000 characters. Default: `"[date]"`.
   */
  readonly directories_filename_pattern?: string
  /**
   * Most words that [prompt_words] expands to.
   *
   * Whole number, 1 to 100. Default: `8`.
   */
  readonly directories_max_prompt_words?: number
  /**
   * Quality of JPEG and lossy WebP files, 1 to 100.
   *
   * Whole number, 1 to 100. Default: `80`.
   */
  readonly jpeg_quality?: number
  /**
   * Whether WebP files are lossless.
   *
   * Default: `false`.
   */
  readonly webp_lossless?: boolean
  /**
   * Whether image files contain their infotext.
   *
   * Default: `true`.
   */
  readonly enable_pnginfo?: boolean
  /**
   * Whether the infotext is also saved as a text file next to each image.
   *
   * Default: `false`.
   */
  readonly save_txt?: boolean
  /**
   * Whether a grid of several images is saved.
   *
   * Default: `false`.
   */
  readonly grid_save?: boolean
  /**
   * Whether the grid is returned.
   *
   * Default: `false`.
   */
  readonly return_grid?: boolean
  /**
   * File format of grids.
   *
   * Default: `"png"`.
   */
  readonly grid_format?: "png" | "jpg" | "jpeg" | "webp"
  /**
   * Whether a grid needs more than one image.
   *
   * Default: `true`.
   */
  readonly grid_only_if_multiple?: boolean
  /**
   * Rows of a grid: -1 for a square, 0 for the batch size.
   *
   * Whole number, at least -1. Default: `-1`.
   */
  readonly n_rows?: number
  /**
   * Whether images of an interrupted run are saved unfinished.
   *
   * Default: `false`.
   */
  readonly save_incomplete_images?: boolean
  /**
   * Whether each image is also saved as it was before the second pass.
   *
   * Default: `false`.
   */
  readonly save_images_before_highres_fix?: boolean
  /**
   * Whether each image is also saved as it was before colour correction.
   *
   * Default: `false`.
   */
  readonly save_images_before_color_correction?: boolean
  /**
   * Whether init images are saved.
   *
   * Default: `false`.
   */
  readonly save_init_img?: boolean
  /**
   * Whether the mask is saved with each image.
   *
   * Default: `false`.
   */
  readonly save_mask?: boolean
  /**
   * Whether the masked composite is saved with each image.
   *
   * Default: `false`.
   */
  readonly save_mask_composite?: boolean
  /**
   * Whether the mask is returned with each image.
   *
   * Default: `false`.
   */
  readonly return_mask?: boolean
  /**
   * Whether the masked composite is returned with each image.
   *
   * Default: `false`.
   */
  readonly return_mask_composite?: boolean
  /**
   * Whether replies of /sdapi/v1 leave out the maps of ControlNets.
   *
   * Default: `false`.
   */
  readonly control_net_no_detectmap?: boolean
  /**
   * Folder for all images; empty for one folder per kind.
   *
   * Default: `""`.
   */
  readonly outdir_samples?: string
  /**
   * Folder for txt2img images.
   *
   * Text, not empty. Default: `"outputs/txt2img-images"`.
   */
  readonly outdir_txt2img_samples?: string
  /**
   * Folder for img2img images.
   *
   * Text, not empty. Default: `"outputs/img2img-images"`.
   */
  readonly outdir_img2img_samples?: string
  /**
   * Folder for saved init images.
   *
   * Text, not empty. Default: `"outputs/init-images"`.
   */
  readonly outdir_init_images?: string
  /**
   * Folder for all grids; empty for one folder per kind.
   *
   * Default: `""`.
   */
  readonly outdir_grids?: string
  /**
   * Folder for txt2img grids.
   *
   * Text, not empty. Default: `"outputs/txt2img-grids"`.
   */
  readonly outdir_txt2img_grids?: string
  /**
   * Folder for img2img grids.
   *
   * Text, not empty. Default: `"outputs/img2img-grids"`.
   */
  readonly outdir_img2img_grids?: string
  /**
   * Whether the infotext of the latest request is kept in params.txt in its folder.
   *
   * Default: `true`.
   */
  readonly save_params_txt?: boolean
  /**
   * Whether runs produce previews.
   *
   * Default: `true`.
   */
  readonly live_previews_enable?: boolean
  /**
   * Steps between two previews.
   *
   * Whole number, at least 1. Default: `5`.
   */
  readonly show_progress_every_n_steps?: number
  /**
   * How previews are made: by a tiny autoencoder (TAESD) where its file is there, by the model's own colour matrix,
   * or by decoding in full.
   *
   * Default: `"TAESD"`.
   */
  readonly show_progress_type?: "TAESD" | "Approx cheap" | "Full"
  /**
   * Whether infotexts include the model's hash.
   *
   * Default: `true`.
   */
  readonly add_model_hash_to_info?: boolean
  /**
   * Whether infotexts include the model's name.
   *
   * Default: `true`.
   */
  readonly add_model_name_to_info?: boolean
  /**
   * Whether infotexts include the hash of a VAE from a file of its own.
   *
   * Default: `true`.
   */
  readonly add_vae_hash_to_info?: boolean
  /**
   * Whether infotexts include the name of a VAE from a file of its own.
   *
   * Default: `true`.
   */
  readonly add_vae_name_to_info?: boolean
  /**
   * Whether infotexts list the hashes of LoRAs.
   *
   * Default: `true`.
   */
  readonly lora_add_hashes_to_infotext?: boolean
  /**
   * Whether infotexts list the hashes of embeddings.
   *
   * Default: `true`.
   */
  readonly textual_inversion_add_hashes_to_infotext?: boolean
  /**
   * Whether infotexts include Serena's version.
   *
   * Default: `true`.
   */
  readonly add_version_to_infotext?: boolean
}

/** How much one request may ask for. */
export interface Limits {
  /**
   * Largest width of an image.
   *
   * Whole number, at least 1, pixels. Default: `2048`.
   */
  readonly max_width: number
  /**
   * Largest height of an image.
   *
   * Whole number, at least 1, pixels. Default: `2048`.
   */
  readonly max_height: number
  /**
   * Most images that are sampled together.
   *
   * Whole number, at least 1. Default: `16`.
   */
  readonly max_batch_size: number
  /**
   * Most batches of one request.
   *
   * Whole number, at least 1. Default: `100`.
   */
  readonly max_n_iter: number
  /**
   * Most pixels of all images of one request together.
   *
   * Whole number, at least 1, pixels. Default: `268435456`.
   */
  readonly max_total_pixels: number
  /**
   * Most rows of one call of the denoiser: for each image, its parts of the prompt (AND) and the negative prompt.
   *
   * Whole number, at least 1. Default: `128`.
   */
  readonly max_rows: number
  /**
   * Most pixels of one call of the denoiser: its rows, times the pixels of an image.
   *
   * Whole number, at least 1, pixels. Default: `134217728`.
   */
  readonly max_row_pixels: number
  /**
   * Most sampling steps.
   *
   * Whole number, at least 1. Default: `150`.
   */
  readonly max_steps: number
  /**
   * Largest file of one init image or mask.
   *
   * Whole number, at least 1, bytes. Default: `67108864`.
   */
  readonly max_image_bytes: number
  /**
   * Most pixels of one init image or mask.
   *
   * Whole number, at least 1, pixels. Default: `67108864`.
   */
  readonly max_image_pixels: number
  /**
   * Longest prompt in UTF-8.
   *
   * Whole number, at least 1, bytes. Default: `100000`.
   */
  readonly max_prompt_bytes: number
  /**
   * Most chunks of 77 tokens that all texts of a prompt take together: prompt editing and AND make several texts of
   * one, each as long as the longest.
   *
   * Whole number, at least 1. Default: `2048`.
   */
  readonly max_prompt_chunks: number
}

/** The fields of `Limits.make`. */
export interface LimitsInput {
  /**
   * Largest width of an image.
   *
   * Whole number, at least 1, pixels. Default: `2048`.
   */
  readonly max_width?: number
  /**
   * Largest height of an image.
   *
   * Whole number, at least 1, pixels. Default: `2048`.
   */
  readonly max_height?: number
  /**
   * Most images that are sampled together.
   *
   * Whole number, at least 1. Default: `16`.
   */
  readonly max_batch_size?: number
  /**
   * Most batches of one request.
   *
   * Whole number, at least 1. Default: `100`.
   */
  readonly max_n_iter?: number
  /**
   * Most pixels of all images of one request together.
   *
   * Whole number, at least 1, pixels. Default: `268435456`.
   */
  readonly max_total_pixels?: number
  /**
   * Most rows of one call of the denoiser: for each image, its parts of the prompt (AND) and the negative prompt.
   *
   * Whole number, at least 1. Default: `128`.
   */
  readonly max_rows?: number
  /**
   * Most pixels of one call of the denoiser: its rows, times the pixels of an image.
   *
   * Whole number, at least 1, pixels. Default: `134217728`.
   */
  readonly max_row_pixels?: number
  /**
   * Most sampling steps.
   *
   * Whole number, at least 1. Default: `150`.
   */
  readonly max_steps?: number
  /**
   * Largest file of one init image or mask.
   *
   * Whole number, at least 1, bytes. Default: `67108864`.
   */
  readonly max_image_bytes?: number
  /**
   * Most pixels of one init image or mask.
   *
   * Whole number, at least 1, pixels. Default: `67108864`.
   */
  readonly max_image_pixels?: number
  /**
   * Longest prompt in UTF-8.
   *
   * Whole number, at least 1, bytes. Default: `100000`.
   */
  readonly max_prompt_bytes?: number
  /**
   * Most chunks of 77 tokens that all texts of a prompt take together: prompt editing and AND make several texts of
   * one, each as long as the longest.
   *
   * Whole number, at least 1. Default: `2048`.
   */
  readonly max_prompt_chunks?: number
}

/** The options of a process, apart from the limits. */
export interface ProcessOptions {
  /**
   * Folder of models, LoRAs, VAEs, upscalers, in the layout of any program; or several of them.
   *
   * Text, not empty. Default: ./models and models in the data folder.
   */
  readonly modelsDir?: string | ReadonlyArray<string> | undefined
  /**
   * Folder for what is kept: the server's settings, hashes of files, models.
   *
   * Text, not empty. Default: none.
   */
  readonly dataDir?: string | undefined
  /**
   * Where the networks run: an execution provider of onnxruntime (cpu, cuda, dml, coreml or webgpu).
   *
   * Default: `"cpu"`.
   */
  readonly device: "cpu" | "cuda" | "dml" | "coreml" | "webgpu"
  /**
   * Threads of one network call; 0 lets onnxruntime decide.
   *
   * Whole number, at least 0. Default: `0`.
   */
  readonly threads: number
  /**
   * Most idle models that stay in memory; the least recently used goes first.
   *
   * Whole number, at least 0. Default: `2`.
   */
  readonly maxModels: number
  /**
   * Whether only one network at a time stays in memory: slower, and smaller.
   *
   * Default: `false`.
   */
  readonly lowvram: boolean
  /**
   * Most memory that the process may hold; a request that needs more is refused. 0 for what there is.
   *
   * Whole number, at least 0, MiB. Default: `0`.
   */
  readonly maxMemory: number
  /**
   * CSV file of styles, with columns name, prompt and negative_prompt.
   *
   * Text, not empty. Default: `"styles.csv"`.
   */
  readonly stylesFile: string
  /**
   * Folder of wildcards: text files whose lines dynamic prompts draw from.
   *
   * Text, not empty. Default: `"wildcards"`.
   */
  readonly wildcardsDir: string
}

/** Some options of a process; the others have their defaults. */
export interface ProcessOptionsPatch {
  /**
   * Folder of models, LoRAs, VAEs, upscalers, in the layout of any program; or several of them.
   *
   * Text, not empty. Default: ./models and models in the data folder.
   */
  readonly modelsDir?: string | ReadonlyArray<string> | undefined
  /**
   * Folder for what is kept: the server's settings, hashes of files, models.
   *
   * Text, not empty. Default: none.
   */
  readonly dataDir?: string | undefined
  /**
   * Where the networks run: an execution provider of onnxruntime (cpu, cuda, dml, coreml or webgpu).
   *
   * Default: `"cpu"`.
   */
  readonly device?: "cpu" | "cuda" | "dml" | "coreml" | "webgpu"
  /**
   * Threads of one network call; 0 lets onnxruntime decide.
   *
   * Whole number, at least 0. Default: `0`.
   */
  readonly threads?: number
  /**
   * Most idle models that stay in memory; the least recently used goes first.
   *
   * Whole number, at least 0. Default: `2`.
   */
  readonly maxModels?: number
  /**
   * Whether only one network at a time stays in memory: slower, and smaller.
   *
   * Default: `false`.
   */
  readonly lowvram?: boolean
  /**
   * Most memory that the process may hold; a request that needs more is refused. 0 for what there is.
   *
   * Whole number, at least 0, MiB. Default: `0`.
   */
  readonly maxMemory?: number
  /**
   * CSV file of styles, with columns name, prompt and negative_prompt.
   *
   * Text, not empty. Default: `"styles.csv"`.
   */
  readonly stylesFile?: string
  /**
   * Folder of wildcards: text files whose lines dynamic prompts draw from.
   *
   * Text, not empty. Default: `"wildcards"`.
   */
  readonly wildcardsDir?: string
}

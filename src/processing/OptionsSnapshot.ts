/**
 * What the settings of a process are, under stable-diffusion-webui's own names. Only settings with an effect are listed
 * here.
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { field } from "../core/Field.ts"
import type { NamedStruct } from "../core/Schemas.ts"
import type * as FieldTypes from "./FieldTypes.ts"

const atLeast = (minimum: number) => Schema.Finite.check(Schema.isGreaterThanOrEqualTo(minimum))
const wholeAtLeast = (minimum: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(minimum))
const share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const mergedShare = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.9 }))
const imageFormat = Schema.Literals(["png", "jpg", "jpeg", "webp"])
const upscaler = Schema.NullOr(Schema.String.check(Schema.isMaxLength(200)))

const fields = {
  sd_model_checkpoint: Schema.String.pipe(
    field({
      title: "Stable Diffusion checkpoint",
      description: "Name of the model; empty for the first one found.",
      group: "Model",
      flag: "model",
      value: "name",
      otherwise: "the first one",
      infotext: "Model hash"
    })
  ),

  sd_vae: Schema.String.check(Schema.isMaxLength(1000)).pipe(
    field({
      title: "SD VAE",
      description:
        "VAE of checkpoints: a file by its name; None for the checkpoint's own; Automatic for the one named like the " +
        "checkpoint, or else its own.",
      group: "Model",
      infotext: "VAE"
    })
  ),
  sd_vae_overrides_per_model_preferences: Schema.Boolean.pipe(
    field({
      title: "Selected VAE overrides per-model preferences",
      description: "Whether sd_vae, unless Automatic, counts more than a VAE named like the checkpoint.",
      group: "Model"
    })
  ),
  sd_text_encoders: Schema.String.check(Schema.isMaxLength(1000)).pipe(
    field({
      title: "Text encoders",
      description: "Files of text encoders for checkpoints that hold none: their names, with commas between.",
      group: "Model",
      infotext: "Text encoders",
      written: "unless default"
    })
  ),
  sd_prediction_type: Schema.Literals(["Automatic", "epsilon", "v_prediction"]).pipe(
    field({
      title: "Prediction type",
      description: "What a checkpoint's network predicts; Automatic for what its files say.",
      group: "Model",
      infotext: "Prediction type",
      written: "unless default"
    })
  ),
  unet_precision: Schema.Literals(["Automatic", "int8"]).pipe(
    field({
      title: "Precision",
      description: "How the denoising network computes; int8 is faster, and less exact.",
      group: "Model",
      flag: "precision",
      value: "name",
      infotext: "Precision",
      written: "unless default"
    })
  ),
  lora_preferred_name: Schema.Literals(["Alias from file", "Filename"]).pipe(
    field({
      title: "Name of LoRAs in tags",
      description:
        "What a LoRA's tag is written with: the name that its file states, where no other does, or the file's. Both are read.",
      group: "Extra networks"
    })
  ),

  emphasis: Schema.Literals(["None", "Ignore", "Original", "No norm"]).pipe(
    field({
      title: "Emphasis mode",
      description:
        "How weights in prompts act: None reads brackets as text, Ignore parses weights without applying them.",
      group: "Prompts",
      infotext: "Emphasis"
    })
  ),
  comma_padding_backtrack: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 74 })).pipe(
    field({
      title: "Chunk backtrack",
      description: "Largest distance at which a full chunk of a prompt is split after its last comma; 0 for never.",
      group: "Prompts",
      unit: "tokens",
      infotext: "Comma padding backtrack"
    })
  ),
  enable_prompt_comments: Schema.Boolean.pipe(
    field({
      title: "Prompt comments",
      description: "Whether # starts a comment in a prompt.",
      group: "Prompts",
      infotext: "Prompt comments"
    })
  ),
  dynamic_prompts: Schema.Boolean.pipe(
    field({
      title: "Dynamic prompts",
      description: "Whether images draw their texts from choices and wildcards where a request does not say.",
      group: "Prompts",
      infotext: "Dynamic prompts"
    })
  ),
  use_old_scheduling: Schema.Boolean.pipe(
    field({
      title: "Old prompt editing timelines",
      description: "Whether numbers in prompt editing count as before stable-diffusion-webui 1.6.",
      group: "Prompts",
      infotext: "Old prompt editing timelines"
    })
  ),
  CLIP_stop_at_last_layers: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 })).pipe(
    field({
      title: "Clip skip",
      description: "Layer of the text encoder that is used, counted from the end.",
      group: "Prompts",
      infotext: "Clip skip"
    })
  ),
  sdxl_clip_l_skip: Schema.Boolean.pipe(
    field({
      title: "Clip skip SDXL",
      description: "Whether clip skip also applies to the first text encoder of SDXL.",
      group: "SDXL",
      infotext: "Clip skip SDXL"
    })
  ),

  randn_source: Schema.Literals(["GPU", "CPU", "NV"]).pipe(
    field({
      title: "Noise source",
      description: "Source of noise: torch's CPU generator, or that of NVIDIA GPUs. GPU means the CPU's here.",
      group: "Sampling",
      infotext: "RNG"
    })
  ),
  eta_noise_seed_delta: Schema.Int.pipe(
    field({
      title: "Eta noise seed delta",
      description: "Added to the seed for every noise draw after the first, unless 0.",
      group: "Sampling",
      infotext: "ENSD"
    })
  ),
  initial_noise_multiplier: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1.5 })).pipe(
    field({
      title: "Noise multiplier for img2img",
      description: "Factor on the noise that is added to an init image.",
      group: "Image-to-image"
    })
  ),
  img2img_extra_noise: share.pipe(
    field({
      title: "Extra noise multiplier for img2img",
      description: "Additional noise on the init image that the sampler does not account for.",
      group: "Image-to-image",
      infotext: "Extra noise"
    })
  ),

  eta_ancestral: share.pipe(
    field({
      title: "Eta for k-diffusion samplers",
      description: "Eta of ancestral and SDE samplers where a request has none.",
      group: "Sampling",
      infotext: "Eta"
    })
  ),
  eta_ddim: share.pipe(
    field({
      title: "Eta for DDIM",
      description: "Eta of DDIM where a request has none.",
      group: "Sampling",
      infotext: "Eta DDIM"
    })
  ),
  s_churn: atLeast(0).pipe(
    field({
      title: "Sigma churn",
      description: "Churn of Euler, Heun and DPM2 where a request has none.",
      group: "Sampling",
      infotext: "Sigma churn"
    })
  ),
  s_tmin: atLeast(0).pipe(
    field({
      title: "Sigma tmin",
      description: "Lowest noise level at which churn acts where a request has none.",
      group: "Sampling",
      infotext: "Sigma tmin"
    })
  ),
  s_tmax: atLeast(0).pipe(
    field({
      title: "Sigma tmax",
      description: "Highest noise level at which churn acts where a request has none; 0 for no limit.",
      group: "Sampling",
      infotext: "Sigma tmax"
    })
  ),
  s_noise: atLeast(0).pipe(
    field({
      title: "Sigma noise",
      description: "Factor on the noise of the samplers that take one, where a request has none.",
      group: "Sampling",
      infotext: "Sigma noise"
    })
  ),
  sigma_min: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1000 })).pipe(
    field({
      title: "Sigma min",
      description: "Lowest noise level of a schedule; 0 for the model's own.",
      group: "Sampling",
      infotext: "Schedule min sigma"
    })
  ),
  sigma_max: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 10_000 })).pipe(
    field({
      title: "Sigma max",
      description: "Highest noise level of a schedule; 0 for the model's own.",
      group: "Sampling",
      infotext: "Schedule max sigma"
    })
  ),
  rho: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 })).pipe(
    field({
      title: "Rho",
      description: "Rho of a schedule; 0 for the schedule's own.",
      group: "Sampling",
      infotext: "Schedule rho"
    })
  ),
  always_discard_next_to_last_sigma: Schema.Boolean.pipe(
    field({
      title: "Discard next-to-last sigma",
      description: "Whether the schedules of all samplers lose their last level above 0.",
      group: "Sampling",
      infotext: "Discard penultimate sigma"
    })
  ),
  sgm_noise_multiplier: Schema.Boolean.pipe(
    field({
      title: "SGM noise multiplier",
      description: "Whether the initial noise is scaled as in Stability's own code.",
      group: "Sampling",
      infotext: "SGM noise multiplier"
    })
  ),
  uni_pc_variant: Schema.Literals(["bh1", "bh2"]).pipe(
    field({ title: "UniPC variant", description: "B(h) of UniPC.", group: "Sampling", infotext: "UniPC variant" })
  ),
  uni_pc_skip_type: Schema.Literals(["time_uniform", "time_quadratic", "logSNR"]).pipe(
    field({
      title: "UniPC skip type",
      description: "Time spacing of UniPC.",
      group: "Sampling",
      infotext: "UniPC skip type"
    })
  ),
  uni_pc_order: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 })).pipe(
    field({
      title: "UniPC order",
      description: "Order of UniPC; lowered when there are fewer steps.",
      group: "Sampling",
      infotext: "UniPC order"
    })
  ),
  uni_pc_lower_order_final: Schema.Boolean.pipe(
    field({
      title: "UniPC lower order final",
      description: "Whether UniPC lowers its order in the last steps.",
      group: "Sampling",
      infotext: "UniPC lower order final"
    })
  ),
  sd_noise_schedule: Schema.Literals(["Default", "Zero Terminal SNR"]).pipe(
    field({
      title: "Noise schedule for sampling",
      description: "Whether the model's noise levels are rescaled to end in pure noise.",
      group: "Sampling",
      infotext: "Noise Schedule"
    })
  ),
  beta_dist_alpha: Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 5 })).pipe(
    field({
      title: "Beta schedule alpha",
      description: "Alpha of the Beta schedule.",
      group: "Sampling",
      infotext: "Beta schedule alpha"
    })
  ),
  beta_dist_beta: Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 5 })).pipe(
    field({
      title: "Beta schedule beta",
      description: "Beta of the Beta schedule.",
      group: "Sampling",
      infotext: "Beta schedule beta"
    })
  ),
  s_min_uncond: atLeast(0).pipe(
    field({
      title: "Negative guidance minimum sigma",
      description: "Noise level below which every second step skips the negative prompt.",
      group: "Sampling",
      infotext: "NGMS"
    })
  ),
  s_min_uncond_all: Schema.Boolean.pipe(
    field({
      title: "Negative guidance minimum sigma: all steps",
      description: "Whether every step below that noise level skips the negative prompt.",
      group: "Sampling",
      infotext: "NGMS all steps"
    })
  ),
  skip_early_cond: share.pipe(
    field({
      title: "Skip early negative prompt",
      description: "Fraction of the first steps that skip the negative prompt.",
      group: "Sampling",
      infotext: "Skip Early CFG"
    })
  ),
  skip_late_cond: share.pipe(
    field({
      title: "Skip late negative prompt",
      description: "Fraction of the last steps that skip the negative prompt.",
      group: "Sampling",
      infotext: "Skip Late CFG",
      written: "unless default"
    })
  ),
  deepcache_interval: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })).pipe(
    field({
      title: "DeepCache interval",
      description:
        "Of as many steps in a row, one computes the UNet's deep layers, and the others reuse them; 1 is off.",
      group: "Sampling",
      infotext: "DeepCache interval",
      written: "unless default"
    })
  ),
  deepcache_start: share.pipe(
    field({
      title: "DeepCache start",
      description: "Fraction of the first steps that reuse none.",
      group: "Sampling",
      infotext: "DeepCache start"
    })
  ),
  token_merging_ratio: mergedShare.pipe(
    field({
      title: "Token merging ratio",
      description: "Fraction of the tokens that go through the UNet's widest attention as one with others; 0 is off.",
      group: "Sampling",
      infotext: "Token merging ratio"
    })
  ),
  token_merging_ratio_img2img: mergedShare.pipe(
    field({
      title: "Token merging ratio for img2img",
      description: "The same for img2img; 0 for the token merging ratio.",
      group: "Sampling"
    })
  ),
  token_merging_ratio_hr: mergedShare.pipe(
    field({
      title: "Token merging ratio for the second pass",
      description: "The same for the second pass of hires fix; 0 for the token merging ratio.",
      group: "Sampling",
      infotext: "Token merging ratio hr"
    })
  ),
  runs_per_call: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 })).pipe(
    field({
      title: "Runs per call",
      description:
        "Most runs of one model and size whose network calls are made as one, where that is faster; 1 is off. Pixels " +
        "may differ by a level.",
      group: "Sampling",
      infotext: "Runs per call",
      written: "unless default"
    })
  ),
  refiner_switch_by_sample_steps: Schema.Boolean.pipe(
    field({
      title: "Refiner by steps",
      description: "Whether the refiner takes over by sampling steps instead of by noise levels.",
      group: "Sampling",
      infotext: "Refiner switch by sampling steps"
    })
  ),
  hires_fix_refiner_pass: Schema.Literals(["first pass", "second pass", "both passes"]).pipe(
    field({
      title: "Refiner pass",
      description: "Passes of hires fix in which a refiner acts.",
      group: "Sampling",
      infotext: "Hires refiner"
    })
  ),
  sdxl_crop_top: wholeAtLeast(0).pipe(
    field({
      title: "Crop top coordinate",
      description: "Top of the crop that SDXL is conditioned on.",
      group: "SDXL",
      unit: "pixels",
      infotext: "SDXL crop top"
    })
  ),
  sdxl_crop_left: wholeAtLeast(0).pipe(
    field({
      title: "Crop left coordinate",
      description: "Left edge of the crop that SDXL is conditioned on.",
      group: "SDXL",
      unit: "pixels",
      infotext: "SDXL crop left"
    })
  ),
  sdxl_refiner_high_aesthetic_score: Schema.Finite.pipe(
    field({
      title: "SDXL high aesthetic score",
      description: "Aesthetic score of the prompt for SDXL's refiner.",
      group: "SDXL",
      infotext: "SDXL high aesthetic score"
    })
  ),
  sdxl_refiner_low_aesthetic_score: Schema.Finite.pipe(
    field({
      title: "SDXL low aesthetic score",
      description: "Aesthetic score of the negative prompt for SDXL's refiner.",
      group: "SDXL",
      infotext: "SDXL low aesthetic score"
    })
  ),
  tiling: Schema.Boolean.pipe(
    field({
      title: "Tiling",
      description: "Whether images can be tiled without seams where a request does not say.",
      group: "Sampling",
      infotext: "Tiling"
    })
  ),

  img2img_fix_steps: Schema.Boolean.pipe(
    field({
      title: "Full steps in img2img",
      description: "Whether img2img makes all its steps at any denoising strength.",
      group: "Image-to-image",
      infotext: "Full steps"
    })
  ),
  img2img_color_correction: Schema.Boolean.pipe(
    field({
      title: "Colour correction",
      description: "Whether an img2img result gets the colours of its init image.",
      group: "Image-to-image",
      infotext: "Color correction"
    })
  ),
  img2img_background_color: Schema.String.check(
    Schema.isPattern(/^#[0-9a-fA-F]{6}$/u, { expected: "a colour of six hexadecimal digits, such as #ffffff" })
  ).pipe(
    field({
      title: "Background colour",
      description: "Colour behind transparent areas of an init image.",
      group: "Image-to-image",
      infotext: "Background color"
    })
  ),
  inpainting_mask_weight: share.pipe(
    field({
      title: "Inpainting conditioning mask strength",
      description: "How much of the image under the mask is hidden from an inpainting model.",
      group: "Image-to-image",
      infotext: "Conditional mask weight"
    })
  ),
  overlay_inpaint: Schema.Boolean.pipe(
    field({
      title: "Restore unmasked areas",
      description: "Whether unmasked areas are restored from the original.",
      group: "Image-to-image",
      infotext: "Mask overlay"
    })
  ),
  upscaler_for_img2img: upscaler.pipe(
    field({
      title: "Upscaler for img2img",
      description: "Upscaler for init images that are enlarged; null for Lanczos.",
      group: "Upscaling and tiles",
      infotext: "Img2img upscaler"
    })
  ),
  ESRGAN_tile: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 })).pipe(
    field({
      title: "Tile size for upscalers",
      description: "Tile size of upscaler networks, in pixels of the small image; 0 for no tiles.",
      group: "Upscaling and tiles",
      unit: "pixels",
      infotext: "Upscaler tile size"
    })
  ),
  ESRGAN_tile_overlap: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 48 })).pipe(
    field({
      title: "Tile overlap for upscalers",
      description: "Overlap of the tiles of upscaler networks.",
      group: "Upscaling and tiles",
      unit: "pixels",
      infotext: "Upscaler tile overlap"
    })
  ),
  vae_tile_threshold: wholeAtLeast(0).pipe(
    field({
      title: "VAE tile threshold",
      description:
        "Side of the square above whose area images are encoded and decoded in tiles of half that side; 0 for never.",
      group: "Upscaling and tiles",
      unit: "pixels",
      infotext: "Tiled VAE threshold",
      written: "unless default"
    })
  ),
  latent_tile_size: wholeAtLeast(0).pipe(
    field({
      title: "Latent tile size",
      description: "Side of the tiles in which large latents are sampled; 0 for no tiles.",
      group: "Upscaling and tiles",
      unit: "pixels",
      infotext: "Latent tile size"
    })
  ),
  latent_tile_overlap: wholeAtLeast(0).pipe(
    field({
      title: "Latent tile overlap",
      description: "Overlap of the tiles in which large latents are sampled.",
      group: "Upscaling and tiles",
      unit: "pixels",
      infotext: "Latent tile overlap"
    })
  ),

  samples_save: Schema.Boolean.pipe(
    field({ title: "Save images", description: "Whether finished images are saved.", group: "Saving images" })
  ),
  samples_format: imageFormat.pipe(
    field({
      title: "Image format",
      description: "File format of images, saved or only returned.",
      group: "Saving images",
      flag: "format",
      value: "name"
    })
  ),
  samples_filename_pattern: Schema.String.check(Schema.isMaxLength(1000)).pipe(
    field({
      title: "File name pattern",
      description: "Pattern of file names, without number and extension; empty for [seed].",
      group: "Saving images"
    })
  ),
  save_images_add_number: Schema.Boolean.pipe(
    field({
      title: "Number file names",
      description: "Whether a counter precedes the file name.",
      group: "Saving images"
    })
  ),
  save_to_dirs: Schema.Boolean.pipe(
    field({
      title: "Subdirectories for images",
      description: "Whether images are saved in a subdirectory.",
      group: "Directories"
    })
  ),
  grid_save_to_dirs: Schema.Boolean.pipe(
    field({
      title: "Subdirectories for grids",
      description: "Whether grids are saved in a subdirectory.",
      group: "Directories"
    })
  ),
  directories_filename_pattern: Schema.String.check(Schema.isMaxLength(1000)).pipe(
    field({ title: "Directory name pattern", description: "Pattern of the subdirectory's name.", group: "Directories" })
  ),
  directories_max_prompt_words: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })).pipe(
    field({
      title: "Most prompt words",
      description: "Most words that [prompt_words] expands to.",
      group: "Directories"
    })
  ),
  jpeg_quality: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })).pipe(
    field({
      title: "JPEG and WebP quality",
      description: "Quality of JPEG and lossy WebP files, 1 to 100.",
      group: "Saving images"
    })
  ),
  webp_lossless: Schema.Boolean.pipe(
    field({ title: "Lossless WebP", description: "Whether WebP files are lossless.", group: "Saving images" })
  ),
  enable_pnginfo: Schema.Boolean.pipe(
    field({
      title: "Infotext in images",
      description: "Whether image files contain their infotext.",
      group: "Infotext"
    })
  ),
  save_txt: Schema.Boolean.pipe(
    field({
      title: "Infotext files",
      description: "Whether the infotext is also saved as a text file next to each image.",
      group: "Infotext"
    })
  ),
  grid_save: Schema.Boolean.pipe(
    field({ title: "Save grids", description: "Whether a grid of several images is saved.", group: "Saving images" })
  ),
  return_grid: Schema.Boolean.pipe(
    field({ title: "Return grids", description: "Whether the grid is returned.", group: "Saving images" })
  ),
  grid_format: imageFormat.pipe(
    field({ title: "Grid format", description: "File format of grids.", group: "Saving images" })
  ),
  grid_only_if_multiple: Schema.Boolean.pipe(
    field({
      title: "Grids of several images only",
      description: "Whether a grid needs more than one image.",
      group: "Saving images"
    })
  ),
  n_rows: wholeAtLeast(-1).pipe(
    field({
      title: "Grid row count",
      description: "Rows of a grid: -1 for a square, 0 for the batch size.",
      group: "Saving images"
    })
  ),
  save_incomplete_images: Schema.Boolean.pipe(
    field({
      title: "Save incomplete images",
      description: "Whether images of an interrupted run are saved unfinished.",
      group: "Saving images"
    })
  ),
  save_images_before_highres_fix: Schema.Boolean.pipe(
    field({
      title: "Save images before hires fix",
      description: "Whether each image is also saved as it was before the second pass.",
      group: "Saving images"
    })
  ),
  save_images_before_color_correction: Schema.Boolean.pipe(
    field({
      title: "Save images before colour correction",
      description: "Whether each image is also saved as it was before colour correction.",
      group: "Saving images"
    })
  ),
  save_init_img: Schema.Boolean.pipe(
    field({ title: "Save init images", description: "Whether init images are saved.", group: "Saving images" })
  ),
  save_mask: Schema.Boolean.pipe(
    field({ title: "Save masks", description: "Whether the mask is saved with each image.", group: "Saving images" })
  ),
  save_mask_composite: Schema.Boolean.pipe(
    field({
      title: "Save masked composites",
      description: "Whether the masked composite is saved with each image.",
      group: "Saving images"
    })
  ),
  return_mask: Schema.Boolean.pipe(
    field({
      title: "Return masks",
      description: "Whether the mask is returned with each image.",
      group: "Saving images"
    })
  ),
  return_mask_composite: Schema.Boolean.pipe(
    field({
      title: "Return masked composites",
      description: "Whether the masked composite is returned with each image.",
      group: "Saving images"
    })
  ),
  control_net_no_detectmap: Schema.Boolean.pipe(
    field({
      title: "Leave out detected maps",
      description: "Whether replies of /sdapi/v1 leave out the maps of ControlNets.",
      group: "Saving images"
    })
  ),
  outdir_samples: Schema.String.pipe(
    field({
      title: "Directory for images",
      description: "Folder for all images; empty for one folder per kind.",
      group: "Directories"
    })
  ),
  outdir_txt2img_samples: Schema.NonEmptyString.pipe(
    field({ title: "Directory for txt2img images", description: "Folder for txt2img images.", group: "Directories" })
  ),
  outdir_img2img_samples: Schema.NonEmptyString.pipe(
    field({ title: "Directory for img2img images", description: "Folder for img2img images.", group: "Directories" })
  ),
  outdir_init_images: Schema.NonEmptyString.pipe(
    field({ title: "Directory for init images", description: "Folder for saved init images.", group: "Directories" })
  ),
  outdir_grids: Schema.String.pipe(
    field({
      title: "Directory for grids",
      description: "Folder for all grids; empty for one folder per kind.",
      group: "Directories"
    })
  ),
  outdir_txt2img_grids: Schema.NonEmptyString.pipe(
    field({ title: "Directory for txt2img grids", description: "Folder for txt2img grids.", group: "Directories" })
  ),
  outdir_img2img_grids: Schema.NonEmptyString.pipe(
    field({ title: "Directory for img2img grids", description: "Folder for img2img grids.", group: "Directories" })
  ),
  save_params_txt: Schema.Boolean.pipe(
    field({
      title: "Save params.txt",
      description: "Whether the infotext of the latest request is kept in params.txt in its folder.",
      group: "Infotext"
    })
  ),

  live_previews_enable: Schema.Boolean.pipe(
    field({ title: "Live previews", description: "Whether runs produce previews.", group: "Live previews" })
  ),
  show_progress_every_n_steps: wholeAtLeast(1).pipe(
    field({ title: "Live preview display period", description: "Steps between two previews.", group: "Live previews" })
  ),
  show_progress_type: Schema.Literals(["TAESD", "Approx cheap", "Full"]).pipe(
    field({
      title: "Live preview method",
      description: "How previews are made: by a tiny autoencoder (TAESD) where its file is there, by the model's own " +
        "colour matrix, or by decoding in full.",
      group: "Live previews"
    })
  ),

  add_model_hash_to_info: Schema.Boolean.pipe(
    field({
      title: "Model hash in infotexts",
      description: "Whether infotexts include the model's hash.",
      group: "Infotext"
    })
  ),
  add_model_name_to_info: Schema.Boolean.pipe(
    field({
      title: "Model name in infotexts",
      description: "Whether infotexts include the model's name.",
      group: "Infotext"
    })
  ),
  add_vae_hash_to_info: Schema.Boolean.pipe(
    field({
      title: "VAE hash in infotexts",
      description: "Whether infotexts include the hash of a VAE from a file of its own.",
      group: "Infotext"
    })
  ),
  add_vae_name_to_info: Schema.Boolean.pipe(
    field({
      title: "VAE name in infotexts",
      description: "Whether infotexts include the name of a VAE from a file of its own.",
      group: "Infotext"
    })
  ),
  lora_add_hashes_to_infotext: Schema.Boolean.pipe(
    field({
      title: "LoRA hashes in infotexts",
      description: "Whether infotexts list the hashes of LoRAs.",
      group: "Infotext"
    })
  ),
  textual_inversion_add_hashes_to_infotext: Schema.Boolean.pipe(
    field({
      title: "Embedding hashes in infotexts",
      description: "Whether infotexts list the hashes of embeddings.",
      group: "Infotext"
    })
  ),
  add_version_to_infotext: Schema.Boolean.pipe(
    field({
      title: "Version in infotexts",
      description: "Whether infotexts include Serena's version.",
      group: "Infotext"
    })
  )
}

/** All settings, as a run sees them: frozen. */
export const OptionsSnapshot: NamedStruct<typeof fields, OptionsSnapshot, OptionsSnapshot> = Schema.Struct(fields)
  .annotate({ identifier: "Options" })
export interface OptionsSnapshot extends FieldTypes.OptionsSnapshot {}

const patch = OptionsSnapshot.mapFields(Struct.map(Schema.optionalKey)).annotate({ identifier: "OptionsPatch" })

/** Some settings: the content of `override_settings` and of a change of the settings. */
export const OptionsPatch: NamedStruct<typeof patch.fields, OptionsPatch, OptionsPatch> = patch
export interface OptionsPatch extends FieldTypes.OptionsPatch {}

/** The settings that say which files a model is made of, how they are read, and how its networks compute. */
export type ModelSettings = Pick<
  OptionsSnapshot,
  | "sd_prediction_type"
  | "sd_text_encoders"
  | "sd_vae"
  | "sd_vae_overrides_per_model_preferences"
  | "unet_precision"
>

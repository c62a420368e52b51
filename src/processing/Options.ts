/**
 * Settings that outlive a request, under stable-diffusion-webui's own names.
 *
 * A run never reads the live settings: `RuntimeContext` holds a frozen snapshot of them, with the request's
 * `override_settings` laid over. Only settings that act are listed here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { listed, Problem, problemsOf } from "../core/Problem.ts"
import { nearest } from "../core/Text.ts"

const atLeast = (minimum: number) => Schema.Finite.check(Schema.isGreaterThanOrEqualTo(minimum))
const wholeAtLeast = (minimum: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(minimum))
const share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const imageFormat = Schema.Literals(["png", "jpg", "jpeg", "webp"])
const upscaler = Schema.NullOr(Schema.String.check(Schema.isMaxLength(200)))

const fields = {
  /** Name of the model to use; empty for the first one found. */
  sd_model_checkpoint: Schema.String,

  /** How weights in prompts act: `None` reads brackets as text, `Ignore` reads weights and does not use them. */
  emphasis: Schema.Literals(["None", "Ignore", "Original", "No norm"]),
  /** A full chunk of a prompt is cut after its last comma, if that is at most so many tokens away; 0 for never. */
  comma_padding_backtrack: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 74 })),
  /** Whether `#` begins a comment in a prompt. */
  enable_prompt_comments: Schema.Boolean,
  /** Whether numbers of prompt editing count as before stable-diffusion-webui 1.6. */
  use_old_scheduling: Schema.Boolean,
  /** Clip skip: which of the text encoder's layers is used, counted from the end. */
  CLIP_stop_at_last_layers: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 })),
  /** Whether clip skip also acts on the first text encoder of SDXL. */
  sdxl_clip_l_skip: Schema.Boolean,

  /** Where noise comes from: torch's CPU generator, or the one of NVIDIA cards. `GPU` is this machine's own: CPU. */
  randn_source: Schema.Literals(["GPU", "CPU", "NV"]),
  /** Added to the seed of every noise draw after the first, when not 0. */
  eta_noise_seed_delta: Schema.Int,
  /** Factor on the noise that is laid over a picture in img2img. */
  initial_noise_multiplier: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1.5 })),
  /** More noise on the picture in img2img, which the sampler does not know of. */
  img2img_extra_noise: share,

  /** Eta of ancestral and SDE samplers, and of DDIM, where a request says nothing. */
  eta_ancestral: share,
  eta_ddim: share,
  /** Churn of Euler, Heun and DPM2, where a request says nothing; an `s_tmax` of 0 means no upper bound. */
  s_churn: atLeast(0),
  s_tmin: atLeast(0),
  s_tmax: atLeast(0),
  s_noise: atLeast(0),
  /** Smallest and largest noise level of a schedule, and its rho; 0 for the model's and the schedule's own. */
  sigma_min: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1000 })),
  sigma_max: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 10_000 })),
  rho: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 })),
  /** Whether schedules of all samplers lose the last level before 0. */
  always_discard_next_to_last_sigma: Schema.Boolean,
  /** Whether the first noise is scaled as in Stability's own code. */
  sgm_noise_multiplier: Schema.Boolean,
  /** UniPC's B(h), spacing, order, and whether it lowers its order for the last steps. */
  uni_pc_variant: Schema.Literals(["bh1", "bh2"]),
  uni_pc_skip_type: Schema.Literals(["time_uniform", "time_quadratic", "logSNR"]),
  uni_pc_order: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 })),
  uni_pc_lower_order_final: Schema.Boolean,
  /** Whether the model's noise levels end in pure noise, whatever it was trained with. */
  sd_noise_schedule: Schema.Literals(["Default", "Zero Terminal SNR"]),
  /** Alpha and beta of the schedule `Beta`. */
  beta_dist_alpha: Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 5 })),
  beta_dist_beta: Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 5 })),
  /** Below this noise level every second call is without the negative prompt, or every call when `_all` is set. */
  s_min_uncond: atLeast(0),
  s_min_uncond_all: Schema.Boolean,
  /** For this share of the first calls there is no negative prompt. */
  skip_early_cond: share,
  /** Whether the refiner's turn is counted in steps; else in noise levels. */
  refiner_switch_by_sample_steps: Schema.Boolean,
  /** Which passes of a picture with two a refiner works on. */
  hires_fix_refiner_pass: Schema.Literals(["first pass", "second pass", "both passes"]),
  /** Where SDXL believes a picture was cut out, in pixels. */
  sdxl_crop_top: wholeAtLeast(0),
  sdxl_crop_left: wholeAtLeast(0),
  /** What SDXL's refiner is told of a picture's beauty, of prompt and negative prompt. */
  sdxl_refiner_high_aesthetic_score: Schema.Finite,
  sdxl_refiner_low_aesthetic_score: Schema.Finite,
  /** Whether pictures can be laid side by side without seams, where a request says nothing. */
  tiling: Schema.Boolean,

  /** Whether img2img makes all its steps whatever the denoising strength. */
  img2img_fix_steps: Schema.Boolean,
  /** Whether an img2img picture gets the colours of the one it came from. */
  img2img_color_correction: Schema.Boolean,
  /** What is put behind transparent places of a picture. */
  img2img_background_color: Schema.String.check(Schema.isPattern(/^#[0-9a-fA-F]{6}$/)),
  /** How much of the picture under the mask is hidden from an inpainting model. */
  inpainting_mask_weight: share,
  /** Whether the picture around the mask is put back as it was. */
  overlay_inpaint: Schema.Boolean,
  /** Upscaler for img2img pictures that grow; null for Lanczos. */
  upscaler_for_img2img: upscaler,
  /** Tile and overlap of upscalers that are networks, in pixels of the small picture; a tile of 0 for the whole. */
  ESRGAN_tile: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 })),
  ESRGAN_tile_overlap: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 48 })),
  /** Pictures larger than this square, in pixels, are encoded and decoded in tiles of half of it; 0 for never. */
  vae_tile_threshold: wholeAtLeast(0),
  /** Side of the tiles in which large pictures are sampled, in pixels, and their overlap; a tile of 0 for the whole. */
  latent_tile_size: wholeAtLeast(0),
  latent_tile_overlap: wholeAtLeast(0),

  /** Whether finished pictures are written to disk. */
  samples_save: Schema.Boolean,
  /** File format of pictures, also of those that are given back and not saved. */
  samples_format: imageFormat,
  /** Name of a picture's file, without number and extension; empty for `[seed]`. */
  samples_filename_pattern: Schema.String.check(Schema.isMaxLength(1000)),
  /** Whether a number that counts up goes before the name. */
  save_images_add_number: Schema.Boolean,
  /** Whether there are folders in the folder, and their name. */
  save_to_dirs: Schema.Boolean,
  grid_save_to_dirs: Schema.Boolean,
  directories_filename_pattern: Schema.String.check(Schema.isMaxLength(1000)),
  /** Most words of `[prompt_words]`. */
  directories_max_prompt_words: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
  /** 1 to 100, of JPEG and WebP files; and whether WebP files lose nothing. */
  jpeg_quality: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
  webp_lossless: Schema.Boolean,
  /** Whether pictures hold their infotext. */
  enable_pnginfo: Schema.Boolean,
  /** Whether the infotext is also written beside a picture, as text. */
  save_txt: Schema.Boolean,
  /** Whether several pictures are also put into one, saved, and given back; its format and rows (-1 for square). */
  grid_save: Schema.Boolean,
  return_grid: Schema.Boolean,
  grid_format: imageFormat,
  grid_only_if_multiple: Schema.Boolean,
  n_rows: wholeAtLeast(-1),
  /** Whether pictures of an interrupted run are written as well, unfinished as they are. */
  save_incomplete_images: Schema.Boolean,
  /** Whether a picture is also saved as it was before the second pass, and before its colours were corrected. */
  save_images_before_highres_fix: Schema.Boolean,
  save_images_before_color_correction: Schema.Boolean,
  /** Whether img2img saves the picture it started from, its mask, and what was put over the mask. */
  save_init_img: Schema.Boolean,
  save_mask: Schema.Boolean,
  save_mask_composite: Schema.Boolean,
  /** Whether mask and composite are given back after each picture. */
  return_mask: Schema.Boolean,
  return_mask_composite: Schema.Boolean,
  /** Folder for all pictures, or for each kind. */
  outdir_samples: Schema.String,
  outdir_txt2img_samples: Schema.NonEmptyString,
  outdir_img2img_samples: Schema.NonEmptyString,
  outdir_init_images: Schema.NonEmptyString,
  outdir_grids: Schema.String,
  outdir_txt2img_grids: Schema.NonEmptyString,
  outdir_img2img_grids: Schema.NonEmptyString,
  /** Whether the infotext of the last request is kept in a `params.txt` in the folder of its pictures. */
  save_params_txt: Schema.Boolean,

  /** Whether a run shows previews, every how many steps, and how: by the model's own matrix, or decoded in full. */
  live_previews_enable: Schema.Boolean,
  show_progress_every_n_steps: wholeAtLeast(1),
  show_progress_type: Schema.Literals(["Approx cheap", "Full"]),

  /** Whether the infotext names the model's hash, name, and Serena's version. */
  add_model_hash_to_info: Schema.Boolean,
  add_model_name_to_info: Schema.Boolean,
  add_version_to_infotext: Schema.Boolean
}

const defaults: OptionsSnapshot = Object.freeze({
  sd_model_checkpoint: "",
  emphasis: "Original",
  comma_padding_backtrack: 20,
  enable_prompt_comments: true,
  use_old_scheduling: false,
  CLIP_stop_at_last_layers: 1,
  sdxl_clip_l_skip: false,
  randn_source: "CPU",
  eta_noise_seed_delta: 0,
  initial_noise_multiplier: 1,
  img2img_extra_noise: 0,
  eta_ancestral: 1,
  eta_ddim: 0,
  s_churn: 0,
  s_tmin: 0,
  s_tmax: 0,
  s_noise: 1,
  sigma_min: 0,
  sigma_max: 0,
  rho: 0,
  always_discard_next_to_last_sigma: false,
  sgm_noise_multiplier: false,
  uni_pc_variant: "bh1",
  uni_pc_skip_type: "time_uniform",
  uni_pc_order: 3,
  uni_pc_lower_order_final: true,
  sd_noise_schedule: "Default",
  beta_dist_alpha: 0.6,
  beta_dist_beta: 0.6,
  s_min_uncond: 0,
  s_min_uncond_all: false,
  skip_early_cond: 0,
  refiner_switch_by_sample_steps: false,
  hires_fix_refiner_pass: "second pass",
  sdxl_crop_top: 0,
  sdxl_crop_left: 0,
  sdxl_refiner_high_aesthetic_score: 6,
  sdxl_refiner_low_aesthetic_score: 2.5,
  tiling: false,
  img2img_fix_steps: false,
  img2img_color_correction: false,
  img2img_background_color: "#ffffff",
  inpainting_mask_weight: 1,
  overlay_inpaint: true,
  upscaler_for_img2img: null,
  ESRGAN_tile: 192,
  ESRGAN_tile_overlap: 8,
  vae_tile_threshold: 1024,
  latent_tile_size: 0,
  latent_tile_overlap: 64,
  samples_save: true,
  samples_format: "png",
  samples_filename_pattern: "",
  save_images_add_number: true,
  save_to_dirs: true,
  grid_save_to_dirs: true,
  directories_filename_pattern: "[date]",
  directories_max_prompt_words: 8,
  jpeg_quality: 80,
  webp_lossless: false,
  enable_pnginfo: true,
  save_txt: false,
  grid_save: false,
  return_grid: false,
  grid_format: "png",
  grid_only_if_multiple: true,
  n_rows: -1,
  save_incomplete_images: false,
  save_images_before_highres_fix: false,
  save_images_before_color_correction: false,
  save_init_img: false,
  save_mask: false,
  save_mask_composite: false,
  return_mask: false,
  return_mask_composite: false,
  outdir_samples: "",
  outdir_txt2img_samples: "outputs/txt2img-images",
  outdir_img2img_samples: "outputs/img2img-images",
  outdir_init_images: "outputs/init-images",
  outdir_grids: "",
  outdir_txt2img_grids: "outputs/txt2img-grids",
  outdir_img2img_grids: "outputs/img2img-grids",
  save_params_txt: true,
  live_previews_enable: true,
  show_progress_every_n_steps: 5,
  show_progress_type: "Approx cheap",
  add_model_hash_to_info: true,
  add_model_name_to_info: true,
  add_version_to_infotext: true
})

/** All settings, as a run sees them: frozen. */
export const OptionsSnapshot = Schema.Struct(fields).annotate({ identifier: "Options" })
export type OptionsSnapshot = typeof OptionsSnapshot.Type

/** Some settings: what `override_settings` and a change of the options hold. */
export const OptionsPatch = OptionsSnapshot.mapFields(Struct.map(Schema.optionalKey)).annotate({
  identifier: "OptionsPatch"
})
export type OptionsPatch = typeof OptionsPatch.Type

const decodePatch = Schema.decodeUnknownEffect(OptionsPatch, { errors: "all", onExcessProperty: "error" })

const names = Object.keys(fields)

// What is said of a name that no setting has.
const unknownNamed = (problem: Problem): Problem => {
  if (problem.path === "" || names.includes(problem.path)) return problem
  const near = nearest(problem.path, names)
  return { ...problem, message: `no setting has this name${near === undefined ? "" : `; did you mean "${near}"?`}` }
}

/** Options that do not fit: from a file, a flag, or `override_settings`. */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>()("InvalidOptions", {
  problems: Schema.Array(Problem)
}) {
  override get message(): string {
    return `The options cannot be used. Correct ${listed(this.problems)}.`
  }
}

/** The live settings of this process. */
export class Options extends Context.Service<Options, {
  /** The settings of this moment, frozen. Later changes make a new object. */
  readonly snapshot: Effect.Effect<OptionsSnapshot>
  /** Changes some settings. Fails with every problem named, and then nothing is changed. */
  readonly set: (patch: unknown) => Effect.Effect<OptionsSnapshot, InvalidOptions>
}>()("serena/processing/Options") {
  /** What every setting is when nobody set it. */
  static readonly defaults = defaults

  /** `snapshot` with `patch` laid over it, frozen. */
  static readonly patched = (snapshot: OptionsSnapshot, patch: OptionsPatch): OptionsSnapshot =>
    Object.freeze({ ...snapshot, ...patch })

  /** Settings kept in memory, beginning with the defaults and `initial` over them. */
  static readonly layer = (initial: OptionsPatch = {}): Layer.Layer<Options> =>
    Layer.effect(
      Options,
      Effect.gen(function*() {
        const current = yield* Ref.make(Options.patched(defaults, initial))
        return Options.of({
          snapshot: Ref.get(current),
          set: Effect.fn("Options.set")(function*(patch) {
            const decoded = yield* decodePatch(patch).pipe(
              Effect.mapError(({ issue }) => new InvalidOptions({ problems: problemsOf(issue).map(unknownNamed) }))
            )
            return yield* Ref.updateAndGet(current, (snapshot) => Options.patched(snapshot, decoded))
          })
        })
      })
    )
}

/**
 * Settings that outlive a request, under stable-diffusion-webui's own names.
 *
 * A run never reads the live settings: `RuntimeContext` holds a frozen snapshot of them, with the request's
 * `override_settings` laid over.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { type Problem, problemsOf } from "../core/Problem.ts"
import { proposer } from "../core/Text.ts"
import { InvalidOptions } from "./InvalidOptions.ts"
import { OptionsPatch, OptionsSnapshot } from "./OptionsSnapshot.ts"

const defaults: OptionsSnapshot = Object.freeze({
  sd_model_checkpoint: "",
  sd_vae: "Automatic",
  sd_vae_overrides_per_model_preferences: true,
  sd_text_encoders: "",
  sd_prediction_type: "Automatic",
  unet_precision: "Automatic",
  lora_preferred_name: "Alias from file",
  emphasis: "Original",
  comma_padding_backtrack: 20,
  enable_prompt_comments: true,
  dynamic_prompts: false,
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
  skip_late_cond: 0,
  deepcache_interval: 1,
  deepcache_start: 0.4,
  token_merging_ratio: 0,
  token_merging_ratio_img2img: 0,
  token_merging_ratio_hr: 0,
  runs_per_call: 1,
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
  control_net_no_detectmap: false,
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
  show_progress_type: "TAESD",
  add_model_hash_to_info: true,
  add_model_name_to_info: true,
  add_vae_hash_to_info: true,
  add_vae_name_to_info: true,
  lora_add_hashes_to_infotext: true,
  textual_inversion_add_hashes_to_infotext: true,
  add_version_to_infotext: true
})

const decodePatch = Schema.decodeUnknownEffect(OptionsPatch, { errors: "all", onExcessProperty: "error" })

const names = Object.keys(OptionsSnapshot.fields)

// The messages for unknown names.
const unknownNamed = (problems: ReadonlyArray<Problem>): ReadonlyArray<Problem> => {
  const propose = proposer(names)
  return problems.map((problem) => {
    if (problem.path === "" || names.includes(problem.path)) return problem
    const near = propose(problem.path)
    return { ...problem, message: `no setting has this name${near === undefined ? "" : `; did you mean "${near}"?`}` }
  })
}

/** The live settings of this process. */
export class Options extends Context.Service<Options, {
  /** The current settings, frozen. Later changes create a new object. */
  readonly snapshot: Effect.Effect<OptionsSnapshot>
  /** Changes some settings. Fails with every problem, and then changes nothing. */
  readonly set: (patch: unknown) => Effect.Effect<OptionsSnapshot, InvalidOptions>
}>()("serena/processing/Options") {
  /** The defaults of all settings. */
  static readonly defaults = defaults

  /** `snapshot` with `patch` laid over it, frozen. */
  static readonly patched = (snapshot: OptionsSnapshot, patch: OptionsPatch): OptionsSnapshot =>
    Object.freeze({ ...snapshot, ...patch })

  /** Validates a change. Fails with every problem. */
  static readonly decode = (patch: unknown): Effect.Effect<OptionsPatch, InvalidOptions> =>
    Effect.mapError(
      decodePatch(patch),
      ({ issue }) => new InvalidOptions({ problems: unknownNamed(problemsOf(issue)) })
    )

  /** Settings kept in memory, initially the defaults with `initial` laid over them. */
  static readonly layer = (initial: OptionsPatch = {}): Layer.Layer<Options> =>
    Layer.effect(
      Options,
      Effect.gen(function*() {
        const current = yield* Ref.make(Options.patched(defaults, initial))
        return Options.of({
          snapshot: Ref.get(current),
          set: Effect.fn("Options.set")(function*(patch) {
            const decoded = yield* Options.decode(patch)
            return yield* Ref.updateAndGet(current, (snapshot) => Options.patched(snapshot, decoded))
          })
        })
      })
    )
}

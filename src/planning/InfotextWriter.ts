/**
 * The infotext of an image, from its plan.
 *
 * Keys, their order, and when one is left out are those of stable-diffusion-webui 1.10.1, with these differences: churn
 * is written as it acts, whether a request or a setting says so; an upscaler of the second pass is always named; and
 * what the webui never writes is written where it is not the usual, last before the version (`ownPairs`). Without these
 * an image could not be made again from its text.
 */
import type { Seed } from "../core/Seed.ts"
import type { FamilySetting } from "../model/ModelInfo.ts"
import * as Infotext from "../processing/Infotext.ts"
import {
  fieldKeys as field,
  pairKey,
  plainRows,
  resizeModes,
  settingKeys as setting
} from "../processing/InfotextKeys.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Img2Img, Processing } from "../processing/Processing.ts"
import * as ExtraNetworks from "../prompt/ExtraNetworks.ts"
import type { PromptPair } from "../prompt/Styles.ts"
import { latentMode } from "./hires.ts"
import type { NamedHash, NetworkHashes } from "./RunPlan.ts"
import { tokenMergingOf } from "./tokenMerging.ts"

/** What is to be known of a sampler. */
export interface SamplerFacts {
  readonly name: string
  readonly usesEnsd: boolean
  readonly space: "sigma" | "timestep"
  /** When it draws noise; decides whether churn and eta act. Left out: no churn, and `eta` acts. */
  readonly noise?: string | undefined
  /** Whether `s_noise` acts on it. Left out: it does not. */
  readonly scalesNoise?: boolean | undefined
  readonly discardNextToLastSigma?: boolean | undefined
}

/** All that one infotext is made of. */
export interface InfotextFacts {
  readonly processing: Processing
  readonly opts: OptionsSnapshot
  /** The image's prompts, with styles merged and comments cut. */
  readonly prompt: string
  readonly negativePrompt: string
  readonly steps: number
  readonly sampler: SamplerFacts
  /** The schedule's label: `Automatic` where none was built by name. */
  readonly scheduleLabel: string
  readonly seed: Seed
  /** The image's variation seed, shown only where it acts. */
  readonly subseed: Seed
  /** Size of the first pass, in pixels. */
  readonly width: number
  readonly height: number
  readonly model: {
    readonly name: string
    readonly hash: string | undefined
    /** A VAE in a file of its own. */
    readonly vae?: { readonly name: string | undefined; readonly hash: string | undefined } | undefined
  }
  /** LoRAs and embeddings that act, by the names in the prompts. Left out: none. */
  readonly hashes?: NetworkHashes | undefined
  /** Whether brackets give words of either prompt more or less weight. */
  readonly usesBrackets: boolean
  /** The texts that the prompts were drawn from, where they are others. Left out: there are none. */
  readonly templates?: Partial<PromptPair> | undefined
  /** Only what differs in the second pass; absent without one. */
  readonly hires?: {
    readonly checkpoint?: string | undefined
    readonly sampler?: SamplerFacts | undefined
    readonly scheduleLabel?: string | undefined
    readonly prompt?: string | undefined
    readonly negativePrompt?: string | undefined
  } | undefined
  readonly isInpaintingModel: boolean
  /** Whether the model edits images. Left out: it does not. */
  readonly isEditingModel?: boolean | undefined
  /** Whether there is a mask, also one that leaves nothing to be made. */
  readonly hasMask: boolean
  /** Which of the settings that only some families read may change the image. Left out: none. */
  readonly familySettings?: ReadonlyArray<FamilySetting> | "all" | undefined
  /** Whether the image tiles without seams. */
  readonly tiling: boolean
  /** A text for each ControlNet. Left out: none. */
  readonly controls?: ReadonlyArray<string> | undefined
  readonly clipSkip: number
  /** As it stands behind `Version`. */
  readonly version: string
  readonly refiner?: { readonly name: string; readonly switchAt: number } | undefined
}

/** The whole text. */
export const format = (about: InfotextFacts): string =>
  Infotext.format({
    prompt: about.prompt,
    negativePrompt: about.negativePrompt,
    parameters: parametersOf(about)
  })

type Pair = readonly [key: string, value: Infotext.InfotextValue]

/** The pairs of the last line in their order; those that are left out are `undefined`. */
export const parametersOf = (about: InfotextFacts): ReadonlyArray<Pair> => {
  const { opts, processing, sampler } = about
  const { seed_resize_from_h: fromHeight, seed_resize_from_w: fromWidth, subseed_strength } = processing
  const ensd = opts.eta_noise_seed_delta
  const merging = tokenMergingOf(processing, opts)
  return [
    [field.steps, about.steps],
    [field.sampler_name, sampler.name],
    [field.scheduler, about.scheduleLabel],
    [field.cfg_scale, Infotext.float(processing.cfg_scale)],
    [field.image_cfg_scale, imageScaleOf(about)],
    [field.seed, about.seed],
    [pairKey(field.width), `${about.width}x${about.height}`],
    [setting.sd_model_checkpoint, opts.add_model_hash_to_info ? about.model.hash : undefined],
    ["Model", opts.add_model_name_to_info ? about.model.name : undefined],
    ["VAE hash", opts.add_vae_hash_to_info ? about.model.vae?.hash : undefined],
    [setting.sd_vae, opts.add_vae_name_to_info ? about.model.vae?.name : undefined],
    [field.subseed, subseed_strength === 0 ? undefined : about.subseed],
    [field.subseed_strength, floatUnless(0, subseed_strength)],
    [pairKey(field.seed_resize_from_w), fromWidth > 0 && fromHeight > 0 ? `${fromWidth}x${fromHeight}` : undefined],
    [
      field.denoising_strength,
      processing._tag === "Img2Img" || about.hires !== undefined
        ? Infotext.float(processing.denoising_strength)
        : undefined
    ],
    [setting.inpainting_mask_weight, about.isInpaintingModel ? Infotext.float(opts.inpainting_mask_weight) : undefined],
    [setting.CLIP_stop_at_last_layers, about.clipSkip > 1 ? about.clipSkip : undefined],
    [
      setting.eta_noise_seed_delta,
      ensd !== 0 && samplersOf(about).some((each) => drawsByEnsd(each, about)) ? ensd : undefined
    ],
    [setting.token_merging_ratio, floatUnless(0, merging.first)],
    [
      setting.token_merging_ratio_hr,
      about.hires === undefined ? undefined : floatUnless(0, merging.second)
    ],
    [setting.randn_source, opts.randn_source === "GPU" ? undefined : opts.randn_source],
    [setting.tiling, flag(about.tiling)],
    ...hiresPairs(about),
    ...maskPairs(about),
    ...promptPairs(about),
    ...samplingPairs(about),
    ...refinerPairs(about),
    ...(about.controls ?? []).map((text, i): Pair => [`ControlNet ${i}`, text]),
    ...ownPairs(about),
    ["Template", about.templates?.prompt],
    ["Negative Template", about.templates?.negativePrompt],
    ["Version", opts.add_version_to_infotext ? about.version : undefined]
  ]
}

// Only models that edit images are guided by them.
const imageScaleOf = ({ isEditingModel, processing }: InfotextFacts): Infotext.Float | undefined =>
  isEditingModel === true && processing._tag === "Img2Img" && processing.image_cfg_scale !== undefined
    ? Infotext.float(processing.image_cfg_scale)
    : undefined

const samplersOf = ({ hires, sampler }: InfotextFacts): ReadonlyArray<SamplerFacts> =>
  hires?.sampler === undefined ? [sampler] : [sampler, hires.sampler]

/** Eta as it acts: the request's, or the setting's for this sampler. */
const etaOf = ({ space }: SamplerFacts, { opts, processing }: InfotextFacts): number =>
  processing.eta ?? (space === "timestep" ? opts.eta_ddim : opts.eta_ancestral)

const usesEta = ({ noise }: SamplerFacts): boolean =>
  noise === undefined || noise === "ancestral" || noise === "brownian"

// Whether a seed's delta changes anything.
const drawsByEnsd = (sampler: SamplerFacts, about: InfotextFacts): boolean => {
  switch (sampler.noise) {
    case "renoise":
    case "restart":
      return true
    case "churn":
      return (about.processing.s_churn ?? about.opts.s_churn) > 0
    case "ancestral":
      return etaOf(sampler, about) !== 0
    default:
      return sampler.usesEnsd && etaOf(sampler, about) !== 0
  }
}

const flag = (on: boolean): string | undefined => on ? "True" : undefined

const floatUnless = (usual: number, value: number): Infotext.Float | undefined =>
  value === usual ? undefined : Infotext.float(value)

const hiresPairs = ({ hires, processing }: InfotextFacts): ReadonlyArray<Pair> => {
  if (hires === undefined || processing._tag !== "Txt2Img") return []
  const { hr_resize_x: x, hr_resize_y: y, hr_scale, hr_second_pass_steps: steps, hr_upscaler } = processing
  return [
    [field.hr_checkpoint_name, hires.checkpoint],
    [field.hr_sampler_name, hires.sampler?.name],
    [field.hr_prompt, hires.prompt],
    [field.hr_negative_prompt, hires.negativePrompt],
    [field.hr_scheduler, hires.scheduleLabel],
    x === 0 && y === 0 ? [field.hr_scale, Infotext.float(hr_scale)] : [pairKey(field.hr_resize_x), `${x}x${y}`],
    [field.hr_second_pass_steps, steps > 0 ? steps : undefined],
    [field.hr_upscaler, hr_upscaler]
  ]
}

const maskedContents = ["fill", undefined, "latent noise", "latent nothing"] as const

const maskPairs = ({ hasMask, processing }: InfotextFacts): ReadonlyArray<Pair> => {
  if (!hasMask || processing._tag !== "Img2Img") return []
  const { inpaint_full_res, mask_blur_x, mask_blur_y } = processing
  return [
    [field.inpainting_mask_invert, processing.inpainting_mask_invert === 1 ? "Inpaint not masked" : undefined],
    ...(mask_blur_x === mask_blur_y ? [[field.mask_blur_x, mask_blur_x] as const] : [
      ["Mask blur x", mask_blur_x] as const,
      ["Mask blur y", mask_blur_y] as const
    ]),
    [field.inpaint_full_res, inpaint_full_res ? "Only masked" : undefined],
    [field.inpaint_full_res_padding, inpaint_full_res ? processing.inpaint_full_res_padding : undefined],
    [field.inpainting_fill, maskedContents[processing.inpainting_fill]]
  ]
}

// The prompts of both passes.
const promptsOf = ({ hires, negativePrompt, prompt }: InfotextFacts): ReadonlyArray<string> => [
  prompt,
  negativePrompt,
  hires?.prompt ?? "",
  hires?.negativePrompt ?? ""
]

const promptPairs = (about: InfotextFacts): ReadonlyArray<Pair> => {
  const { hashes, opts, usesBrackets } = about
  return [
    ["Lora hashes", listOf(hashes?.adapters ?? [])],
    // Without a bracket there is nothing that could change during the run.
    [
      setting.use_old_scheduling,
      flag(opts.use_old_scheduling && promptsOf(about).some((text) => text.includes("[")))
    ],
    ["TI hashes", listOf(hashes?.embeddings ?? [])],
    [setting.emphasis, opts.emphasis !== "Original" && usesBrackets ? opts.emphasis : undefined]
  ]
}

// Names as they can stand in the list.
const listOf = (hashes: ReadonlyArray<NamedHash>): string | undefined =>
  hashes.length === 0
    ? undefined
    : hashes.map(({ hash, name }) => `${name.replaceAll(/[:,]/g, "")}: ${hash}`).join(", ")

const samplingPairs = (about: InfotextFacts): ReadonlyArray<Pair> => {
  const { hires, opts, processing, sampler } = about
  const isImg2Img = processing._tag === "Img2Img"
  const noiseMultiplier = isImg2Img ? processing.initial_noise_multiplier ?? opts.initial_noise_multiplier : 1
  const samplers = samplersOf(about)
  const [first, second = first] = samplers
  const labels = [[first, about.scheduleLabel], [
    second,
    hires === undefined ? undefined : hires.scheduleLabel ?? about.scheduleLabel
  ]] as const
  const built = labels.flatMap(([sampler, label = "Automatic"]) =>
    sampler?.space === "timestep" || label === "Automatic" ? [] : [label]
  )
  const isBeta = built.includes("Beta")
  const eta = (space: SamplerFacts["space"], usual: number) => {
    const used = samplers.find((each) => each.space === space && usesEta(each))
    return used === undefined ? undefined : floatUnless(usual, etaOf(used, about))
  }
  const ngms = processing.s_min_uncond ?? opts.s_min_uncond
  return [
    [setting.sd_noise_schedule, opts.sd_noise_schedule === "Default" ? undefined : opts.sd_noise_schedule],
    [field.initial_noise_multiplier, floatUnless(1, noiseMultiplier)],
    [
      setting.always_discard_next_to_last_sigma,
      flag(
        opts.always_discard_next_to_last_sigma &&
          samplers.some(({ discardNextToLastSigma, space }) => space === "sigma" && discardNextToLastSigma !== true)
      )
    ],
    ...(built.length === 0 ? [] : [
      [setting.sigma_min, floatUnless(0, opts.sigma_min)],
      [setting.sigma_max, floatUnless(0, opts.sigma_max)],
      [
        setting.rho,
        built.some((label) => label in usualRho && opts.rho !== usualRho[label]) ? floatUnless(0, opts.rho) : undefined
      ]
    ] satisfies ReadonlyArray<Pair>),
    [setting.beta_dist_alpha, isBeta ? Infotext.float(opts.beta_dist_alpha) : undefined],
    [setting.beta_dist_beta, isBeta ? Infotext.float(opts.beta_dist_beta) : undefined],
    [setting.sgm_noise_multiplier, flag(opts.sgm_noise_multiplier && !isImg2Img && sampler.space === "sigma")],
    [
      setting.img2img_extra_noise,
      isImg2Img || hires !== undefined ? floatUnless(0, opts.img2img_extra_noise) : undefined
    ],
    [setting.eta_ancestral, eta("sigma", 1)],
    [setting.eta_ddim, eta("timestep", 0)],
    ...(samplers.some(({ noise }) => noise === "churn") ? churnPairs(about) : []),
    [
      setting.s_noise,
      samplers.some(({ scalesNoise }) => scalesNoise) ? floatUnless(1, processing.s_noise ?? opts.s_noise) : undefined
    ],
    [setting.skip_early_cond, floatUnless(0, opts.skip_early_cond)],
    [setting.s_min_uncond, floatUnless(0, ngms)],
    [setting.s_min_uncond_all, flag(ngms > 0 && opts.s_min_uncond_all)],
    ...(samplers.some(({ name }) => name === "UniPC") ? uniPcPairs(opts) : [])
  ]
}

const usualRho: Readonly<Record<string, number>> = { Karras: 7, Polyexponential: 1 }

const churnPairs = ({ opts, processing }: InfotextFacts): ReadonlyArray<Pair> => [
  [setting.s_churn, floatUnless(0, processing.s_churn ?? opts.s_churn)],
  [setting.s_tmin, floatUnless(0, processing.s_tmin ?? opts.s_tmin)],
  [setting.s_tmax, floatUnless(0, processing.s_tmax ?? opts.s_tmax)]
]

const uniPcPairs = (opts: OptionsSnapshot): ReadonlyArray<Pair> => [
  [setting.uni_pc_variant, opts.uni_pc_variant === "bh1" ? undefined : opts.uni_pc_variant],
  [setting.uni_pc_skip_type, opts.uni_pc_skip_type === "time_uniform" ? undefined : opts.uni_pc_skip_type],
  [setting.uni_pc_order, opts.uni_pc_order === 3 ? undefined : opts.uni_pc_order],
  [setting.uni_pc_lower_order_final, opts.uni_pc_lower_order_final ? undefined : "False"]
]

const refinerPairs = ({ hires, opts, refiner }: InfotextFacts): ReadonlyArray<Pair> =>
  refiner === undefined ? [] : [
    [setting.refiner_switch_by_sample_steps, flag(opts.refiner_switch_by_sample_steps)],
    [
      setting.hires_fix_refiner_pass,
      hires !== undefined && opts.hires_fix_refiner_pass !== "second pass" ? opts.hires_fix_refiner_pass : undefined
    ],
    [field.refiner_checkpoint, refiner.name],
    [field.refiner_switch_at, Infotext.float(refiner.switchAt)]
  ]

// What the webui does not write, where it acts and is not as it is by default.
const ownPairs = (about: InfotextFacts): ReadonlyArray<Pair> => {
  const { hires, opts, processing } = about
  const prompts = promptsOf(about)
  const isHiresByUpscaler = hires !== undefined && processing._tag === "Txt2Img" &&
    latentMode(processing.hr_upscaler) === undefined
  const usesUpscaler = isHiresByUpscaler || (processing._tag === "Img2Img" && opts.upscaler_for_img2img !== null)
  return [
    [
      field.disable_extra_networks,
      flag(processing.disable_extra_networks && prompts.some((text) => ExtraNetworks.extract(text).networks.length > 0))
    ],
    [
      setting.enable_prompt_comments,
      !opts.enable_prompt_comments && prompts.some((text) => text.includes("#")) ? "False" : undefined
    ],
    [setting.comma_padding_backtrack, unless(20, opts.comma_padding_backtrack)],
    ...familyPairs(about),
    ...(processing._tag === "Img2Img" ? img2imgPairs(processing, about) : []),
    ...(usesUpscaler
      ? [
        [setting.ESRGAN_tile, unless(192, opts.ESRGAN_tile)],
        [setting.ESRGAN_tile_overlap, unless(8, opts.ESRGAN_tile_overlap)]
      ] satisfies ReadonlyArray<Pair>
      : []),
    ...plainPairs(about),
    [setting.deepcache_start, opts.deepcache_interval > 1 ? floatUnless(0.4, opts.deepcache_start) : undefined],
    [setting.latent_tile_size, unless(0, opts.latent_tile_size)],
    [setting.latent_tile_overlap, opts.latent_tile_size > 0 ? unless(64, opts.latent_tile_overlap) : undefined]
  ]
}

// The rows of fields and settings whose descriptions say when they are written.
const plainPairs = ({ opts, processing }: InfotextFacts): ReadonlyArray<Pair> =>
  plainRows.flatMap(({ defaults, key, name, struct }): ReadonlyArray<Pair> => {
    const value: unknown = Reflect.get(struct === "setting" ? opts : processing, name)
    return value === undefined || value === Reflect.get(defaults, name) ? [] : [[key, textOf(value)]]
  })

const textOf = (value: unknown): Infotext.InfotextValue =>
  typeof value === "number" ? value : typeof value === "boolean" ? (value ? "True" : "False") : String(value)

const unless = (usual: number, value: number): number | undefined => value === usual ? undefined : value

const familyPairs = ({ familySettings = [], opts }: InfotextFacts): ReadonlyArray<Pair> => {
  const pairs: Readonly<Record<FamilySetting, Pair>> = {
    sdxl_clip_l_skip: [setting.sdxl_clip_l_skip, flag(opts.sdxl_clip_l_skip && opts.CLIP_stop_at_last_layers > 1)],
    sdxl_crop_top: [setting.sdxl_crop_top, unless(0, opts.sdxl_crop_top)],
    sdxl_crop_left: [setting.sdxl_crop_left, unless(0, opts.sdxl_crop_left)],
    sdxl_refiner_high_aesthetic_score: [
      setting.sdxl_refiner_high_aesthetic_score,
      floatUnless(6, opts.sdxl_refiner_high_aesthetic_score)
    ],
    sdxl_refiner_low_aesthetic_score: [
      setting.sdxl_refiner_low_aesthetic_score,
      floatUnless(2.5, opts.sdxl_refiner_low_aesthetic_score)
    ]
  }
  return familySettings === "all" ? Object.values(pairs) : familySettings.map((name) => pairs[name])
}

const img2imgPairs = (processing: Img2Img, { hasMask, opts }: InfotextFacts): ReadonlyArray<Pair> => [
  [field.resize_mode, processing.resize_mode === 0 ? undefined : resizeModes[processing.resize_mode]],
  [setting.upscaler_for_img2img, opts.upscaler_for_img2img ?? undefined],
  [
    setting.img2img_background_color,
    opts.img2img_background_color === "#ffffff" ? undefined : opts.img2img_background_color
  ],
  [setting.img2img_fix_steps, flag(opts.img2img_fix_steps)],
  [setting.img2img_color_correction, flag(opts.img2img_color_correction)],
  [field.mask_round, hasMask && !processing.mask_round ? "False" : undefined],
  [setting.overlay_inpaint, hasMask && !opts.overlay_inpaint ? "False" : undefined]
]

/**
 * Model folders of every family, in the layout of diffusers and optimum, with networks at the size of a toy.
 *
 * Their tokenizer is the embedded model's.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { embedded, layerModels, platform } from "./fixtures.ts"
import { small } from "./numbers.ts"
import { type Precision, textEncoder, type TimestepShape, unet, vaeDecoder, vaeEncoder } from "./tinyNetworks.ts"

/** What distinguishes one folder from another. */
export interface Family {
  readonly pipeline: string
  readonly scheduler: { readonly _class_name: string; readonly [field: string]: unknown }
  readonly textEncoders: ReadonlyArray<"text_encoder" | "text_encoder_2">
  /** Stable Diffusion 2's first text encoder: wider, and filled with "!". */
  readonly openClip: boolean
  readonly hiddenStates: boolean
  readonly ids: "int32" | "int64"
  /** Of the UNet's `sample`. */
  readonly channels: number
  /** Numbers of `time_ids`; 0 for no `text_embeds` either. */
  readonly timeIds: number
  /** Width of `timestep_cond`. */
  readonly guidance: number
  readonly timestep: TimestepShape
  readonly precision: Precision
  readonly vaeEncoder: "latent_parameters" | "latent_sample" | undefined
  readonly scalingFactor: number
  /** In latent values. */
  readonly sampleSize: number
}

const betas = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear", num_train_timesteps: 1000 }

const sd1: Family = {
  pipeline: "StableDiffusionPipeline",
  scheduler: { _class_name: "PNDMScheduler", ...betas, skip_prk_steps: true, steps_offset: 1, trained_betas: null },
  textEncoders: ["text_encoder"],
  openClip: false,
  hiddenStates: true,
  ids: "int32",
  channels: 4,
  timeIds: 0,
  guidance: 0,
  timestep: { type: "int64", dims: ["steps"] },
  precision: "float32",
  vaeEncoder: "latent_parameters",
  scalingFactor: 0.18215,
  sampleSize: 16
}

const sd2: Family = {
  ...sd1,
  scheduler: { _class_name: "DDIMScheduler", ...betas, prediction_type: "v_prediction", clip_sample: false },
  openClip: true
}

const sdxl: Family = {
  ...sd1,
  pipeline: "StableDiffusionXLPipeline",
  scheduler: {
    _class_name: "EulerDiscreteScheduler",
    ...betas,
    prediction_type: "epsilon",
    timestep_spacing: "leading"
  },
  textEncoders: ["text_encoder", "text_encoder_2"],
  timeIds: 6,
  timestep: { type: "int64", dims: [] },
  scalingFactor: 0.13025,
  sampleSize: 128
}

/** The families, by the names of their folders. */
export const families = {
  sd1,
  "sd1-last-state-only": { ...sd1, hiddenStates: false, ids: "int64" },
  "sd1-float16": { ...sd1, precision: "float16" },
  "sd1-timestep-one": { ...sd1, timestep: { type: "int64", dims: [1] } },
  "sd1-timestep-float": { ...sd1, timestep: { type: "float32", dims: [1] } },
  "sd1-timestep-batch": { ...sd1, timestep: { type: "int64", dims: ["batch_size"] } },
  "sd1-latent-sample": { ...sd1, pipeline: "OnnxStableDiffusionPipeline", vaeEncoder: "latent_sample" },
  "sd1-no-encoder": { ...sd1, pipeline: "ORTStableDiffusionPipeline", vaeEncoder: undefined },
  inpainting: { ...sd1, pipeline: "StableDiffusionInpaintPipeline", channels: 9 },
  lcm: {
    ...sd1,
    pipeline: "LatentConsistencyModelPipeline",
    scheduler: { _class_name: "LCMScheduler", ...betas, prediction_type: "epsilon", original_inference_steps: 50 },
    guidance: 32
  },
  sd2,
  turbo: {
    ...sd2,
    scheduler: {
      _class_name: "EulerDiscreteScheduler",
      ...betas,
      prediction_type: "epsilon",
      timestep_spacing: "trailing"
    }
  },
  sdxl,
  "sdxl-float16": { ...sdxl, precision: "float16" },
  "sdxl-refiner": {
    ...sdxl,
    pipeline: "StableDiffusionXLImg2ImgPipeline",
    textEncoders: ["text_encoder_2"],
    timeIds: 5
  }
} satisfies Readonly<Record<string, Family>>

export type FamilyName = keyof typeof families

/** What a family's UNet reads in addition to latents and timestep: dimensions of a row, by name. */
export const inputsOf = (name: FamilyName, tokens = 77): Readonly<Record<string, ReadonlyArray<number>>> => {
  const { channels, guidance, openClip, textEncoders, timeIds }: Family = families[name]
  const widths = textEncoders.map((part) => shapes[part === "text_encoder" && openClip ? "openClip" : part].width)
  return {
    encoder_hidden_states: [tokens, widths.reduce((sum, width) => sum + width, 0)],
    ...(timeIds > 0 && { text_embeds: [shapes.text_encoder_2.projection], time_ids: [timeIds] }),
    ...(guidance > 0 && { timestep_cond: [guidance] }),
    ...(channels > 4 && { source: [channels - 4, 1, small.height, small.width] })
  }
}

const vocabulary = 816
const layers = 3
const shapes = {
  text_encoder: { width: 16, projection: 0, hidden_act: "quick_gelu" },
  openClip: { width: 24, projection: 0, hidden_act: "gelu" },
  text_encoder_2: { width: 24, projection: 20, hidden_act: "gelu" }
}

/**
 * Writes a family's folder. The weights depend on the parts' shapes alone: what two families share, they share exactly.
 */
export const write = Effect.fnUntraced(function*(folder: string, family: Family) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const json = (file: string, value: object) =>
    fs.writeFileString(path.join(folder, file), JSON.stringify(value, undefined, 2))
  const part = Effect.fnUntraced(function*(name: string, file: string, config: object, network?: Uint8Array) {
    yield* fs.makeDirectory(path.join(folder, name), { recursive: true })
    yield* json(path.join(name, file), config)
    if (network !== undefined) yield* fs.writeFile(path.join(folder, name, "model.onnx"), network)
  })
  const { precision } = family
  const has = (part: "text_encoder" | "text_encoder_2") => family.textEncoders.includes(part)
  const component = (there: boolean, library: string, name: string) => there ? [library, name] : [null, null]
  yield* fs.makeDirectory(folder, { recursive: true })
  yield* json("model_index.json", {
    _class_name: family.pipeline,
    _diffusers_version: "0.30.0",
    scheduler: ["diffusers", family.scheduler._class_name],
    text_encoder: component(has("text_encoder"), "transformers", "CLIPTextModel"),
    tokenizer: component(has("text_encoder"), "transformers", "CLIPTokenizer"),
    ...(family.timeIds > 0 && {
      text_encoder_2: component(true, "transformers", "CLIPTextModelWithProjection"),
      tokenizer_2: component(true, "transformers", "CLIPTokenizer"),
      requires_aesthetics_score: family.timeIds === 5
    }),
    unet: ["diffusers", "UNet2DConditionModel"],
    vae_decoder: ["diffusers", "AutoencoderKL"],
    ...(family.vaeEncoder && { vae_encoder: ["diffusers", "AutoencoderKL"] })
  })
  yield* part("scheduler", "scheduler_config.json", family.scheduler)

  const encoders = family.textEncoders.map((name) => {
    const isOpenClip = name === "text_encoder_2" || family.openClip
    return { name, isOpenClip, ...shapes[name === "text_encoder" && isOpenClip ? "openClip" : name] }
  })
  for (const { hidden_act, isOpenClip, name, projection, width } of encoders) {
    const tokenizer = path.join(folder, name.replace("text_encoder", "tokenizer"))
    yield* fs.copy(path.join(embedded, "tokenizer"), tokenizer)
    for (const file of ["tokenizer_config.json", "special_tokens_map.json"]) {
      const text = yield* fs.readFileString(path.join(tokenizer, file))
      const padding = isOpenClip ? { pad_token: "!" } : {}
      yield* fs.writeFileString(path.join(tokenizer, file), JSON.stringify({ ...JSON.parse(text), ...padding }))
    }
    const { hiddenStates, ids } = family
    const shape = { vocabulary, width, layers, projection, hiddenStates, ids: projection > 0 ? "int64" : ids } as const
    yield* part(name, "config.json", {
      architectures: [projection > 0 ? "CLIPTextModelWithProjection" : "CLIPTextModel"],
      bos_token_id: 814,
      eos_token_id: 815,
      hidden_act,
      hidden_size: width,
      layer_norm_eps: 1e-5,
      max_position_embeddings: 77,
      num_hidden_layers: layers,
      output_hidden_states: hiddenStates,
      projection_dim: projection > 0 ? projection : width,
      vocab_size: vocabulary
    }, textEncoder(`${name} ${width}`, precision, shape))
  }

  const context = encoders.reduce((sum, { width }) => sum + width, 0)
  const pooled = family.timeIds > 0 ? shapes.text_encoder_2.projection : 0
  const { channels, guidance, timeIds, timestep } = family
  yield* part("unet", "config.json", {
    _class_name: "UNet2DConditionModel",
    addition_embed_type: timeIds > 0 ? "text_time" : null,
    addition_time_embed_dim: timeIds > 0 ? 8 : null,
    block_out_channels: [8, 8],
    cross_attention_dim: context,
    down_block_types: ["CrossAttnDownBlock2D", "DownBlock2D"],
    in_channels: channels,
    out_channels: 4,
    projection_class_embeddings_input_dim: timeIds > 0 ? pooled + 8 * timeIds : null,
    sample_size: family.sampleSize,
    time_cond_proj_dim: guidance > 0 ? guidance : null
  }, unet(`unet ${channels} ${context}`, precision, { channels, context, pooled, timeIds, guidance, timestep }))

  const vae = {
    _class_name: "AutoencoderKL",
    block_out_channels: [8, 8, 8, 8],
    in_channels: 3,
    latent_channels: 4,
    out_channels: 3,
    sample_size: family.sampleSize * 8,
    scaling_factor: family.scalingFactor
  }
  yield* part("vae_decoder", "config.json", vae, vaeDecoder("vae_decoder", precision))
  if (family.vaeEncoder !== undefined) {
    yield* part("vae_encoder", "config.json", vae, vaeEncoder("vae_encoder", precision, family.vaeEncoder))
  }
})

/** A family's folder in a temporary one, with changes. Gives its path. */
export const make = Effect.fnUntraced(function*(name: FamilyName, changes: Partial<Family> = {}) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = path.join(yield* fs.makeTempDirectoryScoped(), name)
  yield* write(folder, { ...families[name], ...changes })
  return folder
})

/** A temporary folder with a model folder of each family, by its name: a `modelsDir`. */
export const makeAll = Effect.fnUntraced(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const modelsDir = yield* fs.makeTempDirectoryScoped()
  yield* Effect.forEach(Object.entries(families), ([name, family]) => write(path.join(modelsDir, name), family), {
    discard: true
  })
  return modelsDir
})

/** Models and networks, with `makeAll`'s folder as the place to search. */
export const layerFamilies = Layer.unwrap(Effect.map(makeAll(), (modelsDir) => layerModels({ modelsDir }))).pipe(
  Layer.provideMerge(platform)
)

/** A family's model, from `layerFamilies`. */
export const load = (name: FamilyName) => Effect.flatMap(ModelProvider, (models) => models.load(name))

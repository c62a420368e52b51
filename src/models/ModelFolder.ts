/**
 * A model on disk: the folder layout that diffusers and optimum export, with ONNX networks.
 *
 * `read` looks at the small files only, decodes each by Schema, and reports all of the folder's problems at once. The
 * networks themselves are opened later, when a run needs them.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as Schema from "effect/Schema"
import type { Problem } from "../core/Problem.ts"
import type { ClipReading, Family } from "../families/Family.ts"
import { inpainting } from "../families/inpainting.ts"
import { lcm } from "../families/lcm.ts"
import { refiner } from "../families/refiner.ts"
import { sd1 } from "../families/sd1.ts"
import { sd2 } from "../families/sd2.ts"
import { sdxl } from "../families/sdxl.ts"
import type { LatentRgb } from "../model/LatentFormat.ts"
import { InvalidModelFolder } from "../model/ModelError.ts"
import type { BetaProcessOptions } from "../sampling/NoiseProcess.ts"
import type { FamilyName } from "./checkpoint/contents.ts"
import * as files from "./configFiles.ts"
import { weightFiles, weightsProblem } from "./folderFiles.ts"

/**
 * The pipeline classes whose folders hold CLIP text encoders, a UNet and a VAE. What a pipeline does with them
 * (img2img, inpainting) does not matter: the networks are the same.
 */
const pipelines = ["StableDiffusion", "StableDiffusionXL", "LatentConsistencyModel"]
const isSupported = (className: string) =>
  new RegExp(`^(ORT|Onnx)?(${pipelines.join("|")})(Img2Img|Inpaint)?Pipeline$`).test(className)

const tokenizers = { text_encoder: "tokenizer", text_encoder_2: "tokenizer_2" } as const

/** A text encoder of the folder, with its tokenizer. */
export interface TextEncoderFolder {
  /** Name of its folder within the model's. */
  readonly part: keyof typeof tokenizers
  /** Path of the network. */
  readonly network: string
  readonly config: typeof files.TextEncoderConfig.Type
  readonly reading: ClipReading
  readonly tokenizer: {
    readonly part: (typeof tokenizers)[keyof typeof tokenizers]
    readonly folder: string
    readonly config: typeof files.TokenizerConfig.Type
  }
}

/** The same before the family is known. */
type EncoderFiles = Omit<TextEncoderFolder, "reading">

/** The contents of a model folder, without its networks. */
export interface ModelFolder {
  readonly folder: string
  readonly name: string
  readonly family: Family
  readonly familyName: FamilyName
  /** Paths of the other networks. */
  readonly networks: {
    readonly unet: string
    readonly vaeDecoder: string
    /** Older exports have none. */
    readonly vaeEncoder: string | undefined
  }
  readonly textEncoders: readonly [TextEncoderFolder, ...ReadonlyArray<TextEncoderFolder>]
  readonly unet: typeof files.UNetConfig.Type
  /** What the UNet reads in addition to latents and timestep: dimensions of a row, undefined where they vary. */
  readonly inputs: Readonly<Record<string, ReadonlyArray<number | undefined>>>
  readonly vae: typeof files.VaeConfig.Type
  readonly noise: BetaProcessOptions
  /** From `latent_rgb.json`, where there is one. */
  readonly latentRgb: LatentRgb | undefined
}

const families: Readonly<Record<FamilyName, Family>> = { sd1, sd2, sdxl, "sdxl-refiner": refiner }

/** Whether `folder` claims to hold a model: it has a `model_index.json`. */
export const isModelFolder = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  return yield* Effect.orElseSucceed(fs.exists(path.join(folder, "model_index.json")), () => false)
})

/** Reads and checks a model folder. Fails with every missing file, wrong class and wrong value named. */
export const read = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<ModelFolder, InvalidModelFolder, FileSystem.FileSystem | Path.Path> {
  const path = yield* Path.Path
  const reader = yield* makeReader(folder)
  const invalid = () => new InvalidModelFolder({ folder, problems: reader.problems })
  if (!(yield* reader.isFolder)) return yield* invalid()

  const configs = yield* readConfigs(reader)
  const kind = kindOf(configs)
  const encoders = yield* readTextEncoders(reader, kind.textEncoders)
  const networks = yield* findNetworks(reader)
  const [first, ...others] = encoders
  const { index, latentRgb, noise, unet, vae } = configs
  reader.problems.push(...classProblems(configs), ...channelProblems(configs), ...encoderProblems(configs))
  const isComplete = encoders.length === kind.textEncoders.length
  if (first === undefined || !isComplete || unet === undefined) return yield* invalid()

  const { inputs, problems, timeIds } = denoisingInputs(unet, encoders, kind.isXL)
  const familyName = timeIds === 5 ? "sdxl-refiner" : kind.isXL ? "sdxl" : isOpenClip(first) ? "sd2" : "sd1"
  const plain = families[familyName]
  const [firstReading, secondReading = firstReading] = plain.textEncoders
  const read = (encoder: EncoderFiles): TextEncoderFolder => ({
    ...encoder,
    reading: encoder.part === "text_encoder" ? firstReading : secondReading
  })
  const textEncoders = [read(first), ...others.map(read)] as const
  reader.problems.push(...problems)
  if (reader.problems.length > 0 || vae === undefined || noise === undefined || index === undefined) {
    return yield* invalid()
  }
  return {
    folder,
    name: path.basename(path.resolve(folder)),
    family: specialised(plain, unet, vae),
    familyName,
    networks,
    textEncoders,
    unet,
    inputs,
    vae,
    noise: noiseOf(noise),
    latentRgb: latentRgb ?? undefined
  }
})

// What a UNet reads in addition to what its family's others read.
const specialised = (
  family: Family,
  { in_channels, time_cond_proj_dim }: typeof files.UNetConfig.Type,
  { latent_channels }: typeof files.VaeConfig.Type
): Family => {
  const filled = in_channels > latent_channels ? inpainting(family) : family
  return time_cond_proj_dim === null ? filled : lcm(filled, time_cond_proj_dim)
}

const noiseOf = (
  {
    beta_end,
    beta_schedule,
    beta_start,
    num_train_timesteps,
    prediction_type,
    rescale_betas_zero_snr,
    trained_betas
  }: typeof files.SchedulerConfig.Type
): BetaProcessOptions => ({
  beta_start,
  beta_end,
  beta_schedule,
  num_train_timesteps,
  prediction_type,
  rescale_betas_zero_snr,
  trained_betas
})

type Reader = Effect.Success<ReturnType<typeof makeReader>>

// Reads a folder's files and collects the problems with them.
const makeReader = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const problems: Array<Problem> = []
  const exists = (file: string) => Effect.orElseSucceed(fs.exists(path.join(folder, file)), () => false)
  return {
    problems,
    path: (file: string) => path.join(folder, file),
    exists,
    isFolder: Effect.map(Effect.option(fs.stat(folder)), (stat) => {
      if (stat._tag === "Some" && stat.value.type === "Directory") return true
      const message = stat._tag === "None" ? "it does not exist or may not be read" : "it is not a folder"
      problems.push({ path: "", message })
      return false
    }),
    /** A file decoded by a schema; undefined when there are problems with it. */
    config: <A, I>(file: string, schema: Schema.Codec<A, I>) =>
      files.readJson(path.join(folder, file), schema).pipe(
        Effect.provideService(FileSystem.FileSystem, fs),
        Effect.catch((found) => {
          for (const { message, path } of found) {
            problems.push({ path: path === "" ? file : `${file}: ${path}`, message })
          }
          return Effect.undefined
        })
      ),
    /** The path of a network that has to be there. */
    network: Effect.fnUntraced(function*(file: string) {
      const weights = weightFiles.map((name) => `${path.dirname(file)}/${name}`)
      for (const each of [file, ...(yield* Effect.filter(weights, exists))]) {
        const message = yield* Effect.provideService(
          weightsProblem(path.join(folder, each)),
          FileSystem.FileSystem,
          fs
        )
        if (message !== undefined) problems.push({ path: each, message })
      }
      return path.join(folder, file)
    })
  }
})

type Configs = Effect.Success<ReturnType<typeof readConfigs>>

const readConfigs = Effect.fnUntraced(function*({ config, exists }: Reader) {
  const configs = yield* Effect.all({
    index: config("model_index.json", files.ModelIndex),
    unet: config("unet/config.json", files.UNetConfig),
    vae: config("vae_decoder/config.json", files.VaeConfig),
    noise: config("scheduler/scheduler_config.json", files.SchedulerConfig),
    hasFirstEncoder: exists("text_encoder")
  }, { concurrency: "unbounded" })
  // Not every export has these.
  const optional = Effect.fnUntraced(function*<A, I>(file: string, schema: Schema.Codec<A, I>) {
    return (yield* exists(file)) ? yield* config(file, schema) : undefined
  })
  return {
    ...configs,
    vaeEncoder: yield* optional("vae_encoder/config.json", files.VaeConfig),
    latentRgb: yield* optional("latent_rgb.json", files.LatentRgbFile)
  }
})

// XL folders have two text encoders, the refiner's the second one alone.
const kindOf = ({ hasFirstEncoder, index, unet }: Configs) => {
  const isXL = index?._class_name.includes("XL") === true || unet?.addition_embed_type === "text_time"
  const isRefiner = isXL && !hasFirstEncoder && (index?.text_encoder ?? []).every((name) => name === null)
  const textEncoders = (["text_encoder", "text_encoder_2"] as const)
    .filter((part) => part === "text_encoder" ? !isRefiner : isXL)
  return { isXL, isRefiner, textEncoders }
}

// The text encoders without problems.
const readTextEncoders = Effect.fnUntraced(function*(
  { config, network, path }: Reader,
  parts: ReadonlyArray<keyof typeof tokenizers>
) {
  const concurrency = "unbounded"
  const encoders = yield* Effect.forEach(parts, (part) =>
    Effect.all({
      part: Effect.succeed(part),
      config: config(`${part}/config.json`, files.TextEncoderConfig),
      tokenizer: config(`${tokenizers[part]}/tokenizer_config.json`, files.TokenizerConfig)
    }, { concurrency }), { concurrency })
  const paths = yield* Effect.forEach(parts, (part) => network(`${part}/model.onnx`), { concurrency })
  return encoders.flatMap(({ config, part, tokenizer }, i): ReadonlyArray<EncoderFiles> => {
    const network = paths[i]
    if (config === undefined || tokenizer === undefined || network === undefined) return []
    const name = tokenizers[part]
    return [{ part, network, config, tokenizer: { part: name, folder: path(name), config: tokenizer } }]
  })
})

const findNetworks = ({ exists, network }: Reader) =>
  Effect.all({
    unet: network("unet/model.onnx"),
    vaeDecoder: network("vae_decoder/model.onnx"),
    vaeEncoder: Effect.flatMap(
      exists("vae_encoder/model.onnx"),
      (found) => found ? network("vae_encoder/model.onnx") : Effect.undefined
    )
  }, { concurrency: "unbounded" })

const classProblems = ({ index, unet, vae, vaeEncoder }: Configs): ReadonlyArray<Problem> => {
  const unsupported = index === undefined || isSupported(index._class_name) ? [] : [{
    path: "model_index.json: _class_name",
    message: `"${index._class_name}" is not supported, only ${
      pipelines.map((name) => `${name}Pipeline`).join(", ")
    } and their Img2Img, Inpaint, ORT and Onnx variants`
  }]
  const wrong = (file: string, found: string | undefined, expected: string) =>
    found === undefined || found === expected
      ? []
      : [{ path: `${file}: _class_name`, message: `expected "${expected}", found "${found}"` }]
  return [
    ...unsupported,
    ...wrong("unet/config.json", unet?._class_name, "UNet2DConditionModel"),
    ...wrong("vae_decoder/config.json", vae?._class_name, "AutoencoderKL"),
    ...wrong("vae_encoder/config.json", vaeEncoder?._class_name, "AutoencoderKL")
  ]
}

const unetProblem = (field: keyof typeof files.UNetConfig.Type, message: string): Problem => ({
  path: `unet/config.json: ${field}`,
  message
})

const channelProblems = ({ unet, vae }: Configs): ReadonlyArray<Problem> => {
  if (unet === undefined || vae === undefined) return []
  const latent = vae.latent_channels
  const inpainting = latent * 2 + 1
  const { in_channels, out_channels } = unet
  return [
    ...(in_channels === latent || in_channels === inpainting ? [] : [unetProblem(
      "in_channels",
      `${in_channels} channels fit neither the VAE's ${latent} nor an inpainting model's ${inpainting}`
    )]),
    ...(out_channels === null || out_channels === latent ? [] : [unetProblem(
      "out_channels",
      `${out_channels} channels do not fit the VAE's ${latent}`
    )])
  ]
}

// Both halves of the VAE have one space of latents.
const encoderProblems = ({ vae, vaeEncoder }: Configs): ReadonlyArray<Problem> => {
  if (vae === undefined || vaeEncoder === undefined) return []
  const shared = {
    latent_channels: (config: typeof vae) => config.latent_channels,
    scaling_factor: (config: typeof vae) => config.scaling_factor,
    block_out_channels: (config: typeof vae) => config.block_out_channels.length
  }
  return Object.entries(shared).flatMap(([field, read]) =>
    read(vaeEncoder) === read(vae) ? [] : [{
      path: `vae_encoder/config.json: ${field}`,
      message: `it does not fit vae_decoder/config.json: ${read(vaeEncoder)} for ${read(vae)}${
        field === "block_out_channels" ? " blocks" : ""
      }`
    }]
  )
}

// Stable Diffusion 2 reads OpenCLIP's ViT-H, 1 reads OpenAI's ViT-L: they differ in width and activation.
const isOpenClip = ({ config }: EncoderFiles) => config.hidden_act === "gelu" || config.hidden_size === 1024

// What the UNet reads, and where its configuration does not fit the text encoders'.
const denoisingInputs = (
  unet: typeof files.UNetConfig.Type,
  encoders: ReadonlyArray<EncoderFiles>,
  isXL: boolean
): Pick<ModelFolder, "inputs"> & { readonly timeIds: number; readonly problems: ReadonlyArray<Problem> } => {
  const problems: Array<Problem> = []
  const wrong = (...problem: Parameters<typeof unetProblem>) => problems.push(unetProblem(...problem))
  const context = encoders.reduce((sum, { config }) => sum + config.hidden_size, 0)
  const expected = unet.cross_attention_dim
  if (expected !== null && [expected].flat().some((width) => width !== context)) {
    wrong("cross_attention_dim", `${[expected].flat().join(", ")} does not fit the text encoders' width, ${context}`)
  }
  if (isXL ? unet.addition_embed_type !== "text_time" : unet.addition_embed_type !== null) {
    wrong(
      "addition_embed_type",
      `"${unet.addition_embed_type}" is not supported${isXL ? ", XL models have \"text_time\"" : ""}`
    )
  }
  const pooled = isXL ? encoders.at(-1)?.config.projection_dim ?? 0 : 0
  const { addition_time_embed_dim: each, projection_class_embeddings_input_dim: all } = unet
  const timeIds = !isXL ? 0 : each !== null && all !== null ? (all - pooled) / each : encoders.length === 1 ? 5 : 6
  if (isXL && timeIds !== 5 && timeIds !== 6) {
    wrong(
      "projection_class_embeddings_input_dim",
      `${all} is not ${pooled} for the text and ${each} for each of 6 or 5 sizes`
    )
  }
  return {
    inputs: {
      // Where the tokens are fixed to one chunk, short prompts still work.
      encoder_hidden_states: [undefined, context],
      ...(isXL && { text_embeds: [pooled], time_ids: [timeIds] }),
      ...(unet.time_cond_proj_dim !== null && { timestep_cond: [unet.time_cond_proj_dim] })
    },
    timeIds,
    problems
  }
}

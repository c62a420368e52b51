/**
 * A model on disk: the folder layout that diffusers and optimum export, with ONNX networks.
 *
 * `read` looks at the small files only, decodes each by Schema, and names every problem of the folder at once. The
 * networks themselves are opened later, when a run needs them.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as Schema from "effect/Schema"
import type { Problem } from "../core/Problem.ts"
import type { LatentRgb, LoadedModel } from "../model/LoadedModel.ts"
import { InvalidModelFolder } from "../model/ModelError.ts"
import type { DenoisingInputs, NoiseScheduleConfig } from "../model/ModelInfo.ts"
import * as files from "./configFiles.ts"

/**
 * The pipeline classes whose folders hold CLIP text encoders, a UNet and a VAE. What a pipeline does with them (img2img,
 * inpainting) does not matter: the networks are the same.
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
  readonly tokenizer: {
    readonly part: (typeof tokenizers)[keyof typeof tokenizers]
    readonly folder: string
    readonly config: typeof files.TokenizerConfig.Type
  }
}

/** What a model folder says of itself. */
export interface ModelFolder {
  readonly folder: string
  readonly name: string
  readonly family: LoadedModel["family"]
  /** Paths of the networks beside the text encoders. */
  readonly networks: {
    readonly unet: string
    readonly vaeDecoder: string
    /** Older exports have none. */
    readonly vaeEncoder: string | undefined
  }
  readonly textEncoders: readonly [TextEncoderFolder, ...ReadonlyArray<TextEncoderFolder>]
  readonly unet: typeof files.UNetConfig.Type
  readonly inputs: DenoisingInputs
  readonly vae: typeof files.VaeConfig.Type
  readonly noise: NoiseScheduleConfig
  /** From `latent_rgb.json`, where there is one. */
  readonly latentRgb: LatentRgb | undefined
}

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
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const problems: Array<Problem> = []
  const invalid = () => new InvalidModelFolder({ folder, problems })

  const stat = yield* Effect.option(fs.stat(folder))
  if (stat._tag === "None" || stat.value.type !== "Directory") {
    problems.push({
      path: "",
      message: stat._tag === "None" ? "it does not exist or may not be read" : "it is not a folder"
    })
    return yield* invalid()
  }

  const config = <A, I>(file: string, schema: Schema.Codec<A, I>) =>
    files.readJson(path.join(folder, file), schema).pipe(
      Effect.catch((found) => {
        for (const { message, path } of found) {
          problems.push({ path: path === "" ? file : `${file}: ${path}`, message })
        }
        return Effect.void
      })
    )
  const network = Effect.fnUntraced(function*(file: string) {
    const found = yield* Effect.option(fs.stat(path.join(folder, file)))
    if (found._tag === "None") problems.push({ path: file, message: "the file is missing or may not be read" })
    else if (found.value.type !== "File") problems.push({ path: file, message: "it is not a file" })
    return path.join(folder, file)
  })

  const exists = (file: string) => Effect.orElseSucceed(fs.exists(path.join(folder, file)), () => false)

  const [index, unet, vae, noise, hasFirst] = yield* Effect.all([
    config("model_index.json", files.ModelIndex),
    config("unet/config.json", files.UNetConfig),
    config("vae_decoder/config.json", files.VaeConfig),
    config("scheduler/scheduler_config.json", files.SchedulerConfig),
    exists("text_encoder")
  ], { concurrency: "unbounded" })
  const latentRgb = (yield* exists("latent_rgb.json"))
    ? yield* config("latent_rgb.json", files.LatentRgbFile)
    : undefined

  // XL folders have two text encoders, the refiner's the second one alone.
  const isXL = index?._class_name.includes("XL") === true || unet?.addition_embed_type === "text_time"
  const isRefiner = isXL && !hasFirst && (index?.text_encoder ?? []).every((name) => name === null)
  const parts = (["text_encoder", "text_encoder_2"] as const)
    .filter((part) => part === "text_encoder" ? !isRefiner : isXL)
  const encoders = yield* Effect.forEach(parts, (part) => {
    const tokenizer = tokenizers[part]
    return Effect.all({
      part: Effect.succeed(part),
      config: config(`${part}/config.json`, files.TextEncoderConfig),
      tokenizer: Effect.map(
        config(`${tokenizer}/tokenizer_config.json`, files.TokenizerConfig),
        (config) => config && { part: tokenizer, folder: path.join(folder, tokenizer), config }
      )
    }, { concurrency: "unbounded" })
  }, { concurrency: "unbounded" })
  const textEncoders = yield* Effect.forEach(
    encoders,
    ({ config, part, tokenizer }) =>
      Effect.map(
        network(`${part}/model.onnx`),
        (network): ReadonlyArray<TextEncoderFolder> =>
          config === undefined || tokenizer === undefined ? [] : [{ part, network, config, tokenizer }]
      ),
    { concurrency: "unbounded" }
  )
  const [first, ...others] = textEncoders.flat()
  const networks = yield* Effect.all({
    unet: network("unet/model.onnx"),
    vaeDecoder: network("vae_decoder/model.onnx"),
    vaeEncoder: Effect.flatMap(
      exists("vae_encoder/model.onnx"),
      (found) => found ? network("vae_encoder/model.onnx") : Effect.undefined
    )
  }, { concurrency: "unbounded" })

  if (index !== undefined && !isSupported(index._class_name)) {
    problems.push({
      path: "model_index.json: _class_name",
      message: `"${index._class_name}" is not supported, only ${
        pipelines.map((name) => `${name}Pipeline`).join(", ")
      } and their Img2Img, Inpaint, ORT and Onnx variants`
    })
  }
  const className = (file: string, found: string | undefined, expected: string) => {
    if (found !== undefined && found !== expected) {
      problems.push({ path: `${file}: _class_name`, message: `expected "${expected}", found "${found}"` })
    }
  }
  className("unet/config.json", unet?._class_name, "UNet2DConditionModel")
  className("vae_decoder/config.json", vae?._class_name, "AutoencoderKL")
  const wrong = (field: keyof typeof files.UNetConfig.Type, message: string) =>
    problems.push({ path: `unet/config.json: ${field}`, message })
  if (unet !== undefined && vae !== undefined) {
    const latent = vae.latent_channels
    if (unet.in_channels !== latent && unet.in_channels !== latent * 2 + 1) {
      wrong(
        "in_channels",
        `${unet.in_channels} channels fit neither the VAE's ${latent} nor an inpainting model's ${latent * 2 + 1}`
      )
    }
  }
  const complete = first !== undefined && others.length === parts.length - 1
  const inputs = unet !== undefined && complete ? denoisingInputs(unet, [first, ...others], isXL, wrong) : undefined

  if (
    problems.length > 0 || first === undefined || inputs === undefined || unet === undefined || vae === undefined ||
    noise === undefined
  ) {
    return yield* invalid()
  }
  return {
    folder,
    name: path.basename(path.resolve(folder)),
    family: isRefiner ? "sdxl-refiner" : isXL ? "sdxl" : isOpenClip(first) ? "sd2" : "sd1",
    networks,
    textEncoders: [first, ...others],
    unet,
    inputs,
    vae,
    noise,
    latentRgb: latentRgb ?? undefined
  }
})

// Stable Diffusion 2 reads OpenCLIP's ViT-H, 1 reads OpenAI's ViT-L: they differ in width and activation.
const isOpenClip = ({ config }: TextEncoderFolder) => config.hidden_act === "gelu" || config.hidden_size === 1024

// What the UNet reads, as far as its configuration fits the text encoders'.
const denoisingInputs = (
  unet: typeof files.UNetConfig.Type,
  encoders: readonly [TextEncoderFolder, ...ReadonlyArray<TextEncoderFolder>],
  isXL: boolean,
  wrong: (field: keyof typeof files.UNetConfig.Type, message: string) => void
): DenoisingInputs => {
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
  const pooled = isXL ? (encoders.at(-1) ?? encoders[0]).config.projection_dim : 0
  const { addition_time_embed_dim: each, projection_class_embeddings_input_dim: all } = unet
  const timeIds = !isXL ? 0 : each !== null && all !== null ? (all - pooled) / each : encoders.length === 1 ? 5 : 6
  if (isXL && timeIds !== 5 && timeIds !== 6) {
    wrong(
      "projection_class_embeddings_input_dim",
      `${all} is not ${pooled} for the text and ${each} for each of 6 or 5 sizes`
    )
  }
  return { channels: unet.in_channels, context, pooled, timeIds, guidance: unet.time_cond_proj_dim ?? 0 }
}

/**
 * A model on disk: the folder layout that diffusers and optimum export, with ONNX networks.
 *
 * `read` looks at the small files only, decodes each by Schema, and names every problem of the folder at once. The
 * networks themselves are opened later, when a run needs them.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { InvalidModelFolder, type Problem, problemsOf } from "../processing/errors.ts"
import type { LatentRgb, NoiseConfig } from "../runner/LoadedModel.ts"

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const orElse = <S extends Schema.Top>(schema: S, value: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultType(Effect.succeed(value)))

const ModelIndex = Schema.Struct({ _class_name: Schema.String })

const TextEncoderConfig = Schema.Struct({
  hidden_size: count,
  max_position_embeddings: orElse(count, 77),
  bos_token_id: Schema.optional(Schema.Int),
  eos_token_id: Schema.optional(Schema.Int),
  pad_token_id: Schema.optional(Schema.Int)
})

const UNetConfig = Schema.Struct({
  _class_name: Schema.optional(Schema.String),
  in_channels: count,
  sample_size: orElse(Schema.Union([count, Schema.Array(count)]), 64),
  down_block_types: Schema.Array(Schema.String)
})

const VaeConfig = Schema.Struct({
  _class_name: Schema.optional(Schema.String),
  block_out_channels: Schema.Array(count),
  latent_channels: orElse(count, 4),
  scaling_factor: orElse(Schema.Finite, 0.18215)
})

const SchedulerConfig = Schema.Struct({
  beta_start: orElse(Schema.Finite, 0.00085),
  beta_end: orElse(Schema.Finite, 0.012),
  beta_schedule: orElse(Schema.Literals(["linear", "scaled_linear", "squaredcos_cap_v2"]), "scaled_linear"),
  num_train_timesteps: orElse(count, 1000),
  prediction_type: orElse(Schema.Literals(["epsilon", "v_prediction", "sample"]), "epsilon"),
  rescale_betas_zero_snr: orElse(Schema.Boolean, false),
  trained_betas: orElse(Schema.NullOr(Schema.Array(Schema.Finite)), null)
})

const LatentRgbFile = Schema.Struct({
  factors: Schema.Array(Schema.Array(Schema.Finite)),
  bias: Schema.Array(Schema.Finite)
})

const SpecialToken = Schema.Union([Schema.String, Schema.Struct({ content: Schema.String })])

const TokenizerConfig = Schema.StructWithRest(
  Schema.Struct({
    bos_token: orElse(SpecialToken, "<|startoftext|>"),
    eos_token: orElse(SpecialToken, "<|endoftext|>"),
    pad_token: Schema.optional(Schema.NullOr(SpecialToken)),
    model_max_length: orElse(Schema.Finite, 77)
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/** The pipeline classes whose folders hold one CLIP text encoder, a UNet and a VAE. */
const pipelines = ["StableDiffusionPipeline", "ORTStableDiffusionPipeline", "OnnxStableDiffusionPipeline"]

/** What a model folder says of itself. */
export interface ModelFolder {
  readonly folder: string
  readonly name: string
  /** Paths of the networks. */
  readonly networks: { readonly textEncoder: string; readonly unet: string; readonly vaeDecoder: string }
  readonly textEncoder: typeof TextEncoderConfig.Type
  readonly unet: typeof UNetConfig.Type
  readonly vae: typeof VaeConfig.Type
  readonly noise: NoiseConfig
  /** From `latent_rgb.json`, where there is one. */
  readonly latentRgb: LatentRgb | undefined
  readonly tokenizer: { readonly folder: string; readonly config: typeof TokenizerConfig.Type }
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
    problems.push({ path: "", message: stat._tag === "None" ? "it does not exist or may not be read" : "it is not a folder" })
    return yield* invalid()
  }

  const config = <A, I>(file: string, schema: Schema.Codec<A, I>) =>
    readJson(path.join(folder, file), schema).pipe(
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

  const [index, textEncoder, unet, vae, noise, tokenizer] = yield* Effect.all([
    config("model_index.json", ModelIndex),
    config("text_encoder/config.json", TextEncoderConfig),
    config("unet/config.json", UNetConfig),
    config("vae_decoder/config.json", VaeConfig),
    config("scheduler/scheduler_config.json", SchedulerConfig),
    config("tokenizer/tokenizer_config.json", TokenizerConfig)
  ], { concurrency: "unbounded" })
  const latentRgb = (yield* Effect.orElseSucceed(fs.exists(path.join(folder, "latent_rgb.json")), () => false))
    ? (yield* config("latent_rgb.json", LatentRgbFile)) ?? undefined
    : undefined
  const networks = yield* Effect.all({
    textEncoder: network("text_encoder/model.onnx"),
    unet: network("unet/model.onnx"),
    vaeDecoder: network("vae_decoder/model.onnx")
  }, { concurrency: "unbounded" })

  if (index !== undefined && !pipelines.includes(index._class_name)) {
    problems.push({
      path: "model_index.json: _class_name",
      message: `"${index._class_name}" is not supported, only ${pipelines.join(", ")}`
    })
  }
  const className = (file: string, found: string | undefined, expected: string) => {
    if (found !== undefined && found !== expected) {
      problems.push({ path: `${file}: _class_name`, message: `expected "${expected}", found "${found}"` })
    }
  }
  className("unet/config.json", unet?._class_name, "UNet2DConditionModel")
  className("vae_decoder/config.json", vae?._class_name, "AutoencoderKL")
  if (unet !== undefined && vae !== undefined && unet.in_channels !== vae.latent_channels) {
    problems.push({
      path: "unet/config.json: in_channels",
      message: `${unet.in_channels} channels do not fit the VAE's ${vae.latent_channels}; inpainting models are not supported`
    })
  }

  if (
    problems.length > 0 || textEncoder === undefined || unet === undefined || vae === undefined ||
    noise === undefined || tokenizer === undefined
  ) {
    return yield* invalid()
  }
  return {
    folder,
    name: path.basename(path.resolve(folder)),
    networks,
    textEncoder,
    unet,
    vae,
    noise,
    latentRgb,
    tokenizer: { folder: path.join(folder, "tokenizer"), config: tokenizer }
  }
})

/** A JSON file as `schema` says, or every problem with it. */
export const readJson = Effect.fnUntraced(function*<A, I>(
  file: string,
  schema: Schema.Codec<A, I>
): Effect.fn.Return<A, ReadonlyArray<Problem>, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    fs.readFileString(file),
    (error) => [{
      path: "",
      message: error.reason._tag === "NotFound" ? "the file is missing" : `the file cannot be read (${error.reason._tag})`
    }]
  )
  return yield* Effect.mapError(
    Schema.decodeEffect(Schema.fromJsonString(schema), { errors: "all" })(text),
    ({ issue }) => problemsOf(issue)
  )
})

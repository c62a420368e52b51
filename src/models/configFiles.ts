/**
 * The small files of a model folder: JSON that diffusers, transformers and optimum write, as far as Serena reads it.
 *
 * A missing field has the default of the library that writes the file.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { type Problem, problemsOf } from "../core/Problem.ts"
import { readText } from "./folderFiles.ts"

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const orElse = <S extends Schema.Top>(schema: S, value: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultType(Effect.succeed(value)))

/**
 * A field that changes what the networks' numbers mean in a way that Serena does not implement; null and false leave it
 * out.
 */
const unsupported = (reason: string, isNeutral: (value: unknown) => boolean = () => false) =>
  Schema.optional(
    Schema.Unknown.check(Schema.makeFilter((value) =>
      value === null || value === false || isNeutral(value) ? undefined : `it is not supported: ${reason}`
    ))
  )

const foreignSchedule = "the model was trained with another formulation of noise"

/** diffusers' schedulers for networks that were trained on noise levels of betas. */
const schedulers = [
  "DDIM",
  "DDIMInverse",
  "DDIMParallel",
  "DDPM",
  "DDPMParallel",
  "DEISMultistep",
  "DPMSolverMultistep",
  "DPMSolverMultistepInverse",
  "DPMSolverSDE",
  "DPMSolverSinglestep",
  "EulerAncestralDiscrete",
  "EulerDiscrete",
  "HeunDiscrete",
  "KDPM2AncestralDiscrete",
  "KDPM2Discrete",
  "LCM",
  "LMSDiscrete",
  "PNDM",
  "RePaint",
  "SASolver",
  "TCD",
  "UniPCMultistep"
]

const SchedulerClass = Schema.String.check(
  Schema.makeFilter((name) =>
    schedulers.some((known) => name === `${known}Scheduler` || name === `Flax${known}Scheduler`)
      ? undefined
      : `"${name}" is not supported: only diffusers' schedulers of models that were trained on betas are, such as ` +
        "DDIMScheduler, EulerDiscreteScheduler and PNDMScheduler"
  )
)

/** `model_index.json`: the pipeline, and what it consists of. */
export const ModelIndex = Schema.Struct({
  _class_name: Schema.String,
  scheduler: Schema.optional(
    Schema.Union([Schema.Tuple([Schema.NullOr(Schema.String), Schema.NullOr(SchedulerClass)]), Schema.Null])
  ),
  /** Library and class; nulls where the pipeline has none. */
  text_encoder: Schema.optional(Schema.NullOr(Schema.Array(Schema.NullOr(Schema.String))))
})

/** `text_encoder/config.json` and `text_encoder_2/config.json`, as transformers writes them. */
export const TextEncoderConfig = Schema.Struct({
  hidden_size: count,
  num_hidden_layers: orElse(count, 12),
  hidden_act: orElse(Schema.String, "quick_gelu"),
  layer_norm_eps: orElse(Schema.Finite, 1e-5),
  projection_dim: orElse(count, 512)
})

const optionalCount = orElse(Schema.NullOr(count), null)

/** `unet/config.json`. */
export const UNetConfig = Schema.Struct({
  _class_name: Schema.optional(Schema.String),
  in_channels: count,
  sample_size: orElse(Schema.Union([count, Schema.Array(count)]), 64),
  down_block_types: Schema.Array(Schema.String),
  cross_attention_dim: orElse(Schema.NullOr(Schema.Union([count, Schema.Array(count)])), null),
  addition_embed_type: orElse(Schema.NullOr(Schema.String), null),
  addition_time_embed_dim: optionalCount,
  projection_class_embeddings_input_dim: optionalCount,
  time_cond_proj_dim: optionalCount
})

const normalisedLatents = "latents are normalised by scaling_factor alone"

/** `vae_decoder/config.json`, and `vae_encoder/config.json` where there is one. */
export const VaeConfig = Schema.Struct({
  _class_name: Schema.optional(Schema.String),
  block_out_channels: Schema.Array(count),
  latent_channels: orElse(count, 4),
  scaling_factor: orElse(Schema.Finite, 0.18215),
  latents_mean: unsupported(normalisedLatents),
  latents_std: unsupported(normalisedLatents),
  shift_factor: unsupported(normalisedLatents, (value) => value === 0)
})

/** `scheduler/scheduler_config.json`: the noise levels the model was trained on. */
export const SchedulerConfig = Schema.Struct({
  beta_start: orElse(Schema.Finite, 0.00085),
  beta_end: orElse(Schema.Finite, 0.012),
  beta_schedule: orElse(Schema.Literals(["linear", "scaled_linear", "squaredcos_cap_v2"]), "scaled_linear"),
  num_train_timesteps: orElse(count, 1000),
  prediction_type: orElse(Schema.Literals(["epsilon", "v_prediction", "sample"]), "epsilon"),
  rescale_betas_zero_snr: orElse(Schema.Boolean, false),
  trained_betas: orElse(Schema.NullOr(Schema.Array(Schema.Finite)), null),
  _class_name: Schema.optional(SchedulerClass),
  sigma_data: unsupported(foreignSchedule),
  sigma_min: unsupported(foreignSchedule),
  sigma_max: unsupported(foreignSchedule),
  use_flow_sigmas: unsupported(foreignSchedule),
  use_dynamic_shifting: unsupported(foreignSchedule),
  shift: unsupported(foreignSchedule, (value) => value === 1),
  flow_shift: unsupported(foreignSchedule, (value) => value === 1),
  snr_shift_scale: unsupported(foreignSchedule, (value) => value === 1),
  thresholding: unsupported("dynamic thresholding is made for models of pixels, not of latents"),
  timestep_type: unsupported(foreignSchedule, (value) => value === "discrete")
})

/** `latent_rgb.json`, which only some folders have. */
export const LatentRgbFile = Schema.Struct({
  factors: Schema.Array(Schema.Array(Schema.Finite)),
  bias: Schema.Array(Schema.Finite)
})

const SpecialToken = Schema.Union([Schema.String, Schema.Struct({ content: Schema.String })])

/** `tokenizer/tokenizer_config.json` and `tokenizer_2/tokenizer_config.json`. */
export const TokenizerConfig = Schema.StructWithRest(
  Schema.Struct({
    bos_token: orElse(SpecialToken, "<|startoftext|>"),
    eos_token: orElse(SpecialToken, "<|endoftext|>"),
    pad_token: Schema.optional(Schema.NullOr(SpecialToken)),
    model_max_length: orElse(Schema.Finite, 77)
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/** A JSON file decoded by `schema`; fails with every problem in it. */
export const readJson = Effect.fnUntraced(function*<A, I>(
  file: string,
  schema: Schema.Codec<A, I>
): Effect.fn.Return<A, ReadonlyArray<Problem>, FileSystem.FileSystem> {
  const text = yield* Effect.mapError(readText(file), (message) => [{ path: "", message }])
  return yield* Effect.mapError(
    Schema.decodeEffect(Schema.fromJsonString(schema), { errors: "all" })(text),
    ({ issue }) => problemsOf(issue)
  )
})

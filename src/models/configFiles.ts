/**
 * The small files of a model folder: JSON that diffusers, transformers and optimum write, as far as Serena reads it.
 *
 * A missing field has the default of the library that writes the file. A field that is neither read nor known to be
 * harmless is refused by name.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { type Problem, problemsOf } from "../core/Problem.ts"
import { harmless, unknownFields } from "./configFields.ts"
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
  text_encoder: Schema.optional(Schema.NullOr(Schema.Array(Schema.NullOr(Schema.String)))),
  text_encoder_2: Schema.optional(Schema.NullOr(Schema.Array(Schema.NullOr(Schema.String))))
})

/** A value that has to be one of some names. */
const oneOf = (what: string, names: ReadonlyArray<string>) =>
  Schema.optional(
    Schema.NullOr(Schema.String.check(Schema.makeFilter((name) =>
      names.includes(name) ? undefined : `"${name}" is not supported: only ${what} (${names.join(", ")}) are`
    )))
  )

/** Ids that go through a text encoder together. */
const positions = 77

/** `text_encoder/config.json` and `text_encoder_2/config.json`, as transformers writes them. */
export const TextEncoderConfig = Schema.Struct({
  hidden_size: count,
  num_hidden_layers: orElse(count, 12),
  hidden_act: orElse(Schema.String, "quick_gelu"),
  layer_norm_eps: orElse(Schema.Finite, 1e-5),
  projection_dim: orElse(count, 512),
  model_type: oneOf("CLIP's text encoders", ["clip_text_model", "clip"]),
  max_position_embeddings: Schema.optional(
    count.check(
      Schema.makeFilter((number) =>
        number === positions ? undefined : `it is not supported: texts are read in chunks of ${positions} tokens`
      )
    )
  )
})

const optionalCount = orElse(Schema.NullOr(count), null)

const foreignInputs = "the network reads more than latents, time, text and sizes"

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
  time_cond_proj_dim: optionalCount,
  out_channels: optionalCount,
  class_embed_type: unsupported(foreignInputs),
  num_class_embeds: unsupported(foreignInputs),
  encoder_hid_dim: unsupported(foreignInputs),
  encoder_hid_dim_type: unsupported(foreignInputs)
})

const normalisedLatents = "latents are normalised by scaling_factor alone"

const rgb = Schema.optional(
  count.check(Schema.makeFilter((number) => number === 3 ? undefined : `${number} channels are no RGB image`))
)

/** `vae_decoder/config.json`, and `vae_encoder/config.json` where there is one. */
export const VaeConfig = Schema.Struct({
  _class_name: Schema.optional(Schema.String),
  block_out_channels: Schema.Array(count),
  latent_channels: orElse(count, 4),
  in_channels: rgb,
  out_channels: rgb,
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
  variance_type: Schema.optional(
    Schema.Unknown.check(Schema.makeFilter((value) =>
      typeof value === "string" && value.startsWith("learned")
        ? "it is not supported: the network predicts a variance next to the noise"
        : undefined
    ))
  ),
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
    tokenizer_class: oneOf("CLIP's tokenizers", ["CLIPTokenizer", "CLIPTokenizerFast"])
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

const fields = (schema: { readonly fields: object }, others: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set([...Object.keys(schema.fields), ...others])

/** The fields of each configuration that are read or harmless. */
const known = new Map<unknown, ReadonlySet<string>>([
  [ModelIndex, fields(ModelIndex, harmless.index)],
  [TextEncoderConfig, fields(TextEncoderConfig, harmless.textEncoder)],
  [UNetConfig, fields(UNetConfig, harmless.unet)],
  [VaeConfig, fields(VaeConfig, harmless.vae)],
  [SchedulerConfig, fields(SchedulerConfig, harmless.scheduler)],
  [TokenizerConfig, fields(TokenizerConfig.schema, harmless.tokenizer)]
])

const unknown = (path: string): Problem => ({
  path,
  message: "it is not known, and may change what the model's numbers mean; set it to null if it does not matter"
})

/** A JSON file decoded by `schema`; fails with every problem in it, such as fields that are not known. */
export const readJson = Effect.fnUntraced(function*<A, I>(
  file: string,
  schema: Schema.Codec<A, I>
): Effect.fn.Return<A, ReadonlyArray<Problem>, FileSystem.FileSystem> {
  const text = yield* Effect.mapError(readText(file), (message) => [{ path: "", message }])
  const decode = <A>(schema: Schema.Codec<A, unknown>, value: unknown) =>
    Effect.mapError(
      Schema.decodeUnknownEffect(schema, { errors: "all" })(value),
      ({ issue }): ReadonlyArray<Problem> => problemsOf(issue)
    )
  const value = yield* decode(Schema.fromJsonString(Schema.Unknown), text)
  const others = typeof value === "object" && value !== null
    ? unknownFields(value, known.get(schema) ?? new Set(Object.keys(value)))
    : []
  const problems = others.map(unknown)
  const decoded = yield* Effect.mapError(decode(schema, value), (wrong) => [...wrong, ...problems])
  return problems.length === 0 ? decoded : yield* Effect.fail(problems)
})

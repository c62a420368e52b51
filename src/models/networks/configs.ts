/**
 * What the `config.json` of a network in a diffusers folder says that its tensors do not: numbers of heads and groups,
 * and which activation. Fields that are missing leave it to the rules.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { AutoencoderOptions } from "./autoencoderKl.ts"
import type { ClipTextOptions } from "./clipText.ts"
import type { UNetSettings } from "./unetBlocks.ts"

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const optional = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))
const heads = Schema.Union([count, Schema.Array(count)])

const UNetConfig = Schema.Struct({
  block_out_channels: Schema.Array(count),
  norm_num_groups: optional(count),
  /** Numbers of heads, in spite of its name, as diffusers reads it. */
  attention_head_dim: optional(heads),
  num_attention_heads: optional(heads)
})

/** Settings of a UNet or ControlNet. */
export const unetSettings = (config: unknown): Effect.Effect<UNetSettings, Schema.SchemaError> =>
  Effect.map(Schema.decodeUnknownEffect(UNetConfig)(config), (config) => {
    const found = config.num_attention_heads ?? config.attention_head_dim
    return {
      groups: config.norm_num_groups ?? undefined,
      heads: typeof found === "number" ? config.block_out_channels.map(() => found) : found ?? undefined
    }
  })

const AutoencoderConfig = Schema.Struct({ norm_num_groups: optional(count) })

/** Settings of an autoencoder. */
export const autoencoderSettings = (
  config: unknown
): Effect.Effect<Pick<AutoencoderOptions, "groups">, Schema.SchemaError> =>
  Effect.map(Schema.decodeUnknownEffect(AutoencoderConfig)(config), ({ norm_num_groups }) => ({
    groups: norm_num_groups ?? undefined
  }))

const TextConfig = Schema.Struct({
  num_attention_heads: optional(count),
  hidden_act: optional(Schema.Literals(["gelu", "quick_gelu"]))
})

/** Settings of a text encoder. */
export const clipTextSettings = (
  config: unknown
): Effect.Effect<Pick<ClipTextOptions, "heads" | "activation">, Schema.SchemaError> =>
  Effect.map(Schema.decodeUnknownEffect(TextConfig)(config), ({ hidden_act, num_attention_heads }) => ({
    heads: num_attention_heads ?? undefined,
    activation: hidden_act ?? undefined
  }))

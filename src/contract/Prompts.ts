/**
 * What helps to write a prompt.
 */
import * as Schema from "effect/Schema"
import { Seed } from "../core/Seed.ts"

/** The prompts of a request, and what of it changes their tokens. */
export const TokenRequest = Schema.Struct({
  prompt: Schema.optional(Schema.String),
  negative_prompt: Schema.optional(Schema.String),
  /** Names of styles, which are merged into both prompts. */
  styles: Schema.optional(Schema.Array(Schema.String)),
  /** Whose tokenizer counts; by default the model of the settings. */
  model: Schema.optional(Schema.String),
  /** What dynamic prompts are drawn with; 0 where it is random or left out. */
  seed: Schema.optional(Seed),
  /** The setting `dynamic_prompts` decides by default. */
  dynamic_prompts: Schema.optional(Schema.Boolean)
}).annotate({ identifier: "TokenRequest" })
export type TokenRequest = typeof TokenRequest.Type

/** The tokens of a prompt; of its longest text where prompt editing or `AND` make several of it. */
export const TokenCount = Schema.Struct({
  /** Up to the end of the text: chunks before the last one count as full. */
  tokens: Schema.Int,
  /** Tokens that the chunks hold, 75 each. */
  capacity: Schema.Int,
  /** Tokens in each chunk. */
  chunks: Schema.Array(Schema.Int),
  /** Whether the text was drawn from a dynamic prompt: other seeds may give others. */
  dynamic: Schema.Boolean
}).annotate({ identifier: "TokenCount" })
export type TokenCount = typeof TokenCount.Type

export const TokenCounts = Schema.Struct({
  /** The model that was asked for. */
  model: Schema.String,
  prompt: TokenCount,
  negative_prompt: TokenCount
}).annotate({ identifier: "TokenCounts" })
export type TokenCounts = typeof TokenCounts.Type

export const SuggestionKind = Schema.Literals(["tag", "embedding", "lora", "wildcard"])

/** Something that a prompt may go on with. */
export const Suggestion = Schema.Struct({
  kind: SuggestionKind,
  /** What to write: `long hair`, `<lora:name:1>`, `__animals/dogs__`. */
  text: Schema.String,
  /** As the file of tags has it, or the name of the file. */
  name: Schema.String,
  /** The alias of a tag that fits, where its name does not. */
  alias: Schema.NullOr(Schema.String),
  /** The category of a tag, a number whose meaning depends on where the file of tags comes from. */
  category: Schema.NullOr(Schema.Int),
  /** How many images have the tag. */
  count: Schema.NullOr(Schema.Int)
}).annotate({ identifier: "Suggestion" })
export type Suggestion = typeof Suggestion.Type

export const Suggestions = Schema.Struct({
  /** What the suggestions take the place of: the query, or its last words. */
  query: Schema.String,
  suggestions: Schema.Array(Suggestion)
}).annotate({ identifier: "Suggestions" })
export type Suggestions = typeof Suggestions.Type

/** The name of a style or preset: one line, without spaces at its ends or `#` before it, which begins a comment. */
export const ShortName = Schema.String.check(
  Schema.isMaxLength(200),
  Schema.isPattern(/^[^\s#](?:.*\S)?$/)
)

/** A text of a style or a setting. */
const StyleText = Schema.String.check(Schema.isMaxLength(100_000))

export const SavedStyle = Schema.Struct({
  name: ShortName,
  /** `{prompt}` stands for the prompt; without it, the text goes behind the prompt. */
  prompt: StyleText,
  negative_prompt: StyleText
}).annotate({ identifier: "SavedStyle" })
export type SavedStyle = typeof SavedStyle.Type

/** What is removed. Names that were written by others may have any form. */
export const Removal = Schema.Struct({ name: Schema.String })

/** Most entries of a list. */
const mostEntries = 200

const SettingValue = Schema.NullOr(Schema.Union([
  Schema.Boolean,
  Schema.Finite,
  StyleText,
  Schema.Array(StyleText).check(Schema.isMaxLength(mostEntries))
]))

/** Named settings of a form. The server keeps them as they are. */
export const Preset = Schema.Struct({
  name: ShortName,
  settings: Schema.Record(ShortName, SettingValue)
}).annotate({ identifier: "Preset" })
export type Preset = typeof Preset.Type

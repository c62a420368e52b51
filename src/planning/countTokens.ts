/**
 * How many tokens the prompts of a request have, as the engine will encode them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Seed from "../core/Seed.ts"
import { readingOf } from "../model/Conditioner.ts"
import { fits } from "../model/Embedding.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { ModelNotFound, NetworkError } from "../model/ModelError.ts"
import { Models } from "../model/Models.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { Options } from "../processing/Options.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import type { StyleBook } from "../processing/StyleBook.ts"
import type { WildcardBook } from "../processing/WildcardBook.ts"
import { capacity, type FindInversion, type PromptChunk } from "../prompt/Chunks.ts"
import * as Encoding from "../prompt/Encoding.ts"
import * as Inversions from "../prompt/Inversions.ts"
import type { PromptSchedule } from "../prompt/PromptSchedule.ts"
import { findNetworks } from "./findNetworks.ts"
import { type Outline, outline } from "./plan.ts"
import type { PlanError } from "./Problems.ts"
import { stylesFor, wildcardsFor } from "./promptFacts.ts"
import { readNegative, readPrompt } from "./readPrompts.ts"

/** The longest text of a prompt, where editing or `AND` make several of it. */
export interface TokenCount {
  /** Up to the end of the text: chunks before the last count as full. */
  readonly tokens: number
  /** Tokens of all chunks. */
  readonly capacity: number
  /** Tokens in each chunk. */
  readonly chunks: ReadonlyArray<number>
  /** Whether the text was drawn from a dynamic prompt: other images may have others. */
  readonly dynamic: boolean
}

export interface TokenCounts {
  readonly model: LoadedModel
  readonly prompt: TokenCount
  readonly negativePrompt: TokenCount
}

/** Counts the tokens of a request's first pass. Dynamic prompts are drawn with its seed, or with 0 for a random one. */
export const countTokens = Effect.fn("countTokens")(
  function*(asked: Processing): Effect.fn.Return<
    TokenCounts,
    ModelNotFound | NetworkError | PlanError,
    CommandOptions | Models | Options | Scope.Scope | StyleBook | WildcardBook
  > {
    const { limits } = yield* CommandOptions
    const opts = Options.patched(yield* (yield* Options).snapshot, asked.override_settings)
    const { borrow, load } = yield* Models
    const model = yield* (borrow ?? load)(opts.sd_model_checkpoint, opts)
    const styles = yield* stylesFor(asked)
    const lookup = yield* wildcardsFor(asked, styles, opts)
    const seed = Seed.settled(asked.seed)
    const settled = yield* Effect.fromResult(outline({
      runId: "",
      processing: asked,
      model,
      opts,
      limits,
      source: undefined,
      upscalers: [],
      styles,
      drawing: lookup && { lookup, seed: seed === -1 ? 0 : seed }
    }))
    const { embeddings } = yield* findNetworks(model, settled, limits)
    const [{ vocabulary: reading }] = model.textEncoders
    const vocabulary = yield* reading
    const findInversion = yield* Inversions.finder(
      embeddings.filter((embedding) => fits(embedding, model.textEncoders)),
      vocabulary
    )
    const { negative, prompt } = yield* schedulesOf(settled, opts)
    const longest = Effect.fnUntraced(function*(name: keyof typeof settled.templates, of: Schedules) {
      const read = yield* encodings(of, {
        path: name === "prompt" ? "prompt" : "negative_prompt",
        most: limits.max_prompt_chunks,
        opts,
        vocabulary,
        findInversion
      })
      return { ...read, dynamic: settled.templates[name] !== undefined }
    })
    return {
      model,
      prompt: yield* longest("prompt", prompt),
      negativePrompt: yield* longest("negativePrompt", negative)
    }
  }
)

type Schedules = ReadonlyArray<PromptSchedule>

const schedulesOf = Effect.fnUntraced(function*({ levels, ...plan }: Outline, opts: OptionsSnapshot) {
  if (levels === undefined) return { prompt: [], negative: [] }
  const pass = { plan: { ...plan, levels }, levels, stepsBefore: undefined }
  const { parts } = yield* readPrompt(pass, opts)
  const { schedule } = yield* readNegative(pass, opts)
  return { prompt: [...new Set(parts.map(({ schedule }) => schedule))], negative: [schedule] }
})

const encodings = Effect.fnUntraced(function*(schedules: Schedules, { findInversion, most, opts, path, vocabulary }: {
  readonly path: "prompt" | "negative_prompt"
  readonly most: number
  readonly opts: OptionsSnapshot
  readonly vocabulary: Parameters<typeof Encoding.make>[1]
  readonly findInversion: FindInversion | undefined
}) {
  const texts = schedules.reduce((sum, schedule) => sum + schedule.texts.length, 0)
  const budget = { prompt: path, texts, most }
  let longest: Omit<TokenCount, "dynamic"> = { tokens: 0, capacity, chunks: [0] }
  for (const schedule of schedules) {
    const read = yield* Effect.mapError(
      Encoding.make(schedule, vocabulary, { ...readingOf(opts), budget, findInversion }),
      ({ message }) => new InvalidProcessing({ problems: [{ path, message }] })
    )
    for (const { chunks } of read.texts) {
      const count = countOf(chunks)
      if (count.tokens >= longest.tokens && count.capacity >= longest.capacity) longest = count
    }
  }
  return longest
})

const countOf = (chunks: ReadonlyArray<PromptChunk>) => {
  const used = chunks.map(({ used }) => used)
  const last = Math.max(0, used.findLastIndex((tokens) => tokens > 0))
  return { tokens: last * capacity + (used[last] ?? 0), capacity: chunks.length * capacity, chunks: used }
}

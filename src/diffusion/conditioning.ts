/**
 * From prompts to what a denoising network reads.
 *
 * Each distinct schedule of a prompt is encoded once, with all of its texts; which text holds at a call is looked up
 * while sampling. Facts: stable-diffusion-webui 1.10.1, `prompt_parser.py`, `sd_hijack_clip.py`.
 */
import * as Effect from "effect/Effect"
import type { LoadedModel, TextEncoder } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { PromptChunk } from "../prompt/Chunks.ts"
import * as Emphasis from "../prompt/Emphasis.ts"
import * as Encoding from "../prompt/Encoding.ts"
import type { NegativePrompt, Prompt } from "../prompt/Prompt.ts"
import { entryAt, type PromptSchedule } from "../prompt/PromptSchedule.ts"

/** A text as the network reads it. */
export interface Embedding {
  /** `[tokens, context]`. */
  readonly values: Float32Array
  /** `[pooled]`; empty for networks that read none. */
  readonly pooled: Float32Array
}

/** A prompt, or a part of one, over a run. */
export interface ScheduledConditioning {
  readonly weight: number
  readonly schedule: PromptSchedule
  /** In the order of the schedule's `texts`, all of `tokens` tokens. */
  readonly embeddings: ReadonlyArray<Embedding>
}

/** The conditioning of a batch. */
export interface Conditioning {
  /** The parts of the prompt; one at least. */
  readonly parts: ReadonlyArray<ScheduledConditioning>
  /** Tokens of every part. */
  readonly tokens: number
  /** Absent when there is no guidance. */
  readonly negative: ScheduledConditioning | undefined
  /** Tokens of the negative prompt, which may be others; 0 when there is none. */
  readonly negativeTokens: number
}

/** The place among a schedule's texts that a call of the network uses; calls are counted from 0. */
export const textAt = ({ schedule }: ScheduledConditioning, call: number): number => entryAt(schedule, call).index

/** Encodes a prompt and, where guidance uses it, the negative prompt. */
export const make = Effect.fn("conditioning")(function*(options: {
  readonly model: LoadedModel
  readonly opts: OptionsSnapshot
  readonly prompt: Prompt
  readonly negative: NegativePrompt | undefined
}): Effect.fn.Return<Conditioning, NetworkError> {
  const { model, negative, opts, prompt } = options
  const encoded = new Map<PromptSchedule, ReadonlyArray<Embedding>>()
  for (const { schedule } of prompt.parts) {
    if (!encoded.has(schedule)) encoded.set(schedule, yield* encode(model, opts, schedule))
  }
  const tokens = Math.max(...Array.from(encoded.values(), (texts) => tokensOf(model, texts)))
  const parts = prompt.parts.map(({ schedule, weight }) => ({
    weight,
    schedule,
    embeddings: (encoded.get(schedule) ?? []).map((embedding) => lengthened(model, embedding, tokens))
  }))
  if (negative === undefined) return { parts, tokens, negative: undefined, negativeTokens: 0 }

  const { schedule } = negative
  const embeddings = yield* encode(model, opts, schedule)
  // SDXL was trained to be led away from nothing at all, not from the embedding of an empty text.
  const isNothing = model.family.startsWith("sdxl") && schedule.texts.every((text) => text === "")
  return {
    parts,
    tokens,
    negative: {
      weight: 1,
      schedule,
      embeddings: isNothing
        ? embeddings.map(({ pooled, values }) => ({
          values: new Float32Array(values.length),
          pooled: new Float32Array(pooled.length)
        }))
        : embeddings
    },
    negativeTokens: tokensOf(model, embeddings)
  }
})

const tokensOf = ({ inputs }: LoadedModel, [first]: ReadonlyArray<Embedding>): number =>
  (first?.values.length ?? 0) / inputs.context

// The parts of one prompt go through the network together: of the shorter ones, the last token is repeated.
const lengthened = ({ inputs }: LoadedModel, embedding: Embedding, tokens: number): Embedding => {
  const { values } = embedding
  if (values.length === tokens * inputs.context) return embedding
  const longer = new Float32Array(tokens * inputs.context)
  longer.set(values)
  const last = values.subarray(values.length - inputs.context)
  for (let at = values.length; at < longer.length; at += last.length) longer.set(last, at)
  return { ...embedding, values: longer }
}

// The texts of a schedule, by all of the model's encoders, side by side.
const encode = Effect.fnUntraced(function*(model: LoadedModel, opts: OptionsSnapshot, schedule: PromptSchedule) {
  const sides: Array<ReadonlyArray<Embedding>> = []
  for (const [place, encoder] of model.textEncoders.entries()) {
    sides.push(yield* encodeBy(encoder, clipSkipOf(model, opts, place), opts, schedule))
  }
  const widths = model.textEncoders.map(({ width }) => width)
  return schedule.texts.map((_, text) => concatenated(sides.map((side) => side[text] ?? nothing), widths))
})

const nothing: Embedding = { values: new Float32Array(), pooled: new Float32Array() }

// SDXL's layers are those it was trained on, unless a setting says otherwise for the first encoder.
const clipSkipOf = (model: LoadedModel, opts: OptionsSnapshot, place: number): number =>
  model.family === "sd1" || (model.family === "sdxl" && place === 0 && opts.sdxl_clip_l_skip)
    ? opts.CLIP_stop_at_last_layers
    : 1

/**
 * The clip skip that infotexts may name: the setting's, or what the text encoder's file has layers for where that is
 * less.
 *
 * Families that the setting does not act on keep it in their infotexts, as in stable-diffusion-webui.
 */
export const actingClipSkip = Effect.fnUntraced(function*(model: LoadedModel, opts: OptionsSnapshot) {
  const { CLIP_stop_at_last_layers: asked } = opts
  return asked === 1 || clipSkipOf(model, opts, 0) === 1
    ? asked
    : Math.max(1, Math.min(asked, yield* model.textEncoders[0].largestClipSkip))
})

const encodeBy = Effect.fnUntraced(function*(
  encoder: TextEncoder,
  clipSkip: number,
  opts: OptionsSnapshot,
  schedule: PromptSchedule
) {
  const { chunkCount, texts } = Encoding.make(schedule, yield* encoder.vocabulary, {
    commaBacktrack: opts.comma_padding_backtrack,
    emphasis: opts.emphasis
  })
  const embeddings = texts.map((): { values: Float32Array; pooled: Float32Array } => ({
    values: new Float32Array(),
    pooled: new Float32Array()
  }))
  for (let place = 0; place < chunkCount; place++) {
    const portion: Array<Emphasis.EncodedChunk> = []
    for (const [text, { chunks, repeats }] of texts.entries()) {
      const chunk: PromptChunk | undefined = chunks[place]
      const embedding = embeddings[text]
      if (chunk === undefined || embedding === undefined) continue
      const { pooled, values } = yield* encoder.encode(chunk.ids, { clipSkip })
      if (place === 0) {
        embedding.values = new Float32Array(values.length * chunkCount)
        // The first portion's projection stands for the whole text.
        embedding.pooled = pooled
      }
      const part = embedding.values.subarray(place * values.length, (place + 1) * values.length)
      part.set(values)
      portion.push({ values: part, weights: chunk.weights, repeats })
    }
    Emphasis.apply(portion, opts.emphasis)
  }
  return embeddings
})

// Embeddings of one text as one, token by token; the last encoder's projection counts.
const concatenated = (sides: ReadonlyArray<Embedding>, widths: ReadonlyArray<number>): Embedding => {
  const [first = nothing] = sides
  if (sides.length === 1) return first
  const context = widths.reduce((sum, width) => sum + width, 0)
  const tokens = first.values.length / (widths[0] ?? 1)
  const values = new Float32Array(tokens * context)
  let column = 0
  for (const [i, side] of sides.entries()) {
    const width = widths[i] ?? 0
    for (let token = 0; token < tokens; token++) {
      values.set(side.values.subarray(token * width, (token + 1) * width), token * context + column)
    }
    column += width
  }
  return { values, pooled: sides.at(-1)?.pooled ?? nothing.pooled }
}

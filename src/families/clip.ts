/**
 * Texts as Stable Diffusion reads them: in chunks of 77 tokens, by CLIP text encoders whose states lie side by side.
 *
 * Each distinct schedule of a prompt is encoded once, with all of its texts; which text holds at a call is looked up
 * while sampling. Facts: stable-diffusion-webui 1.10.1, `prompt_parser.py`, `sd_hijack_clip.py`.
 */
import * as Effect from "effect/Effect"
import { inTurns, makePause, type Parts } from "../core/Work.ts"
import {
  type Conditioner,
  type Conditioning,
  type ConditioningRequest,
  type NamedTensors,
  type PlacedVectors,
  readingOf,
  type ScheduledConditioning,
  type TextEncoder,
  type TextEncoders
} from "../model/Conditioner.ts"
import type { Embedding } from "../model/Embedding.ts"
import type { NetworkError } from "../model/ModelError.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { PromptChunk } from "../prompt/Chunks.ts"
import * as Emphasis from "../prompt/Emphasis.ts"
import * as Encoding from "../prompt/Encoding.ts"
import * as Inversions from "../prompt/Inversions.ts"
import type { PromptSchedule } from "../prompt/PromptSchedule.ts"

// A text by all of a model's encoders.
interface EncodedText {
  /** `[tokens, width]`. */
  readonly values: Float32Array
  /** Empty without one. */
  readonly pooled: Float32Array
}

export interface ClipOptions {
  /** The clip skip of the first encoder; 1 when left out. The others have none. */
  readonly clipSkip?: (settings: OptionsSnapshot) => number
  /** Whether an empty negative prompt is zeros instead of the embedding of an empty text. */
  readonly emptyNegativeIsZero?: boolean
}

/** Reads texts as `encoder_hidden_states`, and as `text_embeds` where the last encoder has a projection. */
export const conditioner = ({ clipSkip = () => 1, emptyNegativeIsZero = false }: ClipOptions = {}): Conditioner => ({
  isSelfGuided: false,
  clipSkip,
  condition: Effect.fn("conditioning")(function*(
    encoders,
    { embeddings = [], mostChunks, negative, prompt, settings }
  ) {
    const skip = clipSkip(settings)
    const width = encoders.reduce((sum, encoder) => sum + encoder.width, 0)
    const schedules = Array.from(new Set(prompt.parts.map(({ schedule }) => schedule)))
    // All are read before the first is encoded: that takes hardly any time.
    const read = (prompt: Encoding.ChunkBudget["prompt"], schedules: ReadonlyArray<PromptSchedule>) => {
      const texts = schedules.reduce((sum, schedule) => sum + schedule.texts.length, 0)
      return readBy(encoders, settings, schedules, { prompt, texts, most: mostChunks }, embeddings)
    }
    const positiveTexts = yield* read("prompt", schedules)
    const negativeTexts = negative && (yield* read("negative_prompt", [negative.schedule]))

    const encoded: Array<ReadonlyArray<EncodedText>> = []
    for (const encodings of positiveTexts) encoded.push(yield* encode(encoders, skip, settings, encodings, embeddings))
    const longest = Math.max(...encoded.map(([first = nothing]) => first.values.length))
    const known = new Map(schedules.map((schedule, place) => [
      schedule,
      (encoded[place] ?? []).map((text) => named(lengthened(text, longest, width), width))
    ]))
    const parts = prompt.parts.map(({ schedule, weight }): ScheduledConditioning => ({
      weight,
      schedule,
      texts: known.get(schedule) ?? []
    }))
    if (negative === undefined) return { parts, negative: undefined }

    const { schedule } = negative
    const texts = yield* encode(encoders, skip, settings, negativeTexts?.[0] ?? [], embeddings)
    const isNothing = emptyNegativeIsZero && schedule.texts.every((text) => text === "")
    return {
      parts,
      negative: { weight: 1, schedule, texts: texts.map((text) => named(isNothing ? zeros(text) : text, width)) }
    }
  })
})

/** The same with further inputs, which stay the same over a run. */
export const withInputs = (
  plain: Conditioner,
  inputs: (request: ConditioningRequest) => { readonly prompt: NamedTensors; readonly negative: NamedTensors }
): Conditioner => {
  const added = (conditioning: ScheduledConditioning, more: NamedTensors): ScheduledConditioning => ({
    ...conditioning,
    texts: conditioning.texts.map((text) => ({ ...text, ...more }))
  })
  return {
    ...plain,
    condition: (encoders, request) =>
      Effect.map(plain.condition(encoders, request), ({ negative, parts }): Conditioning => {
        const more = inputs(request)
        return {
          parts: parts.map((part) => added(part, more.prompt)),
          negative: negative && added(negative, more.negative)
        }
      })
  }
}

const named = ({ pooled, values }: EncodedText, width: number): NamedTensors => ({
  encoder_hidden_states: { dims: [values.length / width, width], values },
  ...(pooled.length > 0 && { text_embeds: { dims: [pooled.length], values: pooled } })
})

const zeros = ({ pooled, values }: EncodedText): EncodedText => ({
  values: new Float32Array(values.length),
  pooled: new Float32Array(pooled.length)
})

// The parts of one prompt go through the network together: of the shorter ones, the last token is repeated.
const lengthened = (text: EncodedText, length: number, width: number): EncodedText => {
  const { values } = text
  if (values.length === length) return text
  const longer = new Float32Array(length)
  longer.set(values)
  const last = values.subarray(values.length - width)
  for (let at = values.length; at < longer.length; at += last.length) longer.set(last, at)
  return { ...text, values: longer }
}

// Each schedule as every encoder reads it.
const readBy = Effect.fnUntraced(function*(
  encoders: TextEncoders,
  settings: OptionsSnapshot,
  schedules: ReadonlyArray<PromptSchedule>,
  budget: Encoding.ChunkBudget,
  embeddings: ReadonlyArray<Embedding>
) {
  const options = { ...readingOf(settings), budget }
  const readers = yield* Effect.forEach(
    encoders,
    (encoder) =>
      Effect.flatMap(
        encoder.vocabulary,
        (vocabulary) =>
          Effect.map(Inversions.finder(embeddings, vocabulary), (findInversion) => ({ vocabulary, findInversion }))
      )
  )
  return yield* Effect.forEach(schedules, (schedule) =>
    Effect.forEach(
      readers,
      ({ findInversion, vocabulary }) => Encoding.make(schedule, vocabulary, { ...options, findInversion })
    ))
})

// The texts of a schedule, by all encoders, side by side.
const encode = Effect.fnUntraced(function*(
  encoders: TextEncoders,
  clipSkip: number,
  settings: OptionsSnapshot,
  encodings: ReadonlyArray<Encoding.Encoding>,
  embeddings: ReadonlyArray<Embedding>
): Effect.fn.Return<ReadonlyArray<EncodedText>, NetworkError> {
  const sides: Array<ReadonlyArray<EncodedText>> = []
  for (const [place, encoder] of encoders.entries()) {
    const encoding = encodings[place]
    if (encoding === undefined) continue
    const vectors = new Map(embeddings.map(({ id, name, rows }) => [name, { id, values: rows[place] ?? none }]))
    sides.push(yield* encodeBy(encoder, place === 0 ? clipSkip : 1, settings, encoding, vectors))
  }
  const widths = encoders.map(({ width }) => width)
  return yield* Effect.forEach(
    encodings[0]?.texts ?? [],
    (_, text) => inTurns(() => concatenating(sides.map((side) => side[text] ?? nothing), widths))
  )
})

const nothing: EncodedText = { values: new Float32Array(), pooled: new Float32Array() }

const none = new Float32Array()

const encodeBy = Effect.fnUntraced(function*(
  encoder: TextEncoder,
  clipSkip: number,
  settings: OptionsSnapshot,
  { chunkCount, texts }: Encoding.Encoding,
  vectors: ReadonlyMap<string, Omit<PlacedVectors, "at">>
) {
  const encoded = texts.map((): { values: Float32Array; pooled: Float32Array } => ({ ...nothing }))
  // Chunks that were encoded before are there at once, and a long prompt can be thousands of the same.
  const pause = yield* makePause
  for (let place = 0; place < chunkCount; place++) {
    const portion: Array<Emphasis.EncodedChunk> = []
    for (const [text, { chunks, repeats }] of texts.entries()) {
      const chunk: PromptChunk | undefined = chunks[place]
      const own = encoded[text]
      if (chunk === undefined || own === undefined) continue
      const placed = placedIn(chunk, encoder.width, vectors)
      const { pooled, values } = yield* encoder.encode(chunk.ids, { clipSkip, placed })
      if (place === 0) {
        own.values = new Float32Array(values.length * chunkCount)
        // The first portion's projection stands for the whole text.
        own.pooled = pooled
      }
      const part = own.values.subarray(place * values.length, (place + 1) * values.length)
      part.set(values)
      portion.push({ values: part, weights: chunk.weights, repeats })
    }
    Emphasis.apply(portion, settings.emphasis)
    yield* pause
  }
  return encoded
})

const placedIn = (
  { inversions }: PromptChunk,
  width: number,
  all: ReadonlyMap<string, Omit<PlacedVectors, "at">>
): ReadonlyArray<PlacedVectors> =>
  inversions.flatMap(({ at, inversion, vectors }) => {
    const known = all.get(inversion.name)
    return known === undefined ? [] : [{ at, id: known.id, values: known.values.subarray(0, vectors * width) }]
  })

/** Tokens that are copied in one part. */
const tokensAtOnce = 1024

// What the encoders made of one text as one, token by token; the last encoder's projection counts.
function* concatenating(sides: ReadonlyArray<EncodedText>, widths: ReadonlyArray<number>): Parts<EncodedText> {
  const [first = nothing] = sides
  if (sides.length === 1) return first
  const context = widths.reduce((sum, width) => sum + width, 0)
  const tokens = first.values.length / (widths[0] ?? 1)
  const values = new Float32Array(tokens * context)
  let column = 0
  for (const [i, side] of sides.entries()) {
    const width = widths[i] ?? 0
    for (let token = 0; token < tokens; token++) {
      if (token % tokensAtOnce === 0) yield
      values.set(side.values.subarray(token * width, (token + 1) * width), token * context + column)
    }
    column += width
  }
  return { values, pooled: sides.at(-1)?.pooled ?? nothing.pooled }
}

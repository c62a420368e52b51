/**
 * What a text encoder is asked for: the texts of one schedule, each once, as chunks.
 *
 * One `Encoding` is one call as stable-diffusion-webui 1.10.1 makes it. Texts of one call have the same number of
 * chunks, and emphasis acts on all of them together, chunk by chunk.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import { inTurns } from "../core/Work.ts"
import * as Attention from "./Attention.ts"
import * as Chunks from "./Chunks.ts"
import type { Emphasis } from "./Emphasis.ts"
import type { PromptSchedule } from "./PromptSchedule.ts"

/** A text of a schedule. */
export interface EncodedText {
  readonly text: string
  readonly chunks: ReadonlyArray<Chunks.PromptChunk>
  /** How many entries of the schedule have this text. */
  readonly repeats: number
}

export interface Encoding {
  /** In the order of the schedule's `texts`: an entry's `index` leads here. */
  readonly texts: ReadonlyArray<EncodedText>
  /** Chunks of every text. */
  readonly chunkCount: number
}

/** What all texts of a prompt may take; each counts as many chunks as the longest has. */
export interface ChunkBudget {
  readonly prompt: "prompt" | "negative_prompt"
  /** Distinct texts of all its schedules. */
  readonly texts: number
  /** Most chunks of all of them. */
  readonly most: number
}

/** A prompt whose texts take more chunks than its budget has. */
export class TooManyChunks extends Schema.TaggedError<TooManyChunks>()("TooManyChunks", {
  prompt: Schema.Literals(["prompt", "negative_prompt"]),
  texts: Schema.Int,
  /** Of the longest text that was read. */
  chunks: Schema.Int,
  most: Schema.Int
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const { chunks, most, texts } = this
    const total = `${texts * chunks} chunks of 77 tokens, over the limit of ${most}`
    return texts === 1
      ? `its text takes ${total}`
      : `${texts} texts (prompt editing, AND) of up to ${chunks === 1 ? "1 chunk" : `${chunks} chunks`} take ${total}`
  }
}

export interface EncodingOptions extends Chunks.PackOptions {
  /** `Original`, when left out. */
  readonly emphasis?: Emphasis | undefined
  /** Without bounds when left out. */
  readonly budget?: ChunkBudget | undefined
}

/**
 * The texts of a schedule in chunks, the shorter ones filled up with empty chunks. One text is read after the other, in
 * turns with other fibers, up to the first that is too long for the budget.
 */
export const make = Effect.fnUntraced(function*(
  schedule: PromptSchedule,
  vocabulary: Chunks.Vocabulary,
  options: EncodingOptions = {}
): Effect.fn.Return<Encoding, TooManyChunks> {
  const { budget } = options
  const texts: Array<EncodedText> = []
  for (const [i, text] of schedule.texts.entries()) {
    const pieces = yield* inTurns(() => Attention.parsing(text, options.emphasis))
    const written = Array.from(new Set(pieces.flatMap((piece) => Attention.isBreak(piece) ? [] : [piece.text])))
    const ids = yield* vocabulary.encode(written)
    const known = new Map(written.map((text, place) => [text, ids[place] ?? []] as const))
    const words = { ...vocabulary, encode: (text: string) => known.get(text) ?? [] }
    const chunks = yield* inTurns(() => Chunks.packing(pieces, words, options))
    if (budget !== undefined && budget.texts * chunks.length > budget.most) {
      return yield* new TooManyChunks({ ...budget, chunks: chunks.length })
    }
    texts.push({ text, chunks, repeats: schedule.repeats[i] ?? 0 })
  }
  return padded({ texts, chunkCount: texts.reduce((most, { chunks }) => Math.max(most, chunks.length), 1) }, vocabulary)
})

const padded = ({ chunkCount, texts }: Encoding, special: Chunks.SpecialIds): Encoding => ({
  texts: texts.map((text) => ({ ...text, chunks: Chunks.pad(text.chunks, chunkCount, special) })),
  chunkCount
})

/** Encodings filled up with empty chunks to one length, for networks that read all of them at once. */
export const align = (encodings: ReadonlyArray<Encoding>, special: Chunks.SpecialIds): ReadonlyArray<Encoding> => {
  const chunkCount = encodings.reduce((most, encoding) => Math.max(most, encoding.chunkCount), 1)
  return encodings.map(({ texts }) => padded({ texts, chunkCount }, special))
}

/**
 * Chunks: the pieces of a text as token ids, in the portions of 77 that a CLIP text encoder reads
 * (stable-diffusion-webui 1.10.1).
 */
import type * as Effect from "effect/Effect"
import type { Parts } from "../core/Work.ts"
import { isBreak, type Piece } from "./Attention.ts"

/** Token ids that have a meaning of their own. */
export interface SpecialIds {
  /** The last id of ",". */
  readonly comma: number
  readonly start: number
  readonly end: number
  /**
   * What follows the first end token: the end token itself, or another (0) for Stable Diffusion 2 and XL's second
   * encoder.
   */
  readonly padding: number
}

/** A tokenizer: token ids of texts, and its special tokens. */
export interface Vocabulary extends SpecialIds {
  /** Ids of each of some texts alone, without start and end. It does not hold up other fibers. */
  readonly encode: (texts: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<ArrayLike<number>>>
}

/** Tokens of the prompt in a chunk. */
export const capacity = 75

/** A textual inversion that was found in a text: `tokens` ids of its name stand for `vectors` embeddings. */
export interface Inversion {
  readonly name: string
  readonly tokens: number
  readonly vectors: number
}

/** Finds the textual inversion whose name begins at a place of a piece's ids. */
export type FindInversion = (ids: ArrayLike<number>, place: number) => Inversion | undefined

/** A textual inversion in a chunk: its first `vectors` vectors replace the embeddings from the position `at` on. */
export interface PlacedInversion {
  readonly inversion: Inversion
  readonly at: number
  readonly vectors: number
}

/** Token ids of texts that are known already. */
export interface Words extends SpecialIds {
  readonly encode: (text: string) => ArrayLike<number>
}

/** One portion of a text. */
export interface PromptChunk {
  /** 77 ids: start, prompt, end and padding. */
  readonly ids: ReadonlyArray<number>
  /** 77 weights; start, end and padding have 1. */
  readonly weights: ReadonlyArray<number>
  /** How many ids are the prompt's. */
  readonly used: number
  readonly inversions: ReadonlyArray<PlacedInversion>
}

export interface PackOptions {
  /**
   * A full chunk is cut after its last comma if that is at most so many positions away from the end; 0 for never. 20
   * when left out.
   */
  readonly commaBacktrack?: number | undefined
  readonly findInversion?: FindInversion | undefined
}

interface OpenChunk {
  readonly ids: Array<number>
  readonly weights: Array<number>
  readonly inversions: Array<PlacedInversion>
}

/** Packs pieces into chunks, one at least. The work pauses after each piece and after some chunks. */
export function* packing(
  pieces: ReadonlyArray<Piece>,
  vocabulary: Words,
  { commaBacktrack = 20, findInversion }: PackOptions = {}
): Parts<ReadonlyArray<PromptChunk>> {
  const chunks: Array<PromptChunk> = []
  const nothing = empty(vocabulary)
  let open: OpenChunk = { ids: [], weights: [], inversions: [] }
  let lastComma: number | undefined
  const close = (next: OpenChunk = { ids: [], weights: [], inversions: [] }) => {
    chunks.push(open.ids.length === 0 ? nothing : seal(open, vocabulary))
    open = next
    lastComma = undefined
  }
  for (const piece of pieces) {
    if (isBreak(piece)) {
      close()
      yield
      continue
    }
    const ids = vocabulary.encode(piece.text)
    for (let place = 0; place < ids.length;) {
      if (open.ids.length === 0 && chunks.length % 32 === 0) yield
      const id = ids[place] ?? vocabulary.padding
      if (id === vocabulary.comma) lastComma = open.ids.length
      else if (open.ids.length === capacity && lastComma !== undefined && capacity - lastComma <= commaBacktrack) {
        close(cut(open, lastComma + 1))
      }
      if (open.ids.length === capacity) close()

      const inversion = findInversion?.(ids, place)
      if (inversion === undefined) {
        open.ids.push(id)
        open.weights.push(piece.weight)
        place++
        continue
      }
      const vectors = Math.min(capacity, inversion.vectors)
      if (open.ids.length + vectors > capacity) close()
      open.inversions.push({ inversion, at: open.ids.length + 1, vectors })
      for (let i = 0; i < vectors; i++) {
        open.ids.push(0)
        open.weights.push(piece.weight)
      }
      place += Math.max(1, inversion.tokens)
    }
    yield
  }
  if (open.ids.length > 0 || chunks.length === 0) close()
  return chunks
}

// Takes everything from `place` on out of a chunk.
const cut = ({ ids, inversions, weights }: OpenChunk, place: number): OpenChunk => {
  const kept = inversions.filter(({ at }) => at <= place).length
  return {
    ids: ids.splice(place),
    weights: weights.splice(place),
    inversions: inversions.splice(kept).map(({ at, inversion, vectors }) => ({ inversion, at: at - place, vectors }))
  }
}

const seal = (chunk: OpenChunk, { end, padding, start }: SpecialIds): PromptChunk => {
  const used = chunk.ids.length
  const filling = Array.from({ length: capacity - used + 1 }, () => end)
  const ids = [start, ...chunk.ids, ...filling]
  if (padding !== end) ids.fill(padding, ids.indexOf(end) + 1)
  return { ids, weights: [1, ...chunk.weights, ...filling.map(() => 1)], used, inversions: chunk.inversions }
}

/** The chunk of an empty text. */
export const empty = (special: SpecialIds): PromptChunk => seal({ ids: [], weights: [], inversions: [] }, special)

/** With empty chunks at the end, up to `count`. */
export const pad = (
  chunks: ReadonlyArray<PromptChunk>,
  count: number,
  special: SpecialIds
): ReadonlyArray<PromptChunk> => {
  if (chunks.length >= count) return chunks
  const filling = empty(special)
  return [...chunks, ...Array.from({ length: count - chunks.length }, () => filling)]
}

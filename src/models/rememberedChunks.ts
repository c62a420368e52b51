/**
 * What a text encoder made of ids before, remembered: most texts of a run, and of the next one, were there already.
 */
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import type { EncodedChunk, PlacedVectors, TextEncoder } from "../model/Conditioner.ts"
import type { NetworkError } from "../model/ModelError.ts"
import * as metrics from "./metrics.ts"
import { onlySuccess } from "./opening.ts"

/** Embeddings that each encoder caches. One of Stable Diffusion 1.5's is 230 kB. */
const capacity = 64

export interface EncoderInput {
  readonly ids: ReadonlyArray<number>
  readonly clipSkip: number
  /** Vectors of embeddings that take the places of ids. */
  readonly placed: ReadonlyArray<PlacedVectors>
  /** Of the adapters over the encoder's weights, in their order. */
  readonly strengths: ReadonlyArray<number>
}

/** Encodes ids as a text encoder does, at the strengths of adapters. */
type Encode = (
  ids: ReadonlyArray<number>,
  options: Parameters<TextEncoder["encode"]>[1] & { readonly strengths?: ReadonlyArray<number> }
) => Effect.Effect<EncodedChunk, NetworkError>

/** `encode` of a text encoder, on one that encodes anew each time and is given a clip skip that its file has. */
export const make = Effect.fnUntraced(function*(
  encode: (input: EncoderInput) => Effect.Effect<EncodedChunk, NetworkError>,
  largestClipSkip: TextEncoder["largestClipSkip"]
): Effect.fn.Return<Encode> {
  const chunks = yield* Cache.makeWith(({ input }: Key) => encode(input), { capacity, timeToLive: onlySuccess })
  return Effect.fnUntraced(function*(ids, { clipSkip, placed = [], strengths = [] }) {
    const largest = clipSkip <= 1 ? 1 : yield* largestClipSkip
    const key = new Key({ ids: [...ids], clipSkip: Math.max(1, Math.min(largest, clipSkip)), placed, strengths })
    yield* metrics.lookedUp("embedding", yield* Cache.has(chunks, key))
    return yield* Cache.get(chunks, key)
  })
})

// The cache compares its keys by what they say: vectors by whose they are.
class Key implements Equal.Equal {
  readonly input: EncoderInput
  readonly text: string

  constructor(input: EncoderInput) {
    const { clipSkip, ids, placed, strengths } = input
    this.input = input
    this.text = JSON.stringify([clipSkip, strengths, ids, placed.map(({ at, id, values }) => [at, values.length, id])])
  }

  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof Key && that.text === this.text
  }

  [Hash.symbol](): number {
    return Hash.string(this.text)
  }
}

/**
 * What a text encoder made of ids before, remembered: most texts of a run, and of the next one, were there already.
 */
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import type { EncodedChunk, TextEncoder } from "../model/Conditioner.ts"
import type { NetworkError } from "../model/ModelError.ts"
import * as metrics from "./metrics.ts"
import { onlySuccess } from "./opening.ts"

/** Embeddings that each encoder caches. One of Stable Diffusion 1.5's is 230 kB. */
const capacity = 64

export interface EncoderInput {
  readonly ids: ReadonlyArray<number>
  readonly clipSkip: number
}

/** `encode` of a text encoder, on one that encodes anew each time and is given a clip skip that its file has. */
export const make = Effect.fnUntraced(function*(
  encode: (input: EncoderInput) => Effect.Effect<EncodedChunk, NetworkError>,
  largestClipSkip: TextEncoder["largestClipSkip"]
): Effect.fn.Return<TextEncoder["encode"]> {
  const chunks = yield* Cache.makeWith((key: string) => encode(inputOf(key)), { capacity, timeToLive: onlySuccess })
  return Effect.fnUntraced(function*(ids, { clipSkip }) {
    const largest = clipSkip <= 1 ? 1 : yield* largestClipSkip
    const key = cacheKey({ ids, clipSkip: Math.max(1, Math.min(largest, clipSkip)) })
    yield* metrics.lookedUp("embedding", yield* Cache.has(chunks, key))
    return yield* Cache.get(chunks, key)
  })
})

// The cache compares its keys by value, and must not see an array that changes.
const cacheKey = ({ clipSkip, ids }: EncoderInput) => `${clipSkip} ${ids.join(" ")}`
const inputOf = (key: string): EncoderInput => {
  const [clipSkip = 1, ...ids] = key.split(" ").map(Number)
  return { clipSkip, ids }
}

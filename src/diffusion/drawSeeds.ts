/**
 * The seeds that a request leaves to chance.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { isVaried, largestRandomSeed, type Seeds } from "../planning/seeds.ts"
import type { Processing } from "../processing/Processing.ts"

const drawn = (seed: number) => seed === -1 ? Random.nextIntBetween(0, largestRandomSeed) : Effect.succeed(seed)

/** Seed and variation seed of a request, drawn where it names none: the variation seed last, and only where it acts. */
export const drawSeeds: (processing: Processing) => Effect.Effect<Seeds> = Effect.fnUntraced(function*(processing) {
  const seed = yield* drawn(processing.seed)
  const subseed = isVaried(processing) ? yield* drawn(processing.subseed) : Math.max(0, processing.subseed)
  return { seed, subseed }
})

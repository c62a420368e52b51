/**
 * The seeds that a request leaves to chance.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Seed from "../core/Seed.ts"
import { isVaried, largestRandomSeed, type Seeds } from "../planning/seeds.ts"
import type { Processing } from "../processing/Processing.ts"

const drawn = (seed: Seed.Seed): Effect.Effect<Seed.Seed> =>
  seed === -1 ? Random.nextIntBetween(0, largestRandomSeed) : Effect.succeed(seed)

/** Seed and variation seed of a request, drawn where it names none: the variation seed last, and only where it acts. */
export const drawSeeds: (processing: Processing) => Effect.Effect<Seeds> = Effect.fnUntraced(function*(processing) {
  const seed = yield* drawn(Seed.settled(processing.seed))
  const given = Seed.settled(processing.subseed)
  const subseed = isVaried(processing) ? yield* drawn(given) : given === -1 ? 0 : given
  return { seed, subseed }
})

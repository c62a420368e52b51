/**
 * The seeds that a request leaves to chance.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Seed from "../core/Seed.ts"
import { firstSeeds, isVaried, largestRandomSeed, type Seeds } from "../planning/seeds.ts"
import type { Processing } from "../processing/Processing.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

const drawn = (seed: Seed.Seed, known: Seed.Seed | undefined): Effect.Effect<Seed.Seed> =>
  seed !== -1
    ? Effect.succeed(seed)
    : known === undefined
    ? Random.nextIntBetween(0, largestRandomSeed)
    : Effect.succeed(known)

/**
 * Seed and variation seed of a request, drawn where it names none: the variation seed last, and only where it acts. A
 * run that goes on keeps those that were drawn when it began.
 */
export const drawSeeds = Effect.fnUntraced(function*(
  processing: Processing
): Effect.fn.Return<Seeds, never, RuntimeContext> {
  const { state: { finished: [image] } } = yield* RuntimeContext
  const known = image && firstSeeds(processing, image, image.index)
  const seed = yield* drawn(Seed.settled(processing.seed), known?.seed)
  const given = Seed.settled(processing.subseed)
  const subseed = isVaried(processing) ? yield* drawn(given, known?.subseed) : given === -1 ? 0 : given
  return { seed, subseed }
})

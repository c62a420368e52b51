/**
 * The seeds that a request leaves to chance.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Seed from "../core/Seed.ts"
import type { Processing } from "../processing/Processing.ts"
import type { ImagePlan } from "./RunPlan.ts"
import { firstSeeds, isVaried, largestRandomSeed, type Seeds } from "./seeds.ts"

const drawn = (seed: Seed.Seed, known: Seed.Seed | undefined): Effect.Effect<Seed.Seed> =>
  seed !== -1
    ? Effect.succeed(seed)
    : known === undefined
    ? Random.nextIntBetween(0, largestRandomSeed)
    : Effect.succeed(known)

/**
 * Seed and variation seed of a request, drawn where it names none: the variation seed last, and only where it acts.
 *
 * @param made An image that an earlier attempt at the run has made: then the seeds are those that it was made with.
 */
export const drawSeeds = Effect.fnUntraced(function*(
  processing: Processing,
  made?: Pick<ImagePlan, "index" | "seed" | "subseed">
): Effect.fn.Return<Seeds> {
  const known = made && firstSeeds(processing, made, made.index)
  const seed = yield* drawn(Seed.settled(processing.seed), known?.seed)
  const given = Seed.settled(processing.subseed)
  const subseed = isVaried(processing) ? yield* drawn(given, known?.subseed) : given === -1 ? 0 : given
  return { seed, subseed }
})

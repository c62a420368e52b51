/**
 * The seeds of a request's images.
 */
import type { Processing } from "../processing/Processing.ts"
import type { Problems } from "./Problems.ts"

/** Largest seed that is drawn at random, as in stable-diffusion-webui. */
export const largestRandomSeed = 4_294_967_293

/** Seed and variation seed of the first image. */
export interface Seeds {
  readonly seed: number
  readonly subseed: number
}

/** Whether the variation seed changes anything. It is drawn only then, so that a seed alone settles all of an image. */
export const isVaried = ({ subseed_strength }: Processing): boolean => subseed_strength !== 0

/** Seeds so large that two images would get one: beyond the safe integers. */
export const seedProblems = ({ batch_size, n_iter, seed, subseed }: Processing): Problems => {
  const largest = Number.MAX_SAFE_INTEGER - (batch_size * n_iter - 1)
  return Object.entries({ seed, subseed }).flatMap(([path, value]) =>
    value <= largest ? [] : [{ path, message: `${value} is over ${largest}, the largest for so many images` }]
  )
}

/** Seeds of an image: with a variation, the variation seed alone changes from image to image. */
export const imageSeeds = (processing: Processing, { seed, subseed }: Seeds, index: number): Seeds => ({
  seed: isVaried(processing) ? seed : seed + index,
  subseed: subseed + index
})

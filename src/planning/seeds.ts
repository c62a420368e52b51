/**
 * The seeds of a request's images.
 */
import * as Seed from "../core/Seed.ts"
import type { Processing } from "../processing/Processing.ts"
import type { Problems } from "./Problems.ts"

/** Largest seed that is drawn at random, as in stable-diffusion-webui. */
export const largestRandomSeed = 4_294_967_293

/** Seed and variation seed of the first image. */
export interface Seeds {
  readonly seed: Seed.Seed
  readonly subseed: Seed.Seed
}

/** Whether the variation seed changes anything. It is drawn only then, so that a seed alone settles all of an image. */
export const isVaried = ({ subseed_strength }: Processing): boolean => subseed_strength !== 0

/** A seed so large that later images, which count up from it, would have none. */
export const seedProblems = (processing: Processing): Problems => {
  const { batch_size, n_iter, seed, subseed } = processing
  const largest = Seed.largest - BigInt(batch_size * n_iter - 1)
  const [path, counted] = isVaried(processing) ? ["subseed", subseed] as const : ["seed", seed] as const
  return counted <= largest
    ? []
    : [{ path, message: `${counted} is over ${largest}, the largest for ${batch_size * n_iter} images` }]
}

/** Seeds of the first image, from those of another. */
export const firstSeeds = (processing: Processing, { seed, subseed }: Seeds, index: number): Seeds => ({
  seed: isVaried(processing) ? seed : Seed.plus(seed, -index),
  subseed: Seed.plus(subseed, -index)
})

/** Seeds of an image: with a variation, the variation seed alone changes from image to image. */
export const imageSeeds = (processing: Processing, { seed, subseed }: Seeds, index: number): Seeds => ({
  seed: isVaried(processing) ? seed : Seed.plus(seed, index),
  subseed: Seed.plus(subseed, index)
})

/**
 * What prepare made of a request: every choice that was left open is settled, nothing is computed yet.
 *
 * `execute` follows it to the letter, so the state alone says which pictures will come out.
 */
import type { Processing } from "./Processing.ts"

/** One picture to be made. */
export interface ImagePlan {
  /** Position among all pictures of the request, from 0. */
  readonly index: number
  readonly seed: number
  readonly prompt: string
  readonly negativePrompt: string
  /** The text that will be stored in the picture, see `Infotext`. */
  readonly infotext: string
}

export interface ProcessingState {
  readonly runId: string
  readonly processing: Processing
  /** Size in pixels, settled and a multiple of what the model needs. */
  readonly width: number
  readonly height: number
  /** The sampler's own name, whichever alias was asked for. */
  readonly sampler: string
  /** The schedule's label; `Automatic` if the choice is the sampler's. */
  readonly scheduler: string
  /** Rounds of pictures that are sampled together. */
  readonly batches: ReadonlyArray<ReadonlyArray<ImagePlan>>
  /** What the user should know: a prompt that was cut, for instance. */
  readonly warnings: ReadonlyArray<string>
}

/**
 * What prepare made of a request: every choice that was left open is settled, nothing is computed yet.
 *
 * `execute` follows it to the letter, so the state alone says which pictures will come out.
 */
import type { Region } from "../core/Geometry.ts"
import type { Grey, Raster } from "../core/Raster.ts"
import type { Processing } from "../processing/Processing.ts"

/** One picture to be made. */
export interface ImagePlan {
  /** Position among all pictures of the request, from 0. */
  readonly index: number
  readonly seed: number
  /** Its variation seed, used or not. */
  readonly subseed: number
  /** As infotexts show it: styles merged, comments cut. */
  readonly prompt: string
  readonly negativePrompt: string
  /** The text that will be stored in the picture, see `Infotext`. */
  readonly infotext: string
}

/** How latents are sampled once: the only pass of a request, or one of two. */
export interface PassPlan {
  /** Size in pixels, settled and a multiple of what the model needs. */
  readonly width: number
  readonly height: number
  /** The sampler's own name, whichever alias was asked for. */
  readonly sampler: string
  /** The schedule's label; `Automatic` if the choice is the sampler's. */
  readonly scheduler: string
  readonly steps: number
  readonly prompt: string
  readonly negativePrompt: string
}

/** The second pass of hires fix. */
export interface HiresPlan extends PassPlan {
  /** Size to which the first pass is enlarged, in pixels; what is more than the pass's own size is cut off. */
  readonly enlarged: { readonly width: number; readonly height: number }
  /** A latent upscale mode, or an upscaler. */
  readonly upscaler: string
  readonly isLatent: boolean
  readonly denoisingStrength: number
  /** Model of this pass; absent for the same. */
  readonly checkpoint: string | undefined
}

/** A model that takes over before the end. */
export interface RefinerPlan {
  readonly checkpoint: string
  /** From which share of the steps on. */
  readonly switchAt: number
}

/** What img2img starts from. */
export interface SourcePlan {
  /** RGB, one for the batch or one for each picture of it; in the size of the pass, unless latents are stretched. */
  readonly images: readonly [Raster, ...ReadonlyArray<Raster>]
  /** What is laid over the results: the pictures as they came, transparent under the mask. Empty without a mask. */
  readonly overlays: ReadonlyArray<Raster>
  readonly denoisingStrength: number
  /** Absent without a mask, or when it leaves nothing to be made. */
  readonly mask: MaskPlan | undefined
}

export interface MaskPlan {
  /** White where the picture is made anew; grey, in the size of the pass. */
  readonly pass: Grey
  /** The same for laying the rest over the result, in the size of the overlays. */
  readonly overlay: Grey
  /** What is cut out and put back; absent for the whole. */
  readonly region: Region | undefined
}

export interface ProcessingState extends PassPlan {
  readonly runId: string
  readonly processing: Processing
  readonly hires: HiresPlan | undefined
  readonly refiner: RefinerPlan | undefined
  readonly source: SourcePlan | undefined
  readonly seamless: boolean
  /** What is asked of the text encoders: 1 is their last layer. */
  readonly clipSkip: number
  readonly model: { readonly name: string; readonly hash: string | undefined; readonly isInpainting: boolean }
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Rounds of pictures that are sampled together. */
  readonly batches: ReadonlyArray<ReadonlyArray<ImagePlan>>
  /** What the user should know: a tag that nobody knows, for instance. */
  readonly warnings: ReadonlyArray<string>
}

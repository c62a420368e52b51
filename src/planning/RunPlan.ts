/**
 * The plan of a run: every choice that a request leaves open is settled, nothing is computed yet.
 *
 * `execute` follows the plan to the letter, so the plan alone says which images will come out.
 */
import * as Effect from "effect/Effect"
import type { Region, Size } from "../core/Geometry.ts"
import type { Grey, Raster } from "../core/Raster.ts"
import type { Seed } from "../core/Seed.ts"
import type { PlotLabels } from "../images/Plot.ts"
import type { InterpolationMode } from "../images/Resample.ts"
import type { AdapterUse } from "../model/Adapter.ts"
import type { Embedding } from "../model/Embedding.ts"
import type { ControlUnit } from "../processing/ControlUnit.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import type { Sampler } from "../sampling/Sampler.ts"
import type { Scheduler } from "../sampling/Schedules.ts"
import type { PassLevels } from "./levels.ts"

/** One image to be made. */
export interface ImagePlan {
  /** Position among all images of the request, from 0. */
  readonly index: number
  readonly seed: Seed
  /** Its variation seed, used or not. */
  readonly subseed: Seed
  /** As infotexts show it: styles merged, comments cut. */
  readonly prompt: string
  readonly negativePrompt: string
  /**
   * The text that will be stored in the image, see `Infotext`; without hashes until the plan has them. Empty where
   * another server writes it.
   */
  readonly infotext: string
}

/** One of Serena's samplers, or one that only another server has: then its name is all that is known. */
export type PlannedSampler = Sampler | { readonly name: string }

/** One of Serena's schedulers, or one that only another server has. */
export type PlannedScheduler = Scheduler | { readonly label: string }

/** How latents are sampled once: the only pass of a request, or one of two. */
export interface PassPlan {
  /** Size in pixels, settled and a multiple of what the model needs. */
  readonly width: number
  readonly height: number
  readonly sampler: PlannedSampler
  /** As it was asked for; `Automatic` if the choice is the sampler's. */
  readonly scheduler: PlannedScheduler
  readonly steps: number
  readonly prompt: string
  readonly negativePrompt: string
  /** The noise levels to walk; absent where another server samples. */
  readonly levels: PassLevels | undefined
  /** What the tags of its prompt ask for, each file once. */
  readonly adapters: ReadonlyArray<AdapterUse>
}

/** The second pass of hires fix. */
export interface HiresPlan extends PassPlan {
  /** Size to which the first pass is enlarged, in pixels; what is more than the pass's own size is cut off. */
  readonly enlarged: Size
  /** A latent upscale mode's name, or an upscaler's. */
  readonly upscaler: string
  /** How latents are enlarged; absent where an upscaler enlarges images. */
  readonly latentMode: InterpolationMode | undefined
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
  readonly denoisingStrength: number
  /** Whether a mask leaves something to be made. */
  readonly isMasked: boolean
  /** Images and mask, ready for the pass; absent where another server prepares them. */
  readonly pixels: SourcePixels | undefined
}

/** The images that img2img starts from, prepared for its pass. */
export interface SourcePixels {
  /** RGB, one for the batch or one for each image of it; in the size of the pass, unless latents are stretched. */
  readonly images: readonly [Raster, ...ReadonlyArray<Raster>]
  /** What is laid over the results: the images as they came, transparent under the mask. Empty without a mask. */
  readonly overlays: ReadonlyArray<Raster>
  /** Absent without a mask, or when it leaves nothing to be made. */
  readonly mask: MaskPlan | undefined
}

export interface MaskPlan {
  /** White areas are regenerated; grey, in the size of the pass. */
  readonly pass: Grey
  /** The same for laying the rest over the result, in the size of the overlays. */
  readonly overlay: Grey
  /** What is cut out and put back; absent for the whole image. */
  readonly region: Region | undefined
}

/** A ControlNet that acts in a run. */
export interface ControlPlan {
  /** Place of its unit in the request. */
  readonly index: number
  /** Without its images. */
  readonly unit: Omit<ControlUnit, "image" | "mask">
  /** The ControlNet's name with its hash, where it is known. */
  readonly title: string
  /** Absent where another server has it. */
  readonly ready: ReadyControl | undefined
}

/** A ControlNet's file, and the images that it follows. */
export interface ReadyControl {
  readonly file: string
  /** In the sizes of both passes: RGB, and where it is transparent, hidden from the ControlNet. */
  readonly first: Raster
  readonly second: Raster | undefined
}

export interface RunPlan extends PassPlan {
  readonly runId: string
  readonly processing: Processing
  readonly hires: HiresPlan | undefined
  readonly refiner: RefinerPlan | undefined
  readonly source: SourcePlan | undefined
  readonly controls: ReadonlyArray<ControlPlan>
  readonly seamless: boolean
  /** The text encoder's layer that acts, counted from the end: 1 is the last. */
  readonly clipSkip: number
  readonly model: PlannedModel
  /** Those that the prompts name, also if they do not fit the model. */
  readonly embeddings: ReadonlyArray<Embedding>
  /** Hashes of what acts by name, as infotexts list them; empty until the plan has them. */
  readonly hashes: NetworkHashes
  /**
   * The same plan with the hashes of its files, which are computed while the run samples. A file that cannot be hashed
   * becomes a warning. Absent where the plan has all it will have.
   */
  readonly hashed?: Effect.Effect<RunPlan> | undefined
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Images that are sampled together, batch after batch. */
  readonly batches: ReadonlyArray<ReadonlyArray<ImagePlan>>
  /**
   * Plans of the groups of images that differ in more than their seeds, such as in the texts that dynamic prompts drew;
   * the choices above are then those of the first. Absent for one group.
   */
  readonly parts?: ReadonlyArray<RunPlan> | undefined
  /** What is written at the edges of the run's plot, whose cells have as many images each; absent without axes. */
  readonly plot?: PlotLabels | undefined
  /** The settings of a cell of a plot; absent where they are the run's. */
  readonly opts?: OptionsSnapshot | undefined
  /** What the user should know: an unknown tag, for instance. */
  readonly warnings: ReadonlyArray<string>
}

/** A file by the name that a prompt calls it, and its hash: 12 hex digits. */
export interface NamedHash {
  readonly name: string
  readonly hash: string
}

export interface NetworkHashes {
  readonly adapters: ReadonlyArray<NamedHash>
  readonly embeddings: ReadonlyArray<NamedHash>
}

/** The model of a run, as infotexts and file names show it. */
export interface PlannedModel {
  readonly name: string
  /** Absent where it is unknown, not wanted, or not computed yet. */
  readonly hash: string | undefined
  /** The VAE, where it is another than its own; what is absent is unknown, not wanted, or not computed yet. */
  readonly vae?: { readonly name: string | undefined; readonly hash: string | undefined } | undefined
  /** `undefined` where it is unknown. */
  readonly isInpainting: boolean | undefined
  /** `undefined` where it is unknown. */
  readonly isEditing: boolean | undefined
}

/** The plan of the part that an image belongs to. */
export const partOf = (plan: RunPlan, index: number): RunPlan =>
  plan.parts?.find(({ batches }) => batches.some((batch) => batch.some((image) => image.index === index))) ?? plan

/** The place of an image among those of its batch, as the request counts them. */
export const placeOf = ({ index }: Pick<ImagePlan, "index">, { processing }: Pick<RunPlan, "processing">): number =>
  index % processing.batch_size

/** The plan with all hashes, for what is written. Waits where they are not computed yet. */
export const hashedPlan = (plan: RunPlan): Effect.Effect<RunPlan> => plan.hashed ?? Effect.succeed(plan)

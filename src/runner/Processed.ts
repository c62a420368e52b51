/**
 * What came out.
 *
 * `Generated` is what execute gives, pixels; `Processed` is what finalize makes of it, files. A `Processed` is a
 * `Generated` with more in it.
 */
import type { Raster } from "../core/Raster.ts"
import type { ImagePlan, ProcessingState } from "../planning/RunPlan.ts"

/** What else can be shown of a picture's making. */
export type ExtraKind = "before highres fix" | "before color correction" | "mask" | "mask composite"

/** A picture in memory. */
export interface GeneratedImage extends ImagePlan {
  readonly width: number
  readonly height: number
  /** 8-bit RGB, `[height, width, 3]`. */
  readonly pixels: Uint8Array
  /** False for a picture whose sampling was interrupted. */
  readonly complete: boolean
  /** What was asked for beside it: the picture before its second pass, for instance. */
  readonly extras: ReadonlyArray<{ readonly kind: ExtraKind; readonly raster: Raster }>
}

export interface Generated {
  /** In the order of their `index`. Fewer than planned when the run was interrupted. */
  readonly images: ReadonlyArray<GeneratedImage>
  readonly interrupted: boolean
  readonly warnings: ReadonlyArray<string>
}

/** A picture's file. */
export interface ImageFile {
  /** With the infotext in it, as the format keeps it. */
  readonly bytes: Uint8Array
  readonly format: "png" | "jpg" | "webp"
  /** Where it was saved; absent when saving was off, or the picture was not finished. */
  readonly path: string | undefined
}

/** A picture as a file. */
export interface ProcessedImage extends GeneratedImage, ImageFile {}

/** A picture that is given beside the others: a grid of them, or what was asked for of one. */
export interface ExtraImage extends ImageFile {
  readonly kind: ExtraKind | "grid"
  /** Of the picture that it belongs to; absent for a grid. */
  readonly index: number | undefined
  /** Empty for those without one. */
  readonly infotext: string
}

export interface Processed extends Generated {
  readonly images: ReadonlyArray<ProcessedImage>
  /** Grid, masks and composites that are to be given back. */
  readonly extraImages: ReadonlyArray<ExtraImage>
  /** What was settled before anything was made: seeds, prompts, sampler, size. */
  readonly state: ProcessingState
}

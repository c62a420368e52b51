/**
 * The results of a run.
 *
 * `Generated` is the output of execute: pixels. `Processed` is the output of finalize: files. `Processed` extends
 * `Generated`.
 */
import type { Raster } from "../core/Raster.ts"
import type { ImagePlan, RunPlan } from "../planning/RunPlan.ts"

/** Intermediate and auxiliary images that can be kept with an image. */
export type ExtraKind = "before highres fix" | "before color correction" | "mask" | "mask composite"

/** An image in memory. */
export interface GeneratedImage extends ImagePlan {
  readonly width: number
  readonly height: number
  /** 8-bit RGB, `[height, width, 3]`. */
  readonly pixels: Uint8Array
  /** False when sampling of this image was interrupted. */
  readonly complete: boolean
  /** The file it arrived in from another server, saved as it is. */
  readonly file?: EncodedImage | undefined
  /** Its files, once they are written: execute writes each batch while the next one is sampled. */
  readonly written?: WrittenImage | undefined
  /** Auxiliary images that the settings ask for, such as the image before its second pass. */
  readonly extras: ReadonlyArray<{
    readonly kind: ExtraKind
    readonly raster: Raster
    readonly file?: EncodedImage | undefined
  }>
}

/** An encoded image. */
export interface EncodedImage {
  /** The encoded file, with the infotext in its metadata. */
  readonly bytes: Uint8Array
  readonly format: "png" | "jpg" | "webp"
}

export interface Generated {
  /** In the order of their `index`. Fewer than planned when the run was interrupted. */
  readonly images: ReadonlyArray<GeneratedImage>
  readonly interrupted: boolean
  readonly warnings: ReadonlyArray<string>
}

/** An image file. */
export interface ImageFile extends EncodedImage {
  /** Where it was saved; `undefined` when saving is off or the image is incomplete. */
  readonly path: string | undefined
}

/** An image and its file. */
export interface ProcessedImage extends Omit<GeneratedImage, "file" | "written">, ImageFile {}

/** The file of an image, and those of its auxiliary images that are returned. */
export interface WrittenImage {
  readonly file: ImageFile
  readonly extraImages: ReadonlyArray<ExtraImage>
}

/** An additional image of a result: a grid, a mask or a composite. */
export interface ExtraImage extends ImageFile {
  readonly kind: ExtraKind | "grid"
  /** Index of the image it belongs to; `undefined` for a grid. */
  readonly index: number | undefined
  /** Empty when it has none. */
  readonly infotext: string
}

export interface Processed extends Generated {
  readonly images: ReadonlyArray<ProcessedImage>
  /** Grids, masks and composites that the settings ask to return. */
  readonly extraImages: ReadonlyArray<ExtraImage>
  /** The plan that was executed: seeds, prompts, sampler, size. */
  readonly state: RunPlan
}

/** An image with its file; none where it is not written. Files that came along are among the extra images. */
export const processedOf = (generated: GeneratedImage): ReadonlyArray<ProcessedImage> => {
  const { file: _, written, ...image } = generated
  return written === undefined
    ? []
    : [{ ...image, extras: image.extras.map(({ kind, raster }) => ({ kind, raster })), ...written.file }]
}

/** The additional images of an image that are returned. */
export const extraImagesOf = ({ written }: GeneratedImage): ReadonlyArray<ExtraImage> => written?.extraImages ?? []

/**
 * What came out.
 *
 * `Generated` is what execute gives, pixels; `Processed` is what finalize makes of it, files. A `Processed` is a
 * `Generated` with more in it.
 */
import type { ImagePlan } from "./ProcessingState.ts"

/** A picture in memory. */
export interface GeneratedImage extends ImagePlan {
  readonly width: number
  readonly height: number
  /** 8-bit RGB, `[height, width, 3]`. */
  readonly pixels: Uint8Array
  /** False for a picture whose sampling was interrupted. */
  readonly complete: boolean
}

export interface Generated {
  /** In the order of their `index`. Fewer than planned when the run was interrupted. */
  readonly images: ReadonlyArray<GeneratedImage>
  readonly interrupted: boolean
  readonly warnings: ReadonlyArray<string>
}

/** A picture as a file. */
export interface ProcessedImage extends GeneratedImage {
  /** A PNG file with the infotext in its `parameters` chunk. */
  readonly png: Uint8Array
  /** Where it was saved; absent when saving was off, or the picture was not finished. */
  readonly path: string | undefined
}

export interface Processed extends Generated {
  readonly images: ReadonlyArray<ProcessedImage>
}

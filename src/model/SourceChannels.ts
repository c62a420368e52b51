/**
 * What some denoising networks read of a source image next to the latents.
 */
import type * as Effect from "effect/Effect"
import type { LatentShape } from "../core/LatentShape.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { LatentFormat } from "./LatentFormat.ts"
import type { NetworkError } from "./ModelError.ts"

/** The name of these channels among a call's inputs. */
export const sourceInput = "source"

/** An image that a pass starts from, in the size of the pass. */
export interface SourceImage {
  /** RGB `[3, height, width]`, -1 to 1; absent for text to image. */
  readonly pixels: Float32Array | undefined
  /** `[height, width]`: 1 where the image is regenerated, 0 where it is kept. Absent where all is regenerated. */
  readonly hidden: Float32Array | undefined
}

/** A model's own means, with which channels are made. */
export interface SourceTools {
  /** Shape of the latents. */
  readonly shape: LatentShape
  readonly format: LatentFormat
  readonly settings: OptionsSnapshot
  /** Pixels `[3, height, width]` to latents, as sampling expects them. */
  readonly encode: (pixels: Float32Array) => Effect.Effect<Float32Array, NetworkError>
}

export interface SourceChannels {
  readonly channels: number
  /** Whether the network was trained to fill what a mask hides. */
  readonly isInpainting: boolean
  /** `[channels, frames, height, width]` for an image. */
  readonly of: (image: SourceImage, tools: SourceTools) => Effect.Effect<Float32Array, NetworkError>
}

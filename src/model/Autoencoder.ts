/**
 * Between pixels and latents, one image at a time.
 */
import type * as Effect from "effect/Effect"
import type { LatentShape } from "../core/LatentShape.ts"
import type { NetworkError } from "./ModelError.ts"

/** Options of every network that works on images. */
export interface Seams {
  /** Whether the left edge continues at the right one, and the top at the bottom, so that images tile. */
  readonly seamless?: boolean | undefined
}

/** A small network that decodes latents roughly, for previews (TAESD). */
export interface TinyDecoder {
  readonly decode: Autoencoder["decode"]
  /** Pixels for each latent along a side. */
  readonly space: number
}

export interface Autoencoder {
  /**
   * One latent `[channels, frames, height, width]`, as it was sampled, to RGB `[3, height * 8, width * 8]`, about -1 to
   * 1.
   */
  readonly decode: (latent: Float32Array, shape: LatentShape & Seams) => Effect.Effect<Float32Array, NetworkError>
  /** A tiny decoder, apart from the runs' own calls; undefined where there is no file of one. */
  readonly tinyDecoder?: Effect.Effect<TinyDecoder | undefined, NetworkError>
  /** The same as `decode` for previews, apart from the runs' own calls; without it `decode` is used. */
  readonly decodePreview?: Autoencoder["decode"]
  /**
   * RGB `[3, height * 8, width * 8]`, -1 to 1, to the mean of its latent, scaled as sampling expects it; `shape` is the
   * latent's. Fails with `InvalidModelFolder` for a model without an encoder.
   */
  readonly encode: (pixels: Float32Array, shape: LatentShape & Seams) => Effect.Effect<Float32Array, NetworkError>
}

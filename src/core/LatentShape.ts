/**
 * Shapes of latents.
 */

/** A size of latents, in latent values: pixels divided by the model's latent scale. */
export interface LatentSize {
  readonly height: number
  readonly width: number
}

/** The shape of one latent: `[channels, height, width]`. */
export interface LatentShape extends LatentSize {
  readonly channels: number
}

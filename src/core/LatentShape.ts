/**
 * Shapes of latents.
 */

/** A size of latents, in latent values: pixels divided by the model's latent scale. */
export interface LatentSize {
  readonly height: number
  readonly width: number
}

/** The shape of one latent: `[channels, frames, height, width]`, where images have one frame. */
export interface LatentShape extends LatentSize {
  readonly channels: number
  readonly frames: number
}

/** How many numbers a latent of this shape has. */
export const latentLength = ({ channels, frames, height, width }: LatentShape): number =>
  channels * frames * height * width

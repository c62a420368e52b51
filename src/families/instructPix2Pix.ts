/**
 * InstructPix2Pix (Brooks et al., arXiv:2211.09800): edits a source image as the prompt says. It reads the image's
 * latents as the autoencoder gives them, unscaled; zeros stand for no image.
 */
import * as Effect from "effect/Effect"
import { denormalise } from "../model/LatentFormat.ts"
import type { Family } from "./Family.ts"

/** A family's models that read the latents of a source image. */
export const instructPix2Pix = (family: Family): Family => ({
  ...family,
  name: `${family.name}, instruct-pix2pix`,
  source: {
    channels: family.latents.channels,
    isInpainting: false,
    of: ({ pixels }, { encode, format, shape }) =>
      pixels === undefined
        ? Effect.succeed(new Float32Array(shape.channels * shape.frames * shape.height * shape.width))
        : Effect.map(encode(pixels), (latent) => {
          denormalise(latent, latent, format)
          return latent
        })
  }
})

/**
 * Stable Diffusion XL (Podell et al., arXiv:2307.01952): two text encoders, and the size of the image as an input.
 */
import * as LatentFormat from "../model/LatentFormat.ts"
import * as NoiseProcess from "../sampling/NoiseProcess.ts"
import * as clip from "./clip.ts"
import type { ClipReading, Family } from "./Family.ts"
import { vector } from "./vector.ts"

/** OpenCLIP's ViT-bigG, with the projection of the text as a whole. */
export const bigG: ClipReading = { layer: 2, finalNorm: false, pooled: true, padding: 0, skippable: false }

/** Colours of latents: the factors of stable-diffusion-webui 1.10.1, fitted to Stable Diffusion XL's autoencoder. */
const rgb: LatentFormat.LatentRgb = {
  factors: [
    [0.3448, 0.4168, 0.4395],
    [-0.1953, -0.029, 0.025],
    [0.1074, 0.0886, -0.0163],
    [-0.373, -0.2499, -0.2088]
  ],
  bias: [0, 0, 0]
}

export const sdxl: Family = {
  name: "Stable Diffusion XL",
  textEncoders: [{ layer: 2, finalNorm: false, pooled: false, padding: "end", skippable: true }, bigG],
  conditioner: clip.withInputs(
    clip.conditioner({
      // It reads the layers that it was trained on, unless a setting says otherwise for the first encoder.
      clipSkip: ({ CLIP_stop_at_last_layers, sdxl_clip_l_skip }) => sdxl_clip_l_skip ? CLIP_stop_at_last_layers : 1,
      // It was trained to be led away from nothing at all, not from the embedding of an empty text.
      emptyNegativeIsZero: true
    }),
    // An image's size, where it was cut out, and the size that it is to have.
    ({ settings, size: { height, width } }) => {
      const time_ids = vector([height, width, settings.sdxl_crop_top, settings.sdxl_crop_left, height, width])
      return { prompt: { time_ids }, negative: { time_ids } }
    }
  ),
  latents: LatentFormat.scaledBy(0.13025, { channels: 4, space: 8, rgb }),
  noise: NoiseProcess.ofBetas({ alignYourSteps: "sdxl" }),
  side: 1024,
  settings: [
    "sdxl_clip_l_skip",
    "sdxl_crop_top",
    "sdxl_crop_left",
    "sdxl_refiner_high_aesthetic_score",
    "sdxl_refiner_low_aesthetic_score"
  ]
}

/**
 * Stable Diffusion 1 (Rombach et al., arXiv:2112.10752): OpenAI's CLIP ViT-L, predicts noise.
 */
import * as LatentFormat from "../model/LatentFormat.ts"
import * as NoiseProcess from "../sampling/NoiseProcess.ts"
import * as clip from "./clip.ts"
import type { Family } from "./Family.ts"

/**
 * Colours of latents: the factors of stable-diffusion-webui 1.10.1 (`cheap_approximation` in `sd_vae_approx.py`), which
 * were fitted to Stable Diffusion 1's autoencoder.
 */
const rgb: LatentFormat.LatentRgb = {
  factors: [
    [0.298, 0.207, 0.208],
    [0.187, 0.286, 0.173],
    [-0.158, 0.189, 0.264],
    [-0.184, -0.271, -0.473]
  ],
  bias: [0, 0, 0]
}

export const sd1: Family = {
  name: "Stable Diffusion 1",
  textEncoders: [{ layer: 1, finalNorm: true, pooled: false, padding: "end", skippable: true }],
  conditioner: clip.conditioner({ clipSkip: ({ CLIP_stop_at_last_layers }) => CLIP_stop_at_last_layers }),
  latents: LatentFormat.scaledBy(0.18215, { channels: 4, space: 8, rgb }),
  noise: NoiseProcess.stableDiffusion,
  side: 512,
  settings: []
}

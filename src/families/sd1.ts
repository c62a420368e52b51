/**
 * Stable Diffusion 1 (Rombach et al., arXiv:2112.10752): OpenAI's CLIP ViT-L, predicts noise.
 */
import * as LatentFormat from "../model/LatentFormat.ts"
import * as NoiseProcess from "../sampling/NoiseProcess.ts"
import * as clip from "./clip.ts"
import type { Family } from "./Family.ts"

export const sd1: Family = {
  name: "Stable Diffusion 1",
  textEncoders: [{ layer: 1, finalNorm: true, pooled: false, padding: "end", skippable: true }],
  conditioner: clip.conditioner({ clipSkip: ({ CLIP_stop_at_last_layers }) => CLIP_stop_at_last_layers }),
  latents: LatentFormat.scaledBy(0.18215, { channels: 4, space: 8, rgb: undefined }),
  noise: NoiseProcess.stableDiffusion,
  side: 512,
  settings: []
}

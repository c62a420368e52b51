/**
 * Stable Diffusion 2: OpenCLIP's ViT-H without its last layer. Its models of 768 pixels predict velocity, those of 512
 * noise.
 */
import * as clip from "./clip.ts"
import type { Family } from "./Family.ts"
import { sd1 } from "./sd1.ts"

export const sd2: Family = {
  ...sd1,
  name: "Stable Diffusion 2",
  textEncoders: [{ layer: 2, finalNorm: true, pooled: false, padding: 0, skippable: false }],
  conditioner: clip.conditioner()
}

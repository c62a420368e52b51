/**
 * Latent consistency models (Luo et al., arXiv:2310.04378): distilled from a model of any family, they read the
 * guidance scale instead of being guided by two predictions.
 */
import * as clip from "./clip.ts"
import type { Family } from "./Family.ts"
import { vector } from "./vector.ts"

/** A family's models with `width` numbers for the guidance scale. */
export const lcm = (family: Family, width: number): Family => ({
  ...family,
  name: `${family.name}, latent consistency`,
  conditioner: {
    ...clip.withInputs(family.conditioner, ({ guidanceScale }) => {
      const timestep_cond = vector(guidanceEmbedding(guidanceScale, width))
      return { prompt: { timestep_cond }, negative: { timestep_cond } }
    }),
    isSelfGuided: true
  }
})

/**
 * The guidance scale w - 1: sines, then cosines, of 1000·(w - 1) at frequencies from 1 down to 1/10000 (the embedding
 * of Vaswani et al. as diffusers fills `timestep_cond`).
 */
export const guidanceEmbedding = (guidanceScale: number, width: number): Float32Array => {
  const half = Math.floor(width / 2)
  const embedding = new Float32Array(width)
  for (let i = 0; i < half; i++) {
    const angle = 1000 * (guidanceScale - 1) * Math.exp(-i * Math.log(10_000) / Math.max(1, half - 1))
    embedding[i] = Math.sin(angle)
    embedding[half + i] = Math.cos(angle)
  }
  return embedding
}

/**
 * Normal random numbers as torch draws them on NVIDIA GPUs: the noise source `NV`.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11) is a function of a counter and a
 * key. The key is the seed, all 64 bits of it; value i of draw d has the counter (d, 0, i, 0). Two of its four words
 * become one normal value by the sine half of the Box-Muller transform.
 */
import { high32, low32, type Seed } from "../core/Seed.ts"
import type { RandomGenerator } from "./RandomGenerator.ts"

const rounds = 10

/**
 * Computes four random words from a counter and a key, in place of `counter`; all are 32-bit integers.
 */
export const philox4x32 = (counter: Int32Array, keyLow: number, keyHigh: number): void => {
  let c0 = counter[0] as number
  let c1 = counter[1] as number
  let c2 = counter[2] as number
  let c3 = counter[3] as number
  let k0 = keyLow | 0
  let k1 = keyHigh | 0
  for (let round = 0; round < rounds; round++) {
    // Upper halves of c0·D2511F53 and c2·CD9E8D57, assembled from 16-bit parts: JavaScript only gives the lower ones.
    const a = c0 & 0xffff
    const b = c0 >>> 16
    const ab = (Math.imul(b, 0x1f53) + (Math.imul(a, 0x1f53) >>> 16)) | 0
    const ba = (Math.imul(a, 0xd251) + (ab & 0xffff)) | 0
    const high0 = (Math.imul(b, 0xd251) + (ab >>> 16) + (ba >>> 16)) | 0
    const c = c2 & 0xffff
    const d = c2 >>> 16
    const cd = (Math.imul(d, 0x8d57) + (Math.imul(c, 0x8d57) >>> 16)) | 0
    const dc = (Math.imul(c, 0xcd9e) + (cd & 0xffff)) | 0
    const high1 = (Math.imul(d, 0xcd9e) + (cd >>> 16) + (dc >>> 16)) | 0
    const low0 = Math.imul(c0, 0xd2511f53)
    const low1 = Math.imul(c2, 0xcd9e8d57)
    c0 = high1 ^ c1 ^ k0
    c1 = low1
    c2 = high0 ^ c3 ^ k1
    c3 = low0
    k0 = (k0 + 0x9e3779b9) | 0
    k1 = (k1 + 0xbb67ae85) | 0
  }
  counter[0] = c0
  counter[1] = c1
  counter[2] = c2
  counter[3] = c3
}

// The angle of a word is word·2π·2^-32, with the factor in single precision.
const angleOfOne = Math.fround(2 * Math.PI * 2 ** -32)

/** A generator that draws the same numbers as torch on NVIDIA GPUs after `manual_seed(seed)`. */
export const make = (seed: Seed): RandomGenerator => {
  const keyLow = low32(seed)
  const keyHigh = high32(seed)
  const words = new Int32Array(4)
  let draw = 0
  return {
    randn: (out) => {
      for (let i = 0; i < out.length; i++) {
        words[0] = draw
        words[1] = 0
        words[2] = i
        words[3] = 0
        philox4x32(words, keyLow, keyHigh)
        const u = ((words[0] as number) >>> 0) * 2 ** -32 + 2 ** -33
        const angle = (((words[1] as number) >>> 0) + 0.5) * angleOfOne
        out[i] = Math.sqrt(-2 * Math.log(u)) * Math.sin(angle)
      }
      draw++
    }
  }
}

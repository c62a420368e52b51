/**
 * Brownian noise: draws tied to intervals of the noise level, for SDE samplers.
 *
 * Each image has a Brownian path W(σ) that its seed fixes. A draw for (σ, σ') is (W(σ') - W(σ))/√|σ' - σ|: unit noise,
 * independent of draws for disjoint intervals, correlated with overlapping ones, negated for (σ', σ), and independent
 * of earlier draws and of the number of steps. Smaller steps sample the same path more finely.
 *
 * The path is a binary tree over the octaves from 2^-11 to 2^13. Each node splits its interval at the geometric mean
 * and draws W there from a Brownian bridge (Lévy's construction). Below the tree's 16 levels, 0.03 % of σ wide, the
 * path is a straight line. W(σ) is therefore a sum over the 17 nodes above σ: the normal numbers of each, times a
 * weight that is the same for all of them.
 *
 * A node draws with xoshiro128++ (Blackman and Vigna, ACM TOMS 47, 2021), whose state SplitMix64 makes of the image's
 * seed and the node's number. Each word becomes two numbers by the Box-Muller transform, with tables of 2^14 radii and
 * 2^12 angles.
 *
 * This is not the tree of torchsde, which k-diffusion uses: that one spans the schedule from its smallest to its
 * largest level, splits arithmetically and draws with numpy's seed sequences, so its path changes with the schedule and
 * its values differ. It gives samplers the same guarantees.
 */
import { type Seed, toBigInt } from "../core/Seed.ts"
import type { NoiseSource } from "./Sampler.ts"

// In powers of 2. They cover every level of a model or setting, including the 4519 of zero terminal SNR.
const lowest = -11
const highest = 13
const depth = 16

/** The noise source of one batch. */
export const make = (options: {
  /** One per image. Variation seeds, the eta noise seed delta and `randn_source` have no effect here. */
  readonly seeds: ReadonlyArray<Seed>
  /** Latent values of one image: channels · height · width. */
  readonly size: number
}): NoiseSource => {
  const { seeds, size } = options
  const paths = seeds.map((seed) => path(seed, size))
  return (out, sigma, sigmaNext) => {
    const from = clamp(sigma)
    const to = clamp(sigmaNext)
    const unit = from === to ? 0 : 1 / Math.sqrt(Math.abs(to - from))
    for (const [i, valueAt] of paths.entries()) {
      const start = valueAt(from, to)
      const end = valueAt(to, from)
      const place = i * size
      for (let k = 0; k < size; k++) out[place + k] = unit * ((end[k] as number) - (start[k] as number))
    }
  }
}

const clamp = (sigma: number): number => Math.min(Math.max(sigma, 2 ** lowest), 2 ** highest)

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): maps neighbouring numbers to unrelated ones.
const mix = (value: bigint): bigint => {
  let z = BigInt.asUintN(64, value)
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n)
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn)
  return z ^ (z >> 31n)
}

const golden = 0x9e3779b97f4a7c15n

/** The lower end of a node's interval; the upper end is that of the node after it. */
const edge = (node: number, level: number): number =>
  2 ** (lowest + (highest - lowest) * (node - 2 ** level) / 2 ** level)

/** A node's number, and how much its normal numbers count. */
interface Node {
  readonly number: number
  readonly weight: number
}

// Nodes are numbered as in a heap: the root is 1, the children of k are 2k and 2k + 1. Node 0 draws W at the upper end.
//
// A node lifts the path at the middle of its interval, and ever less towards both ends, where it stays as it is.
const nodesAt = (sigma: number): ReadonlyArray<Node> => {
  const share = (Math.log2(sigma) - lowest) / (highest - lowest)
  const leaf = 2 ** depth + Math.min(Math.floor(share * 2 ** depth), 2 ** depth - 1)
  const nodes = [{ number: 0, weight: (sigma - 2 ** lowest) / Math.sqrt(2 ** highest - 2 ** lowest) }]
  for (let level = 0; level < depth; level++) {
    const number = Math.floor(leaf / 2 ** (depth - level))
    const left = edge(number, level)
    const right = edge(number + 1, level)
    const middle = edge(2 * number + 1, level + 1)
    const spread = Math.sqrt((middle - left) * (right - middle) / (right - left))
    const height = sigma < middle ? (sigma - left) / (middle - left) : (right - sigma) / (right - middle)
    nodes.push({ number, weight: spread * height })
  }
  return nodes
}

const radii = new Float32Array(2 ** 14)
/** A turn and a quarter: what is a quarter further on is the negated sine. */
const cosines = new Float32Array(2 ** 12 + 2 ** 10)

const fillTables = (): void => {
  for (const i of radii.keys()) radii[i] = Math.sqrt(-2 * Math.log((i + 0.5) / radii.length))
  for (const i of cosines.keys()) cosines[i] = Math.cos(2 * Math.PI * i / 2 ** 12)
}

// Adds normal numbers, times a weight.
const addNormals = (sums: Float64Array, weight: number, state: Int32Array): void => {
  if (cosines[0] !== 1) fillTables()
  let [a = 0, b = 0, c = 0, d = 0] = state
  for (let k = 0; k < sums.length; k += 2) {
    const sum = (a + d) | 0
    const word = (((sum << 7) | (sum >>> 25)) + a) | 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << 11) | (d >>> 21)
    const radius = weight * (radii[word >>> 18] as number)
    const angle = word & 0xfff
    sums[k] = (sums[k] as number) + radius * (cosines[angle] as number)
    // The last of an odd number of values has none after it.
    if (k + 1 < sums.length) sums[k + 1] = (sums[k + 1] as number) + radius * (cosines[angle + 2 ** 10] as number)
  }
}

/**
 * The path of one image: a function that returns W at a level, in a buffer that stays valid until a level other than
 * this and `other` is requested.
 */
const path = (seed: Seed, size: number) => {
  const base = mix(toBigInt(seed) + golden)
  const stateOf = (node: number): Int32Array => {
    const own = mix(base + BigInt(node) * golden)
    return new Int32Array(BigUint64Array.of(mix(own + golden), mix(own + 2n * golden)).buffer)
  }
  const answers = Array.from({ length: 3 }, () => ({ sigma: Number.NaN, values: new Float64Array(size) }))
  const [first = { sigma: 0, values: new Float64Array(size) }] = answers

  return (sigma: number, other: number): Float64Array => {
    const known = answers.find((answer) => answer.sigma === sigma)
    if (known !== undefined) return known.values
    // The first entry is the oldest.
    const free = answers.findIndex((answer) => answer.sigma !== other)
    const [answer = first] = answers.splice(free, 1)
    answers.push(answer)
    answer.sigma = sigma
    answer.values.fill(0)
    for (const { number, weight } of nodesAt(sigma)) addNormals(answer.values, weight, stateOf(number))
    return answer.values
  }
}

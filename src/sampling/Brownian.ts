/**
 * Brownian noise: draws tied to intervals of the noise level, for SDE samplers.
 *
 * Each image has a Brownian path W(σ) that its seed fixes. A draw for (σ, σ') is (W(σ') - W(σ))/√|σ' - σ|: unit noise,
 * independent of draws for disjoint intervals, correlated with overlapping ones, negated for (σ', σ), and independent
 * of earlier draws and of the number of steps. Smaller steps sample the same path more finely.
 *
 * The path is a binary tree over the octaves from 2^-11 to 2^13. Each node splits its interval at the geometric mean
 * and draws W there from a Brownian bridge (Lévy's construction), with a generator whose seed is mixed from the image's
 * and the node's number. Below the tree's 16 levels, 0.03 % of σ wide, the path is a straight line.
 *
 * This is not the tree of torchsde, which k-diffusion uses: that one spans the schedule from its smallest to its
 * largest level, splits arithmetically and draws with numpy's seed sequences, so its path changes with the schedule and
 * its values differ. It gives samplers the same guarantees.
 */
import { type Seed, toBigInt } from "../core/Seed.ts"
import type { GeneratorKind } from "../rng/RandomGenerator.ts"
import type { NoiseSource } from "./Sampler.ts"

// In powers of 2. They cover every level of a model or setting, including the 4519 of zero terminal SNR.
const lowest = -11
const highest = 13
const depth = 16

/** The noise source of one batch. */
export const make = (options: {
  /** One per image. Variation seeds and the eta noise seed delta have no effect here. */
  readonly seeds: ReadonlyArray<Seed>
  /** Latent values of one image: channels · height · width. */
  readonly size: number
  /** `RandomGenerator.kind(randn_source)`. */
  readonly generator: GeneratorKind
}): NoiseSource => {
  const { generator, seeds, size } = options
  const paths = seeds.map((seed) => path(seed, size, generator))
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

/** The lower end of a node's interval; the upper end is that of the node after it. */
const edge = (node: number, level: number): number =>
  2 ** (lowest + (highest - lowest) * (node - 2 ** level) / 2 ** level)

/** A node on the way down, and W at both ends of its interval. */
interface Node {
  /** As in a heap: the root is 1, the children of k are 2k and 2k + 1. */
  number: number
  readonly left: Float32Array
  readonly right: Float32Array
}

/**
 * The path of one image: a function that returns W at a level, in a buffer that stays valid until a level other than
 * this and `other` is requested.
 */
const path = (seed: Seed, size: number, generator: GeneratorKind) => {
  const base = mix(toBigInt(seed) + 0x9e3779b97f4a7c15n)
  const draw = (node: number, out: Float32Array) => generator(mix(base + BigInt(node) * 0x9e3779b97f4a7c15n)).randn(out)
  const middle = new Float32Array(size)
  const plot = (): Node => ({ number: 0, left: new Float32Array(size), right: new Float32Array(size) })
  // The path from the root to the last leaf is kept, because the next leaf is usually close to it.
  const root = plot()
  const way = Array.from({ length: depth }, plot)
  const answers = Array.from({ length: 3 }, () => ({ sigma: Number.NaN, values: new Float32Array(size) }))

  const plant = () => {
    root.number = 1
    draw(0, root.right)
    const spread = Math.sqrt(2 ** highest - 2 ** lowest)
    for (let k = 0; k < size; k++) root.right[k] = spread * (root.right[k] as number)
  }

  // Makes `child` the half of `parent`, a node of `level`, that has the given number.
  const split = (parent: Node, level: number, child: Node, number: number) => {
    const left = edge(parent.number, level)
    const right = edge(parent.number + 1, level)
    const between = edge(2 * parent.number + 1, level + 1)
    const share = (between - left) / (right - left)
    const spread = Math.sqrt((between - left) * (right - between) / (right - left))
    draw(parent.number, middle)
    for (let k = 0; k < size; k++) {
      middle[k] = (1 - share) * (parent.left[k] as number) + share * (parent.right[k] as number) +
        spread * (middle[k] as number)
    }
    child.number = number
    child.left.set(number % 2 === 0 ? parent.left : middle)
    child.right.set(number % 2 === 0 ? middle : parent.right)
  }

  const leafOf = (sigma: number): Node => {
    if (root.number === 0) plant()
    const share = (Math.log2(sigma) - lowest) / (highest - lowest)
    const leaf = 2 ** depth + Math.min(Math.floor(share * 2 ** depth), 2 ** depth - 1)
    let node = root
    for (const [level, child] of way.entries()) {
      const number = Math.floor(leaf / 2 ** (depth - level - 1))
      if (child.number !== number) split(node, level, child, number)
      node = child
    }
    return node
  }

  return (sigma: number, other: number): Float32Array => {
    const known = answers.find((answer) => answer.sigma === sigma)
    if (known !== undefined) return known.values
    const leaf = leafOf(sigma)
    const left = edge(leaf.number, depth)
    const share = (sigma - left) / (edge(leaf.number + 1, depth) - left)
    // The first entry is the oldest.
    const free = answers.findIndex((answer) => answer.sigma !== other)
    const [answer = { sigma, values: middle }] = answers.splice(free, 1)
    answers.push(answer)
    answer.sigma = sigma
    for (let k = 0; k < size; k++) {
      answer.values[k] = (1 - share) * (leaf.left[k] as number) + share * (leaf.right[k] as number)
    }
    return answer.values
  }
}

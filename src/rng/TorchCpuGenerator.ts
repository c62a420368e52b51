/**
 * Normal random numbers as `torch.randn` draws them on the CPU.
 *
 * Matsumoto and Nishimura's MT19937 (ACM TOMACS 8, 1998) and the Box-Muller transform, which torch applies in one way
 * to draws of 16 or more values (blocks of 8 pairs, 24-bit uniforms) and in another to shorter ones (single pairs,
 * 53-bit uniforms, keeping the second value). Values agree with torch 1.13.1 to about 2e-6: its vectorised logarithm
 * and sine are approximations. Only the low 32 bits of a seed count.
 *
 * Vectors draw and transform long ones. Their logarithm, sine and cosine are off by some last bits of a double, which a
 * single number seldom shows: where it could, the block is transformed again as its definition says.
 */
import { low32, type Seed } from "../core/Seed.ts"
import * as Simd from "../core/Simd.ts"
import type { RandomGenerator } from "./RandomGenerator.ts"

const stateSize = 624

class MersenneTwister {
  readonly #state = new Int32Array(stateSize)
  readonly #words = new Int32Array(stateSize)
  #next = stateSize

  constructor(seed: number) {
    const state = this.#state
    state[0] = seed
    for (let i = 1; i < stateSize; i++) {
      const previous = state[i - 1] as number
      state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i
    }
  }

  #refill(): void {
    const { twist } = Simd.open()
    const state = Simd.put(this.#state, 16)
    const words = Simd.room(4 * stateSize)
    twist(state, words)
    this.#state.set(Simd.intsAt(state, stateSize))
    this.#words.set(Simd.intsAt(words, stateSize))
    this.#next = 0
  }

  /** The next 32 bits, as a signed integer. */
  next(): number {
    if (this.#next === stateSize) this.#refill()
    return this.#words[this.#next++] as number
  }

  /** The same for each number of `out`. */
  draw(out: Int32Array): void {
    for (let at = 0; at < out.length;) {
      if (this.#next === stateSize) this.#refill()
      const some = this.#words.subarray(this.#next, this.#next + out.length - at)
      out.set(some, at)
      at += some.length
      this.#next += some.length
    }
  }
}

/** Random words that become normal values together: 16 for each block. */
const blockSize = 16
const most = 1024 * blockSize

// torch computes the angle in single precision.
const twoPi = Math.fround(2 * Math.PI)

const uniform24 = (word: number): number => (word & 0xffffff) / 0x1000000

// Turns 16 words into 16 normal values: the first eight give the radius, the others the angle.
const transform = (out: Float32Array, words: Int32Array): void => {
  for (let i = 0; i < 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform24(words[i] as number)))
    const angle = Math.fround(twoPi * uniform24(words[i + 8] as number))
    out[i] = radius * Math.cos(angle)
    out[i + 8] = radius * Math.sin(angle)
  }
}

// Whole blocks.
const transformAll = (out: Float32Array, words: Int32Array): void => {
  const { normals } = Simd.open()
  const from = Simd.put(words)
  const to = Simd.room(4 * out.length)
  const doubtful = Simd.room(4 * out.length / blockSize)
  const doubts = normals(from, to, out.length / blockSize, doubtful)
  out.set(Simd.floatsAt(to, out.length))
  for (const block of Simd.intsAt(doubtful, doubts)) {
    const [begin, end] = [block * blockSize, (block + 1) * blockSize]
    transform(out.subarray(begin, end), words.subarray(begin, end))
  }
}

/** A generator that draws the same numbers as torch after `manual_seed(seed)`. */
export const make = (seed: Seed): RandomGenerator => {
  const bits = new MersenneTwister(low32(seed))
  let kept: number | undefined

  const uniform53 = () => {
    const high = bits.next() & 0x1fffff
    return (high * 0x100000000 + (bits.next() >>> 0)) / 0x20000000000000
  }

  const fill = (out: Float32Array) => {
    const words = new Int32Array(Math.min(most, out.length))
    for (let at = 0; at < out.length; at += most) {
      const some = words.subarray(0, out.length - at)
      bits.draw(some)
      transformAll(out.subarray(at, at + most), some)
    }
  }
  const one = () => {
    if (kept !== undefined) {
      const value = kept
      kept = undefined
      return value
    }
    const turn = uniform53()
    const radius = Math.sqrt(-2 * Math.log1p(-uniform53()))
    kept = radius * Math.sin(2 * Math.PI * turn)
    return radius * Math.cos(2 * Math.PI * turn)
  }

  return {
    randn: (out) => {
      if (out.length < 16) {
        for (let i = 0; i < out.length; i++) out[i] = one()
        return
      }
      // Torch draws numbers for all values before it transforms blocks, and draws anew for the last 16 values if those
      // are no whole block.
      const rest = out.length % blockSize
      fill(out.subarray(0, out.length - rest))
      if (rest === 0) return
      bits.draw(new Int32Array(rest))
      fill(out.subarray(out.length - blockSize))
    }
  }
}

/**
 * Normal random numbers as `torch.randn` draws them on the CPU.
 *
 * Matsumoto and Nishimura's MT19937 (ACM TOMACS 8, 1998) and the Box-Muller transform, which torch applies in one way
 * to draws of 16 or more values (blocks of 8 pairs, 24-bit uniforms) and in another to shorter ones (single pairs,
 * 53-bit uniforms, keeping the second value). Values agree with torch 1.13.1 to about 2e-6: its vectorised logarithm
 * and sine are approximations. Only the low 32 bits of a seed count.
 */
import { low32, type Seed } from "../core/Seed.ts"
import type { RandomGenerator } from "./RandomGenerator.ts"

const stateSize = 624
const shiftSize = 397

// One step of the twister's recurrence on two neighbouring words.
const stirred = (a: number, b: number): number => {
  const mixed = (a & 0x80000000) | (b & 0x7fffffff)
  return (mixed >>> 1) ^ (-(mixed & 1) & 0x9908b0df)
}

class MersenneTwister {
  readonly #state = new Int32Array(stateSize)
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
    const state = this.#state
    const rest = stateSize - shiftSize
    for (let i = 0; i < rest; i++) {
      state[i] = (state[i + shiftSize] as number) ^ stirred(state[i] as number, state[i + 1] as number)
    }
    for (let i = rest; i < stateSize - 1; i++) {
      state[i] = (state[i - rest] as number) ^ stirred(state[i] as number, state[i + 1] as number)
    }
    state[stateSize - 1] = (state[shiftSize - 1] as number) ^
      stirred(state[stateSize - 1] as number, state[0] as number)
    this.#next = 0
  }

  /** The next 32 bits, as a signed integer. */
  next(): number {
    if (this.#next === stateSize) this.#refill()
    let word = this.#state[this.#next++] as number
    word ^= word >>> 11
    word ^= (word << 7) & 0x9d2c5680
    word ^= (word << 15) & 0xefc60000
    return word ^ (word >>> 18)
  }
}

// torch computes the angle in single precision.
const twoPi = Math.fround(2 * Math.PI)

// Turns 16 uniforms into 16 normal values: the first eight give the radius, the others the angle.
const transform = (out: Float32Array, start: number): void => {
  for (let i = start; i < start + 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - (out[i] as number)))
    const angle = Math.fround(twoPi * (out[i + 8] as number))
    out[i] = radius * Math.cos(angle)
    out[i + 8] = radius * Math.sin(angle)
  }
}

/** A generator that draws the same numbers as torch after `manual_seed(seed)`. */
export const make = (seed: Seed): RandomGenerator => {
  const bits = new MersenneTwister(low32(seed))
  let kept: number | undefined

  const uniform24 = () => (bits.next() & 0xffffff) / 0x1000000
  const uniform53 = () => {
    const high = bits.next() & 0x1fffff
    return (high * 0x100000000 + (bits.next() >>> 0)) / 0x20000000000000
  }

  const fill = (out: Float32Array, start: number, count: number) => {
    for (let i = start; i < start + count; i++) out[i] = uniform24()
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
      fill(out, 0, out.length)
      for (let start = 0; start + 16 <= out.length; start += 16) transform(out, start)
      if (out.length % 16 !== 0) {
        fill(out, out.length - 16, 16)
        transform(out, out.length - 16)
      }
    }
  }
}

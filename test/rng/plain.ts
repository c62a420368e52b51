/**
 * `torch.randn` of 16 values or more in its plainest form: what the faster one must equal bit by bit.
 */

const twist = (state: Int32Array): void => {
  for (let i = 0; i < 624; i++) {
    const mixed = ((state[i] ?? 0) & 0x80000000) | ((state[(i + 1) % 624] ?? 0) & 0x7fffffff)
    state[i] = (state[(i + 397) % 624] ?? 0) ^ (mixed >>> 1) ^ (mixed % 2 === 0 ? 0 : 0x9908b0df)
  }
}

function* wordsOf(seed: number): Generator<number, never> {
  const state = new Int32Array(624)
  state[0] = seed
  for (let i = 1; i < 624; i++) {
    const previous = state[i - 1] ?? 0
    state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i
  }
  for (;;) {
    twist(state)
    for (const word of state) {
      let mixed = word ^ (word >>> 11)
      mixed ^= (mixed << 7) & 0x9d2c5680
      mixed ^= (mixed << 15) & 0xefc60000
      yield mixed ^ (mixed >>> 18)
    }
  }
}

const twoPi = Math.fround(2 * Math.PI)

const transform = (values: Float32Array): void => {
  for (let i = 0; i < 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - (values[i] ?? 0)))
    const angle = Math.fround(twoPi * (values[i + 8] ?? 0))
    values[i] = radius * Math.cos(angle)
    values[i + 8] = radius * Math.sin(angle)
  }
}

/** Draws for a seed, one after the other. */
export const torch = (seed: number) => {
  const words = wordsOf(seed)
  const fill = (out: Float32Array) => {
    for (let i = 0; i < out.length; i++) out[i] = (words.next().value & 0xffffff) / 0x1000000
  }
  return (out: Float32Array): void => {
    fill(out)
    for (let at = 0; at + 16 <= out.length; at += 16) transform(out.subarray(at, at + 16))
    if (out.length % 16 === 0) return
    fill(out.subarray(-16))
    transform(out.subarray(-16))
  }
}

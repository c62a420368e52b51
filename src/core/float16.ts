/**
 * Numbers of half precision, which JavaScript has no type for on every supported version of Node.
 */

const bits = new Uint32Array(1)
const real = new Float32Array(bits.buffer)

/** IEEE 754 binary16 of a number, rounded to nearest, ties to even. */
export const toFloat16 = (value: number): number => {
  real[0] = value
  const single = bits[0] as number
  const sign = (single >>> 16) & 0x8000
  const exponent = (single >>> 23) & 0xFF
  const mantissa = single & 0x7F_FFFF
  if (exponent === 0xFF) return sign | (mantissa === 0 ? 0x7C00 : 0x7E00)
  const half = exponent - 112
  if (half >= 31) return sign | 0x7C00
  if (half <= 0) {
    if (half < -10) return sign
    const full = mantissa | 0x80_0000
    const shift = 14 - half
    const floor = full >>> shift
    const rest = full & ((1 << shift) - 1)
    const middle = 1 << (shift - 1)
    return sign | (floor + (rest > middle || (rest === middle && (floor & 1) === 1) ? 1 : 0))
  }
  const floor = (half << 10) | (mantissa >>> 13)
  const rest = mantissa & 0x1FFF
  return sign | (floor + (rest > 0x1000 || (rest === 0x1000 && (floor & 1) === 1) ? 1 : 0))
}

/** The number that an IEEE 754 binary16 stands for. */
export const fromFloat16 = (half: number): number => {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1F
  const mantissa = half & 0x3FF
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

/** The number of every half, made when the first ones are read. */
let numbers: Float32Array | undefined

/** The numbers of some halves, written to `out` of the same length. */
export const readFloat16 = (out: Float32Array, halves: Uint16Array): void => {
  const all = numbers ??= Float32Array.from({ length: 0x1_0000 }, (_, half) => fromFloat16(half))
  for (let i = 0; i < out.length; i++) out[i] = all[halves[i] as number] as number
}

/** The halves of some numbers, as `toFloat16` rounds them, written to `out` of the same length. */
export const writeFloat16 = (out: Uint16Array, values: Float32Array): void => {
  const singles = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let i = 0; i < out.length; i++) {
    const single = singles[i] as number
    const exponent = (single >>> 23) & 0xFF
    // Those from 2^-14 to 2^16 take another exponent and are rounded, which may carry into it.
    out[i] = exponent > 112 && exponent < 143
      ? ((single >>> 16) & 0x8000) | (((single & 0x7FFF_FFFF) - 0x3800_0000 + 0xFFF + ((single >>> 13) & 1)) >>> 13)
      : toFloat16(values[i] as number)
  }
}

/**
 * CIE L*a*b* of 8 bits, with OpenCV's scaling: L as 0 to 255, a and b with 128 for none.
 *
 * The bytes are those of the formulas in doubles, rounded. Vectors of single numbers find most of them sooner; what is
 * too near to another byte is computed again.
 */
import * as Simd from "../core/Simd.ts"

// The white of D65, and the curve of sRGB.
const whiteX = 0.950456
const whiteZ = 1.088754

const linearOf = (value: number): number => {
  const sample = value / 255
  return sample <= 0.04045 ? sample / 12.92 : ((sample + 0.055) / 1.055) ** 2.4
}

const toByte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)))

const toCone = (value: number): number => value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116

const fromCone = (value: number): number => value > 0.206893 ? value * value * value : (value - 16 / 116) / 7.787

const toLightness = (luminance: number): number =>
  (luminance > 0.008856 ? 116 * toCone(luminance) - 16 : 903.3 * luminance) * 2.55

const encoded = (value: number): number =>
  toByte((value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055) * 255)

// Tables are constants, which loops read faster, and filled when they are needed.
const linear = new Float64Array(256)
const linearSingle = new Float32Array(256)
/** Of each L, a and b: its part in the cones' numbers, and the luminance of L. */
const conesOfL = new Float64Array(256)
const luminances = new Float64Array(256)
const stepsA = new Float64Array(256)
const stepsB = new Float64Array(256)
/** The byte of each 4096th: `encoded` never falls, and no two bytes begin between two of these. */
const encodings = new Uint8Array(4097)
/** The least number of each byte, and infinity. */
const firsts = new Float64Array(257).fill(Infinity)

const fill = (): void => {
  for (let value = 0; value < 256; value++) {
    linear[value] = linearOf(value)
    const l = value / 2.55
    const isDark = l <= 0.008856 * 903.3
    conesOfL[value] = isDark ? 7.787 * l / 903.3 + 16 / 116 : (l + 16) / 116
    luminances[value] = isDark ? l / 903.3 : ((l + 16) / 116) ** 3
    stepsA[value] = (value - 128) / 500
    stepsB[value] = (value - 128) / 200
    firsts[value] = firstOf(value)
  }
  linearSingle.set(linear)
  for (let place = 0; place < encodings.length; place++) encodings[place] = encoded(place / 4096)
}

let isFilled = false

const fillOnce = (): void => {
  if (!isFilled) fill()
  isFilled = true
}

// The least number that is encoded as a byte: halves, until no number lies between the two.
const firstOf = (byte: number): number => {
  let [below, above] = [-1, 1]
  for (let half = 0; half > below && half < above; half = (below + above) / 2) {
    if (encoded(half) < byte) below = half
    else above = half
  }
  return above
}

/** `[..., 3]`, from sRGB. */
export const toLab = (rgb: Uint8Array): Uint8Array => {
  fillOnce()
  const pixels = rgb.length / 3
  const { toLab } = Simd.open()
  const table = Simd.put(linearSingle)
  const from = Simd.put(rgb, 16)
  const to = Simd.room(rgb.length + 16)
  const list = Simd.room(4 * pixels + 16)
  const doubts = toLab(from, to, pixels, table, list)
  const lab = Simd.bytesAt(to, rgb.length).slice()
  for (const pixel of Simd.intsAt(list, doubts)) {
    const at = 3 * pixel
    if (pixel < pixels) {
      exactLab(
        lab,
        at,
        linear[rgb[at] as number] as number,
        linear[rgb[at + 1] as number] as number,
        linear[rgb[at + 2] as number] as number
      )
    }
  }
  return lab
}

const exactLab = (lab: Uint8Array, at: number, red: number, green: number, blue: number): void => {
  const x = toCone((0.412453 * red + 0.35758 * green + 0.180423 * blue) / whiteX)
  const luminance = 0.212671 * red + 0.71516 * green + 0.072169 * blue
  const y = toCone(luminance)
  const z = toCone((0.019334 * red + 0.119193 * green + 0.950227 * blue) / whiteZ)
  lab[at] = toByte(toLightness(luminance))
  lab[at + 1] = toByte(500 * (x - y) + 128)
  lab[at + 2] = toByte(200 * (y - z) + 128)
}

const encodedFast = (value: number): number => {
  if (value <= 0) return 0
  if (value >= 1) return 255
  const byte = encodings[(value * 4096) | 0] as number
  return value >= (firsts[byte + 1] as number) ? byte + 1 : byte
}

/** `[..., 3]`, to sRGB. */
export const fromLab = (lab: Uint8Array): Uint8Array => {
  fillOnce()
  const rgb = new Uint8Array(lab.length)
  for (let i = 0; i < lab.length; i += 3) {
    const y = conesOfL[lab[i] as number] as number
    const luminance = luminances[lab[i] as number] as number
    const x = fromCone(y + (stepsA[lab[i + 1] as number] as number)) * whiteX
    const z = fromCone(y - (stepsB[lab[i + 2] as number] as number)) * whiteZ
    rgb[i] = encodedFast(3.240479 * x - 1.53715 * luminance - 0.498535 * z)
    rgb[i + 1] = encodedFast(-0.969256 * x + 1.875991 * luminance + 0.041556 * z)
    rgb[i + 2] = encodedFast(0.055648 * x - 0.204043 * luminance + 1.057311 * z)
  }
  return rgb
}

/** What `recolour` of `Simd` reads for values of L, a and b that stand for others. */
export const tablesOf = (l: Uint8Array, a: Uint8Array, b: Uint8Array): Float32Array => {
  fillOnce()
  const read = (values: Uint8Array, table: Float64Array) => Array.from(values, (value) => table[value] as number)
  return Float32Array.from([...read(l, conesOfL), ...read(l, luminances), ...read(a, stepsA), ...read(b, stepsB)])
}

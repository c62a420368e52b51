/**
 * CIE L*a*b* of 8 bits, with OpenCV's scaling: L as 0 to 255, a and b with 128 for none.
 *
 * The bytes are those of the formulas in doubles, rounded; tables only find most of them sooner. They are made when
 * the first colour is converted.
 */

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

/** 1 in the fixed point of curves. */
const point = 2 ** 21

/** A half more than 128, the value of no colour, so that whole parts are rounded numbers. */
const middle = 128.5 * point

// Tables are constants, which loops read faster, and filled when they are needed.
const linear = new Float64Array(256)
/** The parts that a red sample has in X, Y and Z, of which the white is 2^24; after them those of green and of blue. */
const parts = new Int32Array(9 * 256)
const cones = new Int32Array(2 ** 14 + 2)
const lightnesses = new Int32Array(2 ** 14 + 2)
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
  const red = [0.412453 / whiteX, 0.212671, 0.019334 / whiteZ]
  const green = [0.35758 / whiteX, 0.71516, 0.119193 / whiteZ]
  const blue = [0.180423 / whiteX, 0.072169, 0.950227 / whiteZ]
  const shares = [...red, ...green, ...blue]
  parts.set(shares.flatMap((share) => Array.from(linear, (value) => Math.round(value * share * 2 ** 24))))
  for (let place = 0; place < cones.length; place++) {
    cones[place] = Math.round(toCone(place / 2 ** 14) * point)
    lightnesses[place] = Math.round((toLightness(place / 2 ** 14) + 0.5) * point)
  }
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

// A curve is taken for a line between its 2^14 places.
const along = (curve: Int32Array, sum: number): number => {
  const place = sum >> 10
  const value = curve[place] as number
  return (value + (((sum & 1023) * ((curve[place + 1] as number) - value)) >> 10)) | 0
}

/**
 * More than what sums and curves are off by, in their fixed point. The second derivative of `toCone` is largest at
 * 0.008856, where a line is off by 0.6; with all that is rounded a cone is off by less than 4, and so `a` by 4,000, `b`
 * by 1,600 and a lightness by 3,000.
 */
const doubt = 2 ** 12

// The whole part: 256 where it may be another.
const sureByte = (value: number): number => {
  const rest = value & (point - 1)
  return rest > doubt && rest < point - doubt ? value >> 21 : 256
}

/** `[..., 3]`, from sRGB. */
export const toLab = (rgb: Uint8Array): Uint8Array => {
  fillOnce()
  const lab = new Uint8Array(rgb.length)
  for (let i = 0; i < rgb.length; i += 3) {
    const red = rgb[i] as number
    const green = rgb[i + 1] as number
    const blue = rgb[i + 2] as number
    const x = along(cones, (parts[red] as number) + (parts[green + 768] as number) + (parts[blue + 1536] as number) | 0)
    const sum = (parts[red + 256] as number) + (parts[green + 1024] as number) + (parts[blue + 1792] as number) | 0
    const y = along(cones, sum)
    const z = along(
      cones,
      (parts[red + 512] as number) + (parts[green + 1280] as number) + (parts[blue + 2048] as number) | 0
    )
    const lightness = sureByte(along(lightnesses, sum))
    const a = sureByte((Math.imul(500, x - y) + middle) | 0)
    const b = sureByte((Math.imul(200, y - z) + middle) | 0)
    if ((lightness | a | b) < 256) {
      lab[i] = lightness
      lab[i + 1] = a
      lab[i + 2] = b
    } else exactLab(lab, i, linear[red] as number, linear[green] as number, linear[blue] as number)
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

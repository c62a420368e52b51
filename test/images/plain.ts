/**
 * Work on images in its plainest form, without tables or shortcuts: what the faster one must equal byte by byte.
 *
 * The benchmarks of arithmetic compare with it, too.
 */
import type { Raster } from "../../src/core/Raster.ts"

const toByte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)))
const bytes = Array.from({ length: 256 }, (_, value) => value)

const whiteX = 0.950456
const whiteZ = 1.088754

const linear = bytes.map((value) => {
  const sample = value / 255
  return sample <= 0.04045 ? sample / 12.92 : ((sample + 0.055) / 1.055) ** 2.4
})

const encoded = (value: number): number =>
  toByte((value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055) * 255)

const toCone = (value: number): number => value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116
const fromCone = (value: number): number => value > 0.206893 ? value ** 3 : (value - 16 / 116) / 7.787

/** CIE L*a*b* of 8 bits from sRGB, `[..., 3]`. */
export const toLab = (rgb: Uint8Array): Uint8Array => {
  const lab = new Uint8Array(rgb.length)
  for (let i = 0; i < rgb.length; i += 3) {
    const [red, green, blue] = [linear[rgb[i] ?? 0] ?? 0, linear[rgb[i + 1] ?? 0] ?? 0, linear[rgb[i + 2] ?? 0] ?? 0]
    const x = toCone((0.412453 * red + 0.35758 * green + 0.180423 * blue) / whiteX)
    const luminance = 0.212671 * red + 0.71516 * green + 0.072169 * blue
    const y = toCone(luminance)
    const z = toCone((0.019334 * red + 0.119193 * green + 0.950227 * blue) / whiteZ)
    lab[i] = toByte((luminance > 0.008856 ? 116 * y - 16 : 903.3 * luminance) * 2.55)
    lab[i + 1] = toByte(500 * (x - y) + 128)
    lab[i + 2] = toByte(200 * (y - z) + 128)
  }
  return lab
}

/** sRGB from CIE L*a*b* of 8 bits, `[..., 3]`. */
export const fromLab = (lab: Uint8Array): Uint8Array => {
  const rgb = new Uint8Array(lab.length)
  for (let i = 0; i < lab.length; i += 3) {
    const lightness = (lab[i] ?? 0) / 2.55
    const isDark = lightness <= 0.008856 * 903.3
    const y = isDark ? 7.787 * lightness / 903.3 + 16 / 116 : (lightness + 16) / 116
    const luminance = isDark ? lightness / 903.3 : y ** 3
    const x = fromCone(y + ((lab[i + 1] ?? 0) - 128) / 500) * whiteX
    const z = fromCone(y - ((lab[i + 2] ?? 0) - 128) / 200) * whiteZ
    rgb[i] = encoded(3.240479 * x - 1.53715 * luminance - 0.498535 * z)
    rgb[i + 1] = encoded(-0.969256 * x + 1.875991 * luminance + 0.041556 * z)
    rgb[i + 2] = encoded(0.055648 * x - 0.204043 * luminance + 1.057311 * z)
  }
  return rgb
}

const histogramOf = (lab: Uint8Array, channel: number): ReadonlyArray<number> => {
  const counts = bytes.map(() => 0)
  for (let i = channel; i < lab.length; i += 3) counts[lab[i] ?? 0] = (counts[lab[i] ?? 0] ?? 0) + 1
  return counts
}

// The share of values at or below each.
const quantilesOf = (counts: ReadonlyArray<number>): ReadonlyArray<number> => {
  const total = counts.reduce((sum, count) => sum + count, 0)
  let sum = 0
  return counts.map((count) => (sum += count) / total)
}

// Linear between the values that occur, as numpy's `interp`.
const matched = (from: ReadonlyArray<number>, to: ReadonlyArray<number>): ReadonlyArray<number> => {
  const quantiles = quantilesOf(to)
  const known = bytes.filter((value) => (to[value] ?? 0) > 0)
  return quantilesOf(from).map((quantile) => {
    const next = known.findIndex((value) => (quantiles[value] ?? 0) >= quantile)
    const above = known[next] ?? known.at(-1) ?? 0
    const below = known[next - 1] ?? above
    const [high, low] = [quantiles[above] ?? 0, quantiles[below] ?? 0]
    if (high <= quantile || above === below) return above
    return Math.trunc(below + (quantile - low) / (high - low) * (above - below))
  })
}

const luminosity = (rgb: Uint8Array, at: number): number =>
  (0.299 * (rgb[at] ?? 0) + 0.587 * (rgb[at + 1] ?? 0) + 0.114 * (rgb[at + 2] ?? 0)) / 255

/** An RGB image with the colours of another and its own luminosity. */
export const correct = (original: Raster, result: Raster): Uint8Array => {
  const [wanted, lab] = [toLab(original.data), toLab(result.data)]
  for (const channel of [0, 1, 2]) {
    const table = matched(histogramOf(lab, channel), histogramOf(wanted, channel))
    for (let i = channel; i < lab.length; i += 3) lab[i] = table[lab[i] ?? 0] ?? 0
  }
  const rgb = fromLab(lab)
  for (let i = 0; i < rgb.length; i += 3) {
    const light = luminosity(result.data, i)
    const moved = light - luminosity(rgb, i)
    const samples = [...rgb.subarray(i, i + 3)]
    const lowest = Math.min(...samples) / 255 + moved
    const highest = Math.max(...samples) / 255 + moved
    let share = 1
    if (lowest < 0) share = light / (light - lowest)
    if (highest > 1) share = Math.min(share, (1 - light) / (highest - light))
    rgb.set(samples.map((sample) => toByte((light + (sample / 255 + moved - light) * share) * 255)), i)
  }
  return rgb
}

const sinc = (x: number): number => x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI)

// Pillow's filters: half the width of each, and its weights.
const filters = {
  box: [0.5, (x: number) => x > -0.5 && x <= 0.5 ? 1 : 0],
  bilinear: [1, (x: number) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [2, (x: number) => {
    const [at, a] = [Math.abs(x), -0.5]
    if (at < 1) return ((a + 2) * at - (a + 3)) * at * at + 1
    return at < 2 ? (((at - 5) * at + 8) * at - 4) * a : 0
  }],
  lanczos: [3, (x: number) => x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0]
} as const

type Filter = keyof typeof filters

// For each sample of the result: the first sample of its window, and weights of 22 bits behind the point.
const windowsOf = (size: number, to: number, filter: Filter) =>
  Array.from({ length: to }, (_, i) => {
    const [half, weight] = filters[filter]
    const growth = Math.max(1, size / to)
    const centre = (i + 0.5) * (size / to)
    const start = Math.max(0, Math.trunc(centre - half * growth + 0.5))
    const length = Math.min(size, Math.trunc(centre + half * growth + 0.5)) - start
    const weights = Array.from({ length }, (_, tap) => weight((tap + start - centre + 0.5) * (1 / growth)))
    const sum = weights.reduce((total, weight) => total + weight, 0)
    return {
      start,
      weights: weights.map((weight) => Math.trunc(weight / sum * 2 ** 22 + (weight / sum < 0 ? -0.5 : 0.5)))
    }
  })

// Colours times their alpha, and divided by it again.
const multiplied = (data: Uint8Array): Uint8Array =>
  data.map((value, i) => i % 4 === 3 ? value : Math.round(value * (data[i - i % 4 + 3] ?? 0) / 255))
const divided = (data: Uint8Array): Uint8Array =>
  data.map((value, i) => {
    const alpha = data[i - i % 4 + 3] ?? 0
    return i % 4 === 3 || alpha === 0 ? value : Math.min(255, Math.floor(255 * value / alpha))
  })

/** An image in another size, of which no side stays the same, as Pillow makes it: along the width first. */
export const resize = (raster: Raster, to: number, toHeight: number, filter: Filter): Uint8Array => {
  const { channels, height, width } = raster
  const data = channels === 4 ? multiplied(raster.data) : raster.data
  const clip = (sum: number) => Math.min(255, Math.max(0, Math.floor(sum / 2 ** 22)))
  const columns = windowsOf(width, to, filter)
  const wide = new Uint8Array(to * height * channels)
  for (let y = 0; y < height; y++) {
    for (const [x, { start, weights }] of columns.entries()) {
      for (let channel = 0; channel < channels; channel++) {
        const sum = weights.reduce(
          (sum, weight, tap) => sum + weight * (data[(y * width + start + tap) * channels + channel] ?? 0),
          2 ** 21
        )
        wide[(y * to + x) * channels + channel] = clip(sum)
      }
    }
  }
  const out = new Uint8Array(to * toHeight * channels)
  const row = to * channels
  for (const [y, { start, weights }] of windowsOf(height, toHeight, filter).entries()) {
    for (let x = 0; x < row; x++) {
      const sum = weights.reduce((sum, weight, tap) => sum + weight * (wide[(start + tap) * row + x] ?? 0), 2 ** 21)
      out[y * row + x] = clip(sum)
    }
  }
  return channels === 4 ? divided(out) : out
}

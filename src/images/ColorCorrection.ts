/**
 * Colours of a result brought back to those of the original, as the webui's colour correction.
 *
 * In CIE L*a*b* of 8 bits (OpenCV's scaling) each channel's histogram is matched to the original's, as scikit-image's
 * `match_histograms` does: a value becomes the one with the same share of values at or below it, linearly between those
 * that occur, cut to a byte. Converted back, each pixel then gets the luminosity that it had in the result: its three
 * samples are moved alike, and drawn towards the luminosity where one would leave the range.
 *
 * Conversions are of doubles, rounded, where OpenCV has tables of whole numbers: samples may differ by a step or two.
 */
import type * as Effect from "effect/Effect"
import { type Raster, withoutAlpha } from "../core/Raster.ts"
import { away, type Parts } from "../core/Work.ts"
import { byLines, eachPixel, linesOf, samplesOf } from "./Parts.ts"

/** How often each value occurs: 256 counts for each of L, a and b. */
interface Target {
  readonly histograms: ReadonlyArray<Uint32Array>
}

/** RGB: a result with the colours of an original and its own luminosity. */
export const correcting = (original: Raster, result: Raster): Effect.Effect<Raster> =>
  away(
    { module: import.meta.url, parts: correctInParts },
    [original, result],
    (samplesOf(original) + samplesOf(result)) * effort
  )

/** The same in parts. */
export function* correctInParts(original: Raster, result: Raster): Parts<Raster> {
  return yield* applyInParts(yield* setupInParts(original), result)
}

function* setupInParts(original: Raster): Parts<Target> {
  const { data } = yield* eachPixel(original, 3, labOf, effort)
  return { histograms: yield* histogramsOf(data) }
}

function* applyInParts({ histograms }: Target, result: Raster): Parts<Raster> {
  const lab = yield* eachPixel(result, 3, labOf, effort)
  const tables: Array<Uint8Array> = []
  for (const [channel, own] of (yield* histogramsOf(lab.data)).entries()) {
    tables.push(matching(own, histograms[channel] ?? own))
  }
  return yield* eachPixel(result, 3, (lines, from) => {
    const { data } = linesOf(lab, from, from + lines.height)
    for (const [channel, table] of tables.entries()) {
      for (let i = channel; i < data.length; i += 3) data[i] = table[data[i] as number] as number
    }
    const corrected = fromLab(data)
    takeLuminosity(corrected, withoutAlpha(lines).data)
    return { ...lines, channels: 3, data: corrected }
  }, effort)
}

/** Of a conversion, per pixel: its roots and powers take long. */
const effort = 64

const labOf = (lines: Raster): Raster => ({ ...lines, channels: 3, data: toLab(withoutAlpha(lines).data) })

function* histogramsOf(lab: Uint8Array): Parts<ReadonlyArray<Uint32Array>> {
  const histograms: Array<Uint32Array> = []
  for (const channel of [0, 1, 2]) {
    const counts = new Uint32Array(256)
    yield* byLines(lab.length / 3, 1, (from, to) => {
      for (let i = from * 3 + channel; i < to * 3; i += 3) {
        const value = lab[i] as number
        counts[value] = (counts[value] as number) + 1
      }
    })
    histograms.push(counts)
  }
  return histograms
}

// For each value of the one histogram its value in the other.
const matching = (from: Uint32Array, to: Uint32Array): Uint8Array => {
  const total = to.reduce((sum, count) => sum + count, 0)
  const known: Array<{ readonly value: number; readonly quantile: number }> = []
  let counted = 0
  for (const [value, count] of to.entries()) {
    counted += count
    if (count > 0) known.push({ value, quantile: counted / total })
  }
  const own = from.reduce((sum, count) => sum + count, 0)
  let sum = 0
  let next = 0
  return Uint8Array.from(from, (count) => {
    sum += count
    const quantile = sum / own
    while ((known[next]?.quantile ?? Infinity) < quantile) next++
    const above = known[next] ?? known.at(-1)
    const below = known[next - 1] ?? above
    if (above === undefined || below === undefined) return 0
    if (above.quantile <= quantile || above === below) return above.value
    const share = (quantile - below.quantile) / (above.quantile - below.quantile)
    return Math.trunc(below.value + share * (above.value - below.value))
  })
}

// The white of D65, and the curve of sRGB.
const whiteX = 0.950456
const whiteZ = 1.088754

const linear = Float64Array.from({ length: 256 }, (_, value) => {
  const sample = value / 255
  return sample <= 0.04045 ? sample / 12.92 : ((sample + 0.055) / 1.055) ** 2.4
})

const encoded = (value: number): number => {
  const sample = value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055
  return toByte(sample * 255)
}

const toByte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)))

const toCone = (value: number): number => value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116

const fromCone = (value: number): number => value > 0.206893 ? value ** 3 : (value - 16 / 116) / 7.787

/** L as 0 to 255, a and b with 128 for none, `[..., 3]`; the same for `fromLab`. */
export const toLab = (rgb: Uint8Array): Uint8Array => {
  const lab = new Uint8Array(rgb.length)
  for (let i = 0; i < rgb.length; i += 3) {
    const red = linear[rgb[i] as number] as number
    const green = linear[rgb[i + 1] as number] as number
    const blue = linear[rgb[i + 2] as number] as number
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

export const fromLab = (lab: Uint8Array): Uint8Array => {
  const rgb = new Uint8Array(lab.length)
  for (let i = 0; i < lab.length; i += 3) {
    const lightness = (lab[i] as number) / 2.55
    const isDark = lightness <= 0.008856 * 903.3
    const y = isDark ? 7.787 * lightness / 903.3 + 16 / 116 : (lightness + 16) / 116
    const luminance = isDark ? lightness / 903.3 : y ** 3
    const x = fromCone(y + ((lab[i + 1] as number) - 128) / 500) * whiteX
    const z = fromCone(y - ((lab[i + 2] as number) - 128) / 200) * whiteZ
    rgb[i] = encoded(3.240479 * x - 1.53715 * luminance - 0.498535 * z)
    rgb[i + 1] = encoded(-0.969256 * x + 1.875991 * luminance + 0.041556 * z)
    rgb[i + 2] = encoded(0.055648 * x - 0.204043 * luminance + 1.057311 * z)
  }
  return rgb
}

const luminosity = (rgb: Uint8Array, at: number): number =>
  (0.299 * (rgb[at] as number) + 0.587 * (rgb[at + 1] as number) + 0.114 * (rgb[at + 2] as number)) / 255

// Sets pixels to the luminosity of others, in place, as the blend mode of that name (W3C compositing, `SetLum`).
const takeLuminosity = (rgb: Uint8Array, of: Uint8Array): void => {
  for (let i = 0; i < rgb.length; i += 3) {
    const wanted = luminosity(of, i)
    const moved = wanted - luminosity(rgb, i)
    const lowest = Math.min(rgb[i] as number, rgb[i + 1] as number, rgb[i + 2] as number) / 255 + moved
    const highest = Math.max(rgb[i] as number, rgb[i + 1] as number, rgb[i + 2] as number) / 255 + moved
    let share = 1
    if (lowest < 0) share = wanted / (wanted - lowest)
    if (highest > 1) share = Math.min(share, (1 - wanted) / (highest - wanted))
    for (let channel = i; channel < i + 3; channel++) {
      rgb[channel] = toByte((wanted + ((rgb[channel] as number) / 255 + moved - wanted) * share) * 255)
    }
  }
}

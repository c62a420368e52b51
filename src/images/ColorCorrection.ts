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
import { fromLab, toLab } from "./Lab.ts"
import { byLines, eachPixel, linesOf, samplesOf } from "./Parts.ts"

/** How often each value occurs: 256 counts for each of L, a and b. */
interface Histograms {
  readonly l: Uint32Array
  readonly a: Uint32Array
  readonly b: Uint32Array
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
  const { data } = yield* eachPixel(original, 3, labOf, effort)
  return yield* applyInParts(yield* histogramsOf(data), result)
}

function* applyInParts(histograms: Histograms, result: Raster): Parts<Raster> {
  const lab = yield* eachPixel(result, 3, labOf, effort)
  const own = yield* histogramsOf(lab.data)
  const [l, a, b] = [matching(own.l, histograms.l), matching(own.a, histograms.a), matching(own.b, histograms.b)]
  return yield* eachPixel(result, 3, (lines, from) => {
    const { data } = linesOf(lab, from, from + lines.height)
    for (let i = 0; i < data.length; i += 3) {
      data[i] = l[data[i] as number] as number
      data[i + 1] = a[data[i + 1] as number] as number
      data[i + 2] = b[data[i + 2] as number] as number
    }
    const corrected = fromLab(data)
    takeLuminosity(corrected, withoutAlpha(lines).data)
    return { ...lines, channels: 3, data: corrected }
  }, effort)
}

/** Of a conversion, per pixel. */
const effort = 16

const labOf = (lines: Raster): Raster => ({ ...lines, channels: 3, data: toLab(withoutAlpha(lines).data) })

function* histogramsOf(lab: Uint8Array): Parts<Histograms> {
  const [l, a, b] = [new Uint32Array(256), new Uint32Array(256), new Uint32Array(256)]
  const count = (counts: Uint32Array, value: number) => {
    counts[value] = (counts[value] as number) + 1
  }
  yield* byLines(lab.length / 3, 3, (from, to) => {
    for (let i = from * 3; i < to * 3; i += 3) {
      count(l, lab[i] as number)
      count(a, lab[i + 1] as number)
      count(b, lab[i + 2] as number)
    }
  })
  return { l, a, b }
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

const toByte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)))

/** In thousandths of a sample. */
const luminosity = (rgb: Uint8Array, at: number): number =>
  299 * (rgb[at] as number) + 587 * (rgb[at + 1] as number) + 114 * (rgb[at + 2] as number)

/** Added to differences of luminosities so that they are not negative, and rounded by truncating. */
const raised = 256_000 + 500

// Sets pixels to the luminosity of others, in place, as the blend mode of that name (W3C compositing, `SetLum`).
//
// Samples that stay in range all move by the same whole number. What is exactly between two is rounded as doubles are.
const takeLuminosity = (rgb: Uint8Array, of: Uint8Array): void => {
  for (let i = 0; i < rgb.length; i += 3) {
    const red = rgb[i] as number
    const green = rgb[i + 1] as number
    const blue = rgb[i + 2] as number
    const moved = luminosity(of, i) - luminosity(rgb, i)
    const steps = Math.trunc((moved + raised) / 1000)
    if (
      Math.min(red, green, blue) * 1000 + moved >= 0 && Math.max(red, green, blue) * 1000 + moved <= 255_000 &&
      moved + raised !== steps * 1000
    ) {
      rgb[i] = red + steps - 256
      rgb[i + 1] = green + steps - 256
      rgb[i + 2] = blue + steps - 256
    } else drawInto(rgb, of, i)
  }
}

const exactLuminosity = (rgb: Uint8Array, at: number): number =>
  (0.299 * (rgb[at] as number) + 0.587 * (rgb[at + 1] as number) + 0.114 * (rgb[at + 2] as number)) / 255

// The same for one pixel, drawn towards the luminosity where a sample would leave the range.
const drawInto = (rgb: Uint8Array, of: Uint8Array, at: number): void => {
  const wanted = exactLuminosity(of, at)
  const moved = wanted - exactLuminosity(rgb, at)
  const lowest = Math.min(rgb[at] as number, rgb[at + 1] as number, rgb[at + 2] as number) / 255 + moved
  const highest = Math.max(rgb[at] as number, rgb[at + 1] as number, rgb[at + 2] as number) / 255 + moved
  let share = 1
  if (lowest < 0) share = wanted / (wanted - lowest)
  if (highest > 1) share = Math.min(share, (1 - wanted) / (highest - wanted))
  for (let channel = at; channel < at + 3; channel++) {
    rgb[channel] = toByte((wanted + ((rgb[channel] as number) / 255 + moved - wanted) * share) * 255)
  }
}

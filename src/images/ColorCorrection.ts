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
import * as Simd from "../core/Simd.ts"
import { away, type Parts } from "../core/Work.ts"
import { fromLab, tablesOf, toLab } from "./Lab.ts"
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
  const tables = tablesOf(l, a, b)
  return yield* eachPixel(result, 3, (lines, from) => {
    const { data } = linesOf(lab, from, from + lines.height)
    return { ...lines, channels: 3, data: recoloured(data, withoutAlpha(lines).data, { l, a, b }, tables) }
  }, effort)
}

/** For each value the one that takes its place. */
interface Matched {
  readonly l: Uint8Array
  readonly a: Uint8Array
  readonly b: Uint8Array
}

const recoloured = (lab: Uint8Array, of: Uint8Array, { a, b, l }: Matched, tables: Float32Array): Uint8Array => {
  const pixels = lab.length / 3
  const { recolour } = Simd.open()
  const numbers = Simd.put(tables)
  const from = Simd.put(lab, 16)
  const result = Simd.put(of, 16)
  const to = Simd.room(lab.length + 16)
  const list = Simd.room(4 * pixels + 16)
  const doubts = recolour(from, result, to, pixels, numbers, list)
  const rgb = Simd.bytesAt(to, lab.length).slice()
  const doubtful = Simd.intsAt(list, doubts).filter((pixel) => pixel < pixels)
  // The doubtful pixels as an image of their own.
  const matched = new Uint8Array(3 * doubtful.length)
  const wanted = new Uint8Array(3 * doubtful.length)
  for (let i = 0; i < doubtful.length; i++) {
    const at = 3 * (doubtful[i] as number)
    matched[3 * i] = l[lab[at] as number] as number
    matched[3 * i + 1] = a[lab[at + 1] as number] as number
    matched[3 * i + 2] = b[lab[at + 2] as number] as number
    for (let channel = 0; channel < 3; channel++) wanted[3 * i + channel] = of[at + channel] as number
  }
  const exact = fromLab(matched)
  takeLuminosity(exact, wanted)
  for (let i = 0; i < doubtful.length; i++) {
    for (let channel = 0; channel < 3; channel++) {
      rgb[3 * (doubtful[i] as number) + channel] = exact[3 * i + channel] as number
    }
  }
  return rgb
}

/** Of a conversion, per pixel. */
const effort = 4

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

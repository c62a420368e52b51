/**
 * Masks for inpainting: grey images, white where the image is regenerated and black where it is kept.
 *
 * Steps in their order: `fromImage`, `invert`, `blurring`, then `cropRegion` and `expandRegion` for the masked part
 * alone, or `overlayMask` for the whole; `latentMasking` for the sampler.
 */
import type * as Effect from "effect/Effect"
import type { Region, Size } from "../core/Geometry.ts"
import type { LatentSize } from "../core/LatentShape.ts"
import type { Raster } from "../core/Raster.ts"
import * as Simd from "../core/Simd.ts"
import { away, type Parts } from "../core/Work.ts"
import { abreast, byLines, copyStrip, samplesOf, stripsOf } from "./Parts.ts"
import { resizeInParts } from "./Resample.ts"

/** An image of one channel. */
export type Mask = Raster & { readonly channels: 1 }

const make = ({ height, width }: Size, data: Uint8Array): Mask => ({ width, height, channels: 1, data })

/** Every sample of an image of one channel by the same function. */
const mapped = (mask: Raster, f: (value: number) => number): Mask => {
  const results = Uint8Array.from({ length: 256 }, (_, value) => f(value))
  const data = new Uint8Array(mask.data.length)
  for (let i = 0; i < data.length; i++) data[i] = results[mask.data[i] as number] as number
  return make(mask, data)
}

/**
 * The mask that an image stands for: its alpha, when it is not opaque throughout, otherwise its grey (ITU-R 601).
 *
 * `round` makes an alpha above 128 white and all else black; a grey is left as it is, as in the webui.
 */
export const fromImage = (raster: Raster, { round }: { readonly round: boolean }): Mask => {
  const { channels, data } = raster
  if (channels === 1) return make(raster, Uint8Array.from(data))
  const mask = new Uint8Array(raster.width * raster.height)
  if (isTranslucent(raster)) {
    for (let i = 0; i < mask.length; i++) {
      const alpha = data[i * 4 + 3] as number
      mask[i] = round ? (alpha > 128 ? 255 : 0) : alpha
    }
  } else {
    for (let i = 0, from = 0; i < mask.length; i++, from += channels) {
      const luma = (data[from] as number) * 19595 + (data[from + 1] as number) * 38470 +
        (data[from + 2] as number) * 7471
      mask[i] = (luma + 0x8000) >> 16
    }
  }
  return make(raster, mask)
}

/** Whether an image has an alpha that is not opaque throughout. */
export const isTranslucent = ({ channels, data }: Raster): boolean => {
  if (channels !== 4) return false
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return true
  return false
}

/** White for black. */
export const invert = (mask: Raster): Mask => mapped(mask, (value) => 255 - value)

/**
 * A mask blurred by Gaussians of these standard deviations, in pixels, along x and then along y; 0 leaves it sharp.
 *
 * As OpenCV's `GaussianBlur` on bytes: weights of 8 bits behind the point, pixels outside mirrored at the outermost
 * one.
 */
export const blurring = (mask: Raster, x: number, y: number): Effect.Effect<Mask> =>
  away({ module: import.meta.url, parts: blurInParts }, [mask, x, y], samplesOf(mask) * 8)

/** The same in parts. */
export function* blurInParts(mask: Raster, x: number, y: number): Parts<Mask> {
  const wide = x > 0 ? yield* blurRows(mask, tapsOf(gaussianWeights(x))) : make(mask, mask.data)
  return y > 0 ? yield* blurColumns(wide, tapsOf(gaussianWeights(y))) : wide
}

/** The weights for a standard deviation: `2 * int(2.5 * sigma + 0.5) + 1` whole numbers that sum to 256. */
export const gaussianWeights = (sigma: number): Int32Array => {
  const half = Math.trunc(2.5 * sigma + 0.5)
  const exact = Array.from({ length: half }, (_, i) => Math.exp(-((half - i) ** 2) / (2 * sigma * sigma)))
  const sum = 1 + 2 * exact.reduce((total, weight) => total + weight, 0)
  const weights = new Int32Array(2 * half + 1)
  // What rounding takes from one weight goes to the next, and what is left to the middle.
  let error = 0
  let middle = 256
  for (const [i, weight] of exact.entries()) {
    const wanted = weight / sum * 256 + error
    const given = roundToEven(wanted)
    error = wanted - given
    weights[i] = weights[2 * half - i] = given
    middle -= 2 * given
  }
  weights[half] = middle
  return weights
}

const roundToEven = (value: number): number => {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
}

/** The weights that are not 0, which are never more than 256, so that the time does not grow with the width. */
interface Taps {
  /** How far the outermost weights are from the middle. */
  readonly half: number
  readonly middle: number
  /** Of the others: how far they are to both sides. */
  readonly distances: Int32Array
  readonly weights: Int16Array
}

const tapsOf = (weights: Int32Array): Taps => {
  const half = (weights.length - 1) / 2
  const one = weights.subarray(half)
  const distances = Int32Array.from(one.keys()).filter((distance) => distance > 0 && one[distance] !== 0)
  return {
    half,
    middle: one[0] as number,
    distances,
    weights: Int16Array.from(distances, (distance) => one[distance] as number)
  }
}

const effortOf = ({ weights }: Taps): number => (2 * weights.length + 1) / abreast

function* blurRows({ data, height, width }: Raster, taps: Taps): Parts<Mask> {
  const { half, middle } = taps
  const out = new Uint8Array(data.length)
  const before = Array.from({ length: half }, (_, i) => reflect(i - half, width))
  const after = Array.from({ length: half }, (_, i) => reflect(width + i, width))
  yield* byLines(height, width * effortOf(taps) + half, (first, last) => {
    const { blur } = Simd.open()
    const distances = Simd.put(taps.distances)
    const weights = Simd.put(taps.weights)
    const begin = Simd.room(width + 2 * half + 16)
    const result = Simd.room(width + 16)
    const line = Simd.bytesAt(begin, width + 2 * half)
    const blurred = Simd.bytesAt(result, width)
    for (let y = first; y < last; y++) {
      const given = data.subarray(y * width, (y + 1) * width)
      line.set(given, half)
      for (let i = 0; i < half; i++) {
        line[i] = given[before[i] as number] as number
        line[half + width + i] = given[after[i] as number] as number
      }
      blur(begin + half, result, width, middle, distances, weights, taps.weights.length)
      out.set(blurred, y * width)
    }
  })
  return make({ height, width }, out)
}

function* blurColumns({ data, height, width }: Raster, taps: Taps): Parts<Mask> {
  const { half, middle } = taps
  const out = new Uint8Array(data.length)
  for (const { bytes, left } of stripsOf(width, 2 * half + 1)) {
    yield* byLines(height, bytes * effortOf(taps), (first, last) => {
      const count = (last - first) * bytes
      const { blur } = Simd.open()
      const distances = Simd.put(taps.distances.map((distance) => distance * bytes))
      const weights = Simd.put(taps.weights)
      const result = Simd.room(count + 16)
      const begin = Simd.room(count + 2 * half * bytes + 16)
      const lines = Simd.bytesAt(begin, count + 2 * half * bytes)
      for (let y = first - half; y < last + half; y++) {
        const from = reflect(y, height) * width + left
        lines.set(data.subarray(from, from + bytes), (y - first + half) * bytes)
      }
      blur(begin + half * bytes, result, count, middle, distances, weights, taps.weights.length)
      copyStrip(out.subarray(first * width + left), width, Simd.bytesAt(result, count), bytes)
    })
  }
  return make({ height, width }, out)
}

// The outermost sample is the mirror and is not repeated (BORDER_REFLECT_101).
const reflect = (at: number, length: number): number => {
  if (length === 1) return 0
  const period = 2 * (length - 1)
  const inside = ((at % period) + period) % period
  return inside < length ? inside : period - inside
}

/** The smallest region with all that is not black, grown by `padding` pixels inside the mask; none if all is black. */
export const cropRegion = (mask: Raster, padding: number): Region | undefined => {
  const { data, height, width } = mask
  let [left, top, right, bottom] = [width, height, 0, 0]
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] === 0) continue
      if (x < left) left = x
      if (x >= right) right = x + 1
      if (y < top) top = y
      bottom = y + 1
    }
  }
  if (right === 0) return undefined
  return {
    left: Math.max(0, left - padding),
    top: Math.max(0, top - padding),
    right: Math.min(width, right + padding),
    bottom: Math.min(height, bottom + padding)
  }
}

/**
 * A region widened, or made higher, to the proportions of the size at which it is processed. It stays inside the image,
 * where that has room for it; otherwise it takes all of the image along that side.
 */
export const expandRegion = (region: Region, processing: Size, image: Size): Region => {
  const width = region.right - region.left
  const height = region.bottom - region.top
  const ratio = processing.width / processing.height
  if (width / height > ratio) {
    const [top, bottom] = grown(region.top, region.bottom, Math.trunc(width / ratio - height), image.height)
    return { ...region, top, bottom }
  }
  const [left, right] = grown(region.left, region.right, Math.trunc(height * ratio - width), image.width)
  return { ...region, left, right }
}

const grown = (begin: number, end: number, by: number, size: number): readonly [number, number] => {
  const before = Math.floor(by / 2)
  const moved = Math.max(0, end + by - before - size)
  const start = begin - before - moved
  return [Math.max(0, start), Math.min(size, end + by - before - moved + Math.max(0, -start))]
}

/** The mask for the overlay when the whole image is made: twice as white, so that nothing half-masked stays. */
export const overlayMask = (mask: Raster): Mask => mapped(mask, (value) => Math.min(255, 2 * value))

/**
 * The mask for latents of this size: `[height, width]`, 0 keeps and 1 regenerates.
 *
 * Bicubic, as Pillow resizes; `round` leaves 0 and 1 only.
 */
export const latentMasking = (
  mask: Raster,
  size: LatentSize,
  options: { readonly round: boolean }
): Effect.Effect<Float32Array> =>
  away({ module: import.meta.url, parts: latentMaskInParts }, [mask, size, options], samplesOf(mask) * 8)

/** The same in parts. */
export function* latentMaskInParts(
  mask: Raster,
  { height, width }: LatentSize,
  { round }: { readonly round: boolean }
): Parts<Float32Array> {
  const { data } = yield* resizeInParts(mask, width, height, "bicubic")
  return Float32Array.from(data, (sample) => round ? roundToEven(sample / 255) : sample / 255)
}

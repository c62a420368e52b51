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
import { away, type Parts } from "../core/Work.ts"
import { byLines, samplesOf } from "./Parts.ts"
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
  away({ module: import.meta.url, parts: blurInParts }, [mask, x, y], samplesOf(mask) * 32)

/** The same in parts. */
export function* blurInParts(mask: Raster, x: number, y: number): Parts<Mask> {
  const { data, height, width } = mask
  const wide = x > 0 ? yield* blurLines(data, width, gaussianWeights(x)) : data
  if (!(y > 0)) return make(mask, wide)
  const turned = yield* turn(wide, width, height)
  return make(mask, yield* turn(yield* blurLines(turned, height, gaussianWeights(y)), height, width))
}

/** Samples of a block that is turned while it lies in the processor's cache. */
const block = 32

// Columns as lines: `[height, width]` as `[width, height]`.
function* turn(data: Uint8Array, width: number, height: number): Parts<Uint8Array> {
  const out = new Uint8Array(data.length)
  yield* byLines(Math.ceil(height / block), width * block, (first, last) => {
    const bottom = Math.min(height, last * block)
    for (let top = first * block; top < bottom; top += block) {
      for (let left = 0; left < width; left += block) {
        const right = Math.min(width, left + block)
        for (let y = top; y < Math.min(bottom, top + block); y++) {
          for (let x = left; x < right; x++) out[x * height + y] = data[y * width + x] as number
        }
      }
    }
  })
  return out
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

// Two lines of `length` samples are summed at once, as the halves of 32 bits: weights that sum to 256 never carry from
// one into the other. Most weights of a wide blur are 0, and no more than 256 are not, so that the time stays that of
// the pixels. Samples that are all the same make the same again: only windows with a change in them are summed.
function* blurLines(data: Uint8Array, length: number, weights: Int32Array): Parts<Uint8Array> {
  const lines = data.length / length
  const half = (weights.length - 1) / 2
  const out = Uint8Array.from(data)
  const pair = new Int32Array(length + 2 * half)
  const sums = new Int32Array(length)
  const mirrored = Int32Array.from(pair, (_, i) => reflect(i - half, length))
  const taps = groupsOf(weights)
  yield* byLines(Math.ceil(lines / 2), pair.length + length * taps.length, (first, last) => {
    for (let index = first; index < last; index++) {
      const begin = 2 * index * length
      // The last line of an odd number is summed twice.
      const other = 2 * index + 1 < lines ? begin + length : begin
      let isPaired = false
      let from = nextChange(data, begin, other, length, 1)
      while (from < length) {
        // On to the first change whose windows do not touch those of the one before.
        let until = Math.min(length, from + some)
        let next = nextChange(data, begin, other, length, until)
        while (next < length && next - until <= 2 * half) {
          until = Math.min(length, next + some)
          next = nextChange(data, begin, other, length, until)
        }
        if (!isPaired) {
          for (let i = 0; i < pair.length; i++) {
            const at = mirrored[i] as number
            pair[i] = (data[begin + at] as number) | (data[other + at] as number) << 16
          }
          isPaired = true
        }
        const start = Math.max(0, from - half)
        const end = Math.min(length, until + half)
        sums.fill(rounding, start, end)
        for (const tap of taps) addTaps(sums, pair, tap, start, end)
        for (let i = start; i < end; i++) {
          const sum = sums[i] as number
          out[begin + i] = sum >> 8
          out[other + i] = sum >>> 24
        }
        from = next
      }
    }
  })
  return out
}

/** Samples after a change that are taken for changes too, because there is often another soon. */
const some = 16

// The first place from `from` on where either line has another sample than before it; `length` where none has.
const nextChange = (data: Uint8Array, begin: number, other: number, length: number, from: number): number => {
  for (let i = from; i < length; i++) {
    if (data[begin + i] !== data[begin + i - 1] || data[other + i] !== data[other + i - 1]) return i
  }
  return length
}

/** Places in a window, and their weights. */
interface Taps {
  readonly places: Int32Array
  readonly weights: Int32Array
}

const together = 8

// The weights that are not 0, eight together; 0 fills up the last ones.
const groupsOf = (weights: Int32Array): ReadonlyArray<Taps> => {
  const places = [...weights.keys()].filter((place) => weights[place] !== 0)
  return Array.from({ length: Math.ceil(places.length / together) }, (_, i) => {
    const some = Int32Array.from(places.slice(i * together, (i + 1) * together))
    const taps = { places: new Int32Array(together), weights: new Int32Array(together) }
    taps.places.set(some)
    taps.weights.set(some.map((place) => weights[place] ?? 0))
    return taps
  })
}

/** A half for each of the two lines. */
const rounding = 0x800080

const addTaps = (sums: Int32Array, pair: Int32Array, { places, weights }: Taps, from: number, to: number): void => {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = places
  const [wa = 0, wb = 0, wc = 0, wd = 0, we = 0, wf = 0, wg = 0, wh = 0] = weights
  for (let i = from; i < to; i++) {
    sums[i] = (sums[i] as number) +
      Math.imul(pair[i + a] as number, wa) + Math.imul(pair[i + b] as number, wb) +
      Math.imul(pair[i + c] as number, wc) + Math.imul(pair[i + d] as number, wd) +
      Math.imul(pair[i + e] as number, we) + Math.imul(pair[i + f] as number, wf) +
      Math.imul(pair[i + g] as number, wg) + Math.imul(pair[i + h] as number, wh)
  }
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

/**
 * Masked content "fill" (fill mode 0): the masked part is filled from its surroundings before sampling.
 *
 * The image without its masked part is blurred at several radii, and the blurred images are composited, the sharpest
 * last, so that colours run into the mask from all sides. As the webui's `fill`, with Pillow's blur.
 */
import type * as Effect from "effect/Effect"
import { compositeOnto, filled, premultiply, type Raster, toRgba, unpremultiply, withoutAlpha } from "../core/Raster.ts"
import { away, type Parts } from "../core/Work.ts"
import { checkMask, visibleWhere } from "./Overlay.ts"
import { byLines, eachPixel, linesOf, samplesOf } from "./Parts.ts"

// Standard deviations in pixels, and how often each is composited.
const layers: ReadonlyArray<{ readonly radius: number; readonly times: number }> = [
  { radius: 256, times: 1 },
  { radius: 64, times: 1 },
  { radius: 16, times: 2 },
  { radius: 4, times: 4 },
  { radius: 2, times: 2 },
  { radius: 0, times: 1 }
]

/** RGB: an image whose masked part, white in a mask of the same size, is made of blurred surroundings. */
export const filling = (raster: Raster, mask: Raster): Effect.Effect<Raster> =>
  away({ module: import.meta.url, parts: fillInParts }, [raster, mask], samplesOf(raster) * 64)

/** The same in parts. */
export function* fillInParts(raster: Raster, mask: Raster): Parts<Raster> {
  checkMask(mask, raster)
  const surroundings = yield* eachPixel(
    raster,
    4,
    (lines, from) => visibleWhere("black", linesOf(mask, from, from + lines.height), premultiply(toRgba(lines)))
  )
  const out = filled(raster, 4)
  for (const { radius, times } of layers) {
    const blurred = yield* gaussianBlur(surroundings, radius)
    yield* byLines(raster.height, raster.width * 4 * (times + 1), (from, to) => {
      const below = linesOf(out, from, to).data
      const layer = unpremultiply(linesOf(blurred, from, to)).data
      for (let time = 0; time < times; time++) compositeOnto(below, layer)
    })
  }
  return yield* eachPixel(out, 3, withoutAlpha)
}

/**
 * An image of four channels blurred by a Gaussian of this standard deviation, in pixels, as Pillow's `GaussianBlur`:
 * three box blurs along x and three along y, each rounded. The outermost pixels are repeated beyond the edge.
 */
export function* gaussianBlur(raster: Raster, radius: number): Parts<Raster> {
  if (radius === 0) return raster
  const { height, width } = raster
  const box = boxOf(radius)
  const wide = yield* blurLines(raster.data, width, height, box)
  const turned = yield* transposed(wide, width, height)
  const high = yield* blurLines(turned, height, width, box)
  return { ...raster, data: yield* transposed(high, height, width) }
}

interface Box {
  /** Whole pixels to either side. */
  readonly radius: number
  /** Weights of 24 bits behind the point: of each whole pixel, and of the two at the ends. */
  readonly whole: number
  readonly end: number
}

// The box that gives the wanted deviation after three passes (Gwosdek et al. 2011), in the floats of Pillow.
const boxOf = (deviation: number): Box => {
  const f = Math.fround
  const variance = f(f(deviation * deviation) / passes)
  const length = f(Math.sqrt(12 * variance + 1))
  const whole = f(Math.floor((length - 1) / 2))
  const next = f(f(whole + 1) * f(whole + 1))
  const part = f(f(f(2 * whole + 1) * f(f(whole * f(whole + 1)) - f(3 * variance))) / f(6 * f(variance - next)))
  const exact = f(whole + part)
  const radius = Math.trunc(exact)
  const weight = Math.trunc(f(2 ** 24 / f(f(exact * 2) + 1)))
  return { radius, whole: weight, end: Math.trunc((2 ** 24 - (radius * 2 + 1) * weight) / 2) }
}

const passes = 3

// Blurs along each line. With a running sum the time depends on the pixels, not on the radius.
function* blurLines(from: Uint8Array, length: number, lines: number, box: Box): Parts<Uint8Array> {
  const to = new Uint8Array(from.length)
  // One channel of one line, with room outside for all that a box reaches.
  const margin = box.radius + 1
  let line = new Uint8Array(length + 2 * margin)
  let next = new Uint8Array(length + 2 * margin)
  yield* byLines(lines, length * 4 * (passes + 1), (first, last) => {
    for (let y = first; y < last; y++) {
      for (let channel = 0; channel < 4; channel++) {
        for (let x = 0, at = y * length * 4 + channel; x < length; x++, at += 4) line[x + margin] = from[at] as number
        for (let pass = 0; pass < passes; pass++) {
          boxBlur(line, next, length, box)
          const blurred = next
          next = line
          line = blurred
        }
        for (let x = 0, at = y * length * 4 + channel; x < length; x++, at += 4) to[at] = line[x + margin] as number
      }
    }
  })
  return to
}

// Rows as columns, in squares that the processor's cache holds.
function* transposed(data: Uint8Array, width: number, height: number): Parts<Uint8Array> {
  const square = 32
  const to = new Uint8Array(data.length)
  const pixels = new Uint32Array(to.buffer)
  const from = new Uint32Array(data.buffer, data.byteOffset, width * height)
  for (let top = 0; top < height; top += square) {
    const bottom = Math.min(height, top + square)
    for (let left = 0; left < width; left += square) {
      const right = Math.min(width, left + square)
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) pixels[x * height + y] = from[y * width + x] as number
      }
    }
    yield
  }
  return to
}

const boxBlur = (from: Uint8Array, to: Uint8Array, length: number, { end, radius, whole }: Box): void => {
  const margin = radius + 1
  from.fill(from[margin] as number, 0, margin)
  from.fill(from[margin + length - 1] as number, margin + length)
  // The sum around the pixel before the first.
  let sum = 0
  for (let at = 0; at <= 2 * radius; at++) sum += from[at] as number
  for (let x = 0; x < length; x++) {
    const left = from[x] as number
    sum += (from[x + 2 * radius + 1] as number) - left
    const ends = left + (from[x + 2 * margin] as number)
    to[x + margin] = (Math.imul(sum, whole) + Math.imul(ends, end) + 0x800000) >>> 24
  }
}

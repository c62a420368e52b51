/**
 * Composites the original over the result of inpainting, so that unmasked pixels are restored exactly.
 */
import type * as Effect from "effect/Effect"
import { type Region, regionOf, type Size } from "../core/Geometry.ts"
import {
  compositeOnto,
  divide255,
  filled,
  premultiply,
  type Raster,
  toRgba,
  unpremultiply,
  withoutAlpha
} from "../core/Raster.ts"
import { away, type Parts } from "../core/Work.ts"
import type { Mask } from "./Masks.ts"
import { byLines, eachPixel, linesOf, samplesOf } from "./Parts.ts"
import { lanczosInParts } from "./ResizeMode.ts"

/** For a sample, about. */
const effort = 12

/** RGB and alpha: the original, made transparent where a mask of the same size is white. */
export const overlaying = (original: Raster, mask: Mask): Effect.Effect<Raster> =>
  away({ module: import.meta.url, parts: overlayInParts }, [original, mask], samplesOf(original) * effort)

/** The same in parts, as are the others below. */
export function* overlayInParts(original: Raster, mask: Mask): Parts<Raster> {
  checkMask(mask, original)
  return yield* eachPixel(
    original,
    4,
    (lines, from) =>
      unpremultiply(visibleWhere("black", linesOf(mask, from, from + lines.height), premultiply(toRgba(lines))))
  )
}

/**
 * RGB, of the overlay's size: the result with the overlay above it. The result is scaled to cover the region, the part
 * of the original that it was made for; without one it stands for the whole.
 */
export const applying = (result: Raster, overlay: Raster, region?: Region): Effect.Effect<Raster> =>
  away(
    { module: import.meta.url, parts: applyInParts },
    [result, overlay, region],
    (samplesOf(result) + samplesOf(overlay)) * effort
  )

export function* applyInParts(result: Raster, overlay: Raster, region?: Region): Parts<Raster> {
  const below = yield* uncrop(result, overlay, region)
  yield* byLines(overlay.height, overlay.width * 4, (from, to) => {
    compositeOnto(linesOf(below, from, to).data, linesOf(overlay, from, to).data)
  })
  return yield* eachPixel(below, 3, withoutAlpha)
}

/**
 * RGB and alpha: the result alone, visible where the mask is white. With a region it has the mask's size; otherwise the
 * mask is brought to the size of the result.
 */
export const maskCompositing = (result: Raster, mask: Mask, region?: Region): Effect.Effect<Raster> =>
  away(
    { module: import.meta.url, parts: maskCompositeInParts },
    [result, mask, region],
    (samplesOf(result) + 4 * samplesOf(mask)) * effort
  )

export function* maskCompositeInParts(result: Raster, mask: Mask, region?: Region): Parts<Raster> {
  const size = region === undefined ? result : mask
  const whole = yield* uncrop(result, size, region)
  const over = yield* lanczosInParts(2, mask, size)
  return yield* eachPixel(
    whole,
    4,
    (lines, from) => unpremultiply(visibleWhere("white", linesOf(over, from, from + lines.height), premultiply(lines)))
  )
}

// RGB and alpha of this size, the result in its region and nothing around it; new samples.
function* uncrop(result: Raster, size: Size, region: Region = regionOf(size)): Parts<Raster> {
  const to = { width: region.right - region.left, height: region.bottom - region.top }
  const part = yield* lanczosInParts(1, yield* eachPixel(result, 4, toRgba), to)
  if (to.width === size.width && to.height === size.height) return part
  const whole = filled(size, 4)
  yield* byLines(to.height, to.width * 4, (from, last) => {
    for (let y = from; y < last; y++) {
      whole.data.set(linesOf(part, y, y + 1).data, ((region.top + y) * size.width + region.left) * 4)
    }
  })
  return whole
}

/**
 * An image of multiplied RGB and alpha that is left where the mask is of this colour, and fades to nothing elsewhere.
 */
export const visibleWhere = (colour: "white" | "black", mask: Raster, multiplied: Raster): Raster => {
  checkMask(mask, multiplied)
  const data = Uint8Array.from(multiplied.data)
  for (let i = 0, at = 0; i < mask.data.length; i++) {
    const value = mask.data[i] as number
    const share = colour === "white" ? value : 255 - value
    for (let channel = 0; channel < 4; channel++, at++) data[at] = divide255((data[at] as number) * share)
  }
  return { ...multiplied, data }
}

/** Throws unless this is a mask for an image of this size. */
export const checkMask = (mask: Raster, { height, width }: Size): void => {
  if (mask.channels !== 1 || mask.width !== width || mask.height !== height) {
    throw new RangeError("the mask is not grey, or not of the image's size")
  }
}

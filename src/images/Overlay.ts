/**
 * The original laid over the result of inpainting, so that what was not masked comes back exactly.
 */
import type { Mask } from "./Masks.ts"
import {
  alphaComposite,
  divide255,
  filled,
  paste,
  premultiply,
  type Raster,
  type Region,
  regionOf,
  toRgba,
  unpremultiply,
  withoutAlpha
} from "./Raster.ts"
import { lanczos } from "./ResizeMode.ts"

/** RGB and alpha: the original, made transparent where a mask of the same size is white. */
export const overlay = (original: Raster, mask: Mask): Raster =>
  unpremultiply(visibleWhere("black", mask, premultiply(toRgba(original))))

/**
 * RGB, of the overlay's size: the result with the overlay above it. The result is scaled to cover the region, the part
 * of the original that it was made for; without one it stands for the whole.
 */
export const apply = (result: Raster, overlay: Raster, region?: Region): Raster =>
  withoutAlpha(alphaComposite(uncrop(result, overlay, region), overlay))

/**
 * RGB and alpha: the result alone, visible where the mask is white. With a region it has the mask's size; otherwise the
 * mask is brought to the size of the result.
 */
export const maskComposite = (result: Raster, mask: Mask, region?: Region): Raster => {
  const size = region === undefined ? result : mask
  const whole = uncrop(result, size, region)
  return unpremultiply(visibleWhere("white", lanczos(2, mask, size.width, size.height), premultiply(whole)))
}

// RGB and alpha of this size, the result in its region and nothing around it.
const uncrop = (
  result: Raster,
  size: { readonly width: number; readonly height: number },
  region: Region = regionOf(size)
): Raster => {
  const part = lanczos(1, toRgba(result), region.right - region.left, region.bottom - region.top)
  return paste(filled(size, 4), part, region.left, region.top)
}

/** A picture of multiplied RGB and alpha that is left where the mask is of this colour, and fades to nothing elsewhere. */
export const visibleWhere = (colour: "white" | "black", mask: Raster, multiplied: Raster): Raster => {
  if (mask.channels !== 1 || mask.width !== multiplied.width || mask.height !== multiplied.height) {
    throw new RangeError("the mask is not grey, or not of the picture's size")
  }
  const data = Uint8Array.from(multiplied.data)
  for (let i = 0, at = 0; i < mask.data.length; i++) {
    const value = mask.data[i] as number
    const share = colour === "white" ? value : 255 - value
    for (let channel = 0; channel < 4; channel++, at++) data[at] = divide255((data[at] as number) * share)
  }
  return { ...multiplied, data }
}

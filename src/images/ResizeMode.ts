/**
 * Resizes an image to the size of a request: the resize modes of the webui that work on images.
 *
 * 0 stretches it. 1 scales it to cover the size and cuts off what hangs over. 2 scales it to fit in, and fills the bars
 * next to it with the values at its edge.
 */
import * as Effect from "effect/Effect"
import { type Region, regionOf, type Size } from "../core/Geometry.ts"
import { crop, filled, paste, type Raster } from "../core/Raster.ts"
import { away, type Parts } from "../core/Work.ts"
import { samplesOf } from "./Parts.ts"
import { resizeInParts } from "./Resample.ts"

export type ResizeMode = 0 | 1 | 2

/** Resizes an image to exactly this size: an upscaler, for instance. */
export type Scale<E, R> = (raster: Raster, width: number, height: number) => Effect.Effect<Raster, E, R>

/**
 * An image of `width` by `height` and as many channels as before. The scaling is Lanczos, unless another is given and
 * the image grows.
 *
 * No more is scaled than is left in the end, and with another scaling no more than four times as many pixels: it sees
 * what will be visible and 8 pixels around it, or is not used when so few are visible that these would be most.
 */
export const resizeMode = Effect.fnUntraced(function*<E = never, R = never>(
  mode: ResizeMode,
  raster: Raster,
  width: number,
  height: number,
  scale?: Scale<E, R>
): Effect.fn.Return<Raster, E, R> {
  const to = { width, height }
  const size = sizeFor(mode, raster, to)
  const part = seenPart(raster, size, to)
  const isScaled = scale !== undefined && (size.width > raster.width || size.height > raster.height) &&
    areaOf(sizeOf(part.scaled)) <= mostGrowth * areaOf(to)
  if (!isScaled) {
    return yield* away(
      { module: import.meta.url, parts: lanczosInParts },
      [mode, raster, to],
      samplesOf(raster) + width * height * raster.channels * effort
    )
  }
  const { bottom, left, right, top } = part.scaled
  const scaled = yield* scale(isWhole(part.seen, raster) ? raster : crop(raster, part.seen), right - left, bottom - top)
  return yield* away(
    { module: import.meta.url, parts: placeInParts },
    [mode, scaled, size, to, { left, top }],
    samplesOf(scaled) + width * height * raster.channels * 2
  )
})

/** The same by Lanczos. */
export function* lanczosInParts(mode: ResizeMode, raster: Raster, to: Size): Parts<Raster> {
  const size = sizeFor(mode, raster, to)
  const window = visible(size, to)
  const scaled = yield* resizeInParts(raster, size.width, size.height, "lanczos", { window })
  return yield* placeInParts(mode, scaled, size, to, window)
}

/** The size to which an image is scaled, before it is cut or bars are added. */
export const sizeFor = (mode: ResizeMode, from: Size, { height, width }: Size): Size => {
  if (mode === 0) return { width, height }
  const ratio = width / height
  const own = from.width / from.height
  const isWidthKept = mode === 1 ? ratio > own : ratio < own
  const isHeightKept = mode === 1 ? ratio <= own : ratio >= own
  return {
    width: isWidthKept ? width : Math.max(1, Math.trunc(from.width * height / from.height)),
    height: isHeightKept ? height : Math.max(1, Math.trunc(from.height * width / from.width))
  }
}

/** For a sample of the result, about. */
const effort = 12

/** Pixels that may be scaled for each that is wanted. */
const mostGrowth = 4

/** Pixels around the visible ones that another scaling sees. */
const margin = 8

const areaOf = ({ height, width }: Size): number => width * height

const sizeOf = ({ bottom, left, right, top }: Region): Size => ({ width: right - left, height: bottom - top })

const isWhole = ({ bottom, left, right, top }: Region, { height, width }: Size): boolean =>
  left === 0 && top === 0 && right === width && bottom === height

/** Where the corner of the scaled image comes to lie. */
const cornerOf = (size: Size, to: Size): { readonly left: number; readonly top: number } => ({
  left: Math.floor(to.width / 2) - Math.floor(size.width / 2),
  top: Math.floor(to.height / 2) - Math.floor(size.height / 2)
})

/** The part of the scaled image that is not cut off. */
const visible = (size: Size, to: Size): Region => {
  const { left, top } = cornerOf(size, to)
  return {
    left: Math.max(0, -left),
    top: Math.max(0, -top),
    right: Math.min(size.width, to.width - left),
    bottom: Math.min(size.height, to.height - top)
  }
}

// What another scaling is given of the image, and where that lies in the scaled one: all, unless it would be too large.
const seenPart = (from: Size, size: Size, to: Size): { readonly seen: Region; readonly scaled: Region } => {
  if (areaOf(size) <= mostGrowth * areaOf(to)) return { seen: regionOf(from), scaled: regionOf(size) }
  const window = visible(size, to)
  const x = size.width / from.width
  const y = size.height / from.height
  const seen = {
    left: Math.max(0, Math.floor(window.left / x) - margin),
    top: Math.max(0, Math.floor(window.top / y) - margin),
    right: Math.min(from.width, Math.ceil(window.right / x) + margin),
    bottom: Math.min(from.height, Math.ceil(window.bottom / y) + margin)
  }
  const scaled = {
    left: Math.round(seen.left * x),
    top: Math.round(seen.top * y),
    right: Math.round(seen.right * x),
    bottom: Math.round(seen.bottom * y)
  }
  return { seen, scaled }
}

// `scaled` is what there is of the scaled image, `begin` its corner there.
/** The last part of it: cuts, or adds bars. */
export function* placeInParts(
  mode: ResizeMode,
  scaled: Raster,
  size: Size,
  to: Size,
  begin: { readonly left: number; readonly top: number }
): Parts<Raster> {
  const corner = cornerOf(size, to)
  const left = corner.left + begin.left
  const top = corner.top + begin.top
  if (left === 0 && top === 0 && scaled.width === to.width && scaled.height === to.height) return scaled
  const empty = filled(to, scaled.channels)
  yield
  const placed = paste(empty, scaled, left, top)
  yield
  return mode === 2 ? yield* withBars(placed, scaled, left, top) : placed
}

// A part of no height, or no width, stretched: the bicubic goes on beyond the edge, from the two rows nearest to it.
function* withBars(placed: Raster, scaled: Raster, left: number, top: number): Parts<Raster> {
  const { bottom, right } = regionOf(scaled)
  const bar = (edge: { readonly [K in "left" | "top" | "right" | "bottom"]?: number }, width: number, height: number) =>
    resizeInParts(scaled, width, height, "bicubic", { from: { ...regionOf(scaled), ...edge } })
  const below = placed.height - top - bottom
  const rightBar = placed.width - left - right
  let out = placed
  if (top > 0) out = paste(out, yield* bar({ bottom: 0 }, right, top), left, 0)
  if (below > 0) out = paste(out, yield* bar({ top: bottom }, right, below), left, top + bottom)
  if (left > 0) out = paste(out, yield* bar({ right: 0 }, left, bottom), 0, top)
  if (rightBar > 0) out = paste(out, yield* bar({ left: right }, rightBar, bottom), left + right, top)
  return out
}

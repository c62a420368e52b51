/**
 * How a picture is brought to the size of a request: the resize modes of the webui that work on pictures.
 *
 * 0 stretches it. 1 scales it to cover the size and cuts off what hangs over. 2 scales it to fit in, and fills the bars
 * beside it with the values at its edge.
 */
import * as Effect from "effect/Effect"
import { filled, paste, type Raster, regionOf, type Size } from "./Raster.ts"
import * as Resample from "./Resample.ts"

export type ResizeMode = 0 | 1 | 2

/** Brings a picture to exactly this size: an upscaler, for instance. */
export type Scale<E, R> = (raster: Raster, width: number, height: number) => Effect.Effect<Raster, E, R>

/** A picture of `width` by `height` and as many channels as before. The scaling is Lanczos, unless another is given. */
export const resizeMode = <E = never, R = never>(
  mode: ResizeMode,
  raster: Raster,
  width: number,
  height: number,
  scale?: Scale<E, R>
): Effect.Effect<Raster, E, R> => {
  if (scale === undefined) return Effect.sync(() => lanczos(mode, raster, width, height))
  const size = sizeFor(mode, raster, { width, height })
  return Effect.map(scale(raster, size.width, size.height), (scaled) => place(mode, scaled, { width, height }))
}

/** The same by Lanczos, as a pure function. */
export const lanczos = (mode: ResizeMode, raster: Raster, width: number, height: number): Raster => {
  const size = sizeFor(mode, raster, { width, height })
  return place(mode, Resample.resize(raster, size.width, size.height, "lanczos"), { width, height })
}

/** The size to which a picture is scaled, before it is cut or bars are added. */
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

const place = (mode: ResizeMode, scaled: Raster, { height, width }: Size): Raster => {
  if (scaled.width === width && scaled.height === height) return scaled
  const left = Math.floor(width / 2) - Math.floor(scaled.width / 2)
  const top = Math.floor(height / 2) - Math.floor(scaled.height / 2)
  const placed = paste(filled({ width, height }, scaled.channels), scaled, left, top)
  return mode === 2 ? withBars(placed, scaled, left, top) : placed
}

// A part of no height, or no width, stretched: the bicubic goes on beyond the edge, from the two rows nearest to it.
const withBars = (placed: Raster, scaled: Raster, left: number, top: number): Raster => {
  const { bottom, right } = regionOf(scaled)
  const bar = (edge: { readonly [K in "left" | "top" | "right" | "bottom"]?: number }, width: number, height: number) =>
    Resample.resize(scaled, width, height, "bicubic", { ...regionOf(scaled), ...edge })
  const below = placed.height - top - bottom
  const beside = placed.width - left - right
  let out = placed
  if (top > 0) out = paste(out, bar({ bottom: 0 }, right, top), left, 0)
  if (below > 0) out = paste(out, bar({ top: bottom }, right, below), left, top + bottom)
  if (left > 0) out = paste(out, bar({ right: 0 }, left, bottom), 0, top)
  if (beside > 0) out = paste(out, bar({ left: right }, beside, bottom), left + right, top)
  return out
}

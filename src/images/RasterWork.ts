/**
 * Small changes of images, for images that may be large.
 *
 * Each is one of the functions on rasters, done at once where it is short and away from the main thread otherwise.
 */
import type * as Effect from "effect/Effect"
import type { Region } from "../core/Geometry.ts"
import { crop, type Raster, toPlanar, toRgb } from "../core/Raster.ts"
import { away, type Parts } from "../core/Work.ts"
import { grid, type GridOptions } from "./Grid.ts"
import * as Masks from "./Masks.ts"
import { eachPixel, samplesOf } from "./Parts.ts"
import { plot, type PlotLabels } from "./Plot.ts"

const { url: module } = import.meta

/** For a sample, about. */
const effort = 2

type Colour = readonly [number, number, number]

/** See `toRgb`. */
export const rgbOf = (raster: Raster, background: Colour): Effect.Effect<Raster> =>
  // What is RGB stays as it is.
  away({ module, parts: rgbWork }, [raster, background], raster.channels === 3 ? 0 : samplesOf(raster) * effort)

export function* rgbWork(raster: Raster, background: Colour): Parts<Raster> {
  return toRgb(raster, background)
}

/** See `toPlanar`. */
export const planarOf = (raster: Raster): Effect.Effect<Float32Array> =>
  away({ module, parts: planarWork }, [raster], samplesOf(raster) * effort)

export function* planarWork(raster: Raster): Parts<Float32Array> {
  return toPlanar(raster)
}

/** See `crop`. */
export const cropping = (raster: Raster, region: Region): Effect.Effect<Raster> =>
  away(
    { module, parts: cropWork },
    [raster, region],
    (region.right - region.left) * (region.bottom - region.top) * raster.channels
  )

export function* cropWork(raster: Raster, region: Region): Parts<Raster> {
  return crop(raster, region)
}

/** The mask that an image stands for, white for black where it is inverted. See `Masks.fromImage`. */
export const maskOf = (
  raster: Raster,
  options: { readonly round: boolean; readonly inverted: boolean }
): Effect.Effect<Masks.Mask> => away({ module, parts: maskWork }, [raster, options], samplesOf(raster) * effort)

export function* maskWork(
  raster: Raster,
  { inverted, round }: { readonly round: boolean; readonly inverted: boolean }
): Parts<Masks.Mask> {
  const mask = Masks.fromImage(raster, { round })
  return inverted ? Masks.invert(mask) : mask
}

/** See `Masks.cropRegion`. */
export const maskedRegion = (mask: Raster, padding: number): Effect.Effect<Region | undefined> =>
  away({ module, parts: regionWork }, [mask, padding], samplesOf(mask) * effort)

export function* regionWork(mask: Raster, padding: number): Parts<Region | undefined> {
  return Masks.cropRegion(mask, padding)
}

/** See `grid`. */
export const makeGrid = (images: ReadonlyArray<Raster>, options: GridOptions): Effect.Effect<Raster> =>
  away(
    { module, parts: gridWork },
    [images, options],
    images.reduce((sum, image) => sum + samplesOf(image), 0) * effort
  )

export function* gridWork(images: ReadonlyArray<Raster>, options: GridOptions): Parts<Raster> {
  return grid(images, options)
}

/** See `plot`. */
export const makePlot = (cells: ReadonlyArray<Raster | undefined>, labels: PlotLabels): Effect.Effect<Raster> =>
  away(
    { module, parts: plotWork },
    [cells, labels],
    cells.reduce((sum, cell) => sum + (cell === undefined ? 0 : samplesOf(cell)), 0) * effort
  )

export function* plotWork(cells: ReadonlyArray<Raster | undefined>, labels: PlotLabels): Parts<Raster> {
  return plot(cells, labels)
}

/** Two images of the same size and channels, mixed sample by sample; the first where they are of another. */
export const blending = (a: Raster, b: Raster, weight: number): Effect.Effect<Raster> =>
  away({ module, parts: blendWork }, [a, b, weight], samplesOf(a) * 2 * effort)

export function* blendWork(a: Raster, b: Raster, weight: number): Parts<Raster> {
  if (a.width !== b.width || a.height !== b.height || a.channels !== b.channels) return a
  const data = new Uint8Array(a.data.length)
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.round((a.data[i] as number) * (1 - weight) + (b.data[i] as number) * weight)
  }
  return { ...a, data }
}

/** An RGBA image whose hidden parts are half seen: every alpha is halfway between what it was and opaque. */
export const halfSeen = (raster: Raster): Effect.Effect<Raster> =>
  away({ module, parts: halfSeenWork }, [raster], samplesOf(raster) * effort)

export function* halfSeenWork(raster: Raster): Parts<Raster> {
  return yield* eachPixel(raster, 4, (lines) => ({
    ...lines,
    data: lines.data.map((value, i) => i % 4 === 3 ? 255 - ((255 - value) >> 1) : value)
  }))
}

/** An image cut, or widened with black, around its centre. */
export const centring = (raster: Raster, width: number, height: number): Effect.Effect<Raster> => {
  const left = Math.trunc((width - raster.width) / 2)
  const top = Math.trunc((height - raster.height) / 2)
  return cropping(raster, { left: -left, top: -top, right: width - left, bottom: height - top })
}

/** Pictures to start from, as files. */
import * as Effect from "effect/Effect"
import type { Raster } from "../../src/core/Raster.ts"
import * as PlainEncoder from "../../src/testing/PlainEncoder.ts"

/** A picture whose every pixel is told by its place: RGB, or grey where the function gives one number. */
export const draw = (
  width: number,
  height: number,
  at: (x: number, y: number) => readonly [number, number, number]
): Raster => {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set(at(x, y), (y * width + x) * 3)
  }
  return { width, height, channels: 3, data }
}

/** Slopes of colour, different everywhere. */
export const slopes = (width = 64, height = 64): Raster =>
  draw(width, height, (x, y) => [x * 255 / width, y * 255 / height, ((x ^ y) * 7) % 256])

/** White in a rectangle, black around it. */
export const rectangle = (
  [left, top, right, bottom]: readonly [number, number, number, number],
  width = 64,
  height = 64
): Raster =>
  draw(width, height, (x, y) => x >= left && x < right && y >= top && y < bottom ? [255, 255, 255] : [0, 0, 0])

/** An image that is half transparent, and more so towards the right. */
export const translucent = ({ data, height, width }: Raster): Raster => {
  const rgba = new Uint8Array(width * height * 4)
  for (let place = 0; place < width * height; place++) {
    rgba.set(data.subarray(place * 3, place * 3 + 3), place * 4)
    rgba[place * 4 + 3] = 255 - Math.round(200 * (place % width) / width)
  }
  return { width, height, channels: 4, data: rgba }
}

export const file = (raster: Raster) => Effect.orDie(PlainEncoder.encode({ raster, infotext: "" }))

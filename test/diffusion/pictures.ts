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

export const file = (raster: Raster) => Effect.orDie(PlainEncoder.encode({ raster, infotext: "" }))

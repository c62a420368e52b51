/**
 * Long work on images in short parts, line by line.
 */
import type { Raster } from "../core/Raster.ts"
import { type Parts, workAtOnce } from "../core/Work.ts"

/** Runs `work` for the lines from 0 to `lines`, some at a time. `effort` is how much there is to do for a line. */
export function* byLines(lines: number, effort: number, work: (from: number, to: number) => void): Parts<void> {
  const step = Math.max(1, Math.floor(workAtOnce / effort))
  for (let from = 0; from < lines; from += step) {
    work(from, Math.min(lines, from + step))
    yield
  }
}

/** The number of samples of an image. */
export const samplesOf = ({ channels, height, width }: Raster): number => width * height * channels

/** Some lines of an image; they share its samples. */
export const linesOf = (raster: Raster, from: number, to: number): Raster => {
  const line = raster.width * raster.channels
  return { ...raster, height: to - from, data: raster.data.subarray(from * line, to * line) }
}

/**
 * An image of so many channels, of which `change` makes some lines after the other: each pixel from the one at the same
 * place. `effort` is how much there is to do for a pixel.
 */
export function* eachPixel(
  raster: Raster,
  channels: Raster["channels"],
  change: (lines: Raster, from: number) => Raster,
  effort = 8
): Parts<Raster> {
  const { height, width } = raster
  const data = new Uint8Array(width * height * channels)
  yield* byLines(height, width * effort, (from, to) => {
    data.set(change(linesOf(raster, from, to), from).data, from * width * channels)
  })
  return { width, height, channels, data }
}

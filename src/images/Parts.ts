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

/** Multiplications by vectors that take as long as one without, about. */
export const abreast = 16

/** Bytes of lines that are held at once, when many are needed together. */
const held = 2 ** 20

/** Strips of lines of `row` bytes, from left to right, so narrow that `lines` of them are not too much at once. */
export const stripsOf = (
  row: number,
  lines: number
): ReadonlyArray<{ readonly left: number; readonly bytes: number }> => {
  const strip = Math.max(64, Math.floor(held / lines))
  return Array.from({ length: Math.ceil(row / strip) }, (_, i) => ({
    left: i * strip,
    bytes: Math.min(strip, row - i * strip)
  }))
}

/** Lines of the shorter row copied to, or from, the beginning of each longer one, until either has no more. */
export const copyStrip = (to: Uint8Array, toRow: number, from: Uint8Array, fromRow: number): void => {
  if (toRow === fromRow) return to.set(from.subarray(0, to.length))
  const bytes = Math.min(toRow, fromRow)
  for (let at = 0, of = 0; at < to.length && of < from.length; at += toRow, of += fromRow) {
    to.set(from.subarray(of, of + bytes), at)
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

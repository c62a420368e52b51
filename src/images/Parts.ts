/**
 * Long work on images in short parts, so that other fibers get their turn and the work can be interrupted.
 *
 * The work is a generator that yields after each part, of which there may be thousands. It is written once, and run
 * with pauses (`inTurns`) or without (`atOnce`): the result is the same.
 */
import * as Effect from "effect/Effect"
import type { Raster } from "../core/Raster.ts"

/** Work that stops for a moment at each `yield`. */
export type Parts<A> = Generator<void, A, void>

/** Multiplications, or what takes as long, in one part: about a millisecond. */
export const workAtOnce = 1 << 18

/** Milliseconds after which other fibers get their turn. */
const turn = 8

/** The whole work, in turns with other fibers. It begins anew each time the effect is run. */
export const inTurns = <A>(work: () => Parts<A>): Effect.Effect<A> =>
  Effect.gen(function*() {
    const parts = work()
    for (;;) {
      const end = performance.now() + turn
      do {
        const part = parts.next()
        if (part.done === true) return part.value
      } while (performance.now() < end)
      yield* Effect.yieldNow
    }
  })

/** The whole work without a pause. */
export const atOnce = <A>(parts: Parts<A>): A => {
  for (;;) {
    const part = parts.next()
    if (part.done === true) return part.value
  }
}

/** Runs `work` for the lines from 0 to `lines`, some at a time. `effort` is how much there is to do for a line. */
export function* byLines(lines: number, effort: number, work: (from: number, to: number) => void): Parts<void> {
  const step = Math.max(1, Math.floor(workAtOnce / effort))
  for (let from = 0; from < lines; from += step) {
    work(from, Math.min(lines, from + step))
    yield
  }
}

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

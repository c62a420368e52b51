/**
 * From latents to pixels, the parts that need no network.
 */
import type * as Effect from "effect/Effect"
import { away, type Parts } from "../core/Work.ts"

/** Pixels that are converted before other fibers get their turn: a few milliseconds of work. */
const pixelsAtOnce = 1 << 18

/**
 * Planar RGB `[3, height, width]` of about -1 to 1 as 8-bit interleaved `[height, width, 3]`: clamped, and cut, not
 * rounded, to bytes, as stable-diffusion-webui does.
 */
export const toPixels = (planar: Float32Array): Effect.Effect<Uint8Array> =>
  away({ module: import.meta.url, parts: pixelsInParts }, [planar], planar.length * 2)

/** The same in parts. */
export function* pixelsInParts(planar: Float32Array): Parts<Uint8Array> {
  const area = planar.length / 3
  const pixels = new Uint8Array(planar.length)
  for (let from = 0; from < area; from += pixelsAtOnce) {
    interleave(planar, pixels, area, from, Math.min(area, from + pixelsAtOnce))
    yield
  }
  return pixels
}

const interleave = (planar: Float32Array, pixels: Uint8Array, area: number, from: number, to: number): void => {
  for (let channel = 0; channel < 3; channel++) {
    const plane = channel * area
    for (let i = from; i < to; i++) {
      const value = ((planar[plane + i] as number) + 1) / 2
      pixels[i * 3 + channel] = value <= 0 ? 0 : value >= 1 ? 255 : value * 255
    }
  }
}

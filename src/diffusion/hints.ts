/**
 * Images as ControlNets read them.
 */
import type { Raster } from "../core/Raster.ts"
import type { Parts } from "../core/Work.ts"
import { byLines } from "../images/Parts.ts"

/** Where a part of an image begins; what is beyond an edge goes on at the other one. */
export interface HintPart {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
}

/** Writes a part of an image as a ControlNet reads it: `[3, height, width]`, 0 to 1, and -1 where it is hidden. */
export function* writeHint(
  out: Float32Array,
  { channels, data, height, width }: Raster,
  part: HintPart = { top: 0, left: 0, height, width }
): Parts<void> {
  const area = part.height * part.width
  yield* byLines(part.height, part.width * 8, (from, to) => {
    for (let y = from; y < to; y++) {
      const row = (part.top + y) % height * width
      for (let x = 0; x < part.width; x++) {
        const pixel = (row + (part.left + x) % width) * channels
        const isHidden = channels === 4 && (data[pixel + 3] as number) < 128
        for (let channel = 0; channel < 3; channel++) {
          out[channel * area + y * part.width + x] = isHidden ? -1 : (data[pixel + channel] as number) / 255
        }
      }
    }
  })
}

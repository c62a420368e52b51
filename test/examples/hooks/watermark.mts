// watermark.mts
import { Effect, Metric } from "effect"
import type { GeneratedImage, HookSet } from "serena-runtime"

/** Pictures that lacked the mark. */
export const unmarked = Metric.counter("watermark_missing")

// The mark is a dark corner, 8 by 8 pixels, at the lower right.
const isMarked = ({ height, pixels, width }: GeneratedImage) => {
  for (let y = height - 8; y < height; y++) {
    const row = pixels.subarray((y * width + width - 8) * 3, (y + 1) * width * 3)
    if (row.some((value) => value > 64)) return false
  }
  return true
}

/** Counts pictures without the mark, and warns of each. */
export const watermark: HookSet = {
  onExecute: (_, { images }) =>
    Effect.forEach(
      images.filter((image) => !isMarked(image)),
      ({ seed }) => Effect.andThen(Metric.update(unmarked, 1), Effect.logWarning(`seed ${seed} has no watermark`)),
      { discard: true }
    )
}

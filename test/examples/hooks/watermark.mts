// watermark.mts
import { Effect, Metric } from "effect"
import type { GeneratedImage, HookSet } from "serena-runtime"

/** Images without a watermark. */
export const unmarked = Metric.counter("watermark_missing")

// The watermark is a dark square of 8x8 pixels in the lower right corner.
const isMarked = ({ height, pixels, width }: GeneratedImage) => {
  for (let y = height - 8; y < height; y++) {
    const row = pixels.subarray((y * width + width - 8) * 3, (y + 1) * width * 3)
    if (row.some((value) => value > 64)) return false
  }
  return true
}

/** Counts images without a watermark, and logs a warning for each. */
export const watermark: HookSet = {
  onExecute: (_, { images }) =>
    Effect.forEach(
      images.filter((image) => !isMarked(image)),
      ({ seed }) => Effect.andThen(Metric.update(unmarked, 1), Effect.logWarning(`seed ${seed} has no watermark`)),
      { discard: true }
    )
}

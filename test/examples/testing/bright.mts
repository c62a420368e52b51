// bright.mts
import { Metric } from "effect"
import type { HookSet } from "serena-runtime"

/** The number of bright images. */
export const bright = Metric.counter("bright_images")

/** Counts bright images. */
export const counting: HookSet = {
  onExecute: (_, { images }) => {
    const found = images.filter(({ pixels }) => pixels.reduce((sum, value) => sum + value, 0) > pixels.length * 128)
    return Metric.update(bright, found.length)
  }
}

// bright.mts
import { Metric } from "effect"
import type { HookSet } from "serena-runtime"

/** Bright pictures. */
export const bright = Metric.counter("bright")

/** Counts bright pictures. */
export const counting: HookSet = {
  onExecute: (_, { images }) => {
    const lit = images.filter(({ pixels }) => pixels.reduce((sum, value) => sum + value, 0) > pixels.length * 128)
    return Metric.update(bright, lit.length)
  }
}

/**
 * How far the image of the viewer is enlarged, and how far it is moved from the middle, in pixels.
 */
import { signal } from "@preact/signals"

const whole = { scale: 1, x: 0, y: 0 }

export const zoom = signal(whole)

export const showWhole = () => {
  zoom.value = whole
}

const most = 16

/** Enlarges the image; the point at `x` and `y` from the middle stays where it is. */
export const zoomBy = (factor: number, x = 0, y = 0) => {
  const now = zoom.value
  const scale = Math.min(most, Math.max(1, now.scale * factor))
  const change = scale / now.scale
  zoom.value = scale === 1 ? whole : { scale, x: x - (x - now.x) * change, y: y - (y - now.y) * change }
}

export const moveBy = (x: number, y: number) => {
  const now = zoom.value
  if (now.scale > 1) zoom.value = { ...now, x: now.x + x, y: now.y + y }
}

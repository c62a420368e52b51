/**
 * The size of the second pass of hires fix.
 */
import type { Size } from "../core/Geometry.ts"
import type { Txt2Img } from "./Processing.ts"

/** The size to which the first pass is enlarged, and the size to which it is cropped. */
export interface HiresSize {
  readonly enlarged: Size
  readonly wanted: Size
}

/** From the first pass's size to the second's (`StableDiffusionProcessingTxt2Img.calculate_target_resolution`). */
export const hiresSize = (
  { hr_resize_x: x, hr_resize_y: y, hr_scale }: Pick<Txt2Img, "hr_resize_x" | "hr_resize_y" | "hr_scale">,
  { height, width }: Size
): HiresSize => {
  const byWidth = { width: x, height: Math.floor(x * height / width) }
  const byHeight = { width: Math.floor(y * width / height), height: y }
  if (x === 0 && y === 0) {
    const enlarged = { width: Math.floor(width * hr_scale), height: Math.floor(height * hr_scale) }
    return { enlarged, wanted: enlarged }
  }
  if (y === 0) return { enlarged: byWidth, wanted: byWidth }
  if (x === 0) return { enlarged: byHeight, wanted: byHeight }
  return { enlarged: width / height < x / y ? byWidth : byHeight, wanted: { width: x, height: y } }
}

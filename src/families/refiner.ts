/**
 * The refiner of Stable Diffusion XL: the second text encoder alone, and an aesthetic score in place of the size that
 * the image is to have.
 */
import * as clip from "./clip.ts"
import type { Family } from "./Family.ts"
import { bigG, sdxl } from "./sdxl.ts"
import { vector } from "./vector.ts"

export const refiner: Family = {
  ...sdxl,
  name: "Stable Diffusion XL refiner",
  textEncoders: [bigG],
  conditioner: clip.withInputs(
    clip.conditioner({ emptyNegativeIsZero: true }),
    ({ settings, size: { height, width } }) => {
      const place = [height, width, settings.sdxl_crop_top, settings.sdxl_crop_left]
      return {
        prompt: { time_ids: vector([...place, settings.sdxl_refiner_high_aesthetic_score]) },
        negative: { time_ids: vector([...place, settings.sdxl_refiner_low_aesthetic_score]) }
      }
    }
  )
}

/**
 * What img2img starts from, as far as sizes and flags say.
 */
import type { Size } from "../core/Geometry.ts"
import type { Limits } from "../processing/Limits.ts"
import type { Img2Img, Processing } from "../processing/Processing.ts"
import type { Problems } from "./Problems.ts"
import type { SourcePlan } from "./RunPlan.ts"

/** What was read of the images that a request comes with. */
export interface SourceFacts {
  /** Sizes of the init images as they came. */
  readonly sizes: readonly [Size, ...ReadonlyArray<Size>]
  /** Whether there is a mask, and whether it leaves something to be made. */
  readonly mask: "none" | "empty" | "used"
}

/** The request with the batch that its init images make: several make a batch of their own size. */
export const withBatchOf = (processing: Processing, source: SourceFacts | undefined): Processing =>
  source === undefined || source.sizes.length === 1 ? processing : { ...processing, batch_size: source.sizes.length }

/** Init images that are too large to be encoded in their own size, as resize mode 3 does. */
export const sourceProblems = (
  { resize_mode }: Img2Img,
  { sizes }: SourceFacts,
  { max_height, max_width }: Limits
): Problems =>
  resize_mode !== 3 ? [] : sizes.flatMap(({ height, width }, i) =>
    width <= max_width && height <= max_height ? [] : [{
      path: `init_images.${i}`,
      message: `it is ${width}x${height} pixels, and resize mode 3 takes ${max_width}x${max_height} at most`
    }]
  )

/** The source without its pixels, and what the user should know of it. */
export const planSource = ({ denoising_strength }: Img2Img, { mask }: SourceFacts): {
  readonly plan: SourcePlan
  readonly warnings: ReadonlyArray<string>
} => ({
  plan: { denoisingStrength: denoising_strength, isMasked: mask === "used", pixels: undefined },
  warnings: mask === "empty" ? ["The mask is empty: the whole image is regenerated."] : []
})

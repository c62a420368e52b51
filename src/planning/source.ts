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

/**
 * Init images that a request cannot start from: too large to be encoded in their own size, as resize mode 3 does, or of
 * another size than the first, where the masked area of the first is cut out of all.
 */
export const sourceProblems = (
  { inpaint_full_res, resize_mode }: Img2Img,
  { mask, sizes }: SourceFacts,
  { max_height, max_width }: Limits
): Problems =>
  sizes.flatMap((size, i) => {
    const [first] = sizes
    const { height, width } = size
    const path = `init_images.${i}`
    return [
      ...(resize_mode === 3 && (width > max_width || height > max_height)
        ? [{
          path,
          message: `it is ${width}x${height} pixels, and resize mode 3 takes ${max_width}x${max_height} at most`
        }]
        : []),
      ...(mask === "used" && inpaint_full_res && (width !== first.width || height !== first.height)
        ? [{
          path,
          message:
            `it is ${width}x${height} pixels, and the first image ${first.width}x${first.height}. Give images of ` +
            "one size to generate only the masked area, or set inpaint_full_res to false"
        }]
        : [])
    ]
  })

/** The source without its pixels, and what the user should know of it. */
export const planSource = ({ denoising_strength }: Img2Img, { mask }: SourceFacts): {
  readonly plan: SourcePlan
  readonly warnings: ReadonlyArray<string>
} => ({
  plan: { denoisingStrength: denoising_strength, isMasked: mask === "used", pixels: undefined },
  warnings: mask === "empty" ? ["The mask is empty: the whole image is regenerated."] : []
})

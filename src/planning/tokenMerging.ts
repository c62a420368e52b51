/**
 * How many tokens a run merges, as stable-diffusion-webui settles it.
 */
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"

/** Fractions of the tokens that are merged in the first pass and in that of hires fix, 0 to 0.9. */
export interface TokenMerging {
  readonly first: number
  readonly second: number
}

/**
 * What settings a request's passes follow. A ratio of 0 leaves it to the more general setting. One that the request
 * itself has counts more than the setting for img2img: infotexts have one key for both.
 */
export const tokenMergingOf = (
  { _tag, override_settings }: Pick<Processing, "_tag" | "override_settings">,
  opts: OptionsSnapshot
): TokenMerging => {
  const { token_merging_ratio: ratio, token_merging_ratio_hr: second, token_merging_ratio_img2img: ofImages } = opts
  const first = _tag === "Txt2Img" ? ratio : (override_settings.token_merging_ratio || ofImages || ratio)
  return { first, second: second || first }
}

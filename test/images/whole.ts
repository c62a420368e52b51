/**
 * Work on images without a pause, for tests that compare results.
 */
import { compositeOnto, type Raster } from "../../src/core/Raster.ts"
import { atOnce, type Parts } from "../../src/core/Work.ts"
import * as ColorCorrection from "../../src/images/ColorCorrection.ts"
import * as MaskFill from "../../src/images/MaskFill.ts"
import * as Masks from "../../src/images/Masks.ts"
import * as Overlay from "../../src/images/Overlay.ts"
import { resizeInParts } from "../../src/images/Resample.ts"

const whole = <Args extends ReadonlyArray<unknown>, A>(parts: (...args: Args) => Parts<A>) => (...args: Args): A =>
  atOnce(parts(...args))

export const resize = whole(resizeInParts)
export const fill = whole(MaskFill.fillInParts)
export const gaussianBlur = whole(MaskFill.gaussianBlur)
export const blur = whole(Masks.blurInParts)
export const latentMask = whole(Masks.latentMaskInParts)
export const correct = whole(ColorCorrection.correctInParts)
export const overlay = whole(Overlay.overlayInParts)
export const applyOverlay = whole(Overlay.applyInParts)
export const maskComposite = whole(Overlay.maskCompositeInParts)

/** An image of RGB and alpha with another above it. */
export const alphaComposite = (below: Raster, above: Raster): Raster => {
  const data = Uint8Array.from(below.data)
  compositeOnto(data, above.data)
  return { ...below, data }
}

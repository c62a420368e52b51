/**
 * What a preprocessor makes of an image, as a file: the map that people look at before a ControlNet follows it.
 */
import * as Effect from "effect/Effect"
import type { Raster } from "../core/Raster.ts"
import { Options } from "../processing/Options.ts"
import { formatOf, ImageEncoder } from "./ImageEncoder.ts"
import * as Preprocessors from "./Preprocessors.ts"
import * as RasterWork from "./RasterWork.ts"

/** The map as a PNG file. White areas of a mask are transparent in it, where the preprocessor is `inpaint_only`. */
export const detectedMap = Effect.fn("detectedMap")(function*(
  image: Raster,
  use: Preprocessors.Use,
  mask: Raster | undefined
) {
  const { encode } = yield* ImageEncoder
  const format = formatOf(yield* (yield* Options).snapshot)
  const grey = mask === undefined || use.preprocessor.name !== "inpaint_only"
    ? undefined
    : yield* RasterWork.maskOf(mask, { round: false, inverted: false })
  const raster = yield* Preprocessors.preprocessing(image, use, grey)
  return yield* encode({ raster, infotext: "" }, { ...format, format: "png" })
})

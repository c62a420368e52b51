/**
 * An encoder without a native package: it writes PNG files as `ImageEncoder` does, and no JPEG or WebP. It takes no
 * time by any clock: nothing of it happens in another thread, so a `TestClock` does not run ahead of it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { checkFilled, type Image, ImageEncoder, type ImageFormat } from "../images/ImageEncoder.ts"
import { ImageCodecError } from "../images/ImageError.ts"
import * as Png from "../images/Png.ts"

/** The default format. */
export const png: ImageFormat = { format: "png", quality: 80, lossless: false }

/** Encodes an image as PNG. Fails for any other format. */
export const encode = Effect.fnUntraced(function*({ infotext, raster }: Image, format: ImageFormat = png) {
  if (format.format !== "png") {
    return yield* new ImageCodecError({
      reason:
        `the encoder for tests writes PNG files only, not ${format.format}; set samples_format and grid_format to png`
    })
  }
  yield* checkFilled(raster)
  return Png.withInfotext(Png.encode(raster), infotext)
})

export const layer: Layer.Layer<ImageEncoder> = Layer.succeed(ImageEncoder, { encode, warm: () => Effect.void })

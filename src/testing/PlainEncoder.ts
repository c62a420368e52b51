/**
 * PNG files written with Node's own zlib: no native package is loaded, and any viewer opens them.
 *
 * They hold the same pixels and the same infotext as sharp's, and are larger.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { deflateSync } from "node:zlib"
import { type Image, ImageEncoder } from "../images/ImageEncoder.ts"
import * as Png from "../images/Png.ts"
import { ImageCodecError } from "../processing/errors.ts"

/** A PNG file of the picture. */
export const encode = Effect.fnUntraced(function*({ height, infotext, pixels, width }: Image) {
  const row = width * 3
  if (pixels.length !== row * height) {
    return yield* new ImageCodecError({ reason: `${pixels.length} bytes do not fill ${width}x${height} pixels` })
  }
  // Each scanline begins with its filter type: 0, none.
  const scanlines = new Uint8Array((row + 1) * height)
  for (let y = 0; y < height; y++) scanlines.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1)
  return Png.withInfotext(
    Png.fromScanlines({ width, height, compressed: deflateSync(scanlines, { level: 1 }) }),
    infotext
  )
})

export const layer: Layer.Layer<ImageEncoder> = Layer.succeed(ImageEncoder, { encode, warm: Effect.void })

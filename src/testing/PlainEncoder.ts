/**
 * A PNG encoder on Node's own zlib, without a native package.
 *
 * Its files hold the same pixels and infotext as sharp's and are larger. It writes no JPEG or WebP.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { crc32, deflateSync } from "node:zlib"
import { checkFilled, type Image, ImageEncoder, type ImageFormat } from "../images/ImageEncoder.ts"
import { ImageCodecError } from "../images/ImageError.ts"
import * as Png from "../images/Png.ts"

/** The default format. */
export const png: ImageFormat = { format: "png", quality: 80, lossless: false }

// PNG's names for 1, 3 and 4 channels (section 11.2.1).
const colourTypes = { 1: 0, 3: 2, 4: 6 } as const

/** Encodes an image as PNG. Fails for any other format. */
export const encode = Effect.fnUntraced(function*({ infotext, raster }: Image, format: ImageFormat = png) {
  if (format.format !== "png") {
    return yield* new ImageCodecError({
      reason:
        `the encoder for tests writes PNG files only, not ${format.format}; set samples_format and grid_format to png`
    })
  }
  yield* checkFilled(raster)
  const { channels, data, height, width } = raster
  const row = width * channels
  // Each scanline starts with its filter type: 0, none.
  const scanlines = new Uint8Array((row + 1) * height)
  for (let y = 0; y < height; y++) scanlines.set(data.subarray(y * row, (y + 1) * row), y * (row + 1) + 1)
  const rgb = Png.fromScanlines({ width, height, compressed: deflateSync(scanlines, { level: 1 }) })
  return Png.withInfotext(ofColourType(rgb, colourTypes[channels]), infotext)
})

// The tenth byte of the header is the colour type. A checksum over type and data follows the data.
const ofColourType = (file: Uint8Array, colourType: number): Uint8Array => {
  file[25] = colourType
  new DataView(file.buffer, file.byteOffset).setUint32(29, crc32(file.subarray(12, 29)))
  return file
}

export const layer: Layer.Layer<ImageEncoder> = Layer.succeed(ImageEncoder, { encode, warm: Effect.void })

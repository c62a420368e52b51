/**
 * PNG files written with Node's own zlib: no native package is loaded, and any viewer opens them.
 *
 * They hold the same pixels and the same infotext as sharp's, and are larger. There are no JPEG and WebP files here.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { crc32, deflateSync } from "node:zlib"
import { checkFilled, type Image, ImageEncoder, type ImageFormat } from "../images/ImageEncoder.ts"
import { ImageCodecError } from "../images/ImageError.ts"
import * as Png from "../images/Png.ts"

/** What is written when nothing else is asked for. */
export const png: ImageFormat = { format: "png", quality: 80, lossless: false }

// PNG's names for 1, 3 and 4 channels (section 11.2.1).
const colourTypes = { 1: 0, 3: 2, 4: 6 } as const

/** A PNG file of the picture. Fails when another format is asked for. */
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
  // Each scanline begins with its filter type: 0, none.
  const scanlines = new Uint8Array((row + 1) * height)
  for (let y = 0; y < height; y++) scanlines.set(data.subarray(y * row, (y + 1) * row), y * (row + 1) + 1)
  const rgb = Png.fromScanlines({ width, height, compressed: deflateSync(scanlines, { level: 1 }) })
  return Png.withInfotext(ofColourType(rgb, colourTypes[channels]), infotext)
})

// The header's tenth byte tells what the samples are. Its checksum, over type and data, stands behind the data.
const ofColourType = (file: Uint8Array, colourType: number): Uint8Array => {
  file[25] = colourType
  new DataView(file.buffer, file.byteOffset).setUint32(29, crc32(file.subarray(12, 29)))
  return file
}

export const layer: Layer.Layer<ImageEncoder> = Layer.succeed(ImageEncoder, { encode, warm: Effect.void })

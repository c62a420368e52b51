/**
 * Images from files.
 *
 * The live layer has sharp unpack the pixels, off the main thread; BMP files, which sharp does not read, are unpacked
 * here. A file is taken for what its first bytes say, and only formats of pixels are taken at all: no SVG, no PDF.
 * Colour profiles are passed over, as in the webui, but for CMYK.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Raster } from "../core/Raster.ts"
import type { Limits } from "../processing/Limits.ts"
import { withoutAncillary } from "./Ancillary.ts"
import * as FileSignature from "./FileSignature.ts"
import { ImageCodecError } from "./ImageError.ts"

export class ImageDecoder extends Context.Service<ImageDecoder, {
  /**
   * The pixels of a PNG, JPEG, WebP, GIF, AVIF, TIFF or BMP file, 8-bit RGB, with alpha if the file has any: turned as
   * EXIF says, the first image of several. Both limits hold before pixels are unpacked.
   */
  readonly decode: (
    bytes: Uint8Array,
    limits: Pick<Limits, "max_image_bytes" | "max_image_pixels">
  ) => Effect.Effect<Raster, ImageCodecError>
}>()("serena/images/ImageDecoder") {
  /** Files read by sharp, which is loaded for the first of them. */
  static readonly layer: Layer.Layer<ImageDecoder> = Layer.succeed(ImageDecoder, {
    decode: Effect.fn("ImageDecoder.decode")(function*(bytes, { max_image_bytes, max_image_pixels }) {
      if (bytes.length > max_image_bytes) {
        return yield* fail(`it has ${bytes.length} bytes, more than the ${max_image_bytes} of max_image_bytes`)
      }
      const format = FileSignature.sniff(bytes)
      if (format === undefined) return yield* fail(reasonAgainst(bytes))
      if (format === "bmp") {
        return yield* Effect.try({ try: () => decodeBmp(bytes, max_image_pixels), catch: toError })
      }
      return yield* Effect.tryPromise({
        try: () => decodeBySharp(bytes, format, max_image_pixels),
        catch: toError
        // sharp cannot be stopped, so an interruption waits until it is done.
      }).pipe(Effect.uninterruptible)
    })
  })
}

const fail = (reason: string) => Effect.fail(new ImageCodecError({ reason }))

const toError = (cause: unknown): ImageCodecError => {
  const [reason = ""] = (cause instanceof Error ? cause.message : String(cause)).trim().split("\n")
  return new ImageCodecError({ reason })
}

const reasonAgainst = (bytes: Uint8Array): string => {
  if (bytes.length === 0) return "it is empty"
  if (/<svg[\s>]|<!DOCTYPE svg/i.test(Buffer.from(bytes.subarray(0, 4096)).toString("latin1"))) {
    return "it is an SVG drawing, which has no pixels"
  }
  return "it is neither a PNG, JPEG, WebP, GIF, AVIF, TIFF nor BMP file"
}

const checkPixels = (width: number, height: number, most: number): void => {
  if (width * height > most) {
    throw new Error(`it has ${width}x${height} pixels, more than the ${most} of max_image_pixels`)
  }
}

const decodeBySharp = async (file: Uint8Array, format: FileSignature.FileFormat, most: number): Promise<Raster> => {
  const bytes = withoutAncillary(file, format)
  // Sharp brings a native library, so it is loaded for the first image and not before.
  const { default: sharp } = await import("sharp")
  // The size is checked below, so that the error can name it; the limit given here is for what the header hides.
  const image = sharp(bytes, { failOn: "error", limitInputPixels: most, ignoreIcc: true })
  const header = await sharp(bytes, { limitInputPixels: false }).metadata()
  // Sharp calls AVIF files HEIF, as their container is.
  const expected = format === "avif" ? "heif" : format
  if (header.format !== expected) throw new Error(`it begins as ${expected} but is ${header.format}`)
  checkPixels(header.width, header.height, most)
  const { data, info } = await image
    .autoOrient()
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
  const { channels, height, width } = info
  if (channels !== 3 && channels !== 4) throw new Error(`its pixels have ${channels} channels, which are not RGB`)
  if (data.length !== width * height * channels) throw new Error("its pixels are not whole")
  return { width, height, channels, data: new Uint8Array(data.buffer, data.byteOffset, data.length) }
}

// A header of 14 bytes, one of 40 and more for the image, the rows, from the last to the first.
const decodeBmp = (bytes: Uint8Array, most: number): Raster => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 54) throw new Error("the file ends in the middle of its header")
  const headerSize = view.getUint32(14, true)
  const width = view.getInt32(18, true)
  const storedHeight = view.getInt32(22, true)
  const bits = view.getUint16(28, true)
  const compression = view.getUint32(30, true)
  if (headerSize < 40) throw new Error("it is a BMP file of OS/2; save it as PNG")
  const hasMasks = compression === 3 && bits === 32
  if ((bits !== 24 && bits !== 32) || (compression !== 0 && !hasMasks)) {
    throw new Error(
      `it is a BMP file of ${bits} bits with compression ${compression}, where 24 or 32 bits are read; save it as PNG`
    )
  }
  const height = Math.abs(storedHeight)
  if (width <= 0 || height === 0) throw new Error(`it has ${width}x${height} pixels`)
  checkPixels(width, height, most)
  const hasAlpha = hasMasks && hasAlphaMask(view, headerSize)
  const step = bits / 8
  const stride = (width * step + 3) & ~3
  const begin = view.getUint32(10, true)
  if (begin + stride * height > bytes.length) throw new Error("the file ends in the middle of its pixels")
  const channels = hasAlpha ? 4 : 3
  const data = new Uint8Array(width * height * channels)
  for (let y = 0, to = 0; y < height; y++) {
    let from = begin + (storedHeight < 0 ? y : height - 1 - y) * stride
    for (let x = 0; x < width; x++, from += step, to += channels) {
      data[to] = bytes[from + 2] as number
      data[to + 1] = bytes[from + 1] as number
      data[to + 2] = bytes[from] as number
      if (hasAlpha) data[to + 3] = bytes[from + 3] as number
    }
  }
  return { width, height, channels, data }
}

// The masks say which bits are of which colour: only bytes in the order of files without masks are read.
const hasAlphaMask = (view: DataView, headerSize: number): boolean => {
  if (view.byteLength < 70) throw new Error("the file ends in the middle of its header")
  const [red, green, blue] = [view.getUint32(54, true), view.getUint32(58, true), view.getUint32(62, true)]
  const alpha = headerSize >= 56 ? view.getUint32(66, true) : 0
  if (red !== 0xFF0000 || green !== 0xFF00 || blue !== 0xFF || (alpha !== 0 && alpha !== 0xFF000000)) {
    throw new Error("it is a BMP file with another order of colours than blue, green, red; save it as PNG")
  }
  return alpha !== 0
}

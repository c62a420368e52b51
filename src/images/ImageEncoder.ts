/**
 * Images as files: PNG, JPEG or WebP.
 *
 * The live layer compresses off the main thread, JPEG and WebP with sharp. Equal images give equal bytes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Sharp } from "sharp"
import type { Raster } from "../core/Raster.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import { ImageCodecError } from "./ImageError.ts"
import * as Metadata from "./Metadata.ts"
import * as Png from "./Png.ts"

/** What is to be written. */
export interface Image {
  readonly raster: Raster
  /** Stored in the file; an empty text is not stored. */
  readonly infotext: string
}

/** How it is to be written. */
export interface ImageFormat {
  /** Also the file's extension. */
  readonly format: "png" | "jpg" | "webp"
  /** 1 to 100, of JPEG files, and of WebP files that lose something. */
  readonly quality: number
  /** Whether WebP files keep every pixel as it is. */
  readonly lossless: boolean
}

export class ImageEncoder extends Context.Service<ImageEncoder, {
  /**
   * A file with the infotext in it, as stable-diffusion-webui stores it: PNG files in a `parameters` chunk, JPEG and
   * WebP files in the EXIF user comment. A JPEG file has no room for more than 32,737 characters: with a longer text it
   * is written without, because the image matters more. JPEG has no transparency: images are composited onto white.
   */
  readonly encode: (image: Image, format: ImageFormat) => Effect.Effect<Uint8Array, ImageCodecError>
  /** Loads what `encode` needs for a format, ahead of its first use. */
  readonly warm: (format: ImageFormat["format"]) => Effect.Effect<void>
}>()("serena/images/ImageEncoder") {
  /** PNG files by Node's zlib, others, and those of very large images, by sharp. */
  static readonly layer: Layer.Layer<ImageEncoder> = Layer.sync(ImageEncoder, () =>
    ImageEncoder.of({
      encode: Effect.fnUntraced(function*({ infotext, raster }, format) {
        yield* checkFilled(raster)
        // Neither can be stopped, so an interruption waits until it is done.
        const file = yield* Effect.uninterruptible(
          format.format === "png" && raster.data.length <= mostSamples ? Png.encoding(raster) : bySharp(raster, format)
        )
        const whole = Metadata.withInfotext(file, infotext)
        // Nothing but the text's length can be wrong with a file that was just written.
        return yield* format.format === "jpg"
          ? Effect.catchTag(whole, "ImageCodecError", () => Effect.succeed(file))
          : whole
      }),
      warm: (format) => format === "png" ? Effect.void : Effect.ignore(Effect.tryPromise(loadSharp))
    }))
}

/** The settings for files: of images, or of grids. */
export const formatOf = (opts: OptionsSnapshot, which: "samples" | "grid" = "samples"): ImageFormat => {
  const format = which === "grid" ? opts.grid_format : opts.samples_format
  return {
    format: format === "jpeg" ? "jpg" : format,
    quality: opts.jpeg_quality,
    lossless: opts.webp_lossless
  }
}

/** PNG for an image that is larger than its format allows (JPEG 65,535 pixels, WebP 16,383), as in the webui. */
export const formatFor = (
  { height, width }: { readonly height: number; readonly width: number },
  format: ImageFormat
): ImageFormat => Math.max(height, width) > longestSides[format.format] ? { ...format, format: "png" } : format

const longestSides = { png: 2 ** 31 - 1, jpg: 65_535, webp: 16_383 } as const

/** Fails for an image without pixels, and for data that are too short or too long for its size. */
export const checkFilled = ({ channels, data, height, width }: Raster): Effect.Effect<void, ImageCodecError> =>
  width >= 1 && height >= 1 && data.length === width * height * channels
    ? Effect.void
    : Effect.fail(
      new ImageCodecError({
        reason: `${data.length} bytes are not ${width}x${height} pixels of ${channels} channels`
      })
    )

// Sharp brings a native library, so it is loaded when the first image is written with it and not before.
const loadSharp = () => import("sharp")

/** Samples of the largest PNG file that is put together in this thread: more would hold it up. */
const mostSamples = 2 ** 24

const bySharp = ({ channels, data, height, width }: Raster, format: ImageFormat) =>
  Effect.tryPromise({
    try: async () => {
      const { default: sharp } = await loadSharp()
      const pipeline = sharp(data, { raw: { width, height, channels } })
      // Left to itself, sharp writes grey as RGB.
      if (channels === 1) pipeline.toColourspace("b-w")
      const written = await inFormat(pipeline, format).toBuffer()
      return new Uint8Array(written.buffer, written.byteOffset, written.length)
    },
    catch: (cause) => new ImageCodecError({ reason: cause instanceof Error ? cause.message : String(cause) })
  })

const inFormat = (pipeline: Sharp, { format, lossless, quality }: ImageFormat): Sharp => {
  switch (format) {
    case "png":
      return pipeline.png()
    case "jpg":
      return pipeline.flatten({ background: "#ffffff" }).jpeg({ quality })
    case "webp":
      return pipeline.webp({ quality, lossless })
  }
}

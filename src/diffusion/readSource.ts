/**
 * What img2img starts from: images and mask read, brought to size, and made ready.
 *
 * The order of the work is that of stable-diffusion-webui 1.10.1 (`StableDiffusionProcessingImg2Img.init`).
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type { Region, Size } from "../core/Geometry.ts"
import type { Problem } from "../core/Problem.ts"
import type * as Raster from "../core/Raster.ts"
import type { Grey } from "../core/Raster.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import * as MaskFill from "../images/MaskFill.ts"
import * as Masks from "../images/Masks.ts"
import * as Overlay from "../images/Overlay.ts"
import * as RasterWork from "../images/RasterWork.ts"
import { resizing } from "../images/Resample.ts"
import { resizeMode } from "../images/ResizeMode.ts"
import { Upscalers } from "../images/Upscalers.ts"
import type { MaskPlan, SourcePixels } from "../planning/RunPlan.ts"
import type { SourceFacts } from "../planning/source.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Img2Img } from "../processing/Processing.ts"

/** The images of a request, as they came. */
export interface DecodedSource {
  readonly images: Arr.NonEmptyReadonlyArray<Raster.Raster>
  readonly mask: Raster.Raster | undefined
}

/** The images of a request with its mask as it acts, in its own size still. */
export interface Source {
  readonly images: Arr.NonEmptyReadonlyArray<Raster.Raster>
  /** Absent without a mask, or when it leaves nothing to be made. */
  readonly mask: ReadMask | undefined
  /** What planning needs to know of them. */
  readonly facts: SourceFacts
}

interface ReadMask {
  /** White areas are regenerated: inverted and blurred as asked. */
  readonly grey: Grey
  /** The masked part with its padding, where only that is made. */
  readonly region: Region | undefined
}

/** Decodes the images of a request. Fails with every one that cannot be read. */
export const decodeSource = Effect.fnUntraced(function*(processing: Img2Img, limits: Limits) {
  const { decode } = yield* ImageDecoder
  const problems: Array<Problem> = []
  const read = (path: string) => (bytes: Uint8Array) =>
    Effect.catch(decode(bytes, limits), ({ reason }) =>
      Effect.sync(() => {
        problems.push({ path, message: `it cannot be read as an image: ${reason}` })
        return blank
      }))
  const images = yield* Effect.forEach(processing.init_images, (bytes, i) => read(`init_images.${i}`)(bytes))
  const mask = processing.mask && (yield* read("mask")(processing.mask))
  if (problems.length > 0 || !Arr.isReadonlyArrayNonEmpty(images)) return yield* new InvalidProcessing({ problems })
  const decoded: DecodedSource = { images, mask }
  return decoded
})

const blank: Raster.Raster = { width: 1, height: 1, channels: 3, data: new Uint8Array(3) }

/** Sizes and flags of a request's images, for planning. */
export const factsOf = ({ images }: DecodedSource, mask: SourceFacts["mask"]): SourceFacts => ({
  sizes: Arr.map(images, ({ height, width }) => ({ height, width })),
  mask
})

/** Reads the images of a request, and finds what its mask leaves to be made. */
export const readSource = Effect.fnUntraced(function*(processing: Img2Img, limits: Limits) {
  const decoded = yield* decodeSource(processing, limits)
  const mask = decoded.mask && (yield* readMask(processing, decoded.mask, decoded.images[0]))
  const used = mask === undefined ? "empty" : "used"
  const source: Source = {
    images: decoded.images,
    mask,
    facts: factsOf(decoded, decoded.mask === undefined ? "none" : used)
  }
  return source
})

const readMask = Effect.fnUntraced(function*(processing: Img2Img, raster: Raster.Raster, image: Raster.Raster) {
  const sharp = yield* RasterWork.maskOf(raster, {
    round: processing.mask_round,
    inverted: processing.inpainting_mask_invert === 1
  })
  let grey: Grey = yield* Masks.blurring(sharp, processing.mask_blur_x, processing.mask_blur_y)
  if (!processing.inpaint_full_res) return { grey, region: undefined } satisfies ReadMask
  // What is cut out of mask and image must be the same.
  if (grey.width !== image.width || grey.height !== image.height) {
    grey = toGrey(yield* resizing(grey, image.width, image.height, "lanczos"))
  }
  const region = yield* RasterWork.maskedRegion(grey, processing.inpaint_full_res_padding)
  return region === undefined ? undefined : { grey, region } satisfies ReadMask
})

/** Makes the images of a request ready for a pass of this size. */
export const preparePixels = Effect.fnUntraced(function*(options: {
  readonly processing: Img2Img
  readonly source: Source
  readonly opts: OptionsSnapshot
  readonly latentScale: number
  readonly size: Size
}) {
  const { latentScale, opts, processing, size: { height, width }, source } = options
  const { upscale } = yield* Upscalers
  const { resize_mode: mode } = processing
  // Mode 3 stretches latents; what must have the pass's size all the same is stretched.
  const scaling = mode === 3 ? 0 : mode
  const mask = source.mask && (yield* maskInSizes(processing, source.mask, source.images[0], options.size))

  const upscaler = opts.upscaler_for_img2img
  const grow = upscaler === null
    ? undefined
    : (raster: Raster.Raster, width: number, height: number) =>
      upscale(upscaler, raster, { width, height }, { tile: opts.ESRGAN_tile, overlap: opts.ESRGAN_tile_overlap })
  const toSize = Effect.fnUntraced(function*(mode: 0 | 1 | 2, raster: Raster.Raster) {
    return grow === undefined
      ? yield* resizeMode(mode, raster, width, height)
      : yield* resizeMode(mode, raster, width, height, grow)
  })

  const overlays: Array<Raster.Raster> = []
  const images = yield* Effect.forEach(
    source.images,
    Effect.fnUntraced(function*(original) {
      let image = yield* RasterWork.rgbOf(original, colourOf(opts.img2img_background_color))
      const isCut = mask?.region !== undefined
      // What is smaller than one latent value is made as large.
      if (!isCut && mode === 3 && Math.min(image.width, image.height) < latentScale) {
        image = yield* resizing(
          image,
          Math.max(latentScale, image.width),
          Math.max(latentScale, image.height),
          "lanczos"
        )
      }
      if (!isCut && mode !== 3) image = yield* toSize(scaling, image)
      if (mask !== undefined) {
        const { height, width } = isCut || mode !== 3 ? image : mask.overlay
        const size = isCut ? image : { width, height }
        const over = mask.overlay.width === size.width && mask.overlay.height === size.height
          ? mask.overlay
          : toGrey(yield* resizeMode(scaling, mask.overlay, size.width, size.height))
        if (opts.overlay_inpaint) {
          const under = image.width === size.width && image.height === size.height
            ? image
            : yield* resizeMode(scaling, image, size.width, size.height)
          overlays.push(yield* Overlay.overlaying(under, over))
        }
      }
      if (mask?.region !== undefined) {
        image = yield* toSize(2, yield* RasterWork.cropping(image, mask.region))
      }
      if (mask === undefined || processing.inpainting_fill === 1) return image
      const isOfSize = mask.pass.width === image.width && mask.pass.height === image.height
      return yield* MaskFill.filling(
        image,
        isOfSize ? mask.pass : yield* resizing(mask.pass, image.width, image.height, "lanczos")
      )
    })
  )
  const pixels: SourcePixels = { images: Arr.isReadonlyArrayNonEmpty(images) ? images : [blank], overlays, mask }
  return pixels
})

// `#rrggbb` as red, green and blue.
const colourOf = (code: string): readonly [number, number, number] => {
  const value = Number.parseInt(code.slice(1), 16)
  return [value >> 16, (value >> 8) & 0xFF, value & 0xFF]
}

// The mask in both of its sizes.
const maskInSizes = Effect.fnUntraced(function*(
  processing: Img2Img,
  { grey, region: found }: ReadMask,
  image: Raster.Raster,
  size: Size
) {
  if (found !== undefined) {
    const region = Masks.expandRegion(found, size, image)
    const pass = toGrey(yield* resizeMode(2, yield* RasterWork.cropping(grey, region), size.width, size.height))
    return { pass, overlay: grey, region } satisfies MaskPlan
  }
  const mode = processing.resize_mode === 3 ? 0 : processing.resize_mode
  const pass = toGrey(yield* resizeMode(mode, grey, size.width, size.height))
  return { pass, overlay: Masks.overlayMask(pass), region: undefined } satisfies MaskPlan
})

// What was made of a mask is a mask.
const toGrey = ({ data, height, width }: Raster.Raster): Grey => ({ width, height, channels: 1, data })

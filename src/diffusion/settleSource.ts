/**
 * What img2img starts from: pictures and mask read, brought to size, and made ready.
 *
 * The order of the work is that of stable-diffusion-webui 1.10.1 (`StableDiffusionProcessingImg2Img.init`).
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type { Problem } from "../core/Problem.ts"
import * as Raster from "../core/Raster.ts"
import type { Grey } from "../core/Raster.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import * as MaskFill from "../images/MaskFill.ts"
import * as Masks from "../images/Masks.ts"
import * as Overlay from "../images/Overlay.ts"
import { resizing } from "../images/Resample.ts"
import { resizeMode } from "../images/ResizeMode.ts"
import { Upscalers } from "../images/Upscalers.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { SourcePlan } from "../planning/RunPlan.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Img2Img } from "../processing/Processing.ts"

/** The pictures of a request, as they came. */
export interface Pictures {
  readonly images: Arr.NonEmptyReadonlyArray<Raster.Raster>
  readonly mask: Raster.Raster | undefined
}

/** Reads the pictures of a request. Fails with every one that cannot be read. */
export const readPictures = Effect.fnUntraced(function*(processing: Img2Img, limits: Limits) {
  const { decode } = yield* ImageDecoder
  const problems: Array<Problem> = []
  const read = (path: string) => (bytes: Uint8Array) =>
    Effect.catch(decode(bytes, limits), ({ reason }) =>
      Effect.sync(() => {
        problems.push({ path, message: `it cannot be read as a picture: ${reason}` })
        return blank
      }))
  const images = yield* Effect.forEach(processing.init_images, (bytes, i) => read(`init_images.${i}`)(bytes))
  const mask = processing.mask && (yield* read("mask")(processing.mask))
  if (problems.length > 0 || !Arr.isReadonlyArrayNonEmpty(images)) return yield* new InvalidProcessing({ problems })
  const pictures: Pictures = { images, mask }
  return pictures
})

const blank: Raster.Raster = { width: 1, height: 1, channels: 3, data: new Uint8Array(3) }

/** Makes the pictures of a request ready for a pass of this size. */
export const settleSource = Effect.fnUntraced(function*(options: {
  readonly processing: Img2Img
  readonly pictures: Pictures
  readonly opts: OptionsSnapshot
  readonly limits: Limits
  readonly model: LoadedModel
  readonly width: number
  readonly height: number
}) {
  const { height, limits, model: { latentScale }, opts, pictures, processing, width } = options
  const { upscale } = yield* Upscalers
  const { resize_mode: mode } = processing
  // Mode 3 stretches latents; what must have the pass's size all the same is stretched.
  const scaling = mode === 3 ? 0 : mode
  if (mode === 3) yield* checkSizes(pictures.images, limits)
  const [first] = pictures.images
  const mask = pictures.mask && (yield* settleMask(processing, pictures.mask, first, { width, height }))
  const warnings = pictures.mask !== undefined && mask === undefined
    ? ["The mask leaves nothing to be made anew: the whole picture was taken."]
    : []

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
    pictures.images,
    Effect.fnUntraced(function*(picture) {
      let image = Raster.toRgb(picture, colourOf(opts.img2img_background_color))
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
          : grey(yield* resizeMode(scaling, mask.overlay, size.width, size.height))
        if (opts.overlay_inpaint) {
          const under = image.width === size.width && image.height === size.height
            ? image
            : yield* resizeMode(scaling, image, size.width, size.height)
          overlays.push(yield* Overlay.overlaying(under, over))
        }
      }
      if (mask?.region !== undefined) {
        image = yield* toSize(2, Raster.crop(image, mask.region))
      }
      if (mask === undefined || processing.inpainting_fill === 1) return image
      const isOfSize = mask.pass.width === image.width && mask.pass.height === image.height
      return yield* MaskFill.filling(
        image,
        isOfSize ? mask.pass : yield* resizing(mask.pass, image.width, image.height, "lanczos")
      )
    })
  )
  const source: SourcePlan = {
    images: Arr.isReadonlyArrayNonEmpty(images) ? images : [blank],
    overlays,
    denoisingStrength: processing.denoising_strength,
    mask
  }
  return { source, warnings }
})

// `#rrggbb` as red, green and blue.
const colourOf = (code: string): readonly [number, number, number] => {
  const value = Number.parseInt(code.slice(1), 16)
  return [value >> 16, (value >> 8) & 0xFF, value & 0xFF]
}

// Pictures whose latents are stretched are encoded in their own size.
const checkSizes = (images: Pictures["images"], { max_height, max_width }: Limits) => {
  const problems = images.flatMap(({ height, width }, i): ReadonlyArray<Problem> =>
    width <= max_width && height <= max_height ? [] : [{
      path: `init_images.${i}`,
      message: `it is ${width}x${height} pixels, and resize mode 3 takes ${max_width}x${max_height} at most`
    }]
  )
  return problems.length === 0 ? Effect.void : Effect.fail(new InvalidProcessing({ problems }))
}

// The mask in both of its sizes; absent when only the masked part is wanted and there is none.
const settleMask = Effect.fnUntraced(function*(
  processing: Img2Img,
  picture: Raster.Raster,
  image: Raster.Raster,
  size: { readonly width: number; readonly height: number }
) {
  let mask: Grey = Masks.fromImage(picture, { round: processing.mask_round })
  if (processing.inpainting_mask_invert === 1) mask = Masks.invert(mask)
  mask = yield* Masks.blurring(mask, processing.mask_blur_x, processing.mask_blur_y)
  if (processing.inpaint_full_res) {
    // What is cut out of mask and picture must be the same.
    if (mask.width !== image.width || mask.height !== image.height) {
      mask = grey(yield* resizing(mask, image.width, image.height, "lanczos"))
    }
    const found = Masks.cropRegion(mask, processing.inpaint_full_res_padding)
    if (found === undefined) return undefined
    const region = Masks.expandRegion(found, size, image)
    const pass = grey(yield* resizeMode(2, Raster.crop(mask, region), size.width, size.height))
    return { pass, overlay: mask, region }
  }
  const mode = processing.resize_mode === 3 ? 0 : processing.resize_mode
  const pass = grey(yield* resizeMode(mode, mask, size.width, size.height))
  return { pass, overlay: Masks.overlayMask(pass), region: undefined }
})

// What was made of a mask is a mask.
const grey = ({ data, height, width }: Raster.Raster): Grey => ({ width, height, channels: 1, data })

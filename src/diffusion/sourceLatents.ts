/**
 * What a pass of img2img starts from, as latents: the images', the mask, and the channels that inpainting models read
 * next to them.
 */
import * as Effect from "effect/Effect"
import type { LatentShape, LatentSize } from "../core/LatentShape.ts"
import * as Raster from "../core/Raster.ts"
import * as Masks from "../images/Masks.ts"
import { interpolate, resizing } from "../images/Resample.ts"
import { isInpainting } from "../model/ModelInfo.ts"
import type { ImagePlan, MaskPlan, PassPlan, SourcePixels } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Img2Img } from "../processing/Processing.ts"
import * as ImageNoise from "../rng/ImageNoise.ts"
import * as RandomGenerator from "../rng/RandomGenerator.ts"
import { blend } from "../sampling/Guidance.ts"
import type { LatentMask } from "./GuidedDenoiser.ts"
import { latentSize, type PassEnv } from "./PassEnv.ts"
import * as vae from "./vae.ts"

/** What was encoded of a request's images, for all of its batches. */
export interface EncodedSource {
  /** `[channels, height, width]` of each image, without noise. */
  readonly latents: ReadonlyArray<Float32Array>
  /** `[height, width]`: 1 where the image is regenerated. Absent without a mask. */
  readonly mask: Float32Array | undefined
  /** `[channels + 1, height, width]` of each image, for inpainting models. Empty for all others. */
  readonly inpaintChannels: ReadonlyArray<Float32Array>
}

/** What one batch starts from. */
export interface SourceLatents {
  /** `[batch, channels, height, width]`, without noise. */
  readonly latents: Float32Array
  readonly mask: LatentMask | undefined
  /** `[batch, channels + 1, height, width]` for inpainting models, absent for all others. */
  readonly inpaintChannels: Float32Array | undefined
}

/** Encodes what img2img starts from. */
export const encodeSource = Effect.fn("source")(function*(options: {
  readonly env: PassEnv
  readonly processing: Img2Img
  readonly source: SourcePixels
  readonly pass: PassPlan
}) {
  const { env, env: { model }, pass, processing, source } = options
  const size = latentSize(model, pass)
  const latents: Array<Float32Array> = []
  for (const image of source.images) {
    const { latent, size: own } = yield* vae.encodeRaster(env, image)
    latents.push(
      own.width === size.width && own.height === size.height
        ? latent
        : interpolate(latent, { channels: model.latentChannels, ...own }, size, "bilinear")
    )
  }
  const encoded: EncodedSource = {
    latents,
    mask: source.mask && (yield* Masks.latentMasking(
      source.mask.pass,
      size,
      { round: processing.mask_round }
    )),
    inpaintChannels: isInpainting(model) === true ? yield* sourceInpaintChannels(env, source, pass) : []
  }
  return encoded
})

/** The latents of one batch of img2img. */
export const sourceLatents = (options: {
  readonly env: PassEnv
  readonly encoded: EncodedSource
  readonly processing: Img2Img
  readonly pass: PassPlan
  readonly batch: ReadonlyArray<ImagePlan>
}): SourceLatents => {
  const { batch, encoded: { inpaintChannels, latents: encoded, mask: values }, env, pass, processing } = options
  const latents = repeated(encoded, batch.length)
  if (values !== undefined && processing.inpainting_fill >= 2) {
    const fill = new Float32Array(latents.length)
    if (processing.inpainting_fill === 2) {
      noiseOf(batch, { channels: env.model.latentChannels, ...latentSize(env.model, pass) }, env.opts).next(fill)
    }
    blend(latents, fill, latents, values)
  }
  return {
    latents,
    mask: values && { values, original: latents },
    inpaintChannels: inpaintChannels.length === 0 ? undefined : repeated(inpaintChannels, batch.length)
  }
}

// Several of one length in one buffer, over and over until there are so many.
const repeated = (parts: ReadonlyArray<Float32Array>, count: number): Float32Array => {
  const length = parts[0]?.length ?? 0
  const all = new Float32Array(count * length)
  for (let i = 0; i < count; i++) all.set(parts[i % parts.length] ?? new Float32Array(), i * length)
  return all
}

// Noise of the images' own seeds, without variation.
const noiseOf = (batch: ReadonlyArray<ImagePlan>, shape: LatentShape, opts: OptionsSnapshot) =>
  ImageNoise.make({
    generator: RandomGenerator.kind(opts.randn_source),
    shape,
    seeds: batch.map(({ seed }) => seed)
  })

// The mask, 1 where the image is regenerated, and the latents of the image with the masked part greyed out.
const sourceInpaintChannels = Effect.fnUntraced(function*(
  env: PassEnv,
  { images, mask }: SourcePixels,
  pass: PassPlan
) {
  const { model, opts } = env
  const size = latentSize(model, pass)
  const area = size.height * size.width
  const pixels = pass.width * pass.height
  const parts: Array<Float32Array> = []
  for (const image of images) {
    const whole = image.width === pass.width && image.height === pass.height
      ? image
      : yield* resizing(image, pass.width, pass.height, "lanczos")
    const planar = Raster.toPlanar(whole)
    for (let i = 0; i < planar.length; i++) {
      const hidden = mask === undefined ? 1 : Math.round((mask.pass.data[i % pixels] as number) / 255)
      planar[i] = (planar[i] as number) * (1 - hidden * opts.inpainting_mask_weight)
    }
    const part = new Float32Array((model.latentChannels + 1) * area)
    part.set(latentHidden(mask, size, model.latentScale))
    part.set(yield* vae.encode(env, planar, size), area)
    parts.push(part)
  }
  return parts
})

// The first pixel of each latent value's square, as torch's nearest interpolation takes it.
const latentHidden = (mask: MaskPlan | undefined, { height, width }: LatentSize, scale: number): Float32Array =>
  Float32Array.from({ length: height * width }, (_, place) => {
    if (mask === undefined) return 1
    const [y, x] = [Math.floor(place / width) * scale, (place % width) * scale]
    return Math.round((mask.pass.data[y * mask.pass.width + x] ?? 0) / 255)
  })

/**
 * What an inpainting model reads next to latents that start from noise: a mask of all, and a grey image. Absent for all
 * other models.
 */
export const blankInpaintChannels = Effect.fnUntraced(function*(
  env: PassEnv,
  pass: PassPlan,
  batch: ReadonlyArray<ImagePlan>
) {
  const { model } = env
  if (isInpainting(model) !== true) return undefined
  const size = latentSize(model, pass)
  const area = size.height * size.width
  const length = (model.latentChannels + 1) * area
  const grey = yield* vae.encode(env, new Float32Array(3 * pass.height * pass.width), size)
  const all = new Float32Array(batch.length * length)
  for (const [i] of batch.entries()) {
    all.fill(1, i * length, i * length + area)
    all.set(grey, i * length + area)
  }
  return all
})

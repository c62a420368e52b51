/**
 * What a pass of img2img starts from, as latents: the images', the mask, and the channels that some models read next to
 * them.
 */
import * as Effect from "effect/Effect"
import type { LatentShape } from "../core/LatentShape.ts"
import * as Masks from "../images/Masks.ts"
import * as RasterWork from "../images/RasterWork.ts"
import { interpolate, resizing } from "../images/Resample.ts"
import type { SourceChannels, SourceImage } from "../model/SourceChannels.ts"
import { type ImagePlan, type PassPlan, placeOf, type SourcePixels } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Img2Img } from "../processing/Processing.ts"
import * as ImageNoise from "../rng/ImageNoise.ts"
import * as RandomGenerator from "../rng/RandomGenerator.ts"
import { blend } from "../sampling/Guidance.ts"
import type { LatentMask } from "./GuidedDenoiser.ts"
import { latentShape, type PassEnv } from "./PassEnv.ts"
import * as vae from "./vae.ts"

/** What was encoded of a request's images, for all of its batches. */
export interface EncodedSource {
  /** `[channels, height, width]` of each image, without noise. */
  readonly latents: ReadonlyArray<Float32Array>
  /** `[height, width]`: 1 where the image is regenerated. Absent without a mask. */
  readonly mask: Float32Array | undefined
  /** What models read of each image next to the latents; empty for those that read nothing of it. */
  readonly channels: ReadonlyArray<Float32Array>
}

/** What one batch starts from. */
export interface SourceLatents {
  /** `[batch, channels, height, width]`, without noise. */
  readonly latents: Float32Array
  readonly mask: LatentMask | undefined
  /** `[batch, source.channels, frames, height, width]`, absent for models that read nothing of a source image. */
  readonly channels: Float32Array | undefined
}

/** Encodes what img2img starts from. */
export const encodeSource = Effect.fn("source")(function*(options: {
  readonly env: PassEnv
  readonly processing: Img2Img
  readonly source: SourcePixels
  readonly pass: PassPlan
}) {
  const { env, env: { model }, pass, processing, source } = options
  const shape = latentShape(model, pass)
  const latents: Array<Float32Array> = []
  for (const image of source.images) {
    const { latent, shape: own } = yield* vae.encodeRaster(env, image)
    latents.push(
      own.width === shape.width && own.height === shape.height
        ? latent
        : interpolate(latent, own, shape, "bilinear")
    )
  }
  const encoded: EncodedSource = {
    latents,
    mask: source.mask && (yield* Masks.latentMasking(
      source.mask.pass,
      shape,
      { round: processing.mask_round }
    )),
    channels: model.source === undefined ? [] : yield* channelsOf(model.source, env, source, pass)
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
  const { batch, encoded: { channels, latents: encoded, mask: values }, env, pass, processing } = options
  const places = batch.map((image) => placeOf(image, { processing }))
  const latents = repeated(encoded, places)
  if (values !== undefined && processing.inpainting_fill >= 2) {
    const fill = new Float32Array(latents.length)
    if (processing.inpainting_fill === 2) {
      noiseOf(batch, latentShape(env.model, pass), env.opts).next(fill)
    }
    blend(latents, fill, latents, values)
  }
  return {
    latents,
    mask: values && { values, original: latents },
    channels: channels.length === 0 ? undefined : repeated(channels, places)
  }
}

// Those of one length that belong to the places of a batch in one buffer; they begin again where there are fewer.
const repeated = (parts: ReadonlyArray<Float32Array>, places: ReadonlyArray<number>): Float32Array => {
  const length = parts[0]?.length ?? 0
  const all = new Float32Array(places.length * length)
  for (const [i, place] of places.entries()) all.set(parts[place % parts.length] ?? new Float32Array(), i * length)
  return all
}

// Noise of the images' own seeds, without variation.
const noiseOf = (batch: ReadonlyArray<ImagePlan>, shape: LatentShape, opts: OptionsSnapshot) =>
  ImageNoise.make({
    generator: RandomGenerator.kind(opts.randn_source),
    shape,
    seeds: batch.map(({ seed }) => seed)
  })

// What a model reads of one image.
const channelsFor = (source: SourceChannels, env: PassEnv, pass: PassPlan, image: SourceImage) => {
  const shape = latentShape(env.model, pass)
  return source.of(image, {
    shape,
    format: env.model.latents,
    settings: env.opts,
    encode: (pixels) => vae.encode(env, pixels, shape)
  })
}

const channelsOf = Effect.fnUntraced(function*(
  source: SourceChannels,
  env: PassEnv,
  { images, mask }: SourcePixels,
  pass: PassPlan
) {
  const hidden = mask && (yield* Masks.latentMasking(mask.pass, mask.pass, { round: true }))
  return yield* Effect.forEach(
    images,
    Effect.fnUntraced(function*(image) {
      const whole = image.width === pass.width && image.height === pass.height
        ? image
        : yield* resizing(image, pass.width, pass.height, "lanczos")
      return yield* channelsFor(source, env, pass, { pixels: yield* RasterWork.planarOf(whole), hidden })
    })
  )
})

/** What a model reads of an image where there is none. Absent for models that read nothing of it. */
export const blankChannels = Effect.fnUntraced(function*(
  env: PassEnv,
  pass: PassPlan,
  batch: ReadonlyArray<ImagePlan>
) {
  const { source } = env.model
  if (source === undefined) return undefined
  return repeated([yield* channelsFor(source, env, pass, { pixels: undefined, hidden: undefined })], batch.map(() => 0))
})

/**
 * What a pass of img2img starts from, as latents: the pictures', the mask, and what inpainting models see beside them.
 */
import * as Effect from "effect/Effect"
import * as Masks from "../images/Masks.ts"
import * as Raster from "../images/Raster.ts"
import { interpolate } from "../images/Resample.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Img2Img } from "../processing/Processing.ts"
import type { ImagePlan, MaskPlan, PassPlan, SourcePlan } from "../processing/ProcessingState.ts"
import type { LatentSize, LoadedModel } from "../runner/LoadedModel.ts"
import type { LatentMask } from "./GuidedDenoiser.ts"
import * as ImageNoise from "./rng/ImageNoise.ts"
import * as RandomGenerator from "./rng/RandomGenerator.ts"
import { blend } from "./sampling/Guidance.ts"
import * as vae from "./vae.ts"

export interface SourceLatents {
  /** `[batch, channels, height/8, width/8]`, without noise. */
  readonly latents: Float32Array
  readonly mask: LatentMask | undefined
  /** `[batch, channels + 1, height/8, width/8]` for inpainting models, absent for all others. */
  readonly beside: Float32Array | undefined
}

/** Whether a model sees a mask and a masked picture beside the latents. */
export const isInpainting = ({ inputs, latentChannels }: LoadedModel): boolean => inputs.channels > latentChannels

/** The latents of a batch of img2img. */
export const sourceLatents = Effect.fn("encode")(function*(
  options: vae.Options & {
    readonly processing: Img2Img
    readonly source: SourcePlan
    readonly pass: PassPlan
    readonly batch: ReadonlyArray<ImagePlan>
  }
) {
  const { batch, model, opts, pass, processing, source } = options
  const size = latentSize(model, pass)
  const shape = { channels: model.latentChannels, ...size }
  const length = shape.channels * size.height * size.width

  const encoded: Array<Float32Array> = []
  for (const image of source.images) {
    const { latent, size: own } = yield* vae.encodeRaster(options, image)
    encoded.push(
      own.width === size.width && own.height === size.height
        ? latent
        : interpolate(latent, { channels: shape.channels, ...own }, size, "bilinear")
    )
  }
  const latents = new Float32Array(batch.length * length)
  for (const [i] of batch.entries()) latents.set(encoded[i % encoded.length] ?? new Float32Array(), i * length)

  const values = source.mask &&
    Masks.latentMask(source.mask.pass, { width: size.width * 8, height: size.height * 8 }, {
      round: processing.mask_round
    })
  if (values !== undefined && processing.inpainting_fill >= 2) {
    const fill = new Float32Array(latents.length)
    if (processing.inpainting_fill === 2) noiseOf(batch, shape, opts).next(fill)
    blend(latents, fill, latents, values)
  }
  const result: SourceLatents = {
    latents,
    mask: values && { values, original: latents },
    beside: isInpainting(model) ? yield* besideSource(options, size, source.mask) : undefined
  }
  return result
})

/** A pass's size in latent values. */
export const latentSize = ({ latentScale }: LoadedModel, { height, width }: PassPlan): LatentSize => ({
  height: height / latentScale,
  width: width / latentScale
})

// Noise of the pictures' own seeds, without variation.
const noiseOf = (batch: ReadonlyArray<ImagePlan>, shape: ImageNoise.LatentShape, opts: OptionsSnapshot) =>
  ImageNoise.make({
    generator: RandomGenerator.kind(opts.randn_source),
    shape,
    seeds: batch.map(({ seed }) => seed)
  })

// The mask, 1 where the picture is made anew, and the picture without what it hides.
const besideSource = Effect.fnUntraced(function*(
  options: vae.Options & { readonly source: SourcePlan; readonly batch: ReadonlyArray<ImagePlan> },
  size: LatentSize,
  mask: MaskPlan | undefined
) {
  const { batch, model, opts, source } = options
  const area = size.height * size.width
  const length = (model.latentChannels + 1) * area
  const all = new Float32Array(batch.length * length)
  const parts: Array<Float32Array> = []
  for (const image of source.images) {
    const planar = Raster.toPlanar(image)
    const pixels = image.width * image.height
    for (let i = 0; i < planar.length; i++) {
      const hidden = mask === undefined ? 1 : Math.round((mask.pass.data[i % pixels] as number) / 255)
      planar[i] = (planar[i] as number) * (1 - hidden * opts.inpainting_mask_weight)
    }
    const part = new Float32Array(length)
    part.set(latentHidden(mask, size, model.latentScale))
    part.set(yield* vae.encode(options, planar, size), area)
    parts.push(part)
  }
  for (const [i] of batch.entries()) all.set(parts[i % parts.length] ?? new Float32Array(), i * length)
  return all
})

// The first pixel of each latent value's square, as torch's nearest interpolation takes it.
const latentHidden = (mask: MaskPlan | undefined, { height, width }: LatentSize, scale: number): Float32Array =>
  Float32Array.from({ length: height * width }, (_, place) => {
    if (mask === undefined) return 1
    const [y, x] = [Math.floor(place / width) * scale, (place % width) * scale]
    return Math.round((mask.pass.data[y * mask.pass.width + x] ?? 0) / 255)
  })

/** What an inpainting model sees beside latents that come from nothing: all hidden, and a grey picture. */
export const besideNothing = Effect.fnUntraced(function*(
  options: vae.Options & { readonly pass: PassPlan; readonly batch: ReadonlyArray<ImagePlan> }
) {
  const { batch, model, pass } = options
  const size = latentSize(model, pass)
  const area = size.height * size.width
  const length = (model.latentChannels + 1) * area
  const grey = yield* vae.encode(options, new Float32Array(3 * pass.height * pass.width), size)
  const all = new Float32Array(batch.length * length)
  for (const [i] of batch.entries()) {
    all.fill(1, i * length, i * length + area)
    all.set(grey, i * length + area)
  }
  return all
})

/**
 * A runtime in which everything that can change an image does: models that read all that they are given, an upscaler
 * that shows its tiles, and real image files.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as DiffusionPipeline from "../../src/diffusion/DiffusionPipeline.ts"
import type { Family } from "../../src/families/Family.ts"
import { inpainting } from "../../src/families/inpainting.ts"
import { refiner } from "../../src/families/refiner.ts"
import { sd1 } from "../../src/families/sd1.ts"
import { sdxl } from "../../src/families/sdxl.ts"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { ImageEncoder } from "../../src/images/ImageEncoder.ts"
import { resizing } from "../../src/images/Resample.ts"
import { Upscalers } from "../../src/images/Upscalers.ts"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { Models } from "../../src/model/Models.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { Options } from "../../src/processing/Options.ts"
import { StyleBook } from "../../src/processing/StyleBook.ts"
import { WildcardBook } from "../../src/processing/WildcardBook.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { CaptureContext } from "../../src/runner/RuntimeContext.ts"
import { SavedImages, TestModel } from "../../src/testing/index.ts"
import { styles } from "./anyRequest.ts"

// Between -1 and 1, and different for different lists.
const mark = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += (values[i] ?? 0) * (i + 1)
  return sum / (1 + Math.abs(sum))
}

/** The test model that also shows its size conditioning, seams, tiles, and the channels of inpainting models. */
const attentive = (about: {
  readonly name: string
  readonly hash: string
  readonly family: Family
}): LoadedModel => {
  const { conditioner, noise, settings, source } = about.family
  const model = TestModel.make({
    name: about.name,
    hash: Effect.succeed(about.hash),
    conditioner,
    noise,
    settings,
    source
  })
  const shift = (values: Float32Array, by: number) => values.map((value) => value + by)
  return {
    ...model,
    denoising: (shape) =>
      Effect.map(model.denoising(shape), (call) => {
        const length = call.prediction.length / shape.batch
        const rowOf = (name: string, item: number) => {
          const values = call.inputs[name] ?? new Float32Array()
          return values.subarray(item * values.length / shape.batch, (item + 1) * values.length / shape.batch)
        }
        const show = Effect.sync(() => {
          for (let item = 0; item < shape.batch; item++) {
            const seen = 0.1 * mark(rowOf("time_ids", item)) + 0.1 * mark(rowOf("source", item)) +
              (shape.seamless === true ? 0.05 : 0)
            for (let i = item * length; i < (item + 1) * length; i++) {
              call.prediction[i] = (call.prediction[i] ?? 0) + seen
            }
          }
        })
        return { ...call, run: (t: number) => Effect.andThen(call.run(t), show) }
      }),
    decode: (latent, shape) =>
      Effect.map(
        model.decode(latent, shape),
        (pixels) => shift(pixels, 0.1 * mark([shape.height, shape.width]) + (shape.seamless === true ? 0.05 : 0))
      ),
    encode: (pixels, shape) =>
      Effect.map(model.encode(pixels, shape), (latent) => shift(latent, 0.1 * mark([shape.height, shape.width])))
  }
}

const models = [
  attentive({ name: "plain", hash: "aaaa000000", family: sd1 }),
  attentive({ name: "other", hash: "bbbb000000", family: refiner }),
  attentive({ name: "inpainting", hash: "cccc000000", family: inpainting(sdxl) })
] as const

const [plain] = models

const load = (wanted: string) =>
  Effect.gen(function*() {
    for (const model of models) if (wanted === model.name || wanted === (yield* model.hash)) return model
    return plain
  })

// Lanczos, and then a shade that depends on the tiles.
const upscalers = Layer.effect(
  Upscalers,
  Effect.map(Upscalers, (builtIn) =>
    Upscalers.of({
      ...builtIn,
      list: Effect.map(
        builtIn.list,
        (entries) => [...entries, { name: "Wide", modelName: "wide", path: null, scale: 4 }]
      ),
      upscale: (name, raster, to, options = {}) =>
        name === "Wide"
          ? Effect.map(resizing(raster, to.width, to.height, "lanczos"), (large) => ({
            ...large,
            data: large.data.map((value) => value ^ ((options.tile ?? 0) % 61) ^ ((options.overlap ?? 0) % 31))
          }))
          : builtIn.upscale(name, raster, to, options)
    }))
).pipe(Layer.provide(Upscalers.layerBuiltIn))

/** The diffusion pipeline on these models: `plain`, `other` (which refines) and `inpainting`. */
export const layer = Layer.mergeAll(
  Layer.fresh(DiffusionPipeline.layer),
  Layer.fresh(CaptureContext.layer),
  RunnerHooks.layerNoop
).pipe(
  Layer.provideMerge(Layer.mergeAll(
    Layer.fresh(SavedImages.layer),
    Layer.succeed(Models, { load }),
    Options.layer(),
    CommandOptions.layer(),
    Runs.layer,
    StyleBook.layerOf(styles),
    WildcardBook.layerOf({}),
    upscalers,
    ImageDecoder.layer,
    ImageEncoder.layer
  ))
)

/**
 * A pipeline with the stages a test supplies; the others are simple and deterministic.
 *
 * ```ts
 * const layer = TestPipeline.layer({
 *   execute: () => Effect.fail(new InferenceError({ file: "unet", reason: "out of memory" }))
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Seed from "../core/Seed.ts"
import type { ImagePlan, RunPlan } from "../planning/RunPlan.ts"
import * as Infotext from "../processing/Infotext.ts"
import type { Processing } from "../processing/Processing.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { Generated, GeneratedImage, Processed } from "../runner/Processed.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

/** Some of the stages. Omitted stages are this module's defaults. */
export type PartialStages = Partial<Pipeline["Service"]>

/** Resolves open choices: the model's own size, and seed 0. */
export const prepare = Effect.fnUntraced(
  function*({ processing, runId }: ProcessingRequest<Processing>): Effect.fn.Return<
    RunPlan,
    never,
    RuntimeContext
  > {
    const { model } = yield* RuntimeContext
    const { batch_size, n_iter, negative_prompt: negativePrompt, prompt, sampler_name, scheduler, steps } = processing
    const { height = model.defaultSize.height, width = model.defaultSize.width } = processing
    const plan = (index: number): ImagePlan => {
      const seed = Seed.plus(processing.seed === -1 ? 0 : processing.seed, index)
      const infotext = Infotext.format({
        prompt,
        negativePrompt,
        parameters: [
          ["Steps", steps],
          ["Sampler", sampler_name],
          ["Schedule type", scheduler],
          ["CFG scale", Infotext.float(processing.cfg_scale)],
          ["Seed", seed],
          ["Size", `${width}x${height}`],
          ["Model", model.name]
        ]
      })
      return { index, seed, subseed: 0, prompt, negativePrompt, infotext }
    }
    const batches = Array.from(
      { length: n_iter },
      (_, batch) => Array.from({ length: batch_size }, (_, item) => plan(batch * batch_size + item))
    )
    return {
      runId,
      processing,
      width,
      height,
      sampler: { name: sampler_name },
      scheduler: { label: scheduler },
      steps,
      prompt,
      negativePrompt,
      levels: undefined,
      adapters: [],
      hires: undefined,
      controls: [],
      refiner: undefined,
      source: undefined,
      seamless: false,
      clipSkip: 1,
      model: { name: model.name, hash: undefined, isInpainting: undefined, isEditing: undefined },
      embeddings: [],
      hashes: { adapters: [], embeddings: [] },
      startedAt: 0,
      batches,
      warnings: []
    }
  }
)

/** Images of a single colour each, chosen by seed. */
export const execute = (state: RunPlan): Effect.Effect<Generated> =>
  Effect.sync(() => ({
    images: state.batches.flat().map((plan) => image(plan, state)),
    interrupted: false,
    warnings: state.warnings
  }))

/** The images without files: `bytes` is empty and nothing is saved. */
export const finalize = (state: RunPlan, generated: Generated): Effect.Effect<Processed> =>
  Effect.sync(() => ({
    ...generated,
    images: generated.images.map((image) => ({ ...image, bytes: new Uint8Array(), format: "png", path: undefined })),
    extraImages: [],
    state
  }))

const image = (plan: ImagePlan, { height, width }: { readonly height: number; readonly width: number }) => {
  const pixels = new Uint8Array(width * height * 3)
  const seed = Seed.low32(plan.seed)
  for (let i = 0; i < pixels.length; i += 3) pixels.set([seed & 0xFF, (seed >>> 8) & 0xFF, 128], i)
  return { ...plan, width, height, pixels, complete: true, extras: [] } satisfies GeneratedImage
}

/** Makes the pipeline. */
export const make = (stages: PartialStages = {}): Pipeline["Service"] => ({ prepare, execute, finalize, ...stages })

export const layer = (stages: PartialStages = {}): Layer.Layer<Pipeline> => Layer.succeed(Pipeline, make(stages))

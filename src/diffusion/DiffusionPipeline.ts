/**
 * The live pipeline: Stable Diffusion on whatever model the run's context holds.
 *
 * prepare settles every choice, execute goes from words to pixels (conditioning, noise, sampling, decoding), finalize
 * makes files. It writes the run's progress and obeys its wish to stop; it knows no entrypoint and no hook.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { ImageStore } from "../images/ImageStore.ts"
import * as Png from "../images/Png.ts"
import { InvalidProcessing, type Problem, UnknownSampler, UnknownScheduler } from "../processing/errors.ts"
import * as Infotext from "../processing/Infotext.ts"
import type { Generated, GeneratedImage, ProcessedImage } from "../processing/Processed.ts"
import { checkLimits, type Processing } from "../processing/Processing.ts"
import type { ImagePlan, ProcessingState } from "../processing/ProcessingState.ts"
import { stages } from "../runner/Lifecycle.ts"
import type { LoadedModel } from "../runner/LoadedModel.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import { version } from "../version.ts"
import type { Conditioning } from "./GuidedDenoiser.ts"
import { toPixels } from "./latents.ts"
import { sampleBatch } from "./sampleBatch.ts"
import * as Samplers from "./sampling/Samplers.ts"
import * as Schedules from "./sampling/Schedules.ts"

/** Largest seed that is drawn at random, as in stable-diffusion-webui. */
const largestRandomSeed = 4_294_967_293

/** Settles what the request leaves open, sees that pictures can be saved, and begins to open the networks. */
const prepare = (store: ImageStore["Service"]) =>
  Effect.fn("prepare")(function*({ processing, runId }: ProcessingRequest<Processing>) {
    const { cmdOpts, model, opts, state } = yield* RuntimeContext
    const { sampler, scheduler } = yield* resolveNames({
      sampler: processing.sampler_name,
      scheduler: processing.scheduler
    })
    const { height, width } = yield* settleSize(processing, model)
    yield* checkLimits({ ...processing, height, width }, cmdOpts.limits)

    // A folder that cannot be written is better known now than after all the work.
    if (opts.samples_save) yield* store.check(opts.outdir_txt2img_samples)
    // Whoever needs a network later waits for it then, and is told if it does not open.
    yield* Effect.forkChild(Effect.ignore(Effect.all([model.warm, Png.warm], { concurrency: 2 })))

    const seed = processing.seed === -1 ? yield* Random.nextIntBetween(0, largestRandomSeed) : processing.seed
    const hash = opts.add_model_hash_to_info ? yield* model.hash : undefined
    const plan = (index: number): ImagePlan => ({
      index,
      seed: seed + index,
      prompt: processing.prompt,
      negativePrompt: processing.negative_prompt,
      infotext: Infotext.format({
        prompt: processing.prompt,
        negativePrompt: processing.negative_prompt,
        parameters: [
          ["Steps", processing.steps],
          ["Sampler", sampler.name],
          ["Schedule type", scheduleType(sampler, scheduler)],
          ["CFG scale", Infotext.float(processing.cfg_scale)],
          ["Seed", seed + index],
          ["Size", `${width}x${height}`],
          ["Model hash", hash],
          ["Model", opts.add_model_name_to_info ? model.name : undefined],
          ["ENSD", opts.eta_noise_seed_delta !== 0 && sampler.usesEnsd ? opts.eta_noise_seed_delta : undefined],
          ["RNG", opts.randn_source === "GPU" ? undefined : opts.randn_source],
          ["Version", opts.add_version_to_infotext ? `serena-${version}` : undefined]
        ]
      })
    })
    const { batch_size, n_iter, steps } = processing
    const batches = Array.from(
      { length: n_iter },
      (_, round) => Array.from({ length: batch_size }, (_, i) => plan(round * batch_size + i))
    )
    yield* state.update({ job: "preparing", jobCount: n_iter, samplingSteps: steps })
    const prepared: ProcessingState = {
      runId,
      processing,
      width,
      height,
      sampler: sampler.name,
      scheduler: scheduler.label,
      batches,
      warnings: []
    }
    return prepared
  })

/** The sampler and schedule that two names stand for; a schedule in the sampler's name beats the other. */
const resolveNames = Effect.fnUntraced(function*(names: { readonly sampler: string; readonly scheduler: string }) {
  const parsed = Samplers.parseName(names.sampler)
  if (Option.isNone(parsed)) {
    return yield* new UnknownSampler({ sampler: names.sampler, known: Samplers.all.map(({ name }) => name) })
  }
  const { sampler } = parsed.value
  const scheduler = Option.orElse(parsed.value.scheduler, () => Schedules.get(names.scheduler))
  if (Option.isNone(scheduler)) {
    return yield* new UnknownScheduler({ scheduler: names.scheduler, known: Schedules.all.map(({ label }) => label) })
  }
  return { sampler, scheduler: scheduler.value }
})

// Where the choice is the sampler's, the infotext names the schedule that it chooses, if that has a name.
const scheduleType = (sampler: Samplers.Sampler, scheduler: Schedules.Scheduler): string =>
  scheduler.name === "automatic"
    ? Option.match(Schedules.get(sampler.defaultScheduler), {
      onNone: () => scheduler.label,
      onSome: ({ label }) => label
    })
    : scheduler.label

/** The size in pixels: the request's, or the model's own. */
const settleSize = Effect.fnUntraced(function*(processing: Processing, model: LoadedModel) {
  const { defaultSize, sizeMultiple } = model
  const { height = defaultSize.height, width = defaultSize.width } = processing
  const problems = [["width", width] as const, ["height", height] as const].flatMap(([path, value]): Array<Problem> => {
    const below = Math.floor(value / sizeMultiple) * sizeMultiple
    if (below === value) return []
    const near = below === 0 ? `${sizeMultiple} is` : `${below} and ${below + sizeMultiple} are`
    return [{ path, message: `${value} is not a multiple of ${sizeMultiple}, as ${model.name} needs it; ${near}` }]
  })
  return problems.length === 0 ? { height, width } : yield* new InvalidProcessing({ problems })
})

/** From words to pixels, batch after batch. */
const execute = Effect.fn("execute")(function*(plan: ProcessingState) {
  const { model, state } = yield* RuntimeContext
  yield* state.update({ job: "loading" })
  const names = yield* resolveNames(plan)
  const { conditioning, warnings } = yield* condition(plan)
  const shape = { height: plan.height / model.latentScale, width: plan.width / model.latentScale }

  const images: Array<GeneratedImage> = []
  for (const [index, batch] of plan.batches.entries()) {
    const { interrupted, stopping } = yield* state.progress
    if (interrupted || stopping) break
    yield* state.update({ job: "sampling", samplingStep: 0, skipped: false })
    const { complete, latents } = yield* sampleBatch({ batch, conditioning, plan, ...names })
    yield* state.update({ job: "decoding" })
    for (const [i, latent] of latents.entries()) {
      const image = batch[i]
      if (image === undefined) continue
      const pixels = yield* Effect.withSpan(Effect.flatMap(model.decode(latent, shape), toPixels), "decode")
      images.push({ ...image, width: plan.width, height: plan.height, pixels, complete })
    }
    if (complete || !(yield* state.progress).interrupted) yield* state.update({ jobNo: index + 1, samplingStep: 0 })
  }
  const generated: Generated = {
    images,
    interrupted: images.length < plan.batches.flat().length || images.some(({ complete }) => !complete),
    warnings: [...plan.warnings, ...warnings]
  }
  return generated
})

/** Embeds both prompts; the negative one only where guidance uses it. */
const condition = Effect.fn("conditioning")(function*({ processing }: ProcessingState) {
  const { model } = yield* RuntimeContext
  const guided = processing.cfg_scale !== 1
  const cond = yield* model.embed(processing.prompt)
  const uncond = guided ? yield* model.embed(processing.negative_prompt) : undefined
  const cut = (name: string, tokens: number) =>
    tokens > 0 ? [`The ${name} was too long: its last ${tokens} tokens were left out.`] : []
  const conditioning: Conditioning = { cond: cond.embedding, uncond: uncond?.embedding }
  return {
    conditioning,
    warnings: [...cut("prompt", cond.truncated), ...cut("negative prompt", uncond?.truncated ?? 0)]
  }
})

/** Pixels to files. A picture whose sampling was interrupted is encoded, and saved only when the settings say so. */
const finalize = (store: ImageStore["Service"]) =>
  Effect.fn("finalize")(function*(_: ProcessingState, generated: Generated) {
    const { opts, state } = yield* RuntimeContext
    yield* state.update({ job: "saving" })
    const images = yield* Effect.forEach(
      generated.images,
      Effect.fnUntraced(function*(image) {
        const png = yield* Effect.withSpan(Png.encode(image), "encode")
        const path = opts.samples_save && (image.complete || opts.save_incomplete_images)
          ? yield* Effect.withSpan(store.save({ folder: opts.outdir_txt2img_samples, seed: image.seed, png }), "save")
          : undefined
        const processed: ProcessedImage = { ...image, png, path }
        return processed
      })
    )
    yield* state.update({ job: "done" })
    return { ...generated, images }
  })

/** The stages on a store of pictures. */
export const layer: Layer.Layer<Pipeline, never, ImageStore> = Layer.effect(
  Pipeline,
  Effect.map(
    ImageStore,
    (store) => Pipeline.of(stages({ prepare: prepare(store), execute, finalize: finalize(store) }))
  )
)

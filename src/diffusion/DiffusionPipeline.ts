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
import * as Scope from "effect/Scope"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import { ImageStore } from "../images/ImageStore.ts"
import { InvalidProcessing, nearest, type Problem, UnknownSampler, UnknownScheduler } from "../processing/errors.ts"
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
const prepare = (encoder: ImageEncoder["Service"], store: ImageStore["Service"]) =>
  Effect.fn("prepare")(function*({ processing, runId }: ProcessingRequest<Processing>) {
    const { cmdOpts, model, opts, state } = yield* RuntimeContext
    const { sampler, scheduler } = yield* resolveNames({
      sampler: processing.sampler_name,
      scheduler: processing.scheduler
    })
    const { height, width } = yield* settleSize(processing, model)
    yield* checkSeeds(processing)
    yield* checkLimits({ ...processing, height, width }, cmdOpts.limits)

    // A folder that cannot be written is better known now than after all the work.
    if (opts.samples_save) yield* store.check(opts.outdir_txt2img_samples)
    // Whoever needs a network later waits for it then, and is told if it does not open.
    yield* forkInRun(Effect.ignore(Effect.all([model.warm, encoder.warm], { concurrency: 2 })))

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
          ["Schedule type", Schedules.forSampler(scheduler, sampler).label],
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
    const schedule = mistypedSchedule(names.sampler)
    if (schedule !== undefined) {
      return yield* new UnknownScheduler({ scheduler: schedule, known: Schedules.all.map(({ label }) => label) })
    }
    return yield* new UnknownSampler({ sampler: names.sampler, known: Samplers.all.map(({ name }) => name) })
  }
  const { sampler } = parsed.value
  const scheduler = Option.orElse(parsed.value.scheduler, () => Schedules.get(names.scheduler))
  if (Option.isNone(scheduler)) {
    return yield* new UnknownScheduler({ scheduler: names.scheduler, known: Schedules.all.map(({ label }) => label) })
  }
  return { sampler, scheduler: scheduler.value }
})

// Beside the run, until it ends. A stage may run in a fiber of its own, under hooks that can end it, so a child of the
// stage's fiber would not outlive the stage.
const forkInRun = (effect: Effect.Effect<void>) =>
  Effect.flatMap(
    Effect.serviceOption(Scope.Scope),
    (scope) => Option.isSome(scope) ? Effect.forkIn(effect, scope.value) : Effect.forkChild(effect)
  )

// What follows a sampler's name, if it is nearly a schedule's: "Karas" of "DPM++ 2M Karas".
const mistypedSchedule = (name: string): string | undefined => {
  const words = name.trim().split(/\s+/)
  const labels = Schedules.all.map(({ label }) => label)
  for (let i = words.length - 1; i > 0; i--) {
    const rest = words.slice(i).join(" ")
    if (Option.isSome(Samplers.get(words.slice(0, i).join(" ")))) {
      return nearest(rest, labels) === undefined ? undefined : rest
    }
  }
  return undefined
}

// Beyond the safe integers two pictures would get one seed.
const checkSeeds = ({ batch_size, n_iter, seed }: Processing) => {
  const largest = Number.MAX_SAFE_INTEGER - (batch_size * n_iter - 1)
  return seed <= largest
    ? Effect.void
    : Effect.fail(
      new InvalidProcessing({
        problems: [{ path: "seed", message: `${seed} is over ${largest}, the largest for so many pictures` }]
      })
    )
}

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
  yield* state.update({ job: "loading", text: `Loading ${model.name}` })
  const names = yield* resolveNames(plan)
  const { conditioning, warnings } = yield* condition(plan, names.sampler)
  const shape = { height: plan.height / model.latentScale, width: plan.width / model.latentScale }

  const images: Array<GeneratedImage> = []
  for (const [index, batch] of plan.batches.entries()) {
    const { interrupted, stopping } = yield* state.progress
    if (interrupted || stopping) break
    yield* state.update({
      job: "sampling",
      text: plan.batches.length > 1 ? `Batch ${index + 1} of ${plan.batches.length}` : "",
      samplingStep: 0,
      skipped: false,
      preview: undefined
    })
    const complete = yield* Effect.gen(function*() {
      const { complete, latents } = yield* sampleBatch({ batch, conditioning, plan, ...names })
      yield* state.update({ job: "decoding" })
      for (const [i, latent] of latents.entries()) {
        const image = batch[i]
        if (image === undefined) continue
        const pixels = yield* Effect.withSpan(Effect.flatMap(model.decode(latent, shape), toPixels), "decode", {
          attributes: { "serena.image.index": image.index }
        })
        images.push({ ...image, width: plan.width, height: plan.height, pixels, complete })
      }
      return complete
    }).pipe(
      Effect.withSpan("batch", { attributes: { "serena.batch.index": index, "serena.batch.images": batch.length } })
    )
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
const condition = Effect.fn("conditioning")(function*({ processing }: ProcessingState, sampler: Samplers.Sampler) {
  const { model } = yield* RuntimeContext
  const guided = processing.cfg_scale !== 1 || sampler.needsUnconditional
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
const finalize = (encoder: ImageEncoder["Service"], store: ImageStore["Service"]) =>
  Effect.fn("finalize")(function*(_: ProcessingState, generated: Generated) {
    const { opts, state } = yield* RuntimeContext
    yield* state.update({ job: "saving", text: "" })
    const images = yield* Effect.forEach(
      generated.images,
      Effect.fnUntraced(function*(image) {
        const attributes = { "serena.image.index": image.index }
        const png = yield* Effect.withSpan(encoder.encode(image), "encode", { attributes })
        const path = opts.samples_save && (image.complete || opts.save_incomplete_images)
          ? yield* Effect.withSpan(
            store.save({ folder: opts.outdir_txt2img_samples, seed: image.seed, png }),
            "save",
            { attributes }
          )
          : undefined
        const processed: ProcessedImage = { ...image, png, path }
        return processed
      })
    )
    yield* state.update({ job: "done" })
    return { ...generated, images }
  })

/** The stages, on an encoder and a store of pictures. */
export const layer: Layer.Layer<Pipeline, never, ImageEncoder | ImageStore> = Layer.effect(
  Pipeline,
  Effect.gen(function*() {
    const encoder = yield* ImageEncoder
    const store = yield* ImageStore
    return Pipeline.of(stages({ prepare: prepare(encoder, store), execute, finalize: finalize(encoder, store) }))
  })
)

/**
 * One pass of sampling: from noise, or from latents with noise on them, to latents, for the images of one batch.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { latentLength } from "../core/LatentShape.ts"
import type { Conditioning } from "../model/Conditioner.ts"
import { fits } from "../model/Embedding.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { isEditing } from "../model/ModelInfo.ts"
import { actsAt } from "../planning/controls.ts"
import { heldByImages } from "../planning/memory.ts"
import { type ReadingPass, readNegative, readPrompt } from "../planning/readPrompts.ts"
import type { ImagePlan, RunPlan } from "../planning/RunPlan.ts"
import { floorTo } from "../planning/sizes.ts"
import { tokenMergingOf } from "../planning/tokenMerging.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import { trim } from "../prompt/Characters.ts"
import * as ImageNoise from "../rng/ImageNoise.ts"
import * as RandomGenerator from "../rng/RandomGenerator.ts"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import * as Brownian from "../sampling/Brownian.ts"
import { add, combine, scale } from "../sampling/Buffers.ts"
import { blend } from "../sampling/Guidance.ts"
import type { NoiseProcess } from "../sampling/NoiseProcess.ts"
import * as NoiseSchedule from "../sampling/NoiseSchedule.ts"
import * as Samplers from "../sampling/Samplers.ts"
import type { PassControl } from "./controls.ts"
import * as GuidedDenoiser from "./GuidedDenoiser.ts"
import { checkRow } from "./memory.ts"
import * as networkRows from "./networkRows.ts"
import { latentShape, type PassEnv } from "./PassEnv.ts"
import * as previews from "./previews.ts"
import * as vae from "./vae.ts"

// Ends sampling from within the denoiser when the run was asked to stop; it never leaves this file.
class SamplingStopped extends Data.TaggedError("SamplingStopped") {}

/** A model that takes over when this share of the steps is made. */
export interface Refiner {
  readonly model: LoadedModel
  readonly switchAt: number
}

/** A pass whose prompts are read on a certain model. */
export interface PromptedPass extends ReadingPass {
  readonly env: PassEnv
  readonly run: RunPlan
  /** What the pass's ControlNets read; the model follows as many. */
  readonly controls: ReadonlyArray<PassControl>
  /** The noise process that the levels are of. */
  readonly process: NoiseProcess
}

/** A pass that is ready to be sampled; it serves all batches. */
export interface ReadyPass extends PromptedPass {
  /** What `condition` made of the pass's prompts for its model. */
  readonly conditioning: Conditioning
  readonly refiner: Refiner | undefined
}

export interface SamplePassOptions extends ReadyPass {
  readonly batch: ReadonlyArray<ImagePlan>
  /** What the pass starts from; noise alone when left out. */
  readonly start?: {
    /** `[batch, channels, frames, height/8, width/8]`, without noise. */
    readonly latents: Float32Array
    /** Factor on the noise. */
    readonly noiseMultiplier: number
  } | undefined
  readonly mask?: GuidedDenoiser.LatentMask | undefined
  /** What the model reads of a source image next to the latents. */
  readonly source?: Float32Array | undefined
}

export interface Sampled {
  /** `[batch, channels, frames, height/8, width/8]`; absent when not even one step was made. */
  readonly latents: Float32Array | undefined
  /**
   * False when the run was interrupted or the batch skipped: the latents are then the denoised ones of the last step.
   */
  readonly complete: boolean
}

/** The conditioning of a pass on its model; it serves all batches. */
export const condition = Effect.fnUntraced(function*(
  pass: PromptedPass
): Effect.fn.Return<Conditioning, ProcessingError> {
  const { env: { cmdOpts: { limits }, embeddings, model, opts }, levels: { sampler }, plan, run } = pass
  const prompt = yield* readPrompt(pass, opts)
  const isGuided = GuidedDenoiser.usesNegative({
    model,
    sampler,
    cfgScale: run.processing.cfg_scale,
    imageScale: imageScaleOf(pass),
    weights: prompt.parts.map(({ weight }) => weight)
  })
  return yield* model.conditioner.condition(model.textEncoders, {
    prompt,
    negative: isGuided ? yield* readNegative(pass, opts) : undefined,
    size: { width: plan.width, height: plan.height },
    guidanceScale: run.processing.cfg_scale,
    settings: opts,
    embeddings: embeddings.filter((embedding) => fits(embedding, model.textEncoders)),
    mostChunks: limits.max_prompt_chunks
  }).pipe(
    Effect.catchTag(
      "TooManyChunks",
      ({ message, prompt }) =>
        Effect.fail(new InvalidProcessing({ problems: [{ path: pathOf(pass, prompt), message }] }))
    )
  )
})

// How much the source image guides; 1 for models that do not edit images.
const imageScaleOf = ({ env: { model }, run: { processing } }: PromptedPass): number =>
  processing._tag === "Img2Img" && isEditing(model) === true ? processing.image_cfg_scale ?? 1 : 1

// The field that a prompt of a pass was given in.
const pathOf = (
  { run: { processing }, stepsBefore }: PromptedPass,
  prompt: "prompt" | "negative_prompt"
): string => {
  const hiresPath = `hr_${prompt}` as const
  const isOwn = stepsBefore !== undefined && processing._tag === "Txt2Img" && trim(processing[hiresPath]) !== ""
  return isOwn ? hiresPath : prompt
}

/** Samples one pass of one batch. */
export const samplePass: (options: SamplePassOptions) => Effect.Effect<Sampled, ProcessingError> = Effect.fn(
  "sample"
)(function*(options) {
  const { batch, env, mask, plan, run: { processing }, start } = options
  const { model, opts, state } = env
  const { levels: { sampler, sigmas, start: mix, timesteps }, process } = options
  const shape = latentShape(model, plan)
  const size = latentLength(shape)
  const { space } = model.latents.scale
  const progress: StepProgress = { done: 0, steps: 0 }
  const { denoiser, latest } = yield* makeDenoiser(options, progress)
  const generator = RandomGenerator.kind(opts.randn_source)
  const seeds = batch.map(({ seed }) => seed)
  const noise = ImageNoise.make({
    generator,
    shape,
    seeds,
    subseeds: batch.map(({ subseed }) => subseed),
    subseedStrength: processing.subseed_strength,
    resizeFrom: {
      height: Math.floor(Math.max(0, processing.seed_resize_from_h) / space),
      width: Math.floor(Math.max(0, processing.seed_resize_from_w) / space)
    },
    etaNoiseSeedDelta: opts.eta_noise_seed_delta
  })
  const x = new Float32Array(batch.length * size)
  noise.next(x)
  if (start === undefined) {
    scale(x, mix.noise, x)
  } else {
    const drawn = opts.img2img_extra_noise > 0 ? x.slice() : undefined
    combine(x, mix.image, start.latents, mix.noise * start.noiseMultiplier, x)
    // More noise than the sampler knows of; timestep samplers see the image's share of it.
    if (drawn !== undefined) {
      const share = sampler.space === "timestep" ? mix.image : 1
      add(x, opts.img2img_extra_noise * start.noiseMultiplier * share, drawn)
    }
  }

  const noteStep = yield* stepNotes
  const showPreview = yield* previews.make(env, shape)

  const nothingToDo = sigmas.length === 0 && timesteps.length === 0
  const { complete, latents } = nothingToDo ? { complete: true, latents: x } : yield* Samplers.sample({
    sampler,
    sigmas,
    timesteps,
    x,
    denoiser,
    noise: sampler.noise === "brownian" ? Brownian.make({ seeds, size }) : noise.next,
    process,
    options: samplerOptions(processing, opts, sampler, start !== undefined),
    onStep: (step) =>
      Effect.andThen(
        Effect.sync(() => {
          progress.done = step.step
          progress.steps = step.steps
        }),
        state.update({ samplingStep: step.step, samplingSteps: step.steps }).pipe(
          Effect.andThen(noteStep(step)),
          Effect.andThen(showPreview(step))
        )
      )
  }).pipe(
    Effect.map((latents): Sampled => ({ complete: true, latents })),
    Effect.catchTags({
      SamplingStopped: () => Effect.succeed<Sampled>({ complete: false, latents: latest()?.slice() }),
      SamplerInputError: ({ message }) =>
        Effect.fail(new InvalidProcessing({ problems: [{ path: "sampler_name", message }] }))
    })
  )
  if (latents !== undefined && mask !== undefined) blend(latents, latents, mask.original, mask.values)
  return { complete, latents }
}, Effect.scoped)

const samplerOptions = (
  processing: Processing,
  opts: OptionsSnapshot,
  sampler: Samplers.Sampler,
  fromImage: boolean
): Partial<Samplers.SamplerOptions> => ({
  eta: processing.eta ?? (sampler.space === "timestep" ? opts.eta_ddim : opts.eta_ancestral),
  sChurn: processing.s_churn ?? opts.s_churn,
  sTmin: processing.s_tmin ?? opts.s_tmin,
  sTmax: processing.s_tmax ?? opts.s_tmax,
  ...(sampler.scalesNoise && { sNoise: processing.s_noise ?? opts.s_noise }),
  variant: opts.uni_pc_variant,
  skipType: opts.uni_pc_skip_type,
  lowerOrderFinal: opts.uni_pc_lower_order_final,
  ...(sampler.name === "UniPC" && { order: opts.uni_pc_order }),
  fromImage
})

/** Steps of a pass that are made. */
interface StepProgress {
  done: number
  steps: number
}

type Guided = GuidedDenoiser.GuidedDenoiser<SamplingStopped | ProcessingError>

const makeDenoiser = Effect.fnUntraced(function*(
  options: SamplePassOptions,
  progress: StepProgress
): Effect.fn.Return<Guided, ProcessingError, Scope.Scope> {
  const { env, levels: { calls }, process: { levels }, refiner } = options
  const scope = yield* Effect.scope
  const stopped: Effect.Effect<void, SamplingStopped> = Effect.flatMap(
    env.state.progress,
    ({ interrupted, skipped }) => interrupted || skipped ? Effect.fail(new SamplingStopped()) : Effect.void
  )
  const first = yield* denoiserOf(options, stopped, progress)
  if (refiner === undefined) return first

  const refining = { ...options, env: { ...env, model: refiner.model }, source: undefined, controls: [] }
  const second = condition(refining).pipe(
    Effect.flatMap((conditioning) => denoiserOf({ ...refining, conditioning }, stopped, progress)),
    Scope.provide(scope)
  )
  let call = 0
  let current: Guided = first
  let isRefined = false
  const denoise = (x: Float32Array, sigma: number) =>
    Effect.suspend(() => {
      const done = env.opts.refiner_switch_by_sample_steps
        ? call / calls
        : 1 - (NoiseSchedule.sigmaToTQuantized(levels, sigma) + 1) / NoiseSchedule.size(levels)
      call++
      if (isRefined || done < refiner.switchAt) return current.denoiser(x, sigma)
      isRefined = true
      return Effect.flatMap(second, (denoiser) => {
        denoiser.continueFrom(call - 1)
        current = denoiser
        return denoiser.denoiser(x, sigma)
      })
    })
  const refined: Guided = {
    denoiser: Object.assign(denoise, { unconditional: () => current.denoiser.unconditional?.() ?? new Float32Array() }),
    latest: () => current.latest() ?? first.latest(),
    continueFrom: first.continueFrom
  }
  return refined
})

const denoiserOf = Effect.fnUntraced(function*(
  options: SamplePassOptions,
  gate: Effect.Effect<void, SamplingStopped>,
  progress: StepProgress
) {
  const { env: { model, opts, seamless }, levels: { calls, sampler }, plan, process, run: { processing } } = options
  return yield* GuidedDenoiser.make({
    shape: latentShape(model, plan),
    model,
    process,
    sampler,
    batch: options.batch.length,
    conditioning: options.conditioning,
    cfgScale: processing.cfg_scale,
    imageScale: imageScaleOf(options),
    calls,
    gate,
    seamless,
    skipping: {
      early: opts.skip_early_cond,
      late: opts.skip_late_cond,
      below: processing.s_min_uncond ?? opts.s_min_uncond,
      everyCall: opts.s_min_uncond_all
    },
    mask: options.mask,
    tiles: tilesOf(model, opts),
    deepReuse: opts.deepcache_interval === 1 ? undefined : {
      every: opts.deepcache_interval,
      from: opts.deepcache_start * calls
    },
    tokenMerging: tokenMergingOf(processing, opts)[options.stepsBefore === undefined ? "first" : "second"],
    runsPerCall: opts.runs_per_call,
    source: options.source,
    controls: options.controls.map(({ image, scales, unit }) => ({
      image,
      scales,
      isForPromptOnly: unit.control_mode === "control",
      isActing: () => actsAt(unit, progress)
    }))
  })
})

const tilesOf = (model: LoadedModel, opts: OptionsSnapshot): networkRows.NetworkRowsOptions["tiles"] =>
  opts.latent_tile_size === 0 ? undefined : {
    // At least what the network halves and halves again.
    size: Math.max(model.sizeMultiple, floorTo(opts.latent_tile_size, model.sizeMultiple)) / model.latents.scale.space,
    overlap: Math.floor(opts.latent_tile_overlap / model.latents.scale.space)
  }

/**
 * Fails where a pass, or the decoding of what it makes, does not fit the memory there is with one image at a time, and
 * with those that the run has finished by then.
 */
export const checkMemory = Effect.fnUntraced(function*(
  { env, plan }: PromptedPass,
  { negative, parts }: Conditioning,
  models: ReadonlyArray<LoadedModel>
): Effect.fn.Return<void, ProcessingError> {
  const { opts, seamless } = env
  const images = heldByImages({ ...plan, count: env.images })
  for (const model of models) {
    const shape = latentShape(model, plan)
    for (const members of negative === undefined ? [parts] : [parts, [negative]]) {
      const call = networkRows.callShape({ members, model, seamless, shape, tiles: tilesOf(model, opts) })
      yield* checkRow(model, call, images)
    }
  }
  yield* vae.check(env, latentShape(env.model, plan), "decoding", images)
})

const stepsTaken = Metric.counter("serena_steps_total", { description: "Sampling steps made", incremental: true })

// Each step is an event of the span that samples, and is counted.
const stepNotes = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const span = yield* Effect.option(Effect.currentSpan)
  return ({ sigma, step }: Samplers.Step) =>
    Effect.suspend(() => {
      if (Option.isSome(span)) {
        span.value.event("step", clock.currentTimeNanosUnsafe(), { "serena.step": step, "serena.sigma": sigma })
      }
      return Metric.update(stepsTaken, 1)
    })
})

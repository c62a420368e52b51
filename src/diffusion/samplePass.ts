/**
 * One pass of sampling: from noise, or from latents with noise on them, to latents, for the pictures of one batch.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { ImagePlan, PassPlan, ProcessingState } from "../planning/RunPlan.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import * as Prompt from "../prompt/Prompt.ts"
import { totalSteps } from "../prompt/PromptSchedule.ts"
import * as ImageNoise from "../rng/ImageNoise.ts"
import * as RandomGenerator from "../rng/RandomGenerator.ts"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import * as Brownian from "../sampling/Brownian.ts"
import { add, combine, scale } from "../sampling/Buffers.ts"
import { blend } from "../sampling/Guidance.ts"
import * as NoiseSchedule from "../sampling/NoiseSchedule.ts"
import * as Samplers from "../sampling/Samplers.ts"
import * as conditioning from "./conditioning.ts"
import * as GuidedDenoiser from "./GuidedDenoiser.ts"
import * as levels from "./levels.ts"
import * as previews from "./previews.ts"
import { resolveNames } from "./resolveNames.ts"

// Ends sampling from within the denoiser when the run was asked to stop; it never leaves this file.
class SamplingStopped extends Data.TaggedError("SamplingStopped") {}

/** A model that takes over when this share of the steps is made. */
export interface Refiner {
  readonly model: LoadedModel
  readonly switchAt: number
}

export interface Options {
  readonly plan: ProcessingState
  readonly pass: PassPlan
  /** Steps of the pass before this one, as its sampler counts them; prompts go on counting from there. */
  readonly stepsBefore?: number | undefined
  readonly model: LoadedModel
  /** What `condition` made of the pass's prompts for this model. */
  readonly conditioning: conditioning.Conditioning
  readonly refiner: Refiner | undefined
  readonly batch: ReadonlyArray<ImagePlan>
  /** What the pass starts from; noise alone when left out. */
  readonly start?: {
    /** `[batch, channels, height/8, width/8]`, without noise. */
    readonly latents: Float32Array
    /** How much is changed, 0 to 1. */
    readonly strength: number
    /** Whether all steps are made whatever the strength. */
    readonly fixSteps: boolean
    /** Factor on the noise. */
    readonly noiseMultiplier: number
  } | undefined
  readonly mask?: GuidedDenoiser.LatentMask | undefined
  /** What an inpainting model sees beside the latents. */
  readonly beside?: Float32Array | undefined
}

export interface Sampled {
  /** `[batch, channels, height/8, width/8]`; absent when not even one step was made. */
  readonly latents: Float32Array | undefined
  /** False when the run was interrupted or the batch skipped: the latents are then the denoised ones of the last step. */
  readonly complete: boolean
}

/** Steps of a pass as prompts count them. */
export const callsOf = (pass: PassPlan, sampler: Samplers.Sampler): number => totalSteps(pass.steps, sampler)

/** What leads a pass on a model; it serves all batches. */
export const condition = Effect.fnUntraced(function*(options: {
  readonly plan: ProcessingState
  readonly pass: PassPlan
  readonly stepsBefore?: number | undefined
  readonly model: LoadedModel
}): Effect.fn.Return<conditioning.Conditioning, ProcessingError, RuntimeContext> {
  const { model, pass, plan, stepsBefore } = options
  const { opts } = yield* RuntimeContext
  const { sampler } = yield* resolveNames(pass)
  const reading: Prompt.ParseOptions = {
    steps: callsOf(pass, sampler),
    firstPassSteps: stepsBefore,
    useOldScheduling: opts.use_old_scheduling,
    // They were cut when the request was settled.
    comments: false
  }
  const prompt = Prompt.parse(pass.prompt, reading)
  const isGuided = GuidedDenoiser.usesNegative({
    model,
    sampler,
    cfgScale: plan.processing.cfg_scale,
    weights: prompt.parts.map(({ weight }) => weight)
  })
  return yield* conditioning.make({
    model,
    opts,
    prompt,
    negative: isGuided ? Prompt.parseNegative(pass.negativePrompt, reading) : undefined
  })
})

/** Samples one pass of one batch. */
export const samplePass: (options: Options) => Effect.Effect<Sampled, ProcessingError, RuntimeContext> = Effect.fn(
  "sample"
)(function*(options) {
  const { batch, mask, model, pass, plan, start } = options
  const { cmdOpts, opts, state } = yield* RuntimeContext
  const { sampler, scheduler } = yield* resolveNames(pass)
  const height = pass.height / model.latentScale
  const width = pass.width / model.latentScale
  const size = model.latentChannels * height * width
  const image = start && { strength: start.strength, fixSteps: start.fixSteps }
  const { noiseSchedule, sigmas, start: mix, timesteps } = levels.plan({
    model,
    opts,
    sampler,
    scheduler,
    steps: pass.steps,
    image
  })
  const calls = levels.callsMade({ sampler, steps: pass.steps, image })
  const { denoiser, latest } = yield* makeDenoiser({ ...options, height, width, noiseSchedule, sampler, calls })
  const generator = RandomGenerator.kind(opts.randn_source)
  const { processing } = plan
  const seeds = batch.map(({ seed }) => seed)
  const noise = ImageNoise.make({
    generator,
    shape: { channels: model.latentChannels, height, width },
    seeds,
    subseeds: batch.map(({ subseed }) => subseed),
    subseedStrength: processing.subseed_strength,
    resizeFrom: {
      height: Math.floor(Math.max(0, processing.seed_resize_from_h) / model.latentScale),
      width: Math.floor(Math.max(0, processing.seed_resize_from_w) / model.latentScale)
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
    // More noise than the sampler knows of; timestep samplers see the picture's share of it.
    if (drawn !== undefined) {
      const share = sampler.space === "timestep" ? mix.image : 1
      add(x, opts.img2img_extra_noise * start.noiseMultiplier * share, drawn)
    }
  }

  const noteStep = yield* stepNotes
  const showPreview = yield* previews.make({ model, opts, cmdOpts, state, height, width, seamless: plan.seamless })

  const nothingToDo = sigmas.length === 0 && timesteps.length === 0
  const { complete, latents } = nothingToDo ? { complete: true, latents: x } : yield* Samplers.sample({
    sampler,
    sigmas,
    timesteps,
    x,
    denoiser,
    noise: sampler.noise === "brownian" ? Brownian.make({ seeds, size, generator }) : noise.next,
    noiseSchedule,
    options: samplerOptions(plan, opts, sampler, start !== undefined),
    onStep: (step) =>
      state.update({ samplingStep: step.step, samplingSteps: step.steps }).pipe(
        Effect.andThen(noteStep(step)),
        Effect.andThen(showPreview(step))
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
  { processing }: ProcessingState,
  opts: OptionsSnapshot,
  sampler: Samplers.Sampler,
  fromImage: boolean
): Partial<Samplers.SamplerOptions> => ({
  eta: processing.eta ?? (sampler.space === "timestep" ? opts.eta_ddim : opts.eta_ancestral),
  sChurn: processing.s_churn ?? opts.s_churn,
  sTmin: processing.s_tmin ?? opts.s_tmin,
  sTmax: processing.s_tmax ?? opts.s_tmax,
  sNoise: processing.s_noise ?? opts.s_noise,
  variant: opts.uni_pc_variant,
  skipType: opts.uni_pc_skip_type,
  lowerOrderFinal: opts.uni_pc_lower_order_final,
  ...(sampler.name === "UniPC" && { order: opts.uni_pc_order }),
  fromImage
})

interface DenoiserOptions extends Options {
  /** In latent values: pixels / 8. */
  readonly height: number
  readonly width: number
  readonly noiseSchedule: NoiseSchedule.NoiseSchedule
  readonly sampler: Samplers.Sampler
  /** Of the network, that the steps of this pass need. */
  readonly calls: number
}

type Guided = GuidedDenoiser.GuidedDenoiser<SamplingStopped | ProcessingError>

const makeDenoiser = Effect.fnUntraced(function*(
  options: DenoiserOptions
): Effect.fn.Return<Guided, ProcessingError, RuntimeContext | Scope.Scope> {
  const { model, noiseSchedule, refiner } = options
  const { state } = yield* RuntimeContext
  const scope = yield* Effect.scope
  const stopped: Effect.Effect<void, SamplingStopped> = Effect.flatMap(
    state.progress,
    ({ interrupted, skipped }) => interrupted || skipped ? Effect.fail(new SamplingStopped()) : Effect.void
  )
  const first = yield* denoiserOf(model, options, stopped)
  if (refiner === undefined) return first

  const { opts } = yield* RuntimeContext
  const services = yield* Effect.context<RuntimeContext>()
  const second = condition({ ...options, model: refiner.model }).pipe(
    Effect.flatMap((conditioning) =>
      denoiserOf(refiner.model, { ...options, conditioning, beside: undefined }, stopped)
    ),
    Effect.provideContext(services),
    Scope.provide(scope)
  )
  let call = 0
  let current: Guided = first
  let isRefined = false
  const denoise = (x: Float32Array, sigma: number) =>
    Effect.suspend(() => {
      const done = opts.refiner_switch_by_sample_steps
        ? call / options.calls
        : 1 - (NoiseSchedule.sigmaToTQuantized(noiseSchedule, sigma) + 1) / NoiseSchedule.size(noiseSchedule)
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
  model: LoadedModel,
  options: DenoiserOptions,
  gate: Effect.Effect<void, SamplingStopped>
) {
  const { pass, plan, sampler } = options
  const { opts } = yield* RuntimeContext
  const { processing } = plan
  return yield* GuidedDenoiser.make({
    model,
    noiseSchedule: options.noiseSchedule,
    sampler,
    batch: options.batch.length,
    height: options.height,
    width: options.width,
    conditioning: options.conditioning,
    cfgScale: processing.cfg_scale,
    calls: options.calls,
    gate,
    seamless: plan.seamless,
    skipping: {
      early: opts.skip_early_cond,
      below: processing.s_min_uncond ?? opts.s_min_uncond,
      everyCall: opts.s_min_uncond_all
    },
    mask: options.mask,
    timeIds: timeIds(model, pass, opts),
    tiles: opts.latent_tile_size === 0 ? undefined : {
      // At least what the network halves and halves again.
      size: Math.max(model.sizeMultiple, floorTo(opts.latent_tile_size, model.sizeMultiple)) / model.latentScale,
      overlap: Math.floor(opts.latent_tile_overlap / model.latentScale)
    },
    beside: options.beside
  })
})

const floorTo = (length: number, multiple: number): number => Math.floor(length / multiple) * multiple

/**
 * What SDXL is told of a picture: its size, where it was cut out, and the size it is to have; its refiner is told of its
 * beauty instead of the last.
 */
const timeIds = (model: LoadedModel, { height, width }: PassPlan, opts: OptionsSnapshot): GuidedDenoiser.TimeIds => {
  const place = [height, width, opts.sdxl_crop_top, opts.sdxl_crop_left]
  return model.inputs.timeIds === 5
    ? {
      prompt: [...place, opts.sdxl_refiner_high_aesthetic_score],
      negative: [...place, opts.sdxl_refiner_low_aesthetic_score]
    }
    : { prompt: [...place, height, width], negative: [...place, height, width] }
}

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

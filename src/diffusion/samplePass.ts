/**
 * From noise to latents, for the pictures of one batch.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import { InvalidProcessing } from "../processing/errors.ts"
import type { ImagePlan, ProcessingState } from "../processing/ProcessingState.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import * as GuidedDenoiser from "./GuidedDenoiser.ts"
import * as previews from "./previews.ts"
import * as ImageNoise from "./rng/ImageNoise.ts"
import * as RandomGenerator from "./rng/RandomGenerator.ts"
import * as Brownian from "./sampling/Brownian.ts"
import { scale } from "./sampling/Buffers.ts"
import * as NoiseSchedule from "./sampling/NoiseSchedule.ts"
import * as Samplers from "./sampling/Samplers.ts"
import type { Scheduler } from "./sampling/Schedules.ts"

// Ends sampling from within the denoiser when the run was asked to stop; it never leaves this file.
class SamplingStopped extends Data.TaggedError("SamplingStopped") {}

/**
 * Samples one batch.
 *
 * Gives a latent `[channels, height/8, width/8]` for each picture. When the run is interrupted or the batch is skipped,
 * they are the denoised latents of the last step, as stable-diffusion-webui gives them, and `complete` is false; when not
 * even one step was made there are none.
 */
export const sampleBatch = Effect.fn("sample")(function*(options: {
  readonly batch: ReadonlyArray<ImagePlan>
  readonly conditioning: GuidedDenoiser.Conditioning
  readonly plan: ProcessingState
  readonly sampler: Samplers.Sampler
  readonly scheduler: Scheduler
}) {
  const { batch, conditioning, plan, sampler, scheduler } = options
  const { model, opts, state } = yield* RuntimeContext
  const height = plan.height / model.latentScale
  const width = plan.width / model.latentScale
  const size = model.latentChannels * height * width

  const noiseSchedule = NoiseSchedule.make(model.noise)
  const { denoiser, latest } = yield* GuidedDenoiser.make({
    model,
    noiseSchedule,
    sampler,
    batch: batch.length,
    height,
    width,
    conditioning,
    cfgScale: plan.processing.cfg_scale,
    gate: Effect.flatMap(
      state.progress,
      ({ interrupted, skipped }) => interrupted || skipped ? Effect.fail(new SamplingStopped()) : Effect.void
    )
  })
  const { sigmas, start, timesteps } = Samplers.plan({
    sampler,
    scheduler,
    noiseSchedule,
    steps: plan.processing.steps
  })
  const generator = RandomGenerator.kind(opts.randn_source)
  const seeds = batch.map(({ seed }) => seed)
  const noise = ImageNoise.make({
    generator,
    shape: { channels: model.latentChannels, height, width },
    seeds,
    etaNoiseSeedDelta: opts.eta_noise_seed_delta
  })
  const x = new Float32Array(batch.length * size)
  noise.next(x)
  scale(x, start.noise, x)

  const noteStep = yield* stepNotes
  const showPreview = yield* previews.make({ model, opts, state, height, width })

  const { complete, latents } = yield* Samplers.sample({
    sampler,
    sigmas,
    timesteps,
    x,
    denoiser,
    noise: sampler.noise === "brownian" ? Brownian.make({ seeds, size, generator }) : noise.next,
    noiseSchedule,
    onStep: (step) =>
      state.update({ samplingStep: step.step, samplingSteps: step.steps }).pipe(
        Effect.andThen(noteStep(step)),
        Effect.andThen(showPreview(step))
      )
  }).pipe(
    Effect.map((latents) => ({ complete: true, latents })),
    Effect.catchTags({
      SamplingStopped: () => Effect.succeed({ complete: false, latents: latest() }),
      SamplerInputError: ({ message }) =>
        Effect.fail(new InvalidProcessing({ problems: [{ path: "sampler_name", message }] }))
    })
  )
  return {
    complete,
    latents: latents === undefined ? [] : batch.map((_, i) => latents.subarray(i * size, (i + 1) * size))
  }
}, Effect.scoped)

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

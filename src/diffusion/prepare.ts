/**
 * prepare: from a request to its plan, with the images that it starts from made ready.
 *
 * Every problem of a request is found here, before the first network runs. Choices are settled by `planning`;
 * this reads what planning asks for, and does the work on pixels.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Seed from "../core/Seed.ts"
import type { ImageDecoder } from "../images/ImageDecoder.ts"
import { formatOf, ImageEncoder } from "../images/ImageEncoder.ts"
import type { ImageStore } from "../images/ImageStore.ts"
import { Upscalers } from "../images/Upscalers.ts"
import { type LoadedModel, requireLoaded } from "../model/LoadedModel.ts"
import { Models } from "../model/Models.ts"
import { drawSeeds } from "../planning/drawSeeds.ts"
import { findNetworks } from "../planning/findNetworks.ts"
import { latentMode } from "../planning/hires.ts"
import { joined, outlineParts } from "../planning/parts.ts"
import { plan } from "../planning/plan.ts"
import { stylesFor, wildcardsFor } from "../planning/promptFacts.ts"
import { hashedPlan, type ImagePlan, type RunPlan, type SourcePixels } from "../planning/RunPlan.ts"
import { isVaried } from "../planning/seeds.ts"
import { withBatchOf } from "../planning/source.ts"
import { checkRequest } from "../processing/checkRequest.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { Options } from "../processing/Options.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import { type Plot, plotOf } from "../processing/Plot.ts"
import type { Processing } from "../processing/Processing.ts"
import type { StyleBook } from "../processing/StyleBook.ts"
import type { WildcardBook } from "../processing/WildcardBook.ts"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { isPath, notPath, RuntimeContext } from "../runner/RuntimeContext.ts"
import { adapted } from "./adapted.ts"
import { actingClipSkip } from "./clipSkip.ts"
import { prepareControls } from "./controls.ts"
import { hashesOf, unhashed } from "./hashes.ts"
import * as output from "./output.ts"
import { preparePixels, readSource, type Source } from "./readSource.ts"

/** Plans a request, sees that its images can be saved, and begins to open the networks. */
export const prepare = Effect.fn("prepare")(function*({ processing: asked, runId }: ProcessingRequest<Processing>) {
  const { cmdOpts: { limits }, model: own, opts, state } = yield* RuntimeContext
  const model = yield* requireLoaded(own)
  const source = asked._tag === "Img2Img" ? yield* readSource(asked, limits) : undefined
  const plot = yield* Effect.fromResult(
    Result.mapError(plotOf(asked), (problems) => new InvalidProcessing({ problems }))
  )
  const made = state.finished[0]
  const startedAt = yield* Clock.currentTimeMillis
  const shared = { runId, source, startedAt, made, pixels: new Map<string, SourcePixels>() }
  const planned = plot === undefined
    ? yield* planRequest({ ...shared, processing: asked, model, opts, offset: 0, isFirst: true })
    : yield* inRun(planCells(plot, { ...shared, asked, model, opts }))
  yield* forkInRun(Effect.asVoid(hashedParts(planned)))
  const labelled = (parts: Arr.NonEmptyReadonlyArray<RunPlan>): RunPlan =>
    plot === undefined ? joined(parts) : { ...joined(parts), processing: asked, plot: plot.labels }
  const run = labelled(planned)
  yield* state.update({
    activity: "preparing",
    passCount: run.batches.length * (run.hires === undefined ? 1 : 2),
    samplingSteps: run.steps
  })
  return planned.length === 1 && plot === undefined
    ? run
    : { ...run, hashed: yield* Effect.cached(Effect.map(hashedParts(planned), labelled)) }
})

interface Shared {
  readonly runId: string
  readonly source: Source | undefined
  readonly startedAt: number
  /** An image that an earlier attempt at the run has made. */
  readonly made: Pick<ImagePlan, "index" | "seed" | "subseed"> | undefined
  /** What img2img starts from, by its size. */
  readonly pixels: Map<string, SourcePixels>
}

// The plans of a plot's cells. What the request leaves to chance is drawn once for all of them.
const planCells = Effect.fnUntraced(function*(
  { cells }: Plot,
  { asked, ...shared }: Shared & {
    readonly asked: Processing
    readonly model: LoadedModel
    readonly opts: OptionsSnapshot
  }
) {
  const { cmdOpts: { limits } } = yield* RuntimeContext
  const { batch_size } = withBatchOf(asked, shared.source?.facts)
  const count = batch_size * asked.n_iter
  const { made } = shared
  const seeds = yield* drawSeeds(asked, made && { ...made, index: made.index % count })
  const { load } = yield* Models
  const planned: Array<RunPlan> = []
  let pixels = 0
  for (const [i, cell] of cells.entries()) {
    const processing = yield* checkRequest({
      ...cell,
      ...(Seed.settled(cell.seed) === -1 && { seed: seeds.seed }),
      ...(isVaried(cell) && Seed.settled(cell.subseed) === -1 && { subseed: seeds.subseed })
    }, limits)
    const { override_settings } = processing
    for (const name of ["sd_model_checkpoint", "sd_vae"] as const) {
      if (isPath(override_settings[name] ?? "")) return yield* notPath(`override_settings.${name}`)
    }
    const opts = Options.patched(shared.opts, yield* Options.decode(override_settings))
    const model = isOfFiles(opts, shared.opts) ? shared.model : yield* load(opts.sd_model_checkpoint, opts)
    const parts = yield* planRequest({ ...shared, processing, model, opts, offset: i * count, isFirst: i === 0 })
    for (const part of parts) {
      planned.push({ ...part, opts, hashed: part.hashed && Effect.map(part.hashed, (plan) => ({ ...plan, opts })) })
      pixels += part.width * part.height * part.batches.flat().length
    }
    if (pixels > limits.max_total_pixels) {
      const message = `the cells have more than ${limits.max_total_pixels} pixels, the limit of all images together`
      return yield* new InvalidProcessing({ problems: [{ path: "x_axis", message }] })
    }
  }
  if (Arr.isArrayNonEmpty(planned)) return planned
  return yield* new InvalidProcessing({ problems: [{ path: "x_axis", message: "there are no cells" }] })
})

// Whether two settings mean the same model of the same files.
const isOfFiles = (one: OptionsSnapshot, other: OptionsSnapshot): boolean =>
  one.sd_model_checkpoint === other.sd_model_checkpoint && one.sd_vae === other.sd_vae &&
  one.unet_precision === other.unet_precision

// The plans of the parts of one request.
const planRequest = Effect.fnUntraced(function*(
  { isFirst, made, model, offset, opts, pixels: known, processing: asked, runId, source, startedAt }: Shared & {
    readonly processing: Processing
    readonly model: LoadedModel
    readonly opts: OptionsSnapshot
    readonly offset: number
    readonly isFirst: boolean
  }
): Effect.fn.Return<
  Arr.NonEmptyReadonlyArray<RunPlan>,
  ProcessingError,
  ImageDecoder | ImageEncoder | ImageStore | Models | RuntimeContext | StyleBook | Upscalers | WildcardBook
> {
  const { cmdOpts: { limits } } = yield* RuntimeContext
  const inputs = {
    runId,
    processing: asked,
    model,
    opts,
    limits,
    source: source?.facts,
    upscalers: yield* upscalersFor(asked),
    styles: yield* stylesFor(asked)
  }
  const lookup = yield* wildcardsFor(asked, inputs.styles, opts)
  // What is drawn depends on the seeds, which are known before all else then.
  const drawing = lookup && { lookup, seeds: yield* drawSeeds(asked, made) }
  const parts = yield* Effect.fromResult(outlineParts(inputs, drawing))
  const { outline: first } = parts[0]
  const { processing } = first
  const latentScale = model.latents.scale.space
  const place = `${first.width}x${first.height} ${latentScale}`
  const pixels = processing._tag === "Img2Img" && source !== undefined
    ? known.get(place) ?? (yield* preparePixels({ processing, source, opts, latentScale, size: first }))
    : undefined
  if (pixels !== undefined) known.set(place, pixels)

  // The parts differ in their prompts alone.
  const controls = yield* prepareControls(first.controls, {
    processing,
    limits,
    model,
    source,
    region: pixels?.mask?.region,
    first,
    second: first.hires
  })

  // A folder that cannot be written is better known now than after all the work.
  yield* output.check(processing, opts)
  const found = yield* Effect.forEach(parts, ({ outline }) => findNetworks(model, outline, limits))
  // What needs a network later waits for it then, and fails if it does not open.
  const encoder = yield* ImageEncoder
  const opening = Effect.flatMap(adapted(model, found[0].first), ({ warm }) => warm)
  if (isFirst) {
    yield* forkInRun(
      Effect.ignore(Effect.all([Effect.scoped(opening), encoder.warm(formatOf(opts).format)], { concurrency: 2 }))
    )
  }
  const seeds = drawing?.seeds ?? (yield* drawSeeds(processing, made))
  const clipSkip = yield* actingClipSkip(model, opts).pipe(
    // A text encoder that does not open fails the run when it is needed.
    Effect.orElseSucceed(() => first.clipSkip)
  )
  return yield* Effect.forEach(
    Arr.zip(parts, found),
    Effect.fnUntraced(function*([{ batches, outline }, networks]) {
      // Files that were never hashed are read while the run samples.
      const hashes = yield* Effect.cached(hashesOf(model, networks.hashed, opts))
      const outlined = { ...outline, controls, clipSkip, source: outline.source && { ...outline.source, pixels } }
      const facts = { ...seeds, model: unhashed(model), networks, startedAt }
      const part: RunPlan = {
        ...plan(outlined, facts, batches, offset),
        hashed: yield* Effect.cached(Effect.map(hashes, ({ warnings, ...known }) => {
          const whole = plan(outlined, { ...facts, ...known }, batches, offset)
          return { ...whole, warnings: [...whole.warnings, ...warnings] }
        }))
      }
      return part
    })
  )
})

// One after another: they read files.
const hashedParts = (parts: Arr.NonEmptyReadonlyArray<RunPlan>) => Effect.forEach(parts, hashedPlan)

// They are read only for requests that name some.
const upscalersFor = Effect.fnUntraced(function*(processing: Processing) {
  const isNamed = processing._tag === "Txt2Img" && processing.enable_hr &&
    latentMode(processing.hr_upscaler) === undefined
  return isNamed ? (yield* (yield* Upscalers).list).map(({ name }) => name) : []
})

// What is opened stays open until the run ends.
const inRun = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.serviceOption(Scope.Scope),
    (scope) => Option.isSome(scope) ? Scope.provide(effect, scope.value) : Effect.scoped(effect)
  )

// Alongside the run, until it ends. A stage may run in a fiber of its own, under hooks that can end it, so a child of
// the stage's fiber would not outlive the stage.
const forkInRun = (effect: Effect.Effect<void>) =>
  Effect.flatMap(
    Effect.serviceOption(Scope.Scope),
    (scope) => Option.isSome(scope) ? Effect.forkIn(effect, scope.value) : Effect.forkChild(effect)
  )

/**
 * The live pipeline: Stable Diffusion on the model of the run's context.
 *
 * prepare plans the run (`prepare`), execute goes from words to pixels (conditioning, latents, sampling in one pass or
 * two, decoding), finalize makes files (`output`). It writes the run's progress and obeys its wish to stop; it knows no
 * entrypoint and no hook.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Raster } from "../core/Raster.ts"
import * as ColorCorrection from "../images/ColorCorrection.ts"
import type { ImageDecoder } from "../images/ImageDecoder.ts"
import type { ImageEncoder } from "../images/ImageEncoder.ts"
import type { ImageStore } from "../images/ImageStore.ts"
import * as Overlay from "../images/Overlay.ts"
import type { Upscalers } from "../images/Upscalers.ts"
import * as LatentFormat from "../model/LatentFormat.ts"
import { type LoadedModel, requireLoaded } from "../model/LoadedModel.ts"
import { Models } from "../model/Models.ts"
import { adapterWarnings } from "../planning/adapters.ts"
import { unfitEmbeddings } from "../planning/embeddings.ts"
import { type PassLevels, processOf } from "../planning/levels.ts"
import { withLevels } from "../planning/plan.ts"
import { promptSteps } from "../planning/readPrompts.ts"
import {
  type HiresPlan,
  type ImagePlan,
  partOf,
  type PassPlan,
  placeOf,
  type RunPlan,
  type SourcePixels
} from "../planning/RunPlan.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { StyleBook } from "../processing/StyleBook.ts"
import type { WildcardBook } from "../processing/WildcardBook.ts"
import { stages } from "../runner/Lifecycle.ts"
import { NetworkTurn } from "../runner/NetworkTurn.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { ExtraKind, Generated, GeneratedImage } from "../runner/Processed.ts"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import { isPath, notPath, RuntimeContext } from "../runner/RuntimeContext.ts"
import { adapted } from "./adapted.ts"
import * as batches from "./batches.ts"
import { clipSkipWarnings } from "./clipSkip.ts"
import { controlledBy, passControls } from "./controls.ts"
import { enlarge } from "./enlarge.ts"
import * as output from "./output.ts"
import { latentShape, type PassEnv } from "./PassEnv.ts"
import { prepare } from "./prepare.ts"
import { checkMemory, condition, type PromptedPass, type ReadyPass, type Sampled, samplePass } from "./samplePass.ts"
import { blankChannels, type EncodedSource, encodeSource, sourceLatents } from "./sourceLatents.ts"
import * as vae from "./vae.ts"
import { vaeWarnings } from "./vaeWarnings.ts"

/** From words to pixels, batch after batch. */
const execute = Effect.fn("execute")(function*(plan: RunPlan) {
  const warnings = new Set<string>()
  const turn = yield* NetworkTurn
  yield* turn.begin
  // What the part that is being made needs in memory, until the next one is made.
  let current: { readonly part: RunPlan; readonly make: MakeBatch; readonly scope: Scope.Closeable } | undefined
  const close = Effect.suspend(() => current === undefined ? Effect.void : Scope.close(current.scope, Exit.void))
  yield* Effect.addFinalizer(() => close)
  const makerOf = Effect.fnUntraced(function*(part: RunPlan) {
    if (current?.part === part) return current.make
    yield* close
    const scope = yield* Scope.make()
    current = undefined
    const ready = yield* Effect.onError(
      Scope.provide(preparePart(plan, part), scope),
      () => Scope.close(scope, Exit.void)
    )
    for (const warning of ready.warnings) warnings.add(warning)
    current = { part, make: ready.makeBatch, scope }
    return ready.makeBatch
  })
  // A run of one part is ready, or fails, before anything else.
  if (plan.parts === undefined) yield* makerOf(plan)
  const made = yield* batches.make(
    plan,
    (batch, index) =>
      Effect.tap(
        Effect.flatMap(makerOf(partOf(plan, batch[0]?.index ?? 0)), (make) => make(batch, index)),
        // The images of the last batch are written while another run has the networks.
        () => isLast(plan, index) ? Effect.andThen(close, turn.end) : Effect.void
      )
  )
  const generated: Generated = { ...made, warnings: [...new Set([...made.warnings, ...warnings])] }
  return generated
}, Effect.scoped)

const isLast = ({ batches }: RunPlan, index: number): boolean => index === batches.length - 1

type MakeBatch = (
  batch: ReadonlyArray<ImagePlan>,
  index: number
) => Effect.Effect<batches.MadeBatch, ProcessingError, RuntimeContext | Upscalers>

// What the batches of a part are made with.
const preparePart = Effect.fnUntraced(function*(run: RunPlan, plan: RunPlan) {
  const { cmdOpts, model: own, opts: settings, state } = yield* RuntimeContext
  const { opts = settings } = plan
  const turn = yield* NetworkTurn
  // A cell of a plot may be made with another model than the run's.
  const loaded = plan.opts === undefined
    ? yield* requireLoaded(own)
    : yield* (yield* Models).load(opts.sd_model_checkpoint, opts)
  yield* state.update({ activity: "loading", text: `Loading ${loaded.name}` })
  const model = yield* adapted(loaded, plan.adapters)
  const images = run.batches.flat().length
  const env: PassEnv = { cmdOpts, embeddings: plan.embeddings, images, model, opts, seamless: plan.seamless, state }
  const first = yield* prepareFirst(plan, env)
  const second = plan.hires === undefined ? undefined : yield* prepareSecond(plan, plan.hires, loaded, first)
  const warnings = yield* warningsOf(plan, [first, ...(second === undefined ? [] : [second])])
  const source = yield* sourceOf(plan)
  const encoded = source && (yield* encodeSource({ env, ...source, pass: plan }))

  const makeBatch: MakeBatch = Effect.fnUntraced(function*(batch: ReadonlyArray<ImagePlan>, index: number) {
    const images: Array<GeneratedImage> = []
    const sampled = yield* sampleFirst(first, batch, encoded)
    // What was stopped in the first pass is shown as it is.
    const goesOn = second !== undefined && plan.hires !== undefined && sampled.complete &&
      !(yield* state.progress).interrupted
    const made = goesOn && sampled.latents !== undefined
      ? yield* sampleSecond(plan.hires, first, second, batch, sampled.latents, index * batches.passesOf(plan))
      : { ...sampled, pass: first, before: undefined }
    yield* state.update({ activity: "decoding" })
    const isWhole = made.complete && (second === undefined || goesOn)
    if (made.latents === undefined) return { images, complete: isWhole }
    const { env: passEnv, plan: pass } = made.pass
    const shape = latentShape(passEnv.model, pass)
    const length = made.latents.length / batch.length
    for (const [i, image] of batch.entries()) {
      const latent = made.latents.subarray(i * length, (i + 1) * length)
      if (isLast(run, index) && i === batch.length - 1) yield* turn.ending
      const data = yield* Effect.withSpan(
        vae.decode(passEnv, latent, shape),
        "decode",
        { attributes: { "serena.image.index": image.index } }
      )
      const raster: Raster = { width: pass.width, height: pass.height, channels: 3, data }
      const { extras, raster: finished } = yield* finish(source?.source, opts, raster, placeOf(image, plan))
      const before = made.before?.[i]
      images.push({
        ...image,
        width: finished.width,
        height: finished.height,
        pixels: finished.data,
        complete: isWhole,
        extras: [
          ...(before === undefined ? [] : [{ kind: "before highres fix" as const, raster: before }]),
          ...extras
        ]
      })
    }
    return { images, complete: isWhole }
  })
  return { makeBatch, warnings }
})

// The noise levels of a pass: a plan without them was made for another server.
const levelsOf = ({ levels }: PassPlan): Effect.Effect<PassLevels> =>
  levels === undefined
    ? Effect.die(new Error("The plan has no noise levels: it was made for another server's model."))
    : Effect.succeed(levels)

// What img2img starts from; absent for text to image.
const sourceOf = Effect.fnUntraced(function*({ processing, source }: RunPlan) {
  if (processing._tag !== "Img2Img" || source === undefined) return undefined
  const { pixels } = source
  return pixels === undefined
    ? yield* Effect.die(new Error("The plan has no images ready: it was made for another server."))
    : { processing, source: pixels }
})

const prepareFirst = Effect.fnUntraced(function*(run: RunPlan, env: PassEnv) {
  const levels = yield* levelsOf(run)
  const { model, residuals } = yield* controlledBy(env.model, run.controls)
  const pass = {
    env: { ...env, model },
    run,
    plan: run,
    levels,
    controls: passControls(run.controls, residuals, "first"),
    process: processOf(model.noise, env.opts),
    stepsBefore: undefined
  }
  return yield* ready(pass, run.hires === undefined || env.opts.hires_fix_refiner_pass !== "second pass")
})

const prepareSecond = Effect.fnUntraced(function*(run: RunPlan, hires: HiresPlan, own: LoadedModel, first: ReadyPass) {
  const { env } = first
  const other = hires.checkpoint === undefined
    ? own
    : yield* loadCompatible(hires.checkpoint, "hr_checkpoint_name", { ...env, model: own })
  // Another model walks its own levels, known now that it is loaded.
  const plan = other === own ? hires : withLevels(hires, other, env.opts)
  const { model, residuals } = yield* controlledBy(yield* adapted(other, plan.adapters), run.controls)
  const pass = {
    env: { ...env, model },
    run,
    plan,
    levels: yield* levelsOf(plan),
    controls: passControls(run.controls, residuals, "second"),
    process: processOf(model.noise, env.opts),
    stepsBefore: promptSteps(first)
  }
  return yield* ready(pass, env.opts.hires_fix_refiner_pass !== "first pass")
})

// A pass with its refiner, if it is refined, and its conditioning.
const ready = Effect.fnUntraced(function*(pass: PromptedPass, isRefined: boolean) {
  const { refiner } = pass.run
  const prepared: ReadyPass = {
    ...pass,
    refiner: refiner === undefined || !isRefined
      ? undefined
      : {
        model: yield* adapted(yield* loadRefiner(refiner.checkpoint, pass.env), pass.plan.adapters),
        switchAt: refiner.switchAt
      },
    conditioning: yield* condition(pass)
  }
  const { model } = pass.env
  yield* checkMemory(pass, prepared.conditioning, prepared.refiner ? [model, prepared.refiner.model] : [model])
  return prepared
})

// What the models of a run's passes do not do as they were asked to.
const warningsOf = Effect.fnUntraced(function*({ embeddings }: RunPlan, passes: ReadonlyArray<ReadyPass>) {
  const found: Array<string> = []
  for (const { env, plan: { adapters }, refiner } of passes) {
    for (const model of [env.model, ...(refiner === undefined ? [] : [refiner.model])]) {
      found.push(
        ...adapterWarnings(model, adapters),
        ...unfitEmbeddings(model, embeddings),
        ...(yield* clipSkipWarnings(model, env.opts)),
        ...vaeWarnings(model, env.opts)
      )
    }
  }
  return found
})

// Another model that goes on with the same latents.
const loadCompatible = Effect.fnUntraced(function*(name: string, path: string, { model: first, opts }: PassEnv) {
  const { load } = yield* Models
  const model = yield* isPath(name) ? notPath(path) : load(name, opts)
  if (LatentFormat.areAlike(first.latents, model.latents)) return model
  return yield* new InvalidProcessing({
    problems: [{ path, message: `${model.name} is incompatible with ${first.name}: latent formats differ` }]
  })
})

const loadRefiner = Effect.fnUntraced(function*(name: string, first: PassEnv) {
  const path = "refiner_checkpoint"
  const model = yield* loadCompatible(name, path, first)
  if (model.source === undefined) return model
  const kind = model.source.isInpainting ? "an inpainting model" : "a model that edits images"
  const message = `${model.name} is ${kind}, and cannot take over half-way`
  return yield* new InvalidProcessing({ problems: [{ path, message }] })
})

const sampleFirst = Effect.fnUntraced(function*(
  pass: ReadyPass,
  batch: ReadonlyArray<ImagePlan>,
  encoded: EncodedSource | undefined
) {
  const { env, plan, run: { processing } } = pass
  if (processing._tag === "Txt2Img" || encoded === undefined) {
    return yield* samplePass({ ...pass, batch, source: yield* blankChannels(env, plan, batch) })
  }
  const { channels, latents, mask } = sourceLatents({ env, encoded, processing, pass: plan, batch })
  return yield* samplePass({
    ...pass,
    batch,
    start: {
      latents,
      noiseMultiplier: processing.initial_noise_multiplier ?? env.opts.initial_noise_multiplier
    },
    mask,
    source: channels
  })
})

const sampleSecond = Effect.fnUntraced(function*(
  hires: HiresPlan,
  first: ReadyPass,
  second: ReadyPass,
  batch: ReadonlyArray<ImagePlan>,
  latents: Float32Array,
  passesDone: number
) {
  const { env: { opts, state } } = first
  const before: Array<Raster> = []
  if (output.isWanted("before highres fix", opts)) {
    const length = latents.length / batch.length
    const { height, width } = first.plan
    for (const [i] of batch.entries()) {
      const latent = latents.subarray(i * length, (i + 1) * length)
      const data = yield* vae.decode(first.env, latent, latentShape(first.env.model, first.plan))
      before.push({ width, height, channels: 3, data })
    }
  }
  yield* state.update({ passesDone: passesDone + 1, activity: "enlarging", samplingStep: 0 })
  const larger = yield* enlarge({ first: first.env, second: second.env, pass: first.plan, hires, latents })
  yield* state.update({ activity: "sampling", preview: undefined })
  const sampled: Sampled = yield* samplePass({
    ...second,
    batch,
    start: { latents: larger, noiseMultiplier: 1 },
    source: yield* blankChannels(second.env, second.plan, batch)
  })
  // Stopped before its first step, the enlarged image is what there is.
  return { complete: sampled.complete, latents: sampled.latents ?? larger, pass: second, before }
})

// Colours as they were, and what lies outside of the mask put back.
const finish = Effect.fnUntraced(function*(
  source: SourcePixels | undefined,
  opts: OptionsSnapshot,
  made: Raster,
  place: number
) {
  const extras: Array<{ readonly kind: ExtraKind; readonly raster: Raster }> = []
  const keep = (kind: ExtraKind, raster: Raster) => {
    if (output.isWanted(kind, opts)) extras.push({ kind, raster })
  }
  if (source === undefined) return { raster: made, extras }
  let raster = made
  const original = source.images[place % source.images.length] ?? source.images[0]
  if (opts.img2img_color_correction) {
    keep("before color correction", made)
    raster = yield* ColorCorrection.correcting(original, made)
  }
  const bare = raster
  const overlay = source.overlays[place % source.overlays.length]
  if (overlay !== undefined) raster = yield* Overlay.applying(raster, overlay, source.mask?.region)
  if (source.mask !== undefined) {
    keep("mask", source.mask.overlay)
    if (output.isWanted("mask composite", opts)) {
      keep("mask composite", yield* Overlay.maskCompositing(bare, source.mask.overlay, source.mask.region))
    }
  }
  return { raster, extras }
})

/** What the stages take when their layer is built. */
export type Requirements = ImageDecoder | ImageEncoder | ImageStore | Models | StyleBook | Upscalers | WildcardBook

/** The stages, on codecs, a store of images, models, upscalers, styles and wildcards. */
export const layer: Layer.Layer<Pipeline, never, Requirements> = Layer.effect(
  Pipeline,
  Effect.gen(function*() {
    const services = yield* Effect.context<Requirements>()
    const provide = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideContext(effect, services)
    return Pipeline.of(stages({
      prepare: (request) => provide(prepare(request)),
      execute: (state) => provide(execute(state)),
      finalize: (state, generated) => provide(output.finalize(state, generated))
    }))
  })
)

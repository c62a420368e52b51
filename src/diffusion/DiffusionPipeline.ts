/**
 * The live pipeline: Stable Diffusion on whatever model the run's context holds.
 *
 * prepare settles every choice (`settle`), execute goes from words to pixels (conditioning, latents, sampling in one pass
 * or two, decoding), finalize makes files (`output`). It writes the run's progress and obeys its wish to stop; it knows no
 * entrypoint and no hook.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Raster } from "../core/Raster.ts"
import * as ColorCorrection from "../images/ColorCorrection.ts"
import type { ImageDecoder } from "../images/ImageDecoder.ts"
import type { ImageEncoder } from "../images/ImageEncoder.ts"
import type { ImageStore } from "../images/ImageStore.ts"
import * as Overlay from "../images/Overlay.ts"
import type { Upscalers } from "../images/Upscalers.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { Models } from "../model/Models.ts"
import type { HiresPlan, ImagePlan, PassPlan, ProcessingState } from "../planning/RunPlan.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { StyleBook } from "../processing/StyleBook.ts"
import { stages } from "../runner/Lifecycle.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { ExtraKind, Generated, GeneratedImage } from "../runner/Processed.ts"
import { isPath, notPath, RuntimeContext } from "../runner/RuntimeContext.ts"
import type { Conditioning } from "./conditioning.ts"
import { enlarge, sameLatents } from "./enlarge.ts"
import * as output from "./output.ts"
import { resolveNames } from "./resolveNames.ts"
import { callsOf, condition, type Refiner, type Sampled, samplePass } from "./samplePass.ts"
import { settle } from "./settle.ts"
import {
  besideNothing,
  type EncodedSource,
  encodeSource,
  isInpainting,
  latentSize,
  sourceLatents
} from "./sourceLatents.ts"
import * as vae from "./vae.ts"

/** A pass with the model that makes it, and what leads it there. */
interface Pass {
  readonly plan: PassPlan
  readonly model: LoadedModel
  readonly conditioning: Conditioning
  readonly refiner: Refiner | undefined
  readonly stepsBefore: number | undefined
}

/** From words to pixels, batch after batch. */
const execute = Effect.fn("execute")(function*(plan: ProcessingState) {
  const { model, opts, state } = yield* RuntimeContext
  yield* state.update({ job: "loading", text: `Loading ${model.name}` })
  const first = yield* preparePass(plan, plan, model)
  const second = plan.hires === undefined ? undefined : yield* prepareSecond(plan, plan.hires, model)
  const last = second ?? first
  const passes = second === undefined ? 1 : 2
  const used = [first.model, first.refiner?.model, second?.model, second?.refiner?.model]
  const warnings = (yield* Effect.forEach(
    new Set(used),
    (each) => each === undefined ? Effect.succeed([]) : clipSkipWarnings(plan, each)
  )).flat()
  const decoding: vae.Options = { model: last.model, opts, seamless: plan.seamless }

  const { processing, source } = plan
  const encoded = processing._tag === "Img2Img" && source !== undefined
    ? yield* encodeSource({ model, opts, seamless: plan.seamless, processing, source, pass: plan })
    : undefined

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
      const sampled = yield* sampleFirst(plan, first, batch, encoded)
      // What was stopped in the first pass is shown as it is.
      const goesOn = second !== undefined && plan.hires !== undefined && sampled.complete &&
        !(yield* state.progress).interrupted
      const made = goesOn && sampled.latents !== undefined
        ? yield* sampleSecond(plan, plan.hires, first, second, batch, sampled.latents, index * passes)
        : { ...sampled, pass: first, before: undefined }
      yield* state.update({ job: "decoding" })
      const isWhole = made.complete && (second === undefined || goesOn)
      if (made.latents === undefined) return isWhole
      const { plan: pass } = made.pass
      const shape = latentSize(made.pass.model, pass)
      const length = made.latents.length / batch.length
      for (const [i, image] of batch.entries()) {
        const latent = made.latents.subarray(i * length, (i + 1) * length)
        const data = yield* Effect.withSpan(
          vae.decode({ ...decoding, model: made.pass.model }, latent, shape),
          "decode",
          { attributes: { "serena.image.index": image.index } }
        )
        const raster: Raster = { width: pass.width, height: pass.height, channels: 3, data }
        const { extras, raster: finished } = yield* finish(plan, raster, i)
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
      return isWhole
    }).pipe(
      Effect.withSpan("batch", { attributes: { "serena.batch.index": index, "serena.batch.images": batch.length } })
    )
    if (complete || !(yield* state.progress).interrupted) {
      yield* state.update({ jobNo: (index + 1) * passes, samplingStep: 0 })
    }
  }
  const generated: Generated = {
    images,
    interrupted: images.length < plan.batches.flat().length || images.some(({ complete }) => !complete),
    warnings: [...plan.warnings, ...warnings]
  }
  return generated
}, Effect.scoped)

// Asking for more layers than a text encoder's file gives is told of, and does not end the run.
const clipSkipWarnings = Effect.fnUntraced(function*({ clipSkip }: ProcessingState, model: LoadedModel) {
  const { opts } = yield* RuntimeContext
  const [encoder] = model.textEncoders
  const isAsked = model.family === "sd1" || (model.family === "sdxl" && opts.sdxl_clip_l_skip)
  if (clipSkip === 1 || !isAsked) return []
  const largest = yield* encoder.largestClipSkip
  if (clipSkip <= largest) return []
  return [
    largest === 1
      ? `Clip skip was left out: the text encoder of ${model.name} gives no hidden states. Export it with them.`
      : `Clip skip ${clipSkip} is more than the text encoder of ${model.name} has layers for; ${largest} was used.`
  ]
})

const preparePass = Effect.fnUntraced(function*(
  plan: ProcessingState,
  pass: PassPlan,
  model: LoadedModel,
  stepsBefore?: number
) {
  const { opts } = yield* RuntimeContext
  const isSecond = pass !== plan
  const whose = opts.hires_fix_refiner_pass
  const refines = plan.hires === undefined || whose === "both passes" || (whose === "second pass") === isSecond
  const refiner = plan.refiner === undefined || !refines ? undefined : {
    model: yield* loadRefiner(plan.refiner.checkpoint, model),
    switchAt: plan.refiner.switchAt
  }
  const prepared: Pass = {
    plan: pass,
    model,
    conditioning: yield* condition({ plan, pass, model, stepsBefore }),
    refiner,
    stepsBefore
  }
  return prepared
})

const prepareSecond = Effect.fnUntraced(function*(plan: ProcessingState, hires: HiresPlan, first: LoadedModel) {
  const { sampler } = yield* resolveNames(plan)
  const model = hires.checkpoint === undefined
    ? first
    : yield* loadBeside(hires.checkpoint, "hr_checkpoint_name", first)
  return yield* preparePass(plan, hires, model, callsOf(plan, sampler))
})

// Another model that goes on with the same latents.
const loadBeside = Effect.fnUntraced(function*(name: string, path: string, first: LoadedModel) {
  const { load } = yield* Models
  const model = yield* isPath(name) ? notPath(path) : load(name)
  if (sameLatents(first, model)) return model
  return yield* new InvalidProcessing({
    problems: [{
      path,
      message: `${model.name} cannot go on with the latents of ${first.name}: they are of another kind`
    }]
  })
})

const loadRefiner = Effect.fnUntraced(function*(name: string, first: LoadedModel) {
  const path = "refiner_checkpoint"
  const model = yield* loadBeside(name, path, first)
  if (!isInpainting(model)) return model
  const message = `${model.name} is an inpainting model, and cannot take over half-way`
  return yield* new InvalidProcessing({ problems: [{ path, message }] })
})

const sampleFirst = Effect.fnUntraced(function*(
  plan: ProcessingState,
  pass: Pass,
  batch: ReadonlyArray<ImagePlan>,
  encoded: EncodedSource | undefined
) {
  const { opts } = yield* RuntimeContext
  const { model } = pass
  const { processing, source } = plan
  const options = { model, opts, seamless: plan.seamless }
  const common = { ...pass, plan, pass: pass.plan, batch }
  if (processing._tag === "Txt2Img" || source === undefined || encoded === undefined) {
    return yield* samplePass({
      ...common,
      beside: isInpainting(model) ? yield* besideNothing({ ...options, pass: pass.plan, batch }) : undefined
    })
  }
  const { beside, latents, mask } = sourceLatents({ model, opts, encoded, processing, pass: pass.plan, batch })
  return yield* samplePass({
    ...common,
    start: {
      latents,
      strength: source.denoisingStrength,
      fixSteps: opts.img2img_fix_steps,
      noiseMultiplier: processing.initial_noise_multiplier ?? opts.initial_noise_multiplier
    },
    mask,
    beside
  })
})

const sampleSecond = Effect.fnUntraced(function*(
  plan: ProcessingState,
  hires: HiresPlan,
  first: Pass,
  second: Pass,
  batch: ReadonlyArray<ImagePlan>,
  latents: Float32Array,
  jobNo: number
) {
  const { opts, state } = yield* RuntimeContext
  const { seamless } = plan
  const from = { model: first.model, opts, seamless }
  const to = { model: second.model, opts, seamless }
  const before: Array<Raster> = []
  if (output.isWanted("before highres fix", opts)) {
    const length = latents.length / batch.length
    const { height, width } = first.plan
    for (const [i] of batch.entries()) {
      const latent = latents.subarray(i * length, (i + 1) * length)
      const data = yield* vae.decode(from, latent, latentSize(first.model, first.plan))
      before.push({ width, height, channels: 3, data })
    }
  }
  yield* state.update({ jobNo: jobNo + 1, job: "enlarging", samplingStep: 0 })
  const larger = yield* enlarge({ first: from, second: to, pass: first.plan, hires, latents })
  yield* state.update({ job: "sampling", preview: undefined })
  const sampled: Sampled = yield* samplePass({
    ...second,
    plan,
    pass: second.plan,
    batch,
    start: { latents: larger, strength: hires.denoisingStrength, fixSteps: true, noiseMultiplier: 1 },
    beside: isInpainting(second.model) ? yield* besideNothing({ ...to, pass: second.plan, batch }) : undefined
  })
  // Stopped before its first step, the enlarged picture is what there is.
  return { complete: sampled.complete, latents: sampled.latents ?? larger, pass: second, before }
})

// Colours as they were, and what lies outside of the mask put back.
const finish = Effect.fnUntraced(function*({ source }: ProcessingState, made: Raster, place: number) {
  const { opts } = yield* RuntimeContext
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
export type Requirements = ImageDecoder | ImageEncoder | ImageStore | Models | StyleBook | Upscalers

/** The stages, on codecs, a store of pictures, models, upscalers and styles. */
export const layer: Layer.Layer<Pipeline, never, Requirements> = Layer.effect(
  Pipeline,
  Effect.gen(function*() {
    const services = yield* Effect.context<Requirements>()
    const provide = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideContext(effect, services)
    return Pipeline.of(stages({
      prepare: (request) => provide(settle(request)),
      execute: (state) => provide(execute(state)),
      finalize: (state, generated) => provide(output.finalize(state, generated))
    }))
  })
)

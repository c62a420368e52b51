/**
 * The three stages with the images made by workers: `serena worker` on other machines, or whatever else takes runs from
 * the same database.
 *
 * prepare plans here as for a run in this process. execute submits one run, follows its progress, and saves the very
 * bytes that a worker made, batch after batch as they come. Hooks, progress and interruption are those of a run in this
 * process. Of what only the worker knows, nothing is made up: plans have no infotexts and no noise levels, and an
 * image's appearance before its second pass is not available.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import * as Raster from "../core/Raster.ts"
import * as batches from "../diffusion/batches.ts"
import * as elsewhere from "../diffusion/elsewhere.ts"
import * as output from "../diffusion/output.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import type { ImageEncoder } from "../images/ImageEncoder.ts"
import type { ImageStore } from "../images/ImageStore.ts"
import { calledModel } from "../models/ModelFile.ts"
import type { RunPlan } from "../planning/RunPlan.ts"
import { firstSeeds } from "../planning/seeds.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import { ClusterError } from "../runner/ClusterError.ts"
import { stages } from "../runner/Lifecycle.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { ExtraKind, Generated, GeneratedImage } from "../runner/Processed.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import { BlobStore } from "../runs/BlobStore.ts"
import { fileOf } from "../runs/finished.ts"
import { newRun } from "../runs/newRun.ts"
import { removeUnnamed } from "../runs/removeUnnamed.ts"
import { blobsOf, isEnded, type RunRecord, type StoredExtra, type StoredImage, type Wish } from "../runs/RunRecord.ts"
import { RunStore } from "../runs/RunStore.ts"
import { previewOf } from "../runs/stored.ts"

export interface ClusterPipelineOptions {
  /** Labels that the worker of a run must have, such as `gpu`; none by default. */
  readonly labels?: ReadonlyArray<string> | undefined
  /** Runs of a higher priority go first; 0 by default. */
  readonly priority?: number | undefined
  /** Whose runs they are: those of different clients take turns. By default this process, by machine and number. */
  readonly client?: string | undefined
  /** Whether the runs stay in the history of the cluster with their images; false by default. */
  readonly keep?: boolean | undefined
}

/** What the stages take when their layer is built. */
export type Requirements = BlobStore | ImageDecoder | ImageEncoder | ImageStore | RunStore

/** The stages. */
export const layer = (options: ClusterPipelineOptions = {}): Layer.Layer<Pipeline, never, Requirements> =>
  Layer.effect(
    Pipeline,
    Effect.gen(function*() {
      const services = yield* Effect.context<Requirements>()
      return Pipeline.of(stages({
        prepare: (request) => Effect.provideContext(prepare(request), services),
        execute: (plan) => Effect.provideContext(execute(plan, options), services),
        finalize: (plan, generated) => Effect.provideContext(output.finalize(plan, generated), services)
      }))
    })
  )

const prepare = Effect.fnUntraced(function*(request: ProcessingRequest<Processing>) {
  const { opts } = yield* RuntimeContext
  return yield* elsewhere.prepare(request, {
    where: "in a cluster",
    // Workers know the names that are known here.
    names: Effect.succeed({ samplers: [], schedulers: [] }),
    model: Effect.succeed({ name: calledModel(opts.sd_model_checkpoint), hash: undefined })
  })
})

const unavailable = ({ message }: { readonly message: string }) =>
  new ClusterError({ kind: "unavailable", reason: message })

const execute = Effect.fn("execute")(function*(plan: RunPlan, options: ClusterPipelineOptions) {
  const { opts, state } = yield* RuntimeContext
  const id = randomUUID()
  const asking = yield* newRun(askedOf(plan, opts), {
    id,
    taskId: plan.runId,
    key: null,
    client: options.client ?? `${hostname()}:${process.pid}`,
    seeds: seedsOf(plan),
    settings: opts,
    needs: { model: calledModel(opts.sd_model_checkpoint), labels: options.labels ?? [] },
    bound: null,
    keep: options.keep ?? false,
    withMaps: false,
    priority: options.priority ?? 0
  }).pipe(Effect.mapError(unavailable))
  const store = yield* RunStore
  const ask = (wish: Wish) => Effect.ignore(store.append(id, [{ _tag: "Wished", wish }]))
  yield* state.update({ activity: "waiting" })
  const made = Effect.gen(function*() {
    const generated = yield* batches.make(plan, (batch) =>
      Effect.gen(function*() {
        const wanted = new Set(batch.map(({ index }) => index))
        const isThere = (run: RunRecord) =>
          isEnded(run) ||
          batch.every(({ index }) => run.images.some((image) => image.index === index && image.complete))
        const run = yield* untilIt(id, isThere)
        const images = run.images.filter(({ index }) => wanted.has(index))
        yield* state.update({ activity: "decoding" })
        const made: batches.MadeBatch = {
          images: yield* Effect.forEach(images, (image) => received(image, { run, plan })),
          complete: images.length === batch.length && images.every(({ complete }) => complete)
        }
        return made
      }))
    const run = yield* finished(id, plan)
    const all: Generated = { ...generated, warnings: [...generated.warnings, ...run?.warnings ?? []] }
    return all
  })
  return yield* Effect.acquireUseRelease(
    store.submit(asking, { queue: Infinity }).pipe(Effect.mapError(unavailable)),
    () =>
      Effect.raceFirst(
        Effect.raceFirst(made, followed(id, batches.passesOf(plan))),
        elsewhere.passOn({ interrupt: ask("interrupt"), skip: ask("skip") })
      ),
    // Nothing more of it is wanted here.
    () => Effect.ignore(Effect.timeout(Effect.andThen(ask("cancel"), release(id)), "5 seconds"))
  )
})

// Files are made here of what comes; masks are wanted where they are saved here.
const askedOf = ({ processing }: RunPlan, opts: OptionsSnapshot): Processing => ({
  ...processing,
  override_settings: {
    ...processing.override_settings,
    samples_save: false,
    grid_save: false,
    return_grid: false,
    save_init_img: false,
    return_mask: output.isWanted("mask", opts),
    return_mask_composite: output.isWanted("mask composite", opts)
  }
})

const seedsOf = ({ batches, processing }: RunPlan) => {
  const { seed, subseed } = processing
  const first = batches[0]?.[0]
  return first === undefined ? { seed, subseed } : firstSeeds(processing, first, first.index)
}

// The record now and after every change, as long as there is one.
const records = (id: string) =>
  Stream.unwrap(
    Effect.map(RunStore, (store) =>
      Stream.concat(
        Stream.succeed(id),
        Stream.filter(store.changes, (changed) => changed === id || changed === "")
      ).pipe(
        Stream.buffer({ capacity: 1, strategy: "sliding" }),
        Stream.mapEffect(() => store.get(id)),
        Stream.takeWhile(Option.isSome),
        Stream.map(({ value }) => value),
        Stream.mapError(unavailable)
      ))
  )

// Waits for a moment of the run; fails with it.
const untilIt = Effect.fnUntraced(function*(id: string, holds: (run: RunRecord) => boolean) {
  const { state } = yield* RuntimeContext
  const run = Option.getOrUndefined(yield* Stream.runHead(Stream.filter(records(id), holds)))
  if (run === undefined) return yield* new ClusterError({ kind: "lost", reason: "someone has removed the run." })
  if (run.error !== null) {
    const { error } = run
    return yield* error._tag === "InternalError" || error._tag === "RequestLost" || error._tag === "WorkerLost"
      ? new ClusterError({ kind: "lost", reason: error.message })
      : error
  }
  if (run.state === "cancelled" && !(yield* state.progress).interrupted) {
    return yield* new ClusterError({ kind: "cancelled", reason: `run ${id}` })
  }
  return run
})

// The end of the run, unless it was asked to stop before: then nothing more of it is waited for.
const finished = Effect.fnUntraced(function*(id: string, plan: RunPlan) {
  const { state } = yield* RuntimeContext
  const { images, stopping } = yield* state.progress
  return stopping && images.length < plan.batches.flat().length ? undefined : yield* untilIt(id, isEnded)
})

const release = Effect.fnUntraced(function*(id: string) {
  const [blobs, store] = [yield* BlobStore, yield* RunStore]
  const run = Option.getOrUndefined(yield* store.get(id))
  if (run === undefined || run.keep || !isEnded(run)) return
  const named = blobsOf(run)
  yield* store.append(id, [{ _tag: "Fetched" }])
  yield* removeUnnamed({ blobs, store }, [...named])
})

// Shows here what the worker shows.
const followed = Effect.fnUntraced(function*(id: string, passes: number) {
  const store = yield* RunStore
  const { opts, state } = yield* RuntimeContext
  let shown: string | undefined
  yield* Stream.runForEach(records(id), ({ attempt, progress, state: now }) =>
    Effect.gen(function*() {
      if (now === "queued") {
        const ahead = yield* store.ahead(id)
        return yield* state.update({ activity: "waiting", text: ahead === undefined ? "" : `${ahead} before this one` })
      }
      if (progress === null) return
      const { activity, passCount, previewStep, samplingStep, samplingSteps, text } = progress
      // The worker can be some batches ahead of what has come here.
      const here = (yield* state.progress).passesDone
      const ofBatch = here - here % passes + passes - 1
      const passesDone = Math.max(here, Math.min(progress.passesDone, ofBatch))
      yield* state.update({ activity, text, passCount, passesDone, samplingStep, samplingSteps })
      const latest = `${attempt} ${progress.passesDone} ${previewStep}`
      if (!opts.live_previews_enable || store.previews === undefined || previewStep === null || shown === latest) return
      shown = latest
      const stored = Option.getOrUndefined(yield* store.previews.get(id))
      if (stored !== undefined) yield* state.update({ preview: yield* previewOf(stored) })
    }).pipe(Effect.ignore))
  return yield* Effect.never
})

const isMask = (kind: string): kind is ExtraKind => kind === "mask" || kind === "mask composite"

/** An image with the file that the worker made of it, its masks, and its texts. */
const received = Effect.fnUntraced(function*(
  stored: StoredImage,
  { plan, run }: { readonly run: RunRecord; readonly plan: RunPlan }
) {
  const { decode } = yield* ImageDecoder
  const planned = plan.batches.flat().find(({ index }) => index === stored.index)
  const open = Effect.fnUntraced(function*(one: StoredExtra | StoredImage) {
    const { bytes, format } = yield* Effect.mapError(fileOf(one), unavailable)
    const limits = { max_image_bytes: bytes.length, max_image_pixels: Number.MAX_SAFE_INTEGER }
    return { raster: yield* decode(bytes, limits), file: { bytes, format } }
  })
  const { file, raster } = yield* open(stored)
  const extras = yield* Effect.forEach(
    run.extras.filter(({ index, kind }) => index === stored.index && isMask(kind)),
    (extra) => Effect.map(open(extra), (opened) => ({ kind: extra.kind, ...opened }))
  )
  const { complete, index, infotext, negativePrompt, prompt, seed, subseed } = stored
  const { data, height, width } = Raster.toRgb(raster)
  const made: GeneratedImage = {
    ...planned,
    index,
    seed,
    subseed,
    prompt,
    negativePrompt,
    infotext,
    width,
    height,
    pixels: data,
    complete,
    file,
    extras: extras.flatMap(({ file, kind, raster }) => isMask(kind) ? [{ kind, raster, file }] : [])
  }
  return made
})

/**
 * The three stages on another server: a Serena, a stable-diffusion-webui, or a fork of it with `/sdapi/v1`.
 *
 * prepare settles seeds, names and sizes here, execute has the server make the pictures and tells of its progress, and
 * finalize saves the very bytes that it sent. Hooks, progress and interruption are those of a run in this process. Of what
 * the API does not tell, nothing is made up: plans have no infotexts before the pictures are there, and a picture's
 * appearance before its second pass is not to be had. A wish to stop after the batch has no word in the API and is passed
 * over; `interrupt` and `skip` are sent on.
 *
 * Several clients of a webui share one progress: what is shown may be another's run. A Serena is asked for this one.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Size } from "../core/Geometry.ts"
import type { Problem } from "../core/Problem.ts"
import * as Raster from "../core/Raster.ts"
import { latentMode } from "../diffusion/enlarge.ts"
import * as output from "../diffusion/output.ts"
import { resolveNames } from "../diffusion/resolveNames.ts"
import { enlargedSize } from "../diffusion/settle.ts"
import { type Pictures, readPictures } from "../diffusion/settleSource.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import type { ImageStore } from "../images/ImageStore.ts"
import type { HiresPlan, ImagePlan, PassPlan, ProcessingState } from "../planning/RunPlan.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import { checkLimits, type Processing, type Txt2Img } from "../processing/Processing.ts"
import { stages } from "../runner/Lifecycle.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { Generated, GeneratedImage } from "../runner/Processed.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RemoteServerError } from "../runner/RemoteServerError.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import type { UnknownSampler, UnknownScheduler } from "../sampling/SamplingError.ts"
import * as RemoteServer from "./RemoteServer.ts"
import { requestBody } from "./requestBody.ts"

export interface Options extends RemoteServer.RemoteOptions {
  /** Time between two looks at the progress; half a second when left out. */
  readonly pollInterval?: Duration.Input | undefined
}

/** What the stages take when their layer is built. */
export type Requirements = HttpClient | ImageDecoder | ImageEncoder | ImageStore

/**
 * The stages. Replies take as long as pictures do: give them an `HttpClient` that waits, such as
 * `NodeHttpClient.layerNodeHttp`; Node's `fetch` gives up after five minutes.
 */
export const layer = (options: Options): Layer.Layer<Pipeline, never, Requirements> =>
  Layer.effect(
    Pipeline,
    Effect.gen(function*() {
      const server = yield* RemoteServer.make(options)
      const services = yield* Effect.context<ImageDecoder | ImageEncoder | ImageStore>()
      const { pollInterval = "500 millis", url } = options
      // What the server sent, by the pixels that are in it.
      const files = new WeakMap<Uint8Array, Uint8Array>()
      const encoder = Context.get(services, ImageEncoder)
      const asSent = Context.add(services, ImageEncoder, {
        ...encoder,
        encode: (image, format) => {
          const bytes = files.get(image.raster.data)
          return bytes === undefined ? encoder.encode(image, format) : Effect.succeed(bytes)
        }
      })
      return Pipeline.of(stages({
        prepare: (request) => Effect.provideContext(settle(request, server), services),
        execute: (state) => Effect.provideContext(execute(state, { server, url, pollInterval, files }), services),
        finalize: (state, generated) =>
          Effect.gen(function*() {
            const context = yield* RuntimeContext
            const samples_format = formatOf(generated.images[0], files) ?? context.opts.samples_format
            return yield* Effect.provideService(output.finalize(state, generated), RuntimeContext, {
              ...context,
              opts: { ...context.opts, samples_format }
            })
          }).pipe(Effect.provideContext(asSent))
      }))
    })
  )

const largestRandomSeed = 4_294_967_293

const seedOf = (seed: number) => seed === -1 ? Random.nextIntBetween(0, largestRandomSeed) : Effect.succeed(seed)

const settle = Effect.fn("prepare")(
  function*({ processing: asked, runId }: ProcessingRequest<Processing>, server: RemoteServer.RemoteServer) {
    const { cmdOpts, model, opts, state } = yield* RuntimeContext
    yield* checkLimits(asked, cmdOpts.limits)
    const pictures = asked._tag === "Img2Img" ? yield* readPictures(asked, cmdOpts.limits) : undefined
    // Several pictures make a batch of their own size.
    const processing: Processing = pictures === undefined || pictures.images.length === 1
      ? asked
      : { ...asked, batch_size: pictures.images.length }
    const names = yield* settleNames(processing.sampler_name, processing.scheduler, server)
    const size = yield* settleSize(processing, model.defaultSize, pictures)
    yield* checkLimits({ ...processing, ...size }, cmdOpts.limits)
    const pass: PassPlan = {
      ...size,
      ...names,
      steps: processing.steps,
      prompt: processing.prompt,
      negativePrompt: processing.negative_prompt
    }
    const hires = processing._tag === "Txt2Img" && processing.enable_hr
      ? yield* settleHires(processing, pass, server)
      : undefined
    yield* output.check(processing, opts)

    const { batch_size, n_iter, subseed_strength } = processing
    const isVaried = subseed_strength !== 0
    const seed = yield* seedOf(processing.seed)
    const subseed = isVaried ? yield* seedOf(processing.subseed) : Math.max(0, processing.subseed)
    const plan = (index: number): ImagePlan => ({
      index,
      seed: isVaried ? seed : seed + index,
      subseed: subseed + index,
      prompt: pass.prompt,
      negativePrompt: pass.negativePrompt,
      infotext: ""
    })
    yield* state.update({
      job: "preparing",
      jobCount: n_iter * (hires === undefined ? 1 : 2),
      samplingSteps: processing.steps
    })
    const settled: ProcessingState = {
      runId,
      processing,
      ...pass,
      hires,
      refiner: processing.refiner_checkpoint === undefined || processing.refiner_checkpoint === ""
        ? undefined
        : { checkpoint: processing.refiner_checkpoint, switchAt: processing.refiner_switch_at ?? 0.8 },
      source: processing._tag === "Img2Img" && pictures !== undefined
        ? {
          images: pictures.images,
          overlays: [],
          denoisingStrength: processing.denoising_strength,
          mask: undefined
        }
        : undefined,
      seamless: processing.tiling ?? opts.tiling,
      clipSkip: opts.CLIP_stop_at_last_layers,
      model: yield* settleModel(opts, server),
      startedAt: yield* Clock.currentTimeMillis,
      batches: Array.from(
        { length: n_iter },
        (_, round) => Array.from({ length: batch_size }, (_, i) => plan(round * batch_size + i))
      ),
      warnings: []
    }
    return settled
  }
)

const key = (name: string): string => name.trim().toLowerCase()

// By the names that are known here; by the server's own lists for those that are not.
const settleNames = (sampler: string, scheduler: string, server: RemoteServer.RemoteServer) =>
  resolveNames({ sampler, scheduler }).pipe(
    Effect.map(({ sampler, scheduler }) => ({ sampler: sampler.name, scheduler: scheduler.label })),
    Effect.catch((unknown: UnknownSampler | UnknownScheduler) =>
      Effect.gen(function*() {
        const samplers = yield* server.samplers
        const found = samplers.find(({ aliases, name }) => [name, ...(aliases ?? [])].map(key).includes(key(sampler)))
        const schedulers = yield* server.schedulers
        const schedule = schedulers.find(({ aliases, label, name }) =>
          [name, label ?? name, ...(aliases ?? [])].map(key).includes(key(scheduler))
        )
        // What neither side knows is told of as it was found.
        return found === undefined || schedule === undefined
          ? yield* unknown
          : { sampler: found.name, scheduler: schedule.label ?? schedule.name }
      })
    )
  )

const settleSize = Effect.fnUntraced(function*(
  processing: Processing,
  defaultSize: Size,
  pictures: Pictures | undefined
) {
  const [first] = pictures?.images ?? []
  const own = first === undefined ? defaultSize : { width: toEight(first.width), height: toEight(first.height) }
  const { height = own.height, width = own.width } = processing
  const problems = [["width", width] as const, ["height", height] as const].flatMap(([path, value]): Array<Problem> =>
    value % 8 === 0 ? [] : [{ path, message: `${value} is not a multiple of 8` }]
  )
  return problems.length === 0 ? { width, height } : yield* new InvalidProcessing({ problems })
})

const toEight = (length: number): number => Math.max(8, length - length % 8)

const isSame = (name: string | undefined): name is undefined =>
  name === undefined || name === "" || name.startsWith("Use same ")

const settleHires = Effect.fnUntraced(
  function*(processing: Txt2Img, first: PassPlan, server: RemoteServer.RemoteServer) {
    const names = yield* settleNames(
      isSame(processing.hr_sampler_name) ? first.sampler : processing.hr_sampler_name,
      isSame(processing.hr_scheduler) ? first.scheduler : processing.hr_scheduler,
      server
    )
    const { enlarged, wanted } = enlargedSize(processing, first)
    const mode = latentMode(processing.hr_upscaler)
    const plan: HiresPlan = {
      ...names,
      width: toEight(wanted.width),
      height: toEight(wanted.height),
      enlarged: { width: toEight(enlarged.width), height: toEight(enlarged.height) },
      steps: processing.hr_second_pass_steps === 0 ? first.steps : processing.hr_second_pass_steps,
      prompt: processing.hr_prompt === "" ? first.prompt : processing.hr_prompt,
      negativePrompt: processing.hr_negative_prompt === "" ? first.negativePrompt : processing.hr_negative_prompt,
      upscaler: mode?.name ?? processing.hr_upscaler,
      isLatent: mode !== undefined,
      denoisingStrength: processing.denoising_strength,
      checkpoint: isSame(processing.hr_checkpoint_name) ? undefined : processing.hr_checkpoint_name
    }
    return plan
  }
)

// The model by its title, `name [hash]`: the settings', or the one that the server has in use.
const settleModel = Effect.fnUntraced(function*(opts: OptionsSnapshot, server: RemoteServer.RemoteServer) {
  const used = yield* server.checkpoint
  const title = opts.sd_model_checkpoint === "" ? used ?? "" : opts.sd_model_checkpoint
  const [, name = title, hash] = /^(.*?)(?:\.(?:safetensors|ckpt))?(?:\s+\[([0-9a-f]+)\])?$/.exec(title) ?? []
  return { name, hash, isInpainting: false }
})

interface Remote {
  readonly server: RemoteServer.RemoteServer
  readonly url: string
  readonly pollInterval: Duration.Input
  readonly files: WeakMap<Uint8Array, Uint8Array>
}

const execute = Effect.fn("execute")(function*(plan: ProcessingState, remote: Remote) {
  const { opts, state } = yield* RuntimeContext
  const { server } = remote
  const before = yield* state.progress
  if (before.interrupted || before.stopping) return nothing(plan)
  yield* state.update({ job: "sampling", samplingStep: 0, skipped: false, preview: undefined })
  const { body, kind } = requestBody(plan, opts)
  const reply = yield* server.generate(kind, body).pipe(
    Effect.raceFirst(watch(plan, remote)),
    Effect.raceFirst(passOn(plan, server)),
    // Some servers go on without their client.
    Effect.onInterrupt(() => Effect.ignore(Effect.timeout(server.interrupt(plan.runId), "2 seconds"))),
    // A run that had not begun is taken out of the server's queue.
    Effect.catchIf(
      ({ status }) => status === 409,
      (error) => Effect.flatMap(state.progress, ({ interrupted }) => interrupted ? Effect.undefined : error)
    )
  )
  if (reply === undefined) return nothing(plan)
  yield* state.update({ job: "decoding" })
  const images = yield* received(plan, reply, remote)
  const { interrupted } = yield* state.progress
  const planned = plan.batches.flat().length
  const generated: Generated = {
    images: interrupted ? images.map(cutShort(plan, images.length)) : images,
    interrupted: interrupted || images.length < planned,
    warnings: plan.warnings
  }
  if (!interrupted) yield* state.update({ jobNo: (yield* state.progress).jobCount, samplingStep: 0 })
  return generated
})

const nothing = ({ warnings }: ProcessingState): Generated => ({ images: [], interrupted: true, warnings })

// Which picture was not finished is not told: it is of the last round that came.
const cutShort = ({ processing }: ProcessingState, count: number) => (image: GeneratedImage): GeneratedImage => ({
  ...image,
  complete: Math.floor(image.index / processing.batch_size) < Math.floor((count - 1) / processing.batch_size)
})

// The server's progress as this run's. What goes wrong here is no matter: the reply will tell.
const watch = Effect.fnUntraced(function*(plan: ProcessingState, { pollInterval, server }: Remote) {
  const { cmdOpts, opts, state } = yield* RuntimeContext
  const { decode } = yield* ImageDecoder
  let shown: string | undefined
  const look = Effect.gen(function*() {
    const { current_image, state: there, textinfo } = yield* server.progress(plan.runId, opts.live_previews_enable)
    if (there.job_count === 0) return
    const here = yield* state.progress
    // The wish came before the server had the run.
    if (here.interrupted && !there.interrupted) yield* server.interrupt(plan.runId)
    const samplingStep = Math.max(0, there.sampling_step)
    yield* state.update({
      text: textinfo ?? "",
      ...(there.job_count > 0 && { jobCount: there.job_count, jobNo: there.job_no }),
      ...(there.sampling_steps > 0 && { samplingStep, samplingSteps: there.sampling_steps })
    })
    if (typeof current_image !== "string" || current_image === shown) return
    shown = current_image
    const bytes = yield* Effect.fromResult(Base64.decode(current_image))
    const { data, height, width } = Raster.toRgb(yield* decode(bytes, cmdOpts.limits))
    yield* state.update({ preview: { step: samplingStep, width, height, pixels: data } })
  })
  return yield* Effect.forever(Effect.andThen(Effect.sleep(pollInterval), Effect.ignore(look)))
})

// Wishes of this side, as soon as they are there.
const passOn = Effect.fnUntraced(function*({ runId }: ProcessingState, server: RemoteServer.RemoteServer) {
  const { state } = yield* RuntimeContext
  let asked = false
  yield* Stream.runForEach(state.changes, ({ interrupted, skipped }) =>
    Effect.gen(function*() {
      if (interrupted && !asked) {
        asked = true
        yield* Effect.ignore(server.interrupt(runId))
      }
      if (skipped) {
        yield* state.update({ skipped: false })
        yield* Effect.ignore(server.skip(runId))
      }
    }))
  return yield* Effect.never
})

/** The pictures of a reply, with what belongs to each of them. */
const received = Effect.fnUntraced(function*(
  plan: ProcessingState,
  { images, info }: RemoteServer.Reply,
  { files, url }: Remote
) {
  const { cmdOpts } = yield* RuntimeContext
  const { decode } = yield* ImageDecoder
  const planned = plan.batches.flat()
  const grids = info.index_of_first_image ?? 0
  const infotexts = info.infotexts.slice(grids)
  const sent = images.slice(grids)
  const count = Math.min(infotexts.length, planned.length, sent.length)
  // A mask, or a mask and a composite, may stand behind each picture.
  const stride = plan.processing._tag === "Img2Img" && count > 0 && sent.length % count === 0
    ? sent.length / count
    : 1

  const open = Effect.fnUntraced(function*(text: string | undefined) {
    const bytes = Base64.decode((text ?? "").replace(/^data:[^,]{0,200},/, ""))
    if (Result.isFailure(bytes)) {
      return yield* new RemoteServerError({ url, kind: "unreadable", status: 200, reason: "a picture is not base64" })
    }
    const raster = yield* decode(bytes.success, { ...cmdOpts.limits, max_image_bytes: Number.MAX_SAFE_INTEGER })
    return { bytes: bytes.success, raster }
  })
  return yield* Effect.forEach(planned.slice(0, count), (image, i) =>
    Effect.gen(function*() {
      const file = yield* open(sent[i * stride])
      const others = yield* Effect.forEach(sent.slice(i * stride + 1, (i + 1) * stride), open)
      const raster = Raster.toRgb(file.raster)
      files.set(raster.data, file.bytes)
      for (const { bytes, raster } of others) files.set(raster.data, bytes)
      const made: GeneratedImage = {
        ...image,
        seed: info.all_seeds[i] ?? image.seed,
        subseed: info.all_subseeds[i] ?? image.subseed,
        prompt: info.all_prompts[i] ?? image.prompt,
        negativePrompt: info.all_negative_prompts[i] ?? image.negativePrompt,
        infotext: infotexts[i] ?? "",
        width: raster.width,
        height: raster.height,
        pixels: raster.data,
        complete: true,
        extras: others.map(({ raster }) => ({ kind: raster.channels === 4 ? "mask composite" : "mask", raster }))
      }
      return made
    }))
})

// Told by the first bytes.
const formatOf = (image: GeneratedImage | undefined, files: WeakMap<Uint8Array, Uint8Array>) => {
  const [first] = image === undefined ? [] : files.get(image.pixels) ?? []
  return first === 0x89 ? "png" : first === 0xff ? "jpg" : first === 0x52 ? "webp" : undefined
}

/**
 * The three stages on another server: a Serena, a stable-diffusion-webui, or a fork of it with `/sdapi/v1`.
 *
 * prepare plans here as for a run in this process. execute asks the server for one batch after the other, each with the
 * seeds that it has in the run, reports its progress, and saves the very bytes that it sent while the next batch is
 * made there. Hooks, progress and interruption are those of a run in this process. Of what the API does not report,
 * nothing is made up: plans have no infotexts and no noise levels, and an image's appearance before its second pass is
 * not available.
 *
 * Several clients of a webui share one progress: what is shown may be another's run. A Serena is asked for this one.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Raster from "../core/Raster.ts"
import * as batches from "../diffusion/batches.ts"
import * as elsewhere from "../diffusion/elsewhere.ts"
import * as output from "../diffusion/output.ts"
import * as FileSignature from "../images/FileSignature.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import type { ImageEncoder } from "../images/ImageEncoder.ts"
import type { ImageStore } from "../images/ImageStore.ts"
import { areKnown, type ServerNames } from "../planning/names.ts"
import type { ImagePlan, RunPlan } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import { stages } from "../runner/Lifecycle.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { EncodedImage, GeneratedImage } from "../runner/Processed.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RemoteServerError } from "../runner/RemoteServerError.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import * as RemoteServer from "./RemoteServer.ts"
import { requestBody } from "./requestBody.ts"

export interface RemotePipelineOptions extends RemoteServer.RemoteOptions {
  /** Time between two looks at the progress; half a second when left out. */
  readonly pollInterval?: Duration.Input | undefined
}

/** What the stages take when their layer is built. */
export type Requirements = HttpClient | ImageDecoder | ImageEncoder | ImageStore

/**
 * The stages. A reply takes as long as its images: use an `HttpClient` that waits, such as
 * `NodeHttpClient.layerNodeHttp`; Node's `fetch` gives up after five minutes.
 */
export const layer = (options: RemotePipelineOptions): Layer.Layer<Pipeline, never, Requirements> =>
  Layer.effect(
    Pipeline,
    Effect.gen(function*() {
      const server = yield* RemoteServer.make(options)
      const services = yield* Effect.context<ImageDecoder | ImageEncoder | ImageStore>()
      const { pollInterval = "500 millis", url } = options
      return Pipeline.of(stages({
        prepare: (request) => Effect.provideContext(prepare(request, server), services),
        execute: (plan) => Effect.provideContext(execute(plan, { server, url, pollInterval }), services),
        finalize: (plan, generated) => Effect.provideContext(output.finalize(plan, generated), services)
      }))
    })
  )

const prepare = Effect.fnUntraced(
  function*(request: ProcessingRequest<Processing>, server: RemoteServer.RemoteServer) {
    const { opts } = yield* RuntimeContext
    return yield* elsewhere.prepare(request, {
      where: "on another server",
      names: namesFor(request.processing, server),
      model: modelTitle(opts, server)
    })
  }
)

const noNames: ServerNames = { samplers: [], schedulers: [] }

// The server's lists are asked for only where a name is none of Serena's.
const namesFor = Effect.fnUntraced(function*(processing: Processing, server: RemoteServer.RemoteServer) {
  if (areKnown(processing)) return noNames
  const names: ServerNames = { samplers: yield* server.samplers, schedulers: yield* server.schedulers }
  return names
})

// The model by its title, `name [hash]`: the settings', or the one that the server has in use.
const modelTitle = Effect.fnUntraced(function*(opts: OptionsSnapshot, server: RemoteServer.RemoteServer) {
  const used = yield* server.checkpoint
  const title = opts.sd_model_checkpoint === "" ? used ?? "" : opts.sd_model_checkpoint
  const [, name = title, hash] = /^(.*?)(?:\.(?:safetensors|ckpt))?(?:\s+\[([0-9a-f]+)\])?$/.exec(title) ?? []
  return { name, hash }
})

interface Remote {
  readonly server: RemoteServer.RemoteServer
  readonly url: string
  readonly pollInterval: Duration.Input
}

/** One request: a batch, and what the server knows it by. */
interface Asked {
  readonly plan: RunPlan
  readonly index: number
  readonly batch: ReadonlyArray<ImagePlan>
  readonly taskId: string
}

// Between two batches a busy server may have given the place to others: the run waits about a minute for them.
const whileBusy = Schedule.exponential("200 millis").pipe(
  Schedule.upTo({ times: 8 }),
  Schedule.setInputType<RemoteServerError>(),
  Schedule.while(({ input }) => Effect.succeed(input.kind === "busy"))
)

const execute = Effect.fn("execute")(function*(plan: RunPlan, remote: Remote) {
  return yield* batches.make(plan, (batch, index) => {
    const taskId = plan.batches.length > 1 ? `${plan.runId}-${index + 1}` : plan.runId
    return makeBatch({ plan, index, batch, taskId }, remote)
  })
})

const makeBatch = Effect.fnUntraced(function*(asked: Asked, remote: Remote) {
  const { opts, state } = yield* RuntimeContext
  const { server } = remote
  const { index, plan, taskId } = asked
  const { body, kind } = requestBody(plan, { ...asked, opts })
  const generate = server.generate(kind, body)
  const reply = yield* (index === 0 ? generate : Effect.retry(generate, whileBusy)).pipe(
    Effect.raceFirst(watch(asked, remote)),
    Effect.raceFirst(passOn(asked, server)),
    // Some servers go on without their client.
    Effect.onInterrupt(() => Effect.ignore(Effect.timeout(server.interrupt(taskId), "2 seconds"))),
    // A run that had not begun is taken out of the server's queue.
    Effect.catchIf(
      ({ status }) => status === 409,
      (error) => Effect.flatMap(state.progress, ({ interrupted }) => interrupted ? Effect.undefined : error)
    )
  )
  if (reply === undefined) return { images: [], complete: false }
  yield* state.update({ activity: "decoding" })
  // The API does not report which image was not finished.
  const complete = !(yield* state.progress).interrupted
  return { images: yield* received(asked, { reply, complete }, remote), complete }
})

// Passes the server's progress to this run. Failures are ignored here, as the reply reports them.
const watch = Effect.fnUntraced(function*({ index, plan, taskId }: Asked, { pollInterval, server }: Remote) {
  const { cmdOpts, opts, state } = yield* RuntimeContext
  const { decode } = yield* ImageDecoder
  const passes = batches.passesOf(plan)
  let shown: string | undefined
  const look = Effect.gen(function*() {
    const { current_image, state: there, textinfo } = yield* server.progress(taskId, opts.live_previews_enable)
    if (there.job_count === 0) return
    const here = yield* state.progress
    // The wish came before the server had the run.
    if (here.interrupted && !there.interrupted) yield* server.interrupt(taskId)
    const samplingStep = Math.max(0, there.sampling_step)
    yield* state.update({
      text: textinfo || batches.textOf(plan, index),
      ...(there.job_count > 0 && { passesDone: index * passes + Math.min(there.job_no, passes - 1) }),
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

// Wishes of this side.
const passOn = ({ taskId }: Asked, server: RemoteServer.RemoteServer) =>
  elsewhere.passOn({ interrupt: Effect.ignore(server.interrupt(taskId)), skip: Effect.ignore(server.skip(taskId)) })

/** The images of a reply, each with its masks and its texts. */
const received = Effect.fnUntraced(function*(
  { batch: planned, plan }: Asked,
  { complete, reply: { images, info } }: { readonly reply: RemoteServer.Reply; readonly complete: boolean },
  { url }: Remote
) {
  const { cmdOpts } = yield* RuntimeContext
  const { decode } = yield* ImageDecoder
  const grids = info.index_of_first_image ?? 0
  const infotexts = info.infotexts.slice(grids)
  const sent = images.slice(grids)
  const count = Math.min(infotexts.length, planned.length, sent.length)
  // A mask, or a mask and a composite, may follow each image.
  const stride = plan.processing._tag === "Img2Img" && count > 0 && sent.length % count === 0
    ? sent.length / count
    : 1

  const open = Effect.fnUntraced(function*(text: string | undefined) {
    const bytes = Base64.decode((text ?? "").replace(/^data:[^,]{0,200},/, ""))
    if (Result.isFailure(bytes)) {
      return yield* new RemoteServerError({ url, kind: "unreadable", status: 200, reason: "an image is not base64" })
    }
    const raster = yield* decode(bytes.success, { ...cmdOpts.limits, max_image_bytes: Number.MAX_SAFE_INTEGER })
    return { raster, file: fileOf(bytes.success) }
  })
  return yield* Effect.forEach(planned.slice(0, count), (image, i) =>
    Effect.gen(function*() {
      const { file, raster: opened } = yield* open(sent[i * stride])
      const others = yield* Effect.forEach(sent.slice(i * stride + 1, (i + 1) * stride), open)
      const raster = Raster.toRgb(opened)
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
        complete,
        file,
        extras: others.map(({ file, raster }) => ({
          kind: raster.channels === 4 ? "mask composite" : "mask",
          raster,
          file
        }))
      }
      return made
    }))
})

// The file as it came, where its first bytes are of a format that can be saved; else it is encoded anew.
const fileOf = (bytes: Uint8Array): EncodedImage | undefined => {
  const format = FileSignature.sniff(bytes)
  switch (format) {
    case "jpeg":
      return { bytes, format: "jpg" }
    case "png":
    case "webp":
      return { bytes, format }
    default:
      return undefined
  }
}

/**
 * Progress in the form of stable-diffusion-webui: of the executing run, or at rest.
 *
 * At rest `progress` and `job_count` are exactly 0, which clients wait for.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import { ImageEncoder } from "../../images/ImageEncoder.ts"
import { Options } from "../../processing/Options.ts"
import type { Preview, RunProgress } from "../../runner/RunState.ts"
import { type QueuedRun, RunQueue } from "../host/RunQueue.ts"
import { timestamp } from "./Info.ts"
import { Float } from "./PythonJson.ts"

/** The finished share, 0 to 1, as the webui counts it; 0.01 for a run that has started. */
const fractionOf = (progress: RunProgress | undefined): number => {
  if (progress === undefined || progress.passCount <= 0) return 0.01
  const { passCount, passesDone } = progress
  const steps = progress.samplingSteps > 0 ? stepOf(progress) / progress.samplingSteps / passCount : 0
  return Math.min(1, 0.01 + passesDone / passCount + steps)
}

// The webui counts steps from 0, from the last one reported.
const stepOf = ({ samplingStep }: RunProgress): number => Math.max(0, samplingStep - 1)

const nameOf = ({ request }: QueuedRun, progress: RunProgress | undefined): string => {
  if (request.n_iter <= 1 || progress === undefined) {
    return request._tag === "Img2Img" ? "scripts_img2img" : "scripts_txt2img"
  }
  const passes = Math.max(1, progress.passCount / request.n_iter)
  const batch = Math.min(request.n_iter, Math.floor(progress.passesDone / passes) + 1)
  return `Batch ${batch} out of ${request.n_iter}`
}

/**
 * `GET /sdapi/v1/progress`, of the current run, or of a run by its task id. Clients ask several times a second: it has
 * the span of the request only.
 */
export const progress = Effect.fnUntraced(function*(query: {
  readonly skipCurrentImage: boolean
  readonly taskId: string | undefined
}) {
  const queue = yield* RunQueue
  const found = query.taskId === undefined ? yield* queue.current : yield* queue.get(query.taskId)
  const executing = Option.filter(found, ({ status }) => status._tag === "Running")
  const last = yield* queue.last
  if (Option.isNone(executing)) {
    return {
      progress: new Float(0),
      eta_relative: new Float(0),
      state: stateOf(last, "", 0),
      current_image: null,
      textinfo: null
    }
  }
  const { startedAt, status } = executing.value
  const run = status._tag === "Running" ? status.progress : undefined
  const done = fractionOf(run)
  const elapsed = ((yield* Clock.currentTimeMillis) - (startedAt ?? 0)) / 1000
  const { live_previews_enable } = yield* (yield* Options).snapshot
  return {
    progress: new Float(done),
    eta_relative: new Float(Math.max(0, elapsed / done - elapsed)),
    state: {
      ...stateOf(run, nameOf(executing.value, run), run === undefined || run.passCount === 0 ? -1 : run.passCount),
      job_timestamp: timestamp(startedAt ?? 0)
    },
    current_image: query.skipCurrentImage || !live_previews_enable || run?.preview === undefined
      ? null
      : yield* encoded(run.preview),
    textinfo: run?.text === undefined || run.text === "" ? null : run.text
  }
})

const stateOf = (run: RunProgress | undefined, job: string, job_count: number) => ({
  skipped: run?.skipped ?? false,
  interrupted: run?.interrupted ?? false,
  stopping_generation: run?.stopping ?? false,
  job,
  job_count,
  job_timestamp: run === undefined ? "0" : timestamp(run.timeStarted),
  job_no: run?.passesDone ?? 0,
  sampling_step: run === undefined ? 0 : stepOf(run),
  sampling_steps: run?.samplingSteps ?? 0
})

// Each preview is encoded once for all requests.
const written = new WeakMap<Preview, string>()

const encoded = Effect.fnUntraced(function*(preview: Preview) {
  const known = written.get(preview)
  if (known !== undefined) return known
  const encoder = yield* ImageEncoder
  const { height, pixels, width } = preview
  const png = yield* Effect.orElseSucceed(
    encoder.encode(
      { raster: { width, height, channels: 3, data: pixels }, infotext: "" },
      { format: "png", quality: 100, lossless: true }
    ),
    () => undefined
  )
  if (png === undefined) return null
  const text = Base64.encode(png)
  written.set(preview, text)
  return text
})

/** `POST /internal/progress`: one task, whether it waits, runs or has ended. */
export const taskProgress = Effect.fn("sdapi.taskProgress")(function*(request: {
  readonly id_task: string
  readonly live_preview: boolean
}) {
  const queue = yield* RunQueue
  const found = yield* queue.get(request.id_task)
  const status = Option.map(found, ({ status }) => status)
  if (Option.isNone(status) || status.value._tag !== "Running") {
    const ahead = Option.isSome(status) && status.value._tag === "Queued" ? status.value.ahead : undefined
    return {
      active: false,
      queued: ahead !== undefined,
      completed: Option.isSome(status) && ahead === undefined,
      progress: null,
      eta: null,
      live_preview: null,
      id_live_preview: -1,
      textinfo: ahead === undefined ? "Waiting..." : `In queue: ${ahead + 1}/${ahead + 1}`
    }
  }
  const now = yield* progress({ skipCurrentImage: !request.live_preview, taskId: request.id_task })
  return {
    active: true,
    queued: false,
    completed: false,
    progress: now.progress,
    eta: now.eta_relative,
    live_preview: now.current_image === null ? null : `data:image/png;base64,${now.current_image}`,
    id_live_preview: now.state.sampling_step,
    textinfo: now.textinfo
  }
})

/** `GET /internal/pending-tasks`. */
export const pendingTasks = Effect.fn("sdapi.pendingTasks")(function*() {
  const queue = yield* RunQueue
  const waiting = (yield* queue.list).filter(({ status }) => status._tag === "Queued")
  return { size: waiting.length, tasks: waiting.map(({ id, taskId }) => taskId ?? id) }
})

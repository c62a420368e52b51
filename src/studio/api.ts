/**
 * The server's `/v1` as the page uses it: the typed client behind promises, and the browser's own `EventSource`, which
 * reports a lost connection.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Client from "../client/Client.ts"
import type {
  Model,
  ModelFile,
  PngInfo,
  Preprocessor,
  PreprocessRequest,
  Sampler,
  Scheduler,
  Style,
  Upscaler
} from "../contract/Catalogue.ts"
import type { Download, DownloadList, DownloadRequest } from "../contract/Download.ts"
import type { Preset, Suggestion, TokenCounts, TokenRequest } from "../contract/Prompts.ts"
import {
  type AskedRequest,
  type QueueStatus,
  type Run,
  type RunEvent,
  type RunImage,
  type RunPatch,
  SentEvent
} from "../contract/Run.ts"
import { problemsOf } from "../core/Problem.ts"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import type { Limits } from "../processing/Limits.ts"
import { OptionsPatch, type OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import * as Processing from "../processing/Processing.ts"

export type {
  AskedRequest,
  Download,
  DownloadList,
  Limits,
  Model,
  ModelFile,
  OptionsSnapshot,
  PngInfo,
  Preprocessor,
  QueueStatus,
  Run,
  RunEvent,
  RunImage,
  Sampler,
  Scheduler,
  Style,
  TokenCounts,
  Upscaler
}

export interface Problem {
  readonly path: string
  readonly message: string
}

/** An error of the server or the connection, with the problems of single fields, if any. */
export class ApiFailure extends Error {
  readonly tag: string
  readonly problems: ReadonlyArray<Problem>
  constructor(tag: string, message: string, problems: ReadonlyArray<Problem> = []) {
    super(message)
    this.tag = tag
    this.problems = problems
  }
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isProblem = (value: unknown): value is Problem =>
  isRecord(value) && typeof value["path"] === "string" && typeof value["message"] === "string"

/** The field that an error of a name refers to. */
const fieldOf: Readonly<Record<string, string>> = {
  UnknownSampler: "sampler_name",
  UnknownScheduler: "scheduler",
  UnknownUpscaler: "hr_upscaler",
  ModelNotFound: "sd_model_checkpoint"
}

/** A size of files for people. */
export const inMb = (bytes: number): string => `${Math.round(bytes / 2 ** 20 * 10) / 10} MB`

export const noAnswer = "The server does not answer. Check that it is running, and try again."

/** An error of the API, or its JSON together with its message. */
export const failureOf = (
  error: unknown,
  message = error instanceof Error ? error.message : String(error)
): ApiFailure => {
  const { _tag, problems }: Readonly<Record<string, unknown>> = isRecord(error) ? error : {}
  const tag = typeof _tag === "string" ? _tag : ""
  if (tag === "ConnectionError") return new ApiFailure(tag, noAnswer)
  if (tag === "TooLarge" && isRecord(error) && typeof error["limit"] === "number") {
    return new ApiFailure(
      tag,
      `${String(error["what"])} is over the limit of ${inMb(error["limit"])}. Send a smaller one.`
    )
  }
  const field = fieldOf[tag]
  if (Array.isArray(problems)) return new ApiFailure(tag, message, problems.filter(isProblem))
  return new ApiFailure(tag, message, field === undefined ? [] : [{ path: field, message }])
}

const client = Effect.runPromise(Client.make({ url: new URL(".", location.href).pathname }))

// A request of the client as a promise, which rejects with an `ApiFailure`.
const ask = async <A, E>(request: (client: Client.Client) => Effect.Effect<A, E>): Promise<A> => {
  const exit = await Effect.runPromiseExit(request(await client))
  if (Exit.isSuccess(exit)) return exit.value
  throw failureOf(Cause.squash(exit.cause))
}

const decodePatch = Schema.decodeUnknownEffect(OptionsPatch, { errors: "all" })

export const submit = (request: Readonly<Record<string, unknown>>) =>
  ask((client) =>
    client.limits.pipe(
      Effect.flatMap((limits) => Processing.decode(request, limits)),
      Effect.flatMap((processing) => client.submit(processing))
    )
  )
export const listRuns = (query: Client.ListQuery) => ask(({ list }) => list(query))
export const updateRun = (id: string, patch: RunPatch) => ask((client) => client.update(id, patch))
export const retry = (id: string) => ask((client) => client.retry(id))
export const removeRuns = (ids: ReadonlyArray<string>) => ask((client) => client.remove(ids))
/** Removes runs while the page is being left. */
export const removeRunsLeaving = (ids: ReadonlyArray<string>) =>
  navigator.sendBeacon("v1/runs/remove", new Blob([JSON.stringify({ ids })], { type: "application/json" }))
/** The queue. A question without an answer ends after a minute: it is asked again and again. */
export const queue = () => ask((client) => Effect.timeout(client.queue, "1 minute"))
export const pauseQueue = (paused: boolean) => ask((client) => client.setQueue({ paused }))
export const getRun = (id: string) => ask(({ run }) => run(id))
export const cancel = (id: string) => ask((client) => client.cancel(id))
export const interrupt = (id: string) => ask((client) => client.interrupt(id))
export const skip = (id: string) => ask((client) => client.skip(id))

export const models = () => ask((client) => client.models)
export const modelFiles = (kind?: string) => ask((client) => client.modelFiles(kind === undefined ? {} : { kind }))
export const downloads = () => ask((client) => client.downloads)
export const startDownload = (request: DownloadRequest) => ask((client) => client.startDownload(request))
export const cancelDownload = (id: string) => ask((client) => client.cancelDownload(id))
export const removeDownload = (id: string) => ask((client) => client.removeDownload(id))
export const samplers = () => ask((client) => client.samplers)
export const schedulers = () => ask((client) => client.schedulers)
export const upscalers = () => ask((client) => client.upscalers)
export const preprocessors = () => ask((client) => client.preprocessors)
export const preprocess = (unit: (typeof PreprocessRequest)["~type.make.in"]) =>
  ask((client) => client.preprocess(unit))
export const styles = () => ask((client) => client.styles)
export const countTokens = (request: TokenRequest) => ask((client) => client.countTokens(request))
export const suggestions = (query: { readonly query: string; readonly kind?: Suggestion["kind"] }) =>
  ask((client) => client.suggestions(query))
export const saveStyle = (style: Style) => ask((client) => client.saveStyle(style))
export const removeStyle = (name: string) => ask((client) => client.removeStyle(name))
export const presets = () => ask((client) => client.presets)
export const savePreset = (preset: Preset) => ask((client) => client.savePreset(preset))
export const removePreset = (name: string) => ask((client) => client.removePreset(name))
export const limits = () => ask((client) => client.limits)
export const options = () => ask((client) => client.options)
export const setOptions = (patch: Readonly<Record<string, unknown>>) =>
  ask((client) =>
    decodePatch(patch).pipe(
      Effect.mapError(({ issue }) => new InvalidOptions({ problems: problemsOf(issue) })),
      Effect.flatMap((patch) => client.setOptions(patch))
    )
  )
export const pngInfo = async (file: Blob) => {
  const bytes = new Uint8Array(await file.arrayBuffer())
  return ask((client) => client.pngInfo(bytes))
}

const decodeEvent = Schema.decodeUnknownSync(SentEvent.fields.data)

const eventNames = ["queued", "step", "image", "done", "failed", "cancelled"] as const

export interface RunListener {
  readonly event: (event: RunEvent) => void
  /** The connection was lost and is being restored, or is back. */
  readonly lost: (isLost: boolean) => void
  /** The server does not know the run. */
  readonly gone: (failure: ApiFailure) => void
}

/** Milliseconds before an attempt to reconnect. */
const retryDelay = 1000

/**
 * Follows a run to its end.
 *
 * The browser reconnects by itself unless the server refused the connection. Then the run is requested first.
 */
export const follow = (id: string, listener: RunListener): void => {
  const source = new EventSource(`v1/runs/${encodeURIComponent(id)}/events?previews=true`)
  source.addEventListener("open", () => listener.lost(false))
  source.addEventListener("error", () => {
    listener.lost(true)
    if (source.readyState === EventSource.CLOSED) setTimeout(() => void reconnect(id, listener), retryDelay)
  })
  for (const name of eventNames) {
    source.addEventListener(name, ({ data }: MessageEvent<string>) => {
      const event = decodeEvent(data)
      if (event._tag === "Done" || event._tag === "Failed" || event._tag === "Cancelled") source.close()
      listener.event(event)
    })
  }
}

const reconnect = async (id: string, listener: RunListener) => {
  try {
    await getRun(id)
    follow(id, listener)
  } catch (error) {
    if (error instanceof ApiFailure && error.tag === "RunNotFound") listener.gone(error)
    else setTimeout(() => void reconnect(id, listener), 2 * retryDelay)
  }
}

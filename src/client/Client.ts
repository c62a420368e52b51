/**
 * A typed client of Serena's server, for browsers and programs.
 *
 * ```ts
 * const client = yield* Client.make({ url: "http://127.0.0.1:7860" })
 * const { images } = yield* client.generate(Txt2Img.make({ prompt: "a red circle" }))
 * ```
 *
 * It is derived from the contract of `/v1`: requests are validated before they are sent, replies when they arrive, and
 * every error of the server arrives as the same class with the same fields.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Api } from "../contract/Api.ts"
import {
  type Model,
  type ModelFile,
  type PngInfo,
  type Preprocessor,
  PreprocessRequest,
  type Sampler,
  type Scheduler,
  type ServerStatus,
  type Style,
  type Upscaler
} from "../contract/Catalogue.ts"
import type { Download, DownloadList, DownloadRequest } from "../contract/Download.ts"
import type * as Errors from "../contract/errors.ts"
import { RunCancelled, type RunError } from "../contract/errors.ts"
import type { Preset, SavedStyle, Suggestion, Suggestions, TokenCounts, TokenRequest } from "../contract/Prompts.ts"
import {
  type Done,
  isLast,
  type QueueStatus,
  type Run,
  type RunEvent,
  type RunList,
  type RunPatch
} from "../contract/Run.ts"
import { problemsOf } from "../core/Problem.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsPatch, OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import { ConnectionError, UnexpectedReply } from "./errors.ts"

/** How every request can fail. */
export type RequestError =
  | ConnectionError
  | UnexpectedReply
  | Errors.ForeignOrigin
  | Errors.InternalError
  | Errors.InvalidRequest
  | Errors.RunsUnavailable
  | Errors.Unauthorized
  | Errors.UnknownHost

/** Why a run was not accepted. */
export type SubmitError =
  | RequestError
  | Errors.QueueFull
  | Errors.ShuttingDown
  | Errors.TooLarge
  | (typeof Errors.InvalidProcessing)["Type"]
  | (typeof Errors.ModelNotFound)["Type"]

type Reply<A, E = never> = Effect.Effect<A, RequestError | E>

export interface SubmitOptions {
  /** Whether the server saves the images to its disk. By default its settings decide. */
  readonly save?: boolean | undefined
  /** The client's own name for the run, which finds it like its id. */
  readonly taskId?: string | undefined
  /** Two submissions with the same key are one run, of 1 to 200 characters: for a request that is sent again. */
  readonly idempotencyKey?: string | undefined
  /** Runs of a higher priority go first, -100 to 100; 0 by default. */
  readonly priority?: number | undefined
  /** Labels that the worker of the run must have, such as `gpu`. */
  readonly requires?: ReadonlyArray<string> | undefined
}

/** Which runs to list. Times are milliseconds since the epoch: submitted at or after `from`, and before `to`. */
export interface ListQuery {
  /** 1 to 100, 20 by default. */
  readonly limit?: number | undefined
  readonly before?: string | undefined
  /** Words that the prompt or the negative prompt holds. */
  readonly search?: string | undefined
  readonly state?: "queued" | "running" | "done" | "interrupted" | "failed" | "cancelled" | undefined
  readonly model?: string | undefined
  readonly starred?: boolean | undefined
  readonly tag?: string | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
}

/** An event with its number, from which a later reader can continue. */
export interface NumberedEvent {
  readonly id: string
  readonly event: RunEvent
}

export interface Client {
  /** Submits a request and returns the run at once, queued or running. */
  readonly submit: (processing: Processing, options?: SubmitOptions) => Effect.Effect<Run, SubmitError>
  /** Finds a run by its id or task id. */
  readonly run: (id: string) => Reply<Run, Errors.RunNotFound>
  /** A page of the runs that fit, newest first. For the next page, pass this one's `next` as `before`. */
  readonly list: (query?: ListQuery) => Reply<RunList, Errors.RunNotFound>
  /** Stars or tags a run, or moves it in the queue. */
  readonly update: (id: string, patch: RunPatch) => Reply<Run, Errors.RunNotFound>
  /** Puts a run that failed, was cancelled or interrupted into the queue again, under its id. */
  readonly retry: (id: string) => Reply<Run, Errors.RunNotFound>
  /** Removes ended runs with their files from the history, and returns the ids of those that were removed. */
  readonly remove: (ids: ReadonlyArray<string>) => Reply<ReadonlyArray<string>>
  readonly queue: Reply<QueueStatus>
  /** Pauses or resumes the queue. */
  readonly setQueue: (patch: { readonly paused: boolean }) => Reply<QueueStatus>
  readonly cancel: (id: string) => Reply<Run, Errors.RunNotFound>
  /** Ends a run after its current step, with the images it has. */
  readonly interrupt: (id: string) => Reply<Run, Errors.RunNotFound>
  /** Continues a run with its next batch. */
  readonly skip: (id: string) => Reply<Run, Errors.RunNotFound>
  /**
   * The events of a run until it ends. A lost connection is restored and continues after the last event.
   *
   * `lastEventId` is the event after which to begin; by default the stream begins with the first. `previews` includes
   * previews in the steps.
   */
  readonly events: (
    id: string,
    options?: { readonly lastEventId?: string | undefined; readonly previews?: boolean | undefined }
  ) => Stream.Stream<NumberedEvent, RequestError | Errors.RunNotFound>
  /** The bytes of an image file, by its index. */
  readonly image: (id: string, index: number) => Reply<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  /** The bytes of a small copy of an image: a WebP file of at most 320 pixels on its longer side. */
  readonly thumbnail: (id: string, index: number) => Reply<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  /** The bytes of a grid, mask or composite, by its position among the run's `extras`. */
  readonly extra: (id: string, position: number) => Reply<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  /** The bytes of a small copy of it. */
  readonly extraThumbnail: (
    id: string,
    position: number
  ) => Reply<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  /** The bytes of the latest preview, a PNG file. */
  readonly preview: (id: string) => Reply<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  readonly models: Reply<ReadonlyArray<Model>>
  /** Files in the models folders: all, those of a kind, or with a text in their names or trained words. */
  readonly modelFiles: (
    query?: { readonly kind?: string | undefined; readonly search?: string | undefined }
  ) => Reply<ReadonlyArray<ModelFile>>
  /** The bytes of the preview of such a file, by its id. */
  readonly modelPreview: (id: string) => Reply<Uint8Array, Errors.PreviewNotFound>
  /** The downloads of models since the start of the server, and whether it downloads at all. */
  readonly downloads: Reply<DownloadList>
  /** Lets the server download a model. */
  readonly startDownload: (
    request: DownloadRequest
  ) => Reply<Download, Errors.DownloadsRefused | Errors.TooManyDownloads>
  /** A download by its id, with the bytes that have arrived. */
  readonly download: (id: string) => Reply<Download, Errors.DownloadNotFound>
  /** Ends a download. What has arrived is continued by the next one of the same source. */
  readonly cancelDownload: (id: string) => Reply<Download, Errors.DownloadNotFound>
  /** Ends a download, and removes what has arrived of it. */
  readonly removeDownload: (id: string) => Reply<Download, Errors.DownloadNotFound>
  readonly samplers: Reply<ReadonlyArray<Sampler>>
  readonly schedulers: Reply<ReadonlyArray<Scheduler>>
  readonly upscalers: Reply<ReadonlyArray<Upscaler>>
  /** What can be made of an image before a ControlNet follows it. */
  readonly preprocessors: Reply<ReadonlyArray<Preprocessor>>
  /** What the preprocessor of a unit makes of the unit's image: the bytes of a PNG file. */
  readonly preprocess: (unit: (typeof PreprocessRequest)["~type.make.in"]) => Reply<
    Uint8Array,
    | Errors.QueueFull
    | Errors.ShuttingDown
    | Errors.TooLarge
    | (typeof Errors.ImageCodecError)["Type"]
    | InvalidProcessing
  >
  readonly styles: Reply<ReadonlyArray<Style>>
  /** Counts the tokens of prompts as the model's tokenizer will read them. */
  readonly countTokens: (
    request: TokenRequest
  ) => Reply<TokenCounts, (typeof Errors.InvalidProcessing)["Type"] | (typeof Errors.ModelNotFound)["Type"]>
  /** What a prompt may go on with: tags and embeddings, or one kind of names. */
  readonly suggestions: (query: {
    readonly query: string
    readonly kind?: Suggestion["kind"] | undefined
    readonly limit?: number | undefined
  }) => Reply<Suggestions>
  /** Adds or changes a style in the styles file. */
  readonly saveStyle: (style: SavedStyle) => Reply<Style, (typeof Errors.NotSaved)["Type"]>
  /** Removes the style of a name, if there is one, and returns it. */
  readonly removeStyle: (name: string) => Reply<ReadonlyArray<Style>, (typeof Errors.NotSaved)["Type"]>
  /** Named settings of forms. */
  readonly presets: Reply<ReadonlyArray<Preset>>
  readonly savePreset: (preset: Preset) => Reply<Preset, (typeof Errors.NotSaved)["Type"]>
  /** Removes the preset of a name, if there is one, and returns it. */
  readonly removePreset: (name: string) => Reply<ReadonlyArray<Preset>, (typeof Errors.NotSaved)["Type"]>
  readonly limits: Reply<Limits>
  readonly options: Reply<OptionsSnapshot>
  /** Changes settings and returns all of them. */
  readonly setOptions: (
    patch: OptionsPatch
  ) => Reply<
    OptionsSnapshot,
    (typeof Errors.InvalidOptions)["Type"] | Errors.SettingsNotSaved | Errors.TooLarge
  >
  /** Reads the infotext and metadata of an image file. */
  readonly pngInfo: (bytes: Uint8Array) => Reply<PngInfo, (typeof Errors.ImageCodecError)["Type"] | Errors.TooLarge>
  readonly status: Reply<ServerStatus>
  /**
   * Submits a request, waits until it ends, and returns the result. Interrupting this effect cancels the run.
   *
   * `onEvent` receives every event of the run.
   */
  readonly generate: (
    processing: Processing,
    options?: SubmitOptions & {
      readonly previews?: boolean | undefined
      readonly onEvent?: ((event: RunEvent) => Effect.Effect<void>) | undefined
    }
  ) => Effect.Effect<Done & { readonly id: string }, SubmitError | Errors.RunNotFound | RunCancelled | RunError>
}

export interface ClientOptions {
  /** The server's address: `http://127.0.0.1:7860`. In a browser, a path of the page's own origin is enough: `/`. */
  readonly url: string
  /** The user to sign in as, or the key. */
  readonly auth?: { readonly user: string; readonly password: string } | { readonly key: string } | undefined
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

// Delays between attempts to restore a connection, growing for about a minute.
const reconnecting = Schedule.exponential("200 millis", 1.5).pipe(
  Schedule.upTo({ times: 12 }),
  Schedule.setInputType<RequestError | Errors.RunNotFound>(),
  Schedule.while(({ input }) => Effect.succeed(input._tag === "ConnectionError"))
)

/** A client of the server at an address. It sends nothing until it is used. */
export const make = Effect.fn("Client.make")(function*({ auth, fetch, url }: ClientOptions) {
  const base = url.replace(/\/+$/, "")
  const api = yield* HttpApiClient.make(Api, {
    ...(base !== "" && { baseUrl: base }),
    transformClient: (client) =>
      client.pipe(
        HttpClient.mapRequest((request) =>
          auth === undefined
            ? request
            : "key" in auth
            ? HttpClientRequest.bearerToken(request, auth.key)
            : HttpClientRequest.basicAuth(request, auth.user, auth.password)
        ),
        // Trace headers would cause a preflight for other origins in browsers.
        HttpClient.transformResponse(Effect.provideService(HttpClient.TracerPropagationEnabled, false)),
        HttpClient.transformResponse((response) =>
          fetch === undefined ? response : Effect.provideService(response, FetchHttpClient.Fetch, fetch)
        )
      )
  }).pipe(Effect.provide(FetchHttpClient.layer))

  const toRequestError = <E>(error: E | HttpClientError.HttpClientError | Schema.SchemaError): E | RequestError => {
    if (HttpClientError.isHttpClientError(error)) {
      const { reason } = error
      return reason._tag === "TransportError" || reason._tag === "InvalidUrlError" || isCutOff(reason)
        ? new ConnectionError({ url, reason: causeOf(reason.cause) ?? reason.message })
        : new UnexpectedReply({ url, reason: reason.message })
    }
    return Schema.isSchemaError(error) ? new UnexpectedReply({ url, reason: error.message }) : error
  }
  const ask = <A, E, R>(effect: Effect.Effect<A, E | HttpClientError.HttpClientError | Schema.SchemaError, R>) =>
    Effect.mapError(effect, (error) => toRequestError<E>(error))
  type Files<E> = Effect.Effect<
    Stream.Stream<Uint8Array, HttpClientError.HttpClientError>,
    E | HttpClientError.HttpClientError | Schema.SchemaError
  >
  const bytesOf = <E>(file: Files<E>) => ask<Uint8Array, E, never>(Effect.flatMap(file, Stream.mkUint8Array))

  const submit: Client["submit"] = (processing, options = {}) =>
    ask(api.runs.submit({
      headers: {},
      payload: {
        ...processing,
        ...(options.save !== undefined && { save: options.save }),
        ...(options.taskId !== undefined && { task_id: options.taskId }),
        ...(options.idempotencyKey !== undefined && { idempotency_key: options.idempotencyKey }),
        ...(options.priority !== undefined && { priority: options.priority }),
        ...(options.requires !== undefined && { requires: options.requires })
      }
    }))

  const events: Client["events"] = (id, { lastEventId, previews } = {}) =>
    Stream.suspend(() => {
      let last = lastEventId
      let isOver = false
      const connection = Stream.unwrap(Effect.suspend(() =>
        api.runs.events({
          params: { id },
          query: previews === true ? { previews: "true" } : {},
          headers: last === undefined ? {} : { "last-event-id": last }
        })
      )).pipe(
        Stream.map(({ data, id = "" }): NumberedEvent => ({ id, event: data })),
        Stream.tap(({ event, id }) =>
          Effect.sync(() => {
            last = id
            isOver = isLast(event)
          })
        ),
        Stream.mapError((error) =>
          error._tag === "Retry" || error._tag === "SseError"
            ? new ConnectionError({ url, reason: "the event stream was cut off" })
            : toRequestError(error)
        ),
        // A connection that ends before the run does was lost.
        Stream.concat(Stream.suspend(() =>
          isOver
            ? Stream.empty
            : Stream.fail(new ConnectionError({ url, reason: "the connection closed before the run ended" }))
        ))
      )
      // The stream is read to its own end after the last event, so that the connection can be reused.
      return Stream.retry(connection, reconnecting)
    })

  const generate: Client["generate"] = (processing, options = {}) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        // An interruption during the submission returns at once; the run is cancelled as soon as its id is known.
        const submitted = yield* Effect.forkDetach(submit(processing, options), { startImmediately: true })
        const cancel = Effect.flatMap(Fiber.join(submitted), ({ id }) => ask(api.runs.cancel({ params: { id } })))
        const { id, last } = yield* restore(Effect.gen(function*() {
          const { id } = yield* Fiber.join(submitted)
          const last = yield* events(id, { previews: options.previews }).pipe(
            Stream.map(({ event }) => event),
            Stream.tap((event) => options.onEvent?.(event) ?? Effect.void),
            Stream.runLast
          )
          return { id, last: Option.getOrUndefined(last) }
        })).pipe(Effect.onInterrupt(() => Effect.forkDetach(Effect.ignore(cancel), { startImmediately: true })))
        if (last?._tag === "Failed") return yield* last.error
        return last?._tag === "Done" ? { ...last, id } : yield* new RunCancelled({ id })
      })
    )

  const client: Client = {
    submit,
    run: (id) => ask(api.runs.get({ params: { id } })),
    list: ({ starred, ...query } = {}) =>
      ask(api.runs.list({
        query: { ...query, ...(starred !== undefined && { starred: starred ? "true" as const : "false" as const }) }
      })),
    update: (id, payload) => ask(api.runs.update({ params: { id }, payload })),
    retry: (id) => ask(api.runs.retry({ params: { id } })),
    remove: (ids) => Effect.map(ask(api.runs.remove({ payload: { ids } })), ({ ids }) => ids),
    queue: ask(api.runs.queue()),
    setQueue: (payload) => ask(api.runs.setQueue({ payload })),
    cancel: (id) => ask(api.runs.cancel({ params: { id } })),
    interrupt: (id) => ask(api.runs.interrupt({ params: { id } })),
    skip: (id) => ask(api.runs.skip({ params: { id } })),
    events,
    image: (id, index) => bytesOf(api.runs.image({ params: { id, index } })),
    thumbnail: (id, index) => bytesOf(api.runs.thumbnail({ params: { id, index } })),
    extra: (id, index) => bytesOf(api.runs.extra({ params: { id, index } })),
    extraThumbnail: (id, index) => bytesOf(api.runs.extraThumbnail({ params: { id, index } })),
    preview: (id) => bytesOf(api.runs.preview({ params: { id } })),
    models: ask(api.catalogue.models()),
    modelFiles: (query = {}) => ask(api.catalogue.modelFiles({ query })),
    modelPreview: (id) => bytesOf(api.catalogue.modelPreview({ params: { id } })),
    downloads: ask(api.downloads.downloads()),
    startDownload: (payload) => ask(api.downloads.startDownload({ payload })),
    download: (id) => ask(api.downloads.download({ params: { id } })),
    cancelDownload: (id) => ask(api.downloads.cancelDownload({ params: { id } })),
    removeDownload: (id) => ask(api.downloads.removeDownload({ params: { id } })),
    samplers: ask(api.catalogue.samplers()),
    schedulers: ask(api.catalogue.schedulers()),
    upscalers: ask(api.catalogue.upscalers()),
    preprocessors: ask(api.catalogue.preprocessors()),
    preprocess: (unit) =>
      Effect.mapError(
        PreprocessRequest.makeEffect(unit, { parseOptions: { errors: "all" } }),
        (issue) => new InvalidProcessing({ problems: problemsOf(issue) })
      ).pipe(Effect.flatMap((payload) => bytesOf(api.catalogue.preprocess({ payload })))),
    styles: ask(api.catalogue.styles()),
    countTokens: (payload) => ask(api.prompts.countTokens({ payload })),
    suggestions: (query) => ask(api.prompts.suggestions({ query })),
    saveStyle: (payload) => ask(api.prompts.saveStyle({ payload })),
    removeStyle: (name) => ask(api.prompts.removeStyle({ payload: { name } })),
    presets: ask(api.prompts.presets()),
    savePreset: (payload) => ask(api.prompts.savePreset({ payload })),
    removePreset: (name) => ask(api.prompts.removePreset({ payload: { name } })),
    limits: ask(api.catalogue.limits()),
    options: ask(api.catalogue.options()),
    setOptions: (payload) => ask(api.catalogue.setOptions({ payload })),
    pngInfo: (payload) => ask(api.catalogue.pngInfo({ payload })),
    status: ask(api.catalogue.status()),
    generate
  }
  return client
})

// A body that was cut off. A body that is not JSON arrived in full.
const isCutOff = ({ _tag, cause }: HttpClientError.HttpClientErrorReason): boolean =>
  _tag === "DecodeError" && cause instanceof Error && !(cause instanceof SyntaxError) && !Schema.isSchemaError(cause)

// The reason is in the innermost cause: the message of fetch itself is only "fetch failed".
const causeOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  const inner = causeOf(cause.cause)
  return inner ?? (cause.message === "" ? cause.name : cause.message)
}

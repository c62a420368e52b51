/**
 * A typed client of Serena's server, for browsers and programs.
 *
 * ```ts
 * const client = yield* Client.make({ url: "http://127.0.0.1:7860" })
 * const { images } = yield* client.generate(Txt2Img.make({ prompt: "a red circle" }))
 * ```
 *
 * It is derived from the contract of `/v1`: requests are checked before they are sent, replies when they come, and every
 * error of the server arrives as the value that it was there.
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
import type { Model, PngInfo, Sampler, Scheduler, ServerStatus, Style, Upscaler } from "../contract/Catalogue.ts"
import type * as Errors from "../contract/errors.ts"
import { RunCancelled, type RunError } from "../contract/errors.ts"
import { type Done, isLast, type Run, type RunEvent, type RunList } from "../contract/Run.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsPatch, OptionsSnapshot } from "../processing/Options.ts"
import type { Processing } from "../processing/Processing.ts"
import { ConnectionError, UnexpectedReply } from "./errors.ts"

/** What every request can fail with. */
export type RequestError = ConnectionError | UnexpectedReply | Errors.InvalidRequest | Errors.Unauthorized

/** Why a run was not taken. */
export type SubmitError =
  | RequestError
  | Errors.QueueFull
  | Errors.ShuttingDown
  | Errors.TooLarge
  | (typeof Errors.InvalidProcessing)["Type"]
  | (typeof Errors.ModelNotFound)["Type"]

type Asked<A, E = never> = Effect.Effect<A, RequestError | E>

export interface SubmitOptions {
  /** Whether the server writes the pictures to its disk. Left out: its settings decide. */
  readonly save?: boolean | undefined
  /** A name of your own, by which the run is found as by its id. */
  readonly taskId?: string | undefined
}

/** An event with its number, after which a later reader can go on. */
export interface NumberedEvent {
  readonly id: string
  readonly event: RunEvent
}

export interface Client {
  /** Puts a request into the queue, and gives the run at once. */
  readonly submit: (processing: Processing, options?: SubmitOptions) => Effect.Effect<Run, SubmitError>
  /** A run by its id, or by its task id. */
  readonly run: (id: string) => Asked<Run, Errors.RunNotFound>
  /** A page of the runs, newest first; the next page is `before` the `next` of this one. */
  readonly list: (
    page?: { readonly limit?: number | undefined; readonly before?: string | undefined }
  ) => Asked<RunList, Errors.RunNotFound>
  readonly cancel: (id: string) => Asked<Run, Errors.RunNotFound>
  /** Ends a run after its current step; it gives what it has. */
  readonly interrupt: (id: string) => Asked<Run, Errors.RunNotFound>
  /** Has a run go on with its next batch. */
  readonly skip: (id: string) => Asked<Run, Errors.RunNotFound>
  /**
   * What happens to a run, to its end. A connection that breaks is made again, and goes on where it was.
   *
   * `lastEventId`: the event after which to begin; the first one when left out. `previews`: whether steps bring them.
   */
  readonly events: (
    id: string,
    options?: { readonly lastEventId?: string | undefined; readonly previews?: boolean | undefined }
  ) => Stream.Stream<NumberedEvent, RequestError | Errors.RunNotFound>
  /** The bytes of a picture's file, by its index. */
  readonly image: (id: string, index: number) => Asked<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  /** The bytes of a grid, mask or composite, by its position among the run's `extras`. */
  readonly extra: (id: string, position: number) => Asked<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  /** The bytes of the latest preview, a PNG file. */
  readonly preview: (id: string) => Asked<Uint8Array, Errors.RunNotFound | Errors.ImageNotFound>
  readonly models: Asked<ReadonlyArray<Model>>
  readonly samplers: Asked<ReadonlyArray<Sampler>>
  readonly schedulers: Asked<ReadonlyArray<Scheduler>>
  readonly upscalers: Asked<ReadonlyArray<Upscaler>>
  readonly styles: Asked<ReadonlyArray<Style>>
  readonly limits: Asked<Limits>
  readonly options: Asked<OptionsSnapshot>
  /** Changes settings, and gives all of them. */
  readonly setOptions: (
    patch: OptionsPatch
  ) => Asked<
    OptionsSnapshot,
    (typeof Errors.InvalidOptions)["Type"] | (typeof Errors.SaveError)["Type"] | Errors.TooLarge
  >
  /** What the bytes of a picture's file tell. */
  readonly pngInfo: (bytes: Uint8Array) => Asked<PngInfo, (typeof Errors.ImageCodecError)["Type"] | Errors.TooLarge>
  readonly status: Asked<ServerStatus>
  /**
   * Submits a request, waits for its end, and gives what came out. Whoever is interrupted here cancels the run.
   *
   * `onEvent` is told of everything that happens on the way.
   */
  readonly generate: (
    processing: Processing,
    options?: SubmitOptions & {
      readonly previews?: boolean | undefined
      readonly onEvent?: ((event: RunEvent) => Effect.Effect<void>) | undefined
    }
  ) => Effect.Effect<Done & { readonly id: string }, SubmitError | Errors.RunNotFound | RunCancelled | RunError>
}

export interface Options {
  /** Where the server is: `http://127.0.0.1:7860`. In a browser, a path of the page's own origin is enough: `/`. */
  readonly url: string
  /** Whom to sign in as. */
  readonly auth?: { readonly user: string; readonly password: string } | undefined
  /** Asks in place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

// Again after a broken connection: soon, then less and less often, for about a minute.
const again = Schedule.exponential("200 millis", 1.5).pipe(
  Schedule.upTo({ times: 12 }),
  Schedule.setInputType<RequestError | Errors.RunNotFound>(),
  Schedule.while(({ input }) => Effect.succeed(input._tag === "ConnectionError"))
)

/** A client of the server at an address. Nothing is asked until it is used. */
export const make = Effect.fn("Client.make")(function*({ auth, fetch, url }: Options) {
  const base = url.replace(/\/+$/, "")
  const api = yield* HttpApiClient.make(Api, {
    ...(base !== "" && { baseUrl: base }),
    transformClient: (client) =>
      client.pipe(
        HttpClient.mapRequest((request) =>
          auth === undefined ? request : HttpClientRequest.basicAuth(request, auth.user, auth.password)
        ),
        // A trace's headers would have browsers ask other origins for permission first.
        HttpClient.transformResponse(Effect.provideService(HttpClient.TracerPropagationEnabled, false)),
        HttpClient.transformResponse((response) =>
          fetch === undefined ? response : Effect.provideService(response, FetchHttpClient.Fetch, fetch)
        )
      )
  }).pipe(Effect.provide(FetchHttpClient.layer))

  const told = <E>(error: E | HttpClientError.HttpClientError | Schema.SchemaError): E | RequestError => {
    if (HttpClientError.isHttpClientError(error)) {
      const { reason } = error
      return reason._tag === "TransportError" || reason._tag === "InvalidUrlError" || isCutOff(reason)
        ? new ConnectionError({ url, reason: causeOf(reason.cause) ?? reason.message })
        : new UnexpectedReply({ url, reason: reason.message })
    }
    return Schema.isSchemaError(error) ? new UnexpectedReply({ url, reason: error.message }) : error
  }
  const ask = <A, E, R>(effect: Effect.Effect<A, E | HttpClientError.HttpClientError | Schema.SchemaError, R>) =>
    Effect.mapError(effect, (error) => told<E>(error))
  type Files<E> = Effect.Effect<
    Stream.Stream<Uint8Array, HttpClientError.HttpClientError>,
    E | HttpClientError.HttpClientError | Schema.SchemaError
  >
  const bytesOf = <E>(file: Files<E>) => ask<Uint8Array, E, never>(Effect.flatMap(file, Stream.mkUint8Array))

  const submit: Client["submit"] = (processing, options = {}) =>
    ask(api.runs.submit({
      payload: {
        ...processing,
        ...(options.save !== undefined && { save: options.save }),
        ...(options.taskId !== undefined && { task_id: options.taskId })
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
            ? new ConnectionError({ url, reason: "the events broke off" })
            : told(error)
        ),
        // The end of a connection that is not the end of the run is one that broke.
        Stream.concat(Stream.suspend(() =>
          isOver
            ? Stream.empty
            : Stream.fail(new ConnectionError({ url, reason: "the connection ended before the run" }))
        ))
      )
      // To its own end, not cut off after the last event: so the connection serves for other requests.
      return Stream.retry(connection, again)
    })

  const generate: Client["generate"] = (processing, options = {}) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        // Whoever is interrupted while the request is on its way leaves at once; the run is cancelled when its id is there.
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
    list: (page = {}) => ask(api.runs.list({ query: page })),
    cancel: (id) => ask(api.runs.cancel({ params: { id } })),
    interrupt: (id) => ask(api.runs.interrupt({ params: { id } })),
    skip: (id) => ask(api.runs.skip({ params: { id } })),
    events,
    image: (id, index) => bytesOf(api.runs.image({ params: { id, index } })),
    extra: (id, index) => bytesOf(api.runs.extra({ params: { id, index } })),
    preview: (id) => bytesOf(api.runs.preview({ params: { id } })),
    models: ask(api.catalogue.models()),
    samplers: ask(api.catalogue.samplers()),
    schedulers: ask(api.catalogue.schedulers()),
    upscalers: ask(api.catalogue.upscalers()),
    styles: ask(api.catalogue.styles()),
    limits: ask(api.catalogue.limits()),
    options: ask(api.catalogue.options()),
    setOptions: (payload) => ask(api.catalogue.setOptions({ payload })),
    pngInfo: (payload) => ask(api.catalogue.pngInfo({ payload })),
    status: ask(api.catalogue.status()),
    generate
  }
  return client
})

// A body that ends before its end; one that is not JSON came as a whole.
const isCutOff = ({ _tag, cause }: HttpClientError.HttpClientErrorReason): boolean =>
  _tag === "DecodeError" && cause instanceof Error && !(cause instanceof SyntaxError) && !Schema.isSchemaError(cause)

// What fetch says is in its cause, if it says anything: "fetch failed" is no reason.
const causeOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  const inner = causeOf(cause.cause)
  return inner ?? (cause.message === "" ? cause.name : cause.message)
}

/**
 * A server with stable-diffusion-webui's API, as far as a run needs it.
 *
 * Replies are read by schemas that ask for no more than is used, so that forks and later versions serve as well.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as ExactJson from "../core/ExactJson.ts"
import type { Size } from "../core/Geometry.ts"
import { Seed } from "../core/Seed.ts"
import { RemoteServerError } from "../runner/RemoteServerError.ts"

export interface RemoteOptions {
  /** Where the server is: `http://127.0.0.1:7860`. */
  readonly url: string
  /** Whom to sign in as, at a server with `--api-auth`. */
  readonly auth?: { readonly user: string; readonly password: string } | undefined
}

/** What `info` reports of the images, in their order. A grid comes before them. */
export const Info = Schema.Struct({
  infotexts: Schema.Array(Schema.String),
  all_prompts: Schema.Array(Schema.String),
  all_negative_prompts: Schema.Array(Schema.String),
  all_seeds: Schema.Array(Seed),
  all_subseeds: Schema.Array(Seed),
  index_of_first_image: Schema.optional(Schema.Int)
})
export type Info = typeof Info.Type

export const Reply = Schema.Struct({
  images: Schema.Array(Schema.String),
  info: Schema.String.pipe(
    Schema.decodeTo(Schema.Unknown, {
      decode: SchemaGetter.transformEffect((text: string) =>
        Effect.try({
          try: () => ExactJson.parse(text),
          catch: () => new SchemaIssue.InvalidValue({ message: "it is not JSON" })
        })
      ),
      encode: SchemaGetter.forbidden(() => "only replies are read")
    }),
    Schema.decodeTo(Schema.toCodecJson(Info))
  )
})
export type Reply = typeof Reply.Type

export const Progress = Schema.Struct({
  state: Schema.Struct({
    interrupted: Schema.Boolean,
    job_count: Schema.Finite,
    job_no: Schema.Finite,
    sampling_step: Schema.Finite,
    sampling_steps: Schema.Finite
  }),
  current_image: Schema.optional(Schema.NullOr(Schema.String)),
  textinfo: Schema.optional(Schema.NullOr(Schema.String))
})
export type Progress = typeof Progress.Type

const Settings = Schema.Struct({ sd_model_checkpoint: Schema.optional(Schema.NullOr(Schema.String)) })

const Named = Schema.Array(Schema.Struct({
  name: Schema.String,
  label: Schema.optional(Schema.String),
  aliases: Schema.optional(Schema.NullOr(Schema.Array(Schema.String)))
}))

const Sizes = Schema.Array(Schema.Struct({
  name: Schema.String,
  title: Schema.String,
  width: Schema.NullOr(Schema.Int),
  height: Schema.NullOr(Schema.Int),
  selected: Schema.Boolean
}))

export interface RemoteServer {
  readonly generate: (
    kind: "txt2img" | "img2img",
    body: Readonly<Record<string, unknown>>
  ) => Effect.Effect<Reply, RemoteServerError>
  readonly progress: (taskId: string, withImage: boolean) => Effect.Effect<Progress, RemoteServerError>
  readonly interrupt: (taskId: string) => Effect.Effect<void, RemoteServerError>
  readonly skip: (taskId: string) => Effect.Effect<void, RemoteServerError>
  /**
   * Size of a model's images, in pixels, or of the model in use for an empty name; undefined where it is not known.
   * Only a Serena states it.
   */
  readonly sizeOf: (model: string) => Effect.Effect<Size | undefined, RemoteServerError>
  /** The model in use, as the server shows it: `name [hash]`. */
  readonly checkpoint: Effect.Effect<string | undefined, RemoteServerError>
  readonly samplers: Effect.Effect<typeof Named.Type, RemoteServerError>
  readonly schedulers: Effect.Effect<typeof Named.Type, RemoteServerError>
}

/** The server at an address. Nothing is asked until it is used. */
export const make = Effect.fnUntraced(
  function*({ auth, url }: RemoteOptions): Effect.fn.Return<RemoteServer, never, HttpClient.HttpClient> {
    const base = url.replace(/\/+$/, "")
    const client = (yield* HttpClient.HttpClient).pipe(
      HttpClient.mapRequest((request) =>
        auth === undefined ? request : HttpClientRequest.basicAuth(request, auth.user, auth.password)
      )
    )
    const fail = (kind: RemoteServerError["kind"], status: number | null, reason: string) =>
      new RemoteServerError({ url: base, kind, status, reason })

    const toError = (error: HttpClientError.HttpClientError | Schema.SchemaError): RemoteServerError => {
      if (Schema.isSchemaError(error)) return fail("unreadable", 200, error.message)
      const { reason } = error
      return reason._tag === "TransportError" || reason._tag === "InvalidUrlError"
        ? fail("unreachable", null, causeOf(reason.cause) ?? reason.message)
        : fail("unreadable", null, reason.message)
    }

    const refusal = (response: HttpClientResponse.HttpClientResponse) =>
      Effect.map(Effect.orElseSucceed(response.text, () => ""), (text) => {
        const { status } = response
        const reason = reasonOf(text) ?? `it says no more than ${status}`
        if (status === 401 || status === 403) return fail("unauthorized", status, reason)
        if (status === 429 || status === 503) return fail("busy", status, reason)
        if (status === 404 && reason === "Not Found") return fail("unreadable", status, "it has no such path")
        return fail(status < 500 ? "refused" : "failed", status, reason)
      })

    const send = <S extends Schema.Codec<unknown, unknown>>(request: HttpClientRequest.HttpClientRequest, schema: S) =>
      Effect.gen(function*() {
        const response = yield* client.execute(request)
        if (response.status < 200 || response.status > 299) return yield* Effect.flip(refusal(response))
        const json = yield* response.json
        return yield* Schema.decodeEffect(schema)(json)
      }).pipe(
        Effect.mapError((error) => error._tag === "RemoteServerError" ? error : toError(error)),
        Effect.scoped
      )
    const get = <S extends Schema.Codec<unknown, unknown>>(
      path: string,
      schema: S,
      query: Record<string, string> = {}
    ) => send(HttpClientRequest.get(`${base}/sdapi/v1${path}`, { urlParams: query }), schema)
    const post = (path: string, query: Record<string, string>) =>
      Effect.asVoid(send(HttpClientRequest.post(`${base}/sdapi/v1${path}`, { urlParams: query }), Schema.Unknown))

    return {
      generate: (kind, body) =>
        send(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(`${base}/sdapi/v1/${kind}`), body), Reply),
      progress: (task_id, withImage) =>
        get("/progress", Progress, { task_id, skip_current_image: withImage ? "false" : "true" }),
      interrupt: (task_id) => post("/interrupt", { task_id }),
      skip: (task_id) => post("/skip", { task_id }),
      sizeOf: (model) =>
        Effect.map(send(HttpClientRequest.get(`${base}/v1/models`), Sizes), (models) => {
          const { height = null, width = null } = models.find(({ name, selected, title }) =>
            model === "" ? selected : name === model || title === model
          ) ??
            {}
          return height === null || width === null ? undefined : { width, height }
        }),
      checkpoint: Effect.map(get("/options", Settings), ({ sd_model_checkpoint }) => sd_model_checkpoint ?? undefined),
      samplers: get("/samplers", Named),
      schedulers: get("/schedulers", Named)
    }
  }
)

const Refusal = Schema.fromJsonString(Schema.Struct({
  detail: Schema.optional(Schema.Unknown),
  errors: Schema.optional(Schema.Unknown)
}))

// A sentence of `errors` is preferred to the fixed words of `detail`; of a list of problems, all are reported.
const reasonOf = (text: string): string | undefined => {
  const refusal = Option.getOrUndefined(Schema.decodeOption(Refusal)(text))
  if (refusal === undefined) return undefined
  const { detail, errors } = refusal
  if (Array.isArray(detail)) return detail.slice(0, 20).map(problemOf).join("; ")
  const said = [errors, detail].find((one) => typeof one === "string" && one !== "")
  return typeof said === "string" ? said.slice(0, 2000).replace(/\.$/, "") : undefined
}

const problemOf = (problem: unknown): string => {
  const loc = Predicate.hasProperty(problem, "loc") && Array.isArray(problem.loc) ? problem.loc.slice(1).join(".") : "?"
  return `${loc}: ${Predicate.hasProperty(problem, "msg") ? String(problem.msg).slice(0, 200) : "wrong"}`
}

const causeOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  const inner = cause instanceof AggregateError ? causeOf(cause.errors[0]) : causeOf(cause.cause)
  return inner ?? (cause.message === "" ? cause.name : cause.message)
}

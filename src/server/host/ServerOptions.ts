/**
 * How a server is set up: where it listens, who may ask, how much it takes.
 *
 * Names are those of the flags. A server that is reachable from other machines requires sign-in, unless
 * unauthenticated access is allowed explicitly.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { field } from "../../core/Field.ts"
import { problemsOf } from "../../core/Problem.ts"
import { withDefault } from "../../core/Schemas.ts"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const isRegExp = (source: string): boolean | string => {
  try {
    return new RegExp(source) instanceof RegExp
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

/** `user:password`; a password may hold colons. */
export const Credential = Schema.String.check(
  Schema.makeFilter((text) => /^[^:]+:.+$/s.test(text) || "expected user:password, neither of them empty")
)

/** A key: visible ASCII, as the header `Authorization` can carry it. */
export const ApiKey = Schema.String.check(
  Schema.makeFilter((text) => /^[\x21-\x7e]{8,256}$/.test(text) || "expected 8 to 256 visible ASCII characters")
)

export const ServerSettings = Schema.Struct({
  host: withDefault(Schema.NonEmptyString, "127.0.0.1").pipe(
    field({
      title: "Host",
      description: "Address to listen on; 127.0.0.1 is this machine only.",
      group: "Server",
      flag: "host",
      value: "text"
    })
  ),
  port: withDefault(whole(0, 65_535), 7860).pipe(
    field({
      title: "Port",
      description: "Port to listen on; 0 for any free one.",
      group: "Server",
      flag: "port",
      value: "integer"
    })
  ),
  insecure: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Insecure",
      description: "Allow unauthenticated access from other machines.",
      group: "Server",
      flag: "insecure",
      value: "switch"
    })
  ),
  api_auth: withDefault(Schema.Array(Credential), []).pipe(
    field({
      title: "Users",
      description:
        "Users that may sign in, as user:password pairs; without any, the variable SERENA_API_AUTH names them.",
      group: "Server",
      flag: "api-auth",
      value: "names",
      otherwise: "SERENA_API_AUTH"
    })
  ),
  api_keys: withDefault(Schema.Array(ApiKey), []).pipe(
    field({
      title: "API keys",
      description: "Keys that clients send as bearer tokens; without any, the variable SERENA_API_KEYS names them.",
      group: "Server",
      flag: "api-keys",
      value: "names",
      otherwise: "SERENA_API_KEYS"
    })
  ),
  allowed_hosts: withDefault(Schema.Array(Schema.NonEmptyString), []).pipe(
    field({
      title: "Allowed hosts",
      description:
        "Host names, besides this machine's own, under which clients without sign-in reach the server; * for all.",
      group: "Server",
      flag: "allowed-hosts",
      value: "names"
    })
  ),
  cors_allow_origins: withDefault(Schema.Array(Schema.NonEmptyString), []).pipe(
    field({
      title: "Allowed origins",
      description: "Origins whose web pages may use the API; * for all.",
      group: "Server",
      flag: "cors-allow-origins",
      value: "names"
    })
  ),
  cors_allow_origins_regex: Schema.optional(Schema.String.check(Schema.makeFilter(isRegExp))).pipe(
    field({
      title: "Allowed origins pattern",
      description: "Regular expression of more origins whose web pages may use the API.",
      group: "Server",
      flag: "cors-allow-origins-regex",
      value: "text"
    })
  ),
  tls_certfile: Schema.optional(Schema.NonEmptyString).pipe(
    field({
      title: "TLS certificate",
      description: "Certificate in PEM format, for HTTPS.",
      group: "Server",
      flag: "tls-certfile",
      value: "file"
    })
  ),
  tls_keyfile: Schema.optional(Schema.NonEmptyString).pipe(
    field({
      title: "TLS key",
      description: "Key of the certificate in PEM format.",
      group: "Server",
      flag: "tls-keyfile",
      value: "file"
    })
  ),
  concurrency: withDefault(whole(1, 64), 1).pipe(
    field({
      title: "Concurrent runs",
      description: "Runs that use the networks at the same time.",
      group: "Server",
      flag: "concurrency",
      value: "integer"
    })
  ),
  queue: withDefault(whole(0, 10_000), 32).pipe(
    field({
      title: "Queue length",
      description: "Most runs that wait for their turn.",
      group: "Server",
      flag: "queue",
      value: "integer"
    })
  ),
  max_run_seconds: withDefault(whole(0, 2_000_000), 0).pipe(
    field({
      title: "Longest run",
      description: "Time after which a run ends and returns what it has; 0 for no limit.",
      group: "Server",
      unit: "seconds",
      flag: "max-run-seconds",
      value: "integer"
    })
  ),
  max_body_bytes: withDefault(whole(1024, 2 ** 31 - 1), 256 * 2 ** 20).pipe(
    field({
      title: "Largest body",
      description: "Largest request body.",
      group: "Server",
      unit: "bytes",
      flag: "max-body-bytes",
      value: "integer"
    })
  ),
  max_header_bytes: withDefault(whole(1024, 2 ** 20), 32 * 1024).pipe(
    field({
      title: "Largest headers",
      description: "Largest request headers.",
      group: "Server",
      unit: "bytes",
      flag: "max-header-bytes",
      value: "integer"
    })
  ),
  headers_timeout: withDefault(whole(1, 3600), 20).pipe(
    field({
      title: "Headers timeout",
      description: "Time for the headers of a request to arrive.",
      group: "Server",
      unit: "seconds",
      flag: "headers-timeout",
      value: "integer"
    })
  ),
  request_timeout: withDefault(whole(1, 86_400), 300).pipe(
    field({
      title: "Request timeout",
      description: "Time for a whole request to arrive; replies may take longer.",
      group: "Server",
      unit: "seconds",
      flag: "request-timeout",
      value: "integer"
    })
  ),
  grace: withDefault(whole(0, 86_400), 20).pipe(
    field({
      title: "Shutdown grace period",
      description: "Shutdown grace period: the time that executing runs have to finish.",
      group: "Server",
      unit: "seconds",
      flag: "grace",
      value: "integer"
    })
  ),
  database: Schema.optional(Schema.NonEmptyString).pipe(
    field({
      title: "Database of runs",
      description:
        "Where runs are kept: a SQLite file, the address of a PostgreSQL database (postgres://user@host/name), " +
        "or memory, which ends with the server.",
      group: "Runs",
      flag: "database",
      value: "text",
      otherwise: "runs.sqlite in the data folder"
    })
  ),
  blobs: Schema.optional(Schema.NonEmptyString).pipe(
    field({
      title: "Files of runs",
      description: "Where the images of runs are kept: a folder, or a bucket of S3 (s3://bucket/prefix).",
      group: "Runs",
      flag: "blobs",
      value: "text",
      otherwise: "the folder blobs in the data folder"
    })
  ),
  work: Schema.optional(Schema.Boolean).pipe(
    field({
      title: "Work",
      description: "Execute the runs of the queue in this process, instead of leaving them to workers.",
      group: "Runs",
      flag: "work",
      value: "switch",
      otherwise: "on, except with PostgreSQL"
    })
  ),
  keep_days: withDefault(whole(0, 36_500), 30).pipe(
    field({
      title: "Keep for",
      description: "How long ended runs and their files are kept. Starred runs stay.",
      group: "Runs",
      unit: "days",
      flag: "keep-days",
      value: "integer"
    })
  ),
  keep_bytes: withDefault(whole(0, 2 ** 50), 10 * 2 ** 30).pipe(
    field({
      title: "Keep up to",
      description: "Most bytes of files of ended runs that are kept; the oldest go first.",
      group: "Runs",
      unit: "bytes",
      flag: "keep-bytes",
      value: "integer"
    })
  ),
  max_attempts: withDefault(whole(1, 1000), 3).pipe(
    field({
      title: "Attempts",
      description: "How many processes a run may end without finishing a batch before it fails.",
      group: "Runs",
      flag: "max-attempts",
      value: "integer"
    })
  ),
  durable_sdapi: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Keep runs of /sdapi/v1",
      description: "Keep runs of /sdapi/v1 like those of /v1: they go on without their client, and after a restart.",
      group: "Runs",
      flag: "durable-sdapi",
      value: "switch"
    })
  ),
  metrics: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Metrics",
      description: "Answer GET /metrics without sign-in, in the text format of Prometheus.",
      group: "Server",
      flag: "metrics",
      value: "switch"
    })
  ),
  options_file: Schema.optional(Schema.NonEmptyString).pipe(
    field({
      title: "Settings file",
      description: "JSON file that keeps the settings.",
      group: "Server",
      flag: "options-file",
      value: "file",
      otherwise: "settings.json in the data folder"
    })
  ),
  tags_file: Schema.optional(Schema.NonEmptyString).pipe(
    field({
      title: "Tags file",
      description: "CSV file of tags that are suggested while a prompt is typed: tag, category, count, aliases.",
      group: "Server",
      flag: "tags-file",
      value: "file",
      otherwise: "tags.csv in the data folder"
    })
  ),
  allow_url_hosts: withDefault(Schema.Array(Schema.NonEmptyString), []).pipe(
    field({
      title: "Image hosts",
      description: "Hosts from which init images may be fetched; * for all public ones.",
      group: "Server",
      flag: "allow-url-hosts",
      value: "names"
    })
  ),
  allow_downloads: Schema.optional(Schema.Boolean).pipe(
    field({
      title: "Downloads of models",
      description: "Let clients download models from public addresses into the models folder.",
      group: "Server",
      flag: "allow-downloads",
      value: "switch",
      otherwise: "on for a server that only this machine reaches, without sign-in"
    })
  ),
  max_download_bytes: withDefault(whole(1, 2 ** 50), 50e9).pipe(
    field({
      title: "Largest download",
      description: "Most bytes of a model that a client downloads.",
      group: "Server",
      unit: "bytes",
      flag: "max-download-bytes",
      value: "integer"
    })
  ),
  api_server_stop: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Remote shutdown",
      description: "Allow clients to shut down the server.",
      group: "Server",
      flag: "api-server-stop",
      value: "switch"
    })
  )
}).check(
  Schema.makeFilter(({ tls_certfile, tls_keyfile }) =>
    (tls_certfile === undefined) === (tls_keyfile === undefined) ||
    { path: [tls_certfile === undefined ? "tls_certfile" : "tls_keyfile"], issue: "certificate and key come together" }
  ),
  Schema.makeFilter(({ api_auth, api_keys, host, insecure }) =>
    isLoopback(host) || insecure || api_auth.length + api_keys.length > 0 || {
      path: ["api_auth"],
      issue:
        "a server that other machines can reach requires sign-in: add users with --api-auth user:password, keys with --api-keys, or use --insecure"
    }
  )
).annotate({ identifier: "ServerOptions" })
export type ServerSettings = typeof ServerSettings.Type

/** Whether only this machine can reach an address. */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|::1|\[::1\]|0:0:0:0:0:0:0:1)$/i.test(host)

/** What decides whether a request is answered at all. */
export interface Access {
  /** Whether requests need the credentials of a user, or a key. */
  readonly needsSignIn: boolean
  /** Whether requests for other host names are refused. */
  readonly checksHost: boolean
}

/** The access that the server options give. */
export const accessOf = (
  { allowed_hosts, api_auth, api_keys }: Pick<ServerSettings, "allowed_hosts" | "api_auth" | "api_keys">
): Access => {
  const needsSignIn = api_auth.length + api_keys.length > 0
  return { needsSignIn, checksHost: !needsSignIn && !allowed_hosts.includes("*") }
}

const decodeSettings = Schema.decodeUnknownEffect(ServerSettings, { errors: "all" })

export class ServerOptions
  extends Context.Service<ServerOptions, ServerSettings>()("serena/server/host/ServerOptions")
{
  /** Options from outside. Fails with every problem named. */
  static readonly decode = (input: unknown): Effect.Effect<ServerSettings, InvalidOptions> =>
    Effect.mapError(decodeSettings(input), ({ issue }) => new InvalidOptions({ problems: problemsOf(issue) }))

  static readonly layer = (
    options: { readonly [K in keyof ServerSettings]?: ServerSettings[K] | undefined } = {}
  ): Layer.Layer<ServerOptions, InvalidOptions> => Layer.effect(ServerOptions, ServerOptions.decode(options))
}

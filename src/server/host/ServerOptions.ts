/**
 * How a server is set up: where it listens, who may ask, how much it takes.
 *
 * Names are those of the flags. A server that others can reach needs sign-in, unless whoever starts it insists.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { problemsOf } from "../../core/Problem.ts"
import { InvalidOptions } from "../../processing/Options.ts"

const withDefault = <S extends Schema.Top & Schema.WithoutConstructorDefault>(
  schema: S,
  value: S["~type.make.in"] & S["Type"]
) =>
  schema.pipe(
    Schema.withConstructorDefault(Effect.succeed(value)),
    Schema.withDecodingDefaultType(Effect.succeed(value))
  )

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

export const ServerSettings = Schema.Struct({
  /** Address to listen on, and port; 0 for any free one. */
  host: withDefault(Schema.NonEmptyString, "127.0.0.1"),
  port: withDefault(whole(0, 65_535), 7860),
  /** Whether others than this machine may ask without signing in. */
  insecure: withDefault(Schema.Boolean, false),
  /** Who may ask: `user:password` each; none for everybody. */
  api_auth: withDefault(Schema.Array(Credential), []),
  /** Origins whose pages may ask, and a pattern for more of them; `*` for all. */
  cors_allow_origins: withDefault(Schema.Array(Schema.NonEmptyString), []),
  cors_allow_origins_regex: Schema.optional(Schema.String.check(Schema.makeFilter(isRegExp))),
  /** Certificate and key in PEM files: both, or none for plain HTTP. */
  tls_certfile: Schema.optional(Schema.NonEmptyString),
  tls_keyfile: Schema.optional(Schema.NonEmptyString),
  /** Runs at once, and requests that may wait for their turn. */
  concurrency: withDefault(whole(1, 64), 1),
  queue: withDefault(whole(0, 10_000), 32),
  /** Seconds after which a run is asked to end and give what it has; 0 for never. */
  max_run_seconds: withDefault(whole(0, 2_000_000), 0),
  /** Largest body of a request, in bytes. */
  max_body_bytes: withDefault(whole(1024, 2 ** 31 - 1), 256 * 2 ** 20),
  /** Largest block of headers, in bytes. */
  max_header_bytes: withDefault(whole(1024, 2 ** 20), 32 * 1024),
  /** Seconds for a request's headers, and for the whole request, to arrive. Answers take as long as they take. */
  headers_timeout: withDefault(whole(1, 3600), 20),
  request_timeout: withDefault(whole(1, 86_400), 300),
  /** Seconds that runs have when the server is asked to end, before they are asked to give what they have. */
  grace: withDefault(whole(0, 86_400), 20),
  /** File in which settings are kept; memory when left out. */
  options_file: Schema.optional(Schema.NonEmptyString),
  /** Hosts from which pictures may be fetched; none for no fetching. */
  allow_url_hosts: withDefault(Schema.Array(Schema.NonEmptyString), []),
  /** Whether `server-kill` and `server-stop` end the process. */
  api_server_stop: withDefault(Schema.Boolean, false)
}).check(
  Schema.makeFilter(({ tls_certfile, tls_keyfile }) =>
    (tls_certfile === undefined) === (tls_keyfile === undefined) ||
    { path: [tls_certfile === undefined ? "tls_certfile" : "tls_keyfile"], issue: "certificate and key come together" }
  ),
  Schema.makeFilter(({ api_auth, host, insecure }) =>
    isLoopback(host) || insecure || api_auth.length > 0 || {
      path: ["api_auth"],
      issue:
        "a server that others can reach needs sign-in: name users with --api-auth user:password, or insist with --insecure"
    }
  )
).annotate({ identifier: "ServerOptions" })
export type ServerSettings = typeof ServerSettings.Type

/** Whether only this machine can reach an address. */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|::1|\[::1\]|0:0:0:0:0:0:0:1)$/i.test(host)

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

/**
 * `serena serve`: its flags. What runs is loaded when it runs.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Problem, problemsOf } from "../core/Problem.ts"
import { Limits } from "../processing/Limits.ts"
import { InvalidOptions } from "../processing/Options.ts"
import { logDefects } from "./failures.ts"

const text = (name: string, metavar: string, about: string) =>
  Flag.String(name).pipe(Flag.withMetavar(`<${metavar}>`), Flag.withDescription(about), Flag.optional)

const flag = (name: string, about: string) =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDescription(about), Flag.withDefault(false))

const config = {
  host: text("host", "address", "Address to listen on (default: 127.0.0.1, this machine only)"),
  port: text("port", "integer", "Port; 0 for any free one (default: 7860)"),
  listen: flag("listen", "Listen on all addresses of this machine"),
  insecure: flag("insecure", "Let everybody ask who can reach the server, without signing in"),
  api_auth: text(
    "api-auth",
    "user:password,...",
    "Who may ask (default: SERENA_API_AUTH, or everybody on this machine)"
  ),
  cors_allow_origins: text("cors-allow-origins", "url,...", "Origins whose pages may ask; * for all (default: none)"),
  cors_allow_origins_regex: text("cors-allow-origins-regex", "pattern", "The same, as a pattern (default: none)"),
  tls_certfile: text("tls-certfile", "file", "Certificate in PEM, for HTTPS (default: none)"),
  tls_keyfile: text("tls-keyfile", "file", "Its key in PEM (default: none)"),
  concurrency: text("concurrency", "integer", "Runs at once (default: 1)"),
  queue: text("queue", "integer", "Requests that may wait for their turn (default: 32)"),
  max_run_seconds: text(
    "max-run-seconds",
    "integer",
    "Time after which a run gives what it has; 0 for none (default: 0)"
  ),
  max_width: text("max-width", "integer", "Largest width taken (default: 2048)"),
  max_height: text("max-height", "integer", "Largest height taken (default: 2048)"),
  max_batch_size: text("max-batch-size", "integer", "Largest batch taken (default: 16)"),
  max_n_iter: text("max-n-iter", "integer", "Most batches taken (default: 100)"),
  max_steps: text("max-steps", "integer", "Most steps taken (default: 150)"),
  max_total_pixels: text("max-total-pixels", "integer", "Most pixels of all pictures together (default: 268435456)"),
  max_body_bytes: text("max-body-bytes", "integer", "Largest request, in bytes (default: 268435456)"),
  max_header_bytes: text("max-header-bytes", "integer", "Largest headers, in bytes (default: 32768)"),
  headers_timeout: text("headers-timeout", "seconds", "Time for a request's headers to arrive (default: 20)"),
  request_timeout: text("request-timeout", "seconds", "Time for a whole request to arrive (default: 300)"),
  grace: text("grace", "seconds", "Time that runs have when the server ends (default: 20)"),
  options_file: text("options-file", "file", "JSON file in which settings are kept (default: none, memory only)"),
  allow_url_hosts: text(
    "allow-url-hosts",
    "host,...",
    "Hosts from which pictures may be fetched; * for all public ones (default: none)"
  ),
  api_server_stop: flag("api-server-stop", "Let clients end the server"),
  models_dir: Flag.Directory("models-dir").pipe(
    Flag.withMetavar("<folder>"),
    Flag.withDescription("Folder that holds model folders, searched before the embedded model (default: none)"),
    Flag.optional
  ),
  device: text("device", "name", "Where networks run: cpu, cuda, dml, coreml or webgpu (default: cpu)"),
  styles_file: text("styles-file", "file", "CSV file with styles (default: styles.csv)"),
  log_json: flag("log-json", "Write the log as lines of JSON")
} satisfies Command.Command.Config

const numeric = [
  "port",
  "concurrency",
  "queue",
  "max_run_seconds",
  "max_body_bytes",
  "max_header_bytes",
  "headers_timeout",
  "request_timeout",
  "grace"
] as const

const limitNames = ["max_width", "max_height", "max_batch_size", "max_n_iter", "max_steps", "max_total_pixels"] as const

const lists = ["api_auth", "cors_allow_origins", "allow_url_hosts"] as const
const texts = ["cors_allow_origins_regex", "tls_certfile", "tls_keyfile", "options_file"] as const

const devices = ["cpu", "cuda", "dml", "coreml", "webgpu"] as const

const itemsOf = (list: string): ReadonlyArray<string> =>
  list.split(",").map((item) => item.trim()).filter((item) => item !== "")

const named = ({ message, path }: Problem): Problem => {
  const [name = "", ...rest] = path.split(".")
  return { path: [name in config ? `--${name.replaceAll("_", "-")}` : name, ...rest].join("."), message }
}

type Input = Command.Command.Config.Infer<typeof config>

const toNumber = (text: string): number => text.trim() === "" ? NaN : Number(text)

const decodeLimits = Schema.decodeUnknownEffect(Limits, { errors: "all" })

// The limits that the flags name, over the defaults.
const limitsOf = (input: Input) =>
  Effect.mapError(
    decodeLimits(Object.fromEntries(limitNames.flatMap((name) => {
      const value = input[name]
      return Option.isSome(value) ? [[name, toNumber(value.value)]] : []
    }))),
    ({ issue }) => problemsOf(issue)
  )

/** What the flags say, in the words of the server's options. */
const written = (input: Input): Readonly<Record<string, unknown>> => {
  const given: Record<string, unknown> = { insecure: input.insecure, api_server_stop: input.api_server_stop }
  if (Option.isSome(input.host)) given["host"] = input.host.value
  else if (input.listen) given["host"] = "0.0.0.0"
  for (const name of numeric) {
    const value = input[name]
    if (Option.isSome(value)) given[name] = toNumber(value.value)
  }
  for (const name of lists) {
    const value = input[name]
    if (Option.isSome(value)) given[name] = itemsOf(value.value)
  }
  for (const name of texts) {
    const value = input[name]
    if (Option.isSome(value)) given[name] = value.value
  }
  const environment = process.env["SERENA_API_AUTH"]
  if (Option.isNone(input.api_auth) && environment !== undefined) given["api_auth"] = itemsOf(environment)
  return given
}

/** The command. */
export const serve = Command.make(
  "serve",
  config,
  Effect.fnUntraced(function*(input) {
    const [{ launch }, { ServerOptions }] = yield* Effect.promise(() =>
      Promise.all([import("../server/launch.ts"), import("../server/host/ServerOptions.ts")])
    )
    const device = Option.match(input.device, {
      onNone: () => "cpu" as const,
      onSome: (name) => devices.find((known) => known === name)
    })
    const server = yield* Effect.result(ServerOptions.decode(written(input)))
    const limits = yield* Effect.result(limitsOf(input))
    const problems = [
      ...(Result.isFailure(server) ? server.failure.problems : []),
      ...(Result.isFailure(limits) ? limits.failure : []),
      ...(device === undefined ? [{ path: "device", message: `expected one of ${devices.join(", ")}` }] : [])
    ]
    if (Result.isFailure(server) || Result.isFailure(limits) || device === undefined) {
      return yield* new InvalidOptions({ problems: problems.map(named) })
    }
    yield* launch({
      server: server.success,
      logJson: input.log_json,
      cmdOpts: {
        device,
        limits: limits.success,
        ...(Option.isSome(input.models_dir) && { modelsDir: input.models_dir.value }),
        ...(Option.isSome(input.styles_file) && { stylesFile: input.styles_file.value })
      }
    }).pipe(
      Effect.catchTag("ServeError", ({ cause }) =>
        Effect.fail(
          new InvalidOptions({
            problems: [{ path: "--port", message: cause instanceof Error ? cause.message : String(cause) }]
          })
        ))
    )
  }, logDefects)
).pipe(
  Command.withDescription("Serve the studio, a page in the browser, and two HTTP APIs"),
  Command.withExamples([
    { command: "serena serve", description: "For programs on this machine, at http://127.0.0.1:7860" },
    {
      command: "serena serve --options-file settings.json --models-dir ~/models",
      description: "With settings that are kept"
    },
    { command: "SERENA_API_AUTH=ada:secret serena serve --listen", description: "For others, who sign in" }
  ])
)

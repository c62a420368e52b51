/**
 * `serena serve`: its flags. The server's modules are loaded when it runs.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Path from "effect/Path"
import { ServerOptions, ServerSettings } from "../server/host/ServerOptions.ts"
import { logDefects } from "./failures.ts"
import { helpOf, notNumbers, tableOf, toFlags, toNames, written } from "./Flags.ts"
import { ofPlaces, settled, wrong } from "./processCommand.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { observe } from "./telemetry.ts"

const switches = ["insecure", "api_server_stop"]

const all = tableOf(ServerSettings, ServerSettings.make({}))
const table = tableOf(ServerSettings, ServerSettings.make({}), switches)

const on = (name: string) =>
  Flag.Boolean(name.replaceAll("_", "-")).pipe(
    Flag.withoutNegation,
    Flag.withDescription(all[name] === undefined ? "" : helpOf({ ...all[name], isNegatable: false })),
    Flag.withDefault(false)
  )

const config = {
  server: toFlags(table),
  listen: Flag.Boolean("listen").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Listen on all addresses of this machine (default: off)"),
    Flag.withDefault(false)
  ),
  insecure: on("insecure"),
  api_server_stop: on("api_server_stop"),
  ...ProcessFlags.config,
  log_json: ProcessFlags.logJson
} satisfies Command.Command.Config

type Input = Command.Command.Config.Infer<typeof config>

/** The flags as options of the server. */
const serverOptions = (input: Input): Readonly<Record<string, unknown>> => {
  const given = written(input.server, table)
  const { SERENA_API_AUTH: users, SERENA_API_KEYS: keys } = process.env
  return {
    ...(input.listen && { host: "0.0.0.0" }),
    ...(users !== undefined && { api_auth: toNames(users) }),
    ...(keys !== undefined && { api_keys: toNames(keys) }),
    ...given,
    insecure: input.insecure,
    api_server_stop: input.api_server_stop
  }
}

/** The settings file in the data folder; none without such a folder. */
export const settingsFile = Effect.fnUntraced(function*(dataDir: string | undefined) {
  const path = yield* Path.Path
  return dataDir === undefined ? undefined : path.join(dataDir, "settings.json")
})

/** The command. */
export const serve = Command.make(
  "serve",
  config,
  Effect.fnUntraced(function*(input) {
    const decoded = ServerOptions.decode(serverOptions(input))
    const hasFile = Effect.match(decoded, {
      onFailure: () => false,
      onSuccess: ({ options_file }) => options_file !== undefined
    })
    const { own: server, setup } = yield* settled(
      decoded,
      Effect.flatMap(hasFile, (hasFile) => ProcessFlags.decode(input, { keeps: !hasFile })),
      { notNumbers: notNumbers(input.server, table), table: all }
    )
    const { launch } = yield* Effect.promise(() => import("../server/launch.ts"))
    const { cmdOpts, options, otlpEndpoint } = setup
    const options_file = server.options_file ?? (yield* settingsFile(cmdOpts.dataDir))
    const telemetry = yield* observe(otlpEndpoint, { counts: server.metrics })
    yield* launch({
      server: { ...server, options_file },
      logJson: input.log_json,
      cmdOpts,
      options,
      hooks: telemetry.hooks
    }).pipe(
      Effect.provide(telemetry.layer),
      Effect.catchTags({
        ServeError: ({ cause }) => wrong("--port", cause instanceof Error ? cause.message : String(cause)),
        ...ofPlaces
      })
    )
  }, logDefects)
).pipe(
  Command.withDescription("Serve the studio, a page in the browser, and two HTTP APIs"),
  Command.withExamples([
    { command: "serena serve", description: "For programs on this machine, at http://127.0.0.1:7860" },
    {
      command: "serena serve --data-dir ~/serena --models-dir ~/models",
      description: "With folders of its own for settings and models"
    },
    { command: "SERENA_API_AUTH=ada:secret serena serve --listen", description: "For other machines, with users" }
  ])
)

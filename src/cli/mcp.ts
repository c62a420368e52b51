/**
 * `serena mcp`: its flags. The server's modules are loaded when it runs.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as McpOptions from "../server/host/McpOptions.ts"
import { logDefects } from "./failures.ts"
import { notNumbers, tableOf, toFlags, written } from "./Flags.ts"
import { ofPlaces, settled } from "./processCommand.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { settingsFile } from "./serve.ts"
import { observe } from "./telemetry.ts"

const table = tableOf(McpOptions.McpSettings, McpOptions.McpSettings.make({}))

const config = {
  server: toFlags(table),
  ...ProcessFlags.config,
  log_json: ProcessFlags.logJson
} satisfies Command.Command.Config

/** The command. */
export const mcp = Command.make(
  "mcp",
  config,
  Effect.fnUntraced(function*(input) {
    const { own: server, setup } = yield* settled(
      McpOptions.decode(written(input.server, table)),
      ProcessFlags.decode(input, { keeps: true }),
      { notNumbers: notNumbers(input.server, table), table }
    )
    const { serveStdio } = yield* Effect.promise(() => import("../server/mcp.ts"))
    const { cmdOpts, options, otlpEndpoint } = setup
    const options_file = server.options_file ?? (yield* settingsFile(cmdOpts.dataDir))
    const telemetry = yield* observe(otlpEndpoint)
    yield* serveStdio({
      server: { ...server, options_file },
      logJson: input.log_json,
      cmdOpts,
      options,
      hooks: telemetry.hooks
    }).pipe(
      Effect.provide(telemetry.layer),
      Effect.catchTags(ofPlaces)
    )
  }, logDefects)
).pipe(
  Command.withDescription(
    "Offer image tools to clients of the Model Context Protocol, which start this command themselves"
  ),
  Command.withExamples([
    { command: "serena mcp", description: "On standard input and output; `serena serve` answers at /mcp over HTTP" },
    { command: "serena mcp --models-dir ~/models --model my-model", description: "With models of your own" }
  ])
)

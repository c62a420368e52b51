/**
 * `serena mcp`: its flags. The server's modules are loaded when it runs.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"
import { InvalidOptions } from "../processing/Options.ts"
import * as McpOptions from "../server/host/McpOptions.ts"
import { logDefects } from "./failures.ts"
import { byFlag, notNumbers, tableOf, toFlags, written } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { settingsFile } from "./serve.ts"
import { observe } from "./telemetry.ts"

const table = tableOf(McpOptions.McpSettings, McpOptions.McpSettings.make({}))

const config = {
  server: toFlags(table),
  ...ProcessFlags.config,
  log_json: ProcessFlags.logJson
} satisfies Command.Command.Config

const wrong = (path: string, message: string) => Effect.fail(new InvalidOptions({ problems: [{ path, message }] }))

/** The command. */
export const mcp = Command.make(
  "mcp",
  config,
  Effect.fnUntraced(function*(input) {
    const server = yield* Effect.result(McpOptions.decode(written(input.server, table)))
    const setup = yield* Effect.result(ProcessFlags.decode(input, { keeps: true }))
    const problems: ReadonlyArray<Problem> = [
      ...notNumbers(input.server, table),
      ...(Result.isFailure(server) ? server.failure.problems : []),
      ...(Result.isFailure(setup) ? setup.failure : [])
    ]
    if (Result.isFailure(server) || Result.isFailure(setup) || problems.length > 0) {
      return yield* new InvalidOptions({ problems: problems.map(byFlag({ ...ProcessFlags.table, ...table })) })
    }
    const { serveStdio } = yield* Effect.promise(() => import("../server/mcp.ts"))
    const { cmdOpts, options, otlpEndpoint } = setup.success
    const options_file = server.success.options_file ?? (yield* settingsFile(cmdOpts.dataDir))
    const telemetry = yield* observe(otlpEndpoint)
    yield* serveStdio({
      server: { ...server.success, options_file },
      logJson: input.log_json,
      cmdOpts,
      options,
      hooks: telemetry.hooks
    }).pipe(
      Effect.provide(telemetry.layer),
      Effect.catchTags({
        RunStoreError: ({ message }) => wrong("--database", message),
        BlobError: ({ message }) => wrong("--blobs", message)
      })
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

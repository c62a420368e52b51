/**
 * How the tools of the Model Context Protocol are set up as a process: a server's options without those of listening.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { problemsOf } from "../../core/Problem.ts"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"
import { ServerSettings } from "./ServerOptions.ts"

const { blobs, concurrency, database, grace, keep_bytes, keep_days, max_attempts, max_run_seconds, options_file } =
  ServerSettings.fields

export const McpSettings = Schema.Struct({
  database,
  blobs,
  concurrency,
  max_run_seconds,
  max_attempts,
  keep_days,
  keep_bytes,
  options_file,
  grace
}).annotate({ identifier: "McpOptions" })
export type McpSettings = typeof McpSettings.Type

const decodeSettings = Schema.decodeUnknownEffect(McpSettings, { errors: "all" })

/** Options from outside. Fails with every problem named. */
export const decode = (input: unknown): Effect.Effect<McpSettings, InvalidOptions> =>
  Effect.mapError(decodeSettings(input), ({ issue }) => new InvalidOptions({ problems: problemsOf(issue) }))

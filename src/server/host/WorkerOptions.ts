/**
 * How a worker is set up: which runs it takes, how many, and how it ends.
 *
 * Names are those of the flags; those that a server has too mean the same.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Label } from "../../contract/Run.ts"
import { field } from "../../core/Field.ts"
import { problemsOf } from "../../core/Problem.ts"
import { withDefault } from "../../core/Schemas.ts"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"
import { ServerSettings } from "./ServerOptions.ts"

const { blobs, concurrency, database, max_attempts, max_run_seconds } = ServerSettings.fields

export const WorkerSettings = Schema.Struct({
  database,
  blobs,
  labels: withDefault(Schema.Array(Label), []).pipe(
    field({
      title: "Labels",
      description: "What runs can require of their worker, such as gpu or site=eu.",
      group: "Runs",
      flag: "label",
      value: "words"
    })
  ),
  concurrency,
  max_attempts,
  max_run_seconds,
  grace: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 86_400 })), 240).pipe(
    field({
      title: "Shutdown grace period",
      description: "Shutdown grace period: the time that the batch in work has to finish before its run is given back.",
      group: "Server",
      unit: "seconds",
      flag: "grace",
      value: "integer"
    })
  )
}).check(
  Schema.makeFilter(({ database }) =>
    database !== "memory" || {
      path: ["database"],
      issue: "a worker shares its database with a server: name a SQLite file or a PostgreSQL database"
    }
  )
).annotate({ identifier: "WorkerOptions" })
export type WorkerSettings = typeof WorkerSettings.Type

const decodeSettings = Schema.decodeUnknownEffect(WorkerSettings, { errors: "all" })

/** Options from outside. Fails with every problem named. */
export const decode = (input: unknown): Effect.Effect<WorkerSettings, InvalidOptions> =>
  Effect.mapError(decodeSettings(input), ({ issue }) => new InvalidOptions({ problems: problemsOf(issue) }))

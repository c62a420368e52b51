/**
 * `serena worker`: its flags. The worker's modules are loaded when it runs.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"
import { InvalidOptions } from "../processing/Options.ts"
import * as WorkerOptions from "../server/host/WorkerOptions.ts"
import { logDefects } from "./failures.ts"
import { byFlag, notNumbers, tableOf, toFlags, written } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { observe } from "./telemetry.ts"

const table = tableOf(WorkerOptions.WorkerSettings, WorkerOptions.WorkerSettings.make({}))

const config = {
  worker: toFlags(table),
  ...ProcessFlags.workerConfig,
  log_json: ProcessFlags.logJson
} satisfies Command.Command.Config

const wrong = (path: string, message: string) => Effect.fail(new InvalidOptions({ problems: [{ path, message }] }))

/** The command. */
export const worker = Command.make(
  "worker",
  config,
  Effect.fnUntraced(function*(input) {
    const decoded = yield* Effect.result(WorkerOptions.decode(written(input.worker, table)))
    const setup = yield* Effect.result(ProcessFlags.decode(input, { keeps: true }))
    const problems: ReadonlyArray<Problem> = [
      ...notNumbers(input.worker, table),
      ...(Result.isFailure(decoded) ? decoded.failure.problems : []),
      ...(Result.isFailure(setup) ? setup.failure : [])
    ]
    if (Result.isFailure(decoded) || Result.isFailure(setup) || problems.length > 0) {
      return yield* new InvalidOptions({ problems: problems.map(byFlag({ ...ProcessFlags.table, ...table })) })
    }
    const { work } = yield* Effect.promise(() => import("../server/work.ts"))
    const { cmdOpts, otlpEndpoint } = setup.success
    const telemetry = yield* observe(otlpEndpoint)
    yield* work({
      worker: decoded.success,
      logJson: input.log_json,
      cmdOpts,
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
  Command.withDescription("Make the images of runs that servers accept, from a database that it shares with them"),
  Command.withExamples([
    {
      command: "serena worker --database postgres://serena@db.example/serena --blobs s3://serena/runs",
      description: "One of many machines"
    },
    {
      command: "serena worker --database postgres://serena@db.example/serena --blobs /mnt/runs --label gpu " +
        "--label site=eu",
      description: "For runs that require these labels too"
    },
    { command: "serena worker", description: "One more process next to `serena serve` on this machine" }
  ])
)

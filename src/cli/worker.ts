/**
 * `serena worker`: its flags. The worker's modules are loaded when it runs.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as WorkerOptions from "../server/host/WorkerOptions.ts"
import { logDefects } from "./failures.ts"
import { notNumbers, tableOf, toFlags, written } from "./Flags.ts"
import { ofPlaces, settled } from "./processCommand.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { observe } from "./telemetry.ts"

const table = tableOf(WorkerOptions.WorkerSettings, WorkerOptions.WorkerSettings.make({}))

const config = {
  worker: toFlags(table),
  ...ProcessFlags.workerConfig,
  log_json: ProcessFlags.logJson
} satisfies Command.Command.Config

/** The command. */
export const worker = Command.make(
  "worker",
  config,
  Effect.fnUntraced(function*(input) {
    const { own, setup } = yield* settled(
      WorkerOptions.decode(written(input.worker, table)),
      ProcessFlags.decode(input, { keeps: true }),
      { notNumbers: notNumbers(input.worker, table), table }
    )
    const { work } = yield* Effect.promise(() => import("../server/work.ts"))
    const { cmdOpts, otlpEndpoint } = setup
    const telemetry = yield* observe(otlpEndpoint)
    yield* work({
      worker: own,
      logJson: input.log_json,
      cmdOpts,
      hooks: telemetry.hooks
    }).pipe(
      Effect.provide(telemetry.layer),
      Effect.catchTags(ofPlaces)
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

/**
 * A worker as a process: it takes runs from a database that it shares with servers, makes their images, and puts them
 * where all of them find them. It listens nowhere.
 */
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Dispatcher, thisWorker } from "../runs/Dispatcher.ts"
import { RunStore } from "../runs/RunStore.ts"
import * as Stores from "../runs/Stores.ts"
import { offeredModels } from "./host/offeredModels.ts"
import type { WorkerSettings } from "./host/WorkerOptions.ts"
import { layerLog, layerMachine, type MachineOptions, untilSignal, warnOfModels } from "./process.ts"

export interface WorkOptions extends Omit<MachineOptions, "options"> {
  readonly worker: WorkerSettings
  /** Whether lines of the log are JSON. */
  readonly logJson: boolean
}

/** The worker with the models of this machine. */
const layer = ({ cmdOpts, hooks, worker }: WorkOptions) =>
  Layer.unwrap(Effect.map(offeredModels, ({ loaded, models }) =>
    Dispatcher.layer({
      slots: worker.concurrency,
      takesAny: true,
      saves: !Stores.isShared(worker.database),
      maxRunSeconds: worker.max_run_seconds,
      maxStrikes: worker.max_attempts,
      worker: { ...thisWorker(), labels: worker.labels },
      models,
      loaded,
      // Servers remove old runs: they know how long each is kept.
      keep: undefined,
      keepInMemory: { runs: 0, time: 0, bytes: 0 },
      made: () => Effect.void
    }))).pipe(
      Layer.provideMerge(
        Stores.layer({ database: worker.database, blobs: worker.blobs, dataDir: cmdOpts.dataDir, follows: false })
      ),
      Layer.provideMerge(layerMachine({ cmdOpts, hooks }))
    )

/**
 * Takes runs until a signal. Then it finishes the batch in work, gives the rest of its run back for others, and ends.
 */
export const work = Effect.fn("work")(
  (options: WorkOptions) =>
    untilSignal(
      Effect.tap(Layer.build(layer(options)), (context) => Effect.provideContext(warnOfModels, context)),
      Effect.fnUntraced(function*(context, stopped) {
        const { drain, name } = Context.get(context, Dispatcher)
        yield* Console.log(`Worker ${name} takes runs from ${Context.get(context, RunStore).where}`)
        yield* stopped
        const { grace } = options.worker
        yield* Console.error(
          `Stopping. The batch in work has ${grace} seconds to finish; a second signal exits at once.`
        )
        yield* drain(grace * 1000)
      })
    ),
  Effect.scoped,
  (effect, { logJson }) => Effect.provide(effect, layerLog(logJson))
)

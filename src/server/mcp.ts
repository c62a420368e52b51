/**
 * The tools of the Model Context Protocol as a process: a client starts it, and speaks with it over standard input and
 * output. Nothing else is written to standard output.
 */
import * as McpServer from "effect/ai/McpServer"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { Stdio } from "effect/Stdio"
import * as Stream from "effect/Stream"
import { isAbsolute, join, resolve } from "node:path"
import { Options } from "../processing/Options.ts"
import { RunStore } from "../runs/RunStore.ts"
import * as Stores from "../runs/Stores.ts"
import type { McpSettings } from "./host/McpOptions.ts"
import { RunQueue } from "./host/RunQueue.ts"
import { ServerOptions } from "./host/ServerOptions.ts"
import * as Registrations from "./mcp/Registrations.ts"
import { ToolImages } from "./mcp/ToolImages.ts"
import { layerLog, layerMachine, type MachineOptions, untilSignal, warnOfModels } from "./process.ts"
import * as Server from "./Server.ts"
import { layerServices } from "./v1/Handlers.ts"

export interface McpOptions extends MachineOptions {
  readonly server: McpSettings
  /** Whether lines of the log are JSON. */
  readonly logJson: boolean
}

/** The services of a server that listens nowhere, with the models of this machine. */
const layer = ({ server, ...machine }: McpOptions) =>
  ToolImages.layer({ files: true }).pipe(
    Layer.provideMerge(layerServices),
    Layer.provideMerge(Server.layerServices),
    Layer.provideMerge(
      Stores.layer({ database: server.database, blobs: server.blobs, dataDir: machine.cmdOpts.dataDir })
    ),
    Layer.provideMerge(Layer.merge(layerMachine(machine), ServerOptions.layer(server)))
  )

// A client starts its servers in a folder of its own choice, often one that cannot be written.
const saveInDataFolder = Effect.fnUntraced(function*({ cmdOpts: { dataDir }, options = {} }: McpOptions) {
  const { set, snapshot } = yield* Options
  if (dataDir === undefined) return
  const folders = Object.entries(yield* snapshot).flatMap(([name, folder]) =>
    name.startsWith("outdir_") && typeof folder === "string" && folder !== "" && !isAbsolute(folder)
      ? [[name, Object.hasOwn(options, name) ? resolve(folder) : join(dataDir, folder)]]
      : []
  )
  yield* Effect.orDie(set(Object.fromEntries(folders)))
})

/**
 * Answers the client until it closes standard input, or a signal. What it asked for before has the grace period; then
 * it is cancelled.
 */
export const serveStdio = Effect.fn("serveStdio")(
  (options: McpOptions) =>
    untilSignal(
      Effect.tap(
        Layer.build(layer(options)),
        (context) => Effect.provideContext(Effect.andThen(saveInDataFolder(options), warnOfModels), context)
      ),
      Effect.fnUntraced(function*(context, stopped) {
        const stdio = yield* Stdio
        const { grace } = options.server
        const closed = yield* Deferred.make<void>()
        const input = Stream.ensuring(stdio.stdin, Deferred.succeed(closed, undefined))
        const answering = McpServer.layerStdio({ ...Registrations.about, registrations: Registrations.layer }).pipe(
          Layer.provide(Layer.succeed(Stdio, { ...stdio, stdin: input })),
          Layer.orDie
        )
        // It is interrupted by the server itself once the last answer is written.
        const answers = yield* Effect.forkScoped(Effect.provideContext(Layer.launch(answering), context))
        const { outlives, where } = Context.get(context, RunStore)
        yield* Console.error(
          "Serena answers a client of the Model Context Protocol on standard input and output.\n" +
            (outlives ? `Runs are kept in ${where}` : "Runs are in memory only and end with the process.")
        )
        yield* Effect.raceFirst(
          stopped,
          Effect.andThen(Deferred.await(closed), Effect.timeoutOption(Fiber.await(answers), grace * 1000))
        )
        // Calls that are left cancel their runs.
        yield* Fiber.interrupt(answers)
        yield* Context.get(context, RunQueue).drain(0)
      })
    ),
  Effect.scoped,
  (effect, { logJson }) => Effect.provide(effect, layerLog(logJson))
)

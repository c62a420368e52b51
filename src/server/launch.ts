/**
 * The server as a process, from its options to its shutdown.
 */
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { Options } from "../processing/Options.ts"
import { RunStore } from "../runs/RunStore.ts"
import * as Stores from "../runs/Stores.ts"
import { Lifetime } from "./host/Lifetime.ts"
import { ModelTitles } from "./host/ModelTitles.ts"
import { ServerOptions, type ServerSettings } from "./host/ServerOptions.ts"
import * as StudioFiles from "./host/StudioFiles.ts"
import * as Mcp from "./mcp/Routes.ts"
import * as OpenAi from "./openai/Routes.ts"
import { layerLog, layerMachine, type MachineOptions, untilSignal, warnOfModels } from "./process.ts"
import * as Reference from "./Reference.ts"
import * as Scrape from "./Scrape.ts"
import * as Server from "./Server.ts"
import * as V1 from "./v1/Routes.ts"

export interface LaunchOptions extends MachineOptions {
  readonly server: ServerSettings
  /** Whether lines of the log are JSON. */
  readonly logJson: boolean
}

/** The server with the models, files and image codecs of this machine. */
export const layer = ({ server, ...machine }: Omit<LaunchOptions, "logJson">) =>
  Server.layer(
    Layer.mergeAll(
      V1.layer,
      OpenAi.layer,
      Mcp.layer,
      Reference.layer,
      StudioFiles.layer,
      server.metrics ? Scrape.layer : Layer.empty
    ),
    Stores.layer({ database: server.database, blobs: server.blobs, dataDir: machine.cmdOpts.dataDir })
  ).pipe(
    Layer.provideMerge(Layer.merge(layerMachine(machine), ServerOptions.layer(server)))
  )

/** Listens until a signal or a permitted client shuts the server down, then waits for executing runs. */
export const launch = Effect.fn("launch")(
  (options: LaunchOptions) =>
    untilSignal(
      Effect.tap(Layer.build(layer(options)), (context) => Effect.provideContext(warnOfModels, context)),
      Effect.fnUntraced(function*(context, stopped) {
        const { address } = Context.get(context, HttpServer)
        const port = address._tag === "UnixPathAddress" ? options.server.port : address.port
        const scheme = options.server.tls_certfile === undefined ? "http" : "https"
        const host = options.server.host.includes(":")
          ? `[${options.server.host.replaceAll(/[[\]]/g, "")}]`
          : options.server.host
        const { options_file } = options.server
        const settings = options_file === undefined
          ? "Settings are in memory only and end with the server."
          : `Settings are kept in ${Context.get(context, Path.Path).resolve(options_file)}`
        const { outlives, where } = Context.get(context, RunStore)
        const runs = outlives ? `Runs are kept in ${where}` : "Runs are in memory only and end with the server."
        yield* Console.log(`Serena listens on ${scheme}://${host}:${port}\n${settings}\n${runs}`)
        // Model titles show a hash once it is known.
        const { sd_model_checkpoint } = yield* Context.get(context, Options).snapshot
        yield* Effect.forkScoped(Context.get(context, ModelTitles).learn(sd_model_checkpoint))
        yield* Effect.raceFirst(stopped, Context.get(context, Lifetime).ended)
        yield* Console.error(
          `Stopping. Executing runs have ${options.server.grace} seconds to finish; a second signal exits at once.`
        )
      })
    ),
  Effect.scoped,
  (effect, { logJson }) => Effect.provide(effect, layerLog(logJson))
)

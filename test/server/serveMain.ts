/**
 * `serena serve` by itself, as a process.
 */
import * as NodeChildProcessSpawner from "@effect/platform-node/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LogToStderr } from "effect/Logger"
import { type CommandError, exitCode, report } from "../../src/cli/failures.ts"
import { serve } from "../../src/cli/serve.ts"

const layer = Layer.mergeAll(
  NodeChildProcessSpawner.layer,
  NodeStdio.layer,
  NodeTerminal.layer,
  Layer.succeed(LogToStderr, true)
).pipe(Layer.provideMerge(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)))

process.exitCode = await Effect.runPromise(
  Command.runWith(serve, { version: "test" })(process.argv.slice(2)).pipe(
    Effect.as(0),
    Effect.catch((error: CommandError) => Effect.as(report(error), exitCode(error))),
    Effect.provide(layer)
  )
)

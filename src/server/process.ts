/**
 * What `serena serve`, `serena worker` and `serena mcp` have in common as processes: the services of their machine,
 * their log, and the signals that end them.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import { emptyFolders, unusableModels } from "../models/ModelFiles.ts"
import type { CommandOptions } from "../processing/CommandOptions.ts"
import type { OptionsPatch } from "../processing/OptionsSnapshot.ts"
import { type HookSet, RunnerHooks } from "../runner/RunnerHooks.ts"
import * as Serena from "../Serena.ts"

export interface MachineOptions {
  readonly cmdOpts: Partial<CommandOptions["Service"]>
  /** Settings to start with. They go over those of the settings file, and are not saved in it. */
  readonly options?: OptionsPatch | undefined
  /** Observers of every run. */
  readonly hooks?: ReadonlyArray<HookSet> | undefined
}

/** The models, files and image codecs of this machine. */
export const layerMachine = ({ cmdOpts, hooks = [], options }: MachineOptions) =>
  Layer.mergeAll(
    Serena.layer({ cmdOpts, options, hooks: RunnerHooks.layer(...hooks) }),
    ImageDecoder.layer,
    ImageEncoder.layer,
    NodeFileSystem.layer,
    NodePath.layer
  )

/** Warns of what is in the models folders and does not load, or that nothing is. */
export const warnOfModels = Effect.gen(function*() {
  const empty = yield* emptyFolders
  if (empty !== undefined) yield* Effect.logWarning(empty)
  for (const { message, path } of yield* unusableModels) yield* Effect.logWarning(`Not used: ${path} (${message}).`)
})

const textLines = Logger.withConsoleError(Logger.formatLogFmt)

/** The log on standard error. Each entry is one line, so that a request takes one line. */
export const layerLog = (isJson: boolean) => Logger.layer([isJson ? Logger.consoleJson : textLines])

// Milliseconds in which signals count as one: npm forwards the Ctrl-C that the terminal also sends to this process.
const samePress = 200

// Waits for the first signal. Later ones have their default effect.
const signal = Effect.callback<void>((resume) => {
  const silence = () => {
    process.off("SIGINT", listen)
    process.off("SIGTERM", listen)
  }
  const listen = () => {
    resume(Effect.void)
    setTimeout(silence, samePress).unref()
  }
  process.on("SIGINT", listen)
  process.on("SIGTERM", listen)
})

/**
 * Starts a process, and gives what was started to `use` with a wait for the signal that ends it. Signals are heard from
 * the beginning, as clients reach a server before its start has ended: one that comes during the start ends it.
 */
export const untilSignal = <A, E, R, E2, R2>(
  start: Effect.Effect<A, E, R>,
  use: (started: A, stopped: Effect.Effect<void>) => Effect.Effect<void, E2, R2>
): Effect.Effect<void, E | E2, R | R2 | Scope.Scope> =>
  Effect.gen(function*() {
    const heard = yield* Effect.forkScoped(signal, { startImmediately: true })
    const stopped = Fiber.join(heard)
    const started = yield* Effect.raceFirst(Effect.asSome(start), Effect.as(stopped, Option.none<A>()))
    if (Option.isSome(started)) yield* use(started.value, stopped)
  })

/**
 * What `serena serve` and `serena worker` have in common as processes: their log, and the signals that end them.
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { emptyFolders, unusableModels } from "../models/ModelFiles.ts"

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

/** Waits for the first signal. Later ones have their default effect. */
export const signal = Effect.callback<void>((resume) => {
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

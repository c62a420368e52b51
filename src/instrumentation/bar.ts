/**
 * A bar of progress as text.
 */
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stdio from "effect/Stdio"

/** Detects a terminal with Effect's own check on standard error. A provided value is used as is. */
export const capabilities = Effect.fnUntraced(function*(stdio: Stdio.Stdio) {
  const given = Context.getOrUndefined(yield* Effect.context(), TerminalCapabilities.TerminalCapabilities)
  if (given !== undefined) return given
  const context = yield* Layer.build(TerminalCapabilities.layer).pipe(
    Effect.provideService(Stdio.Stdio, { ...stdio, stdoutIsTerminal: stdio.stderrIsTerminal })
  )
  return Context.get(context, TerminalCapabilities.TerminalCapabilities)
}, Effect.scoped)

/** Erases the rest of a terminal's line. */
export const eraseToEnd = "\u001B[K"

/** A bar for a share of 0 to 1, and what there is to say, within the terminal's columns. */
export const drawBar = (share: number, details: ReadonlyArray<string>, columns: number, color: boolean): string => {
  const text = [percent(share).padStart(4), ...details].join("  ")
  const width = Math.min(30, columns - text.length - 3)
  if (width < 5) return text.slice(0, Math.max(0, columns - 1))
  const filled = Math.round(share * width)
  const done = "━".repeat(filled)
  const rest = width - filled
  // Without colours the two parts must differ in shape.
  return color
    ? `\u001B[36m${done}\u001B[90m${"━".repeat(rest)}\u001B[0m  ${text}`
    : `${done}${"┈".repeat(rest)}  ${text}`
}

export const percent = (share: number): string => `${Math.floor(share * 100)}%`

/** `1:05` or `2:01:05`; seconds are rounded up. */
export const formatDuration = (seconds: number): string => {
  const whole = Math.ceil(seconds)
  const minutes = Math.floor(whole / 60)
  const rest = String(whole % 60).padStart(2, "0")
  return minutes < 60
    ? `${minutes}:${rest}`
    : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`
}

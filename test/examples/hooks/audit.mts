// audit.mts
import { Cause, DateTime, Effect, FileSystem } from "effect"
import type { HookSet } from "serena-runtime"
import { RuntimeContext } from "serena-runtime"

/** Appends one line of JSON for each run, including runs that fail or are interrupted. */
export const makeAudit = Effect.fn("makeAudit")(function*(file: string): Effect.fn.Return<
  HookSet,
  never,
  FileSystem.FileSystem
> {
  const fs = yield* FileSystem.FileSystem

  const append = Effect.fnUntraced(function*(entry: object) {
    const { state } = yield* RuntimeContext
    const at = DateTime.formatIso(yield* DateTime.now)
    yield* fs.writeFileString(file, `${JSON.stringify({ at, run: state.runId, ...entry })}\n`, { flag: "a" })
  }, Effect.orDie)

  return {
    onFinalize: ({ processing }, { images }) =>
      append({ outcome: "done", prompt: processing.prompt, seeds: images.map(({ seed }) => seed) }),
    around: (stage, effect) =>
      Effect.onError(effect, (cause) =>
        append(
          Cause.hasInterruptsOnly(cause)
            ? { outcome: "interrupted", stage }
            : { outcome: "failed", stage, error: String(Cause.squash(cause)) }
        ))
  }
})

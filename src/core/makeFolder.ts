/**
 * Makes folders.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"

/**
 * Makes a folder and those above it, and returns those that were missing. Fails for a file that has its name.
 *
 * One at a time: asked for all of them at once, Node tries without end where none can be made, as in /proc.
 */
export const makeFolder = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  path: Path.Path,
  dir: string
): Effect.fn.Return<ReadonlyArray<string>, PlatformError.PlatformError> {
  const isThere = (dir: string) =>
    fs.stat(dir).pipe(
      Effect.flatMap(({ type }) => type === "Directory" ? Effect.void : fs.makeDirectory(dir)),
      Effect.as(true),
      Effect.catchIf(({ reason }) => reason._tag === "NotFound", () => Effect.succeed(false))
    )
  const missing: Array<string> = []
  for (let at = dir; !(yield* isThere(at)); at = path.dirname(at)) {
    missing.push(at)
    if (path.dirname(at) === at) break
  }
  for (const folder of missing.toReversed()) {
    // Another process may have been faster.
    yield* Effect.catchIf(fs.makeDirectory(folder), ({ reason }) => reason._tag === "AlreadyExists", () => Effect.void)
  }
  return missing
})

/**
 * Replaces files whole: a reader finds either the old content or the new.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as FileLock from "./FileLock.ts"

/** Milliseconds between two looks at a file that another process is changing, and how many. */
const look = { every: 20, times: 500 }

/**
 * Does what reads a file and replaces it while no other process does the same: waits for those that do. Fails with
 * `FileInUse` when that takes more than ten seconds.
 */
export const changing = (fs: FileSystem.FileSystem, file: string) => <A, E, R>(change: Effect.Effect<A, E, R>) =>
  FileLock.acquire(file).pipe(
    Effect.provideService(FileSystem.FileSystem, fs),
    Effect.retry({
      while: ({ _tag }) => _tag === "FileInUse",
      schedule: Schedule.spaced(look.every),
      times: look.times
    }),
    Effect.andThen(change),
    Effect.scoped
  )

/**
 * Writes a file under a temporary name in its folder, syncs it, and renames it. It keeps its mode. Nothing else may
 * write under the temporary name at that time.
 */
export const replaceFile = Effect.fnUntraced(
  function*(fs: FileSystem.FileSystem, file: string, temporary: string, bytes: Uint8Array) {
    yield* fs.remove(temporary, { force: true })
    const before = yield* Effect.option(fs.stat(file))
    yield* Effect.scoped(Effect.gen(function*() {
      const opened = yield* fs.open(temporary, { flag: "wx" })
      yield* opened.writeAll(bytes)
      yield* opened.sync
    }))
    if (Option.isSome(before)) yield* fs.chmod(temporary, before.value.mode & 0o7777)
    yield* fs.rename(temporary, file)
  },
  (effect, fs, _file, temporary) => Effect.ensuring(effect, Effect.ignore(fs.remove(temporary, { force: true }))),
  Effect.uninterruptible
)

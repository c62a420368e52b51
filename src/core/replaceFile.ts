/**
 * Replaces files whole: a reader finds either the old content or the new.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"

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

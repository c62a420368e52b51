/**
 * Writes files whole or not at all, and cleans up after processes that were killed while they wrote.
 *
 * A file is written under a temporary name, which says whose it is, and synced, unless it need not outlast a power cut.
 * Then it is given its own name.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import { randomBytes } from "node:crypto"
import * as ProcessIdentity from "./ProcessIdentity.ts"
import { codeOf } from "./WriteFailure.ts"

/** Milliseconds after which a temporary file of another machine is left over: one is written within seconds. */
const longestWrite = 3_600_000

/** Whether a temporary file was left by a process that has ended, as when it was killed. */
const isAbandoned = Effect.fnUntraced(function*(name: string, modified: Effect.Effect<Date | undefined>) {
  const [, pid, place = "", started] = /^\.([1-9]\d*)-([0-9a-f]{8})-(\d+)-[\w-]+\.partial$/.exec(name) ?? []
  if (pid === undefined) return false
  const status = yield* ProcessIdentity.statusOf({ pid: Number(pid), place, started: Number(started) })
  if (status !== "unknown") return status === "ended"
  const time = yield* modified
  return time !== undefined && time.getTime() < (yield* Clock.currentTimeMillis) - longestWrite
})

/** Removes the temporary files that ended processes left in a folder. What cannot be read or removed is left alone. */
export const cleaning = (fs: FileSystem.FileSystem, path: Path.Path) =>
  Effect.fnUntraced(function*(dir: string) {
    const names = yield* Effect.orElseSucceed(fs.readDirectory(dir), () => [])
    for (const name of names) {
      if (!name.endsWith(".partial")) continue
      const file = path.join(dir, name)
      const modified = Effect.map(
        Effect.option(fs.stat(file)),
        (stat) => Option.getOrUndefined(Option.flatMap(stat, ({ mtime }) => mtime))
      )
      const abandoned = Effect.provideService(isAbandoned(name, modified), FileSystem.FileSystem, fs)
      if (yield* abandoned) yield* Effect.ignore(fs.remove(file, { force: true }))
    }
  })

/** Writes files whole or not at all. */
export const atomicWrites = (fs: FileSystem.FileSystem, path: Path.Path, own: ProcessIdentity.ProcessIdentity) => {
  const sync = (file: string) => Effect.scoped(Effect.flatMap(fs.open(file, { flag: "r" }), (opened) => opened.sync))

  const temporaryIn = (dir: string): string =>
    // Not of `Random`: processes that are given the same seed would take the same name.
    path.join(dir, `.${own.pid}-${own.place}-${own.started}-${randomBytes(9).toString("base64url")}.partial`)

  // Writes a file under a temporary name, and removes it after use if it is still there. One that is not synced may be
  // empty or cut short after a power cut.
  const withTemporary = Effect.fnUntraced(function*<A>(
    dir: string,
    bytes: Uint8Array,
    use: (temporary: string) => Effect.Effect<A, PlatformError.PlatformError>,
    isSynced = true
  ) {
    const temporary = yield* Effect.sync(() => temporaryIn(dir))
    return yield* Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* fs.open(temporary, { flag: "wx" })
        yield* file.writeAll(bytes)
        if (isSynced) yield* file.sync
      }))
      return yield* use(temporary)
    }).pipe(Effect.ensuring(Effect.ignore(fs.remove(temporary, { force: true }))))
  })

  // Gives a file its final name if that is free. Hard links never replace a file. Where the file system has none, the
  // name is taken first, then the file moved.
  const claim = (temporary: string, file: string) =>
    fs.link(temporary, file).pipe(
      Effect.catchIf(hasNoLinks, () =>
        fs.writeFile(file, new Uint8Array(), { flag: "wx" }).pipe(
          Effect.andThen(Effect.onError(fs.rename(temporary, file), () => Effect.ignore(fs.remove(file))))
        )),
      Effect.as(true),
      Effect.catchIf(isTaken, () => Effect.succeed(false))
    )

  // A text is claimed before its image: an image is never seen without it.
  const claimBoth = (
    temporary: string,
    file: string,
    text: { readonly file: string; readonly bytes: Uint8Array }
  ) =>
    Effect.gen(function*() {
      const isFree = yield* withTemporary(path.dirname(text.file), text.bytes, (other) => claim(other, text.file))
      if (!isFree) return false
      const remove = Effect.ignore(fs.remove(text.file))
      const isSaved = yield* Effect.onError(claim(temporary, file), () => remove)
      if (!isSaved) yield* remove
      return isSaved
    })

  return { sync, temporaryIn, withTemporary, claim, claimBoth }
}

const isTaken = (error: PlatformError.PlatformError): boolean => error.reason._tag === "AlreadyExists"

// What a link fails with where the file system has none.
const hasNoLinks = (error: PlatformError.PlatformError): boolean =>
  ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK"].includes(codeOf(error) ?? "")

/**
 * Saves images: `<folder>/<directory>/<number>-<name>.png`.
 *
 * A file appears whole or not at all, and no image is ever replaced, even when several processes save into one folder:
 * it is written under a temporary name, synced, and then linked to the first free name. The temporary files of
 * processes that were killed meanwhile are removed when the folder is next checked or written to.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import { randomBytes } from "node:crypto"
import { makeFolder } from "../core/makeFolder.ts"
import * as ProcessIdentity from "../core/ProcessIdentity.ts"
import { codeOf, reasonOf } from "../core/WriteFailure.ts"
import { SaveError } from "./ImageError.ts"

/** A file to be saved. For `directory` and `name` see `FileNames`. */
export interface FileToSave {
  /** The folder for all images of a kind. */
  readonly folder: string
  /** A folder in it, which is made; empty for none. */
  readonly directory: string
  /** Name without number and extension; empty for the number alone. */
  readonly name: string
  /**
   * Whether a number goes in front, one above the highest there: `00012-name.png`, or `grid-0012.png` for grids.
   * Without it a name that is taken gets `-1`, `-2`, and so on. An empty name is numbered in any case.
   */
  readonly number: boolean | "grid"
  /** Without the dot. */
  readonly extension: string
  readonly bytes: Uint8Array
  /** Saved next to it under the same name, as `.txt` with a final newline. */
  readonly text?: string | undefined
}

export class ImageStore extends Context.Service<ImageStore, {
  /** Makes a folder and checks that files can be saved in it. */
  readonly check: (folder: string) => Effect.Effect<void, SaveError>
  /** Saves a file and returns its path. */
  readonly save: (file: FileToSave) => Effect.Effect<string, SaveError>
  /** Writes a text file, replacing an older one, and returns its path. Readers see the old text or the new one. */
  readonly replace: (
    path: { readonly folder: string; readonly name: string },
    text: string
  ) => Effect.Effect<string, SaveError>
}>()("serena/images/ImageStore") {
  /** Images in the file system. */
  static readonly layer: Layer.Layer<ImageStore, never, FileSystem.FileSystem | Path.Path> = Layer.effect(
    ImageStore,
    Effect.suspend(() => make)
  )
}

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

// Removes the temporary files that ended processes left in a folder, once for each folder. What cannot be read or
// removed is left alone.
const cleaning = (fs: FileSystem.FileSystem, path: Path.Path) => {
  const cleaned = new Set<string>()
  return Effect.fnUntraced(function*(dir: string) {
    if (cleaned.has(dir)) return
    cleaned.add(dir)
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
}

// Writes files whole or not at all.
const atomicWrites = (fs: FileSystem.FileSystem, path: Path.Path, own: ProcessIdentity.ProcessIdentity) => {
  const sync = (file: string) => Effect.scoped(Effect.flatMap(fs.open(file, { flag: "r" }), (opened) => opened.sync))

  // Writes a file under a temporary name, and removes it after use if it is still there.
  const withTemporary = Effect.fnUntraced(function*<A>(
    dir: string,
    bytes: Uint8Array,
    use: (temporary: string) => Effect.Effect<A, PlatformError.PlatformError>
  ) {
    // Not of `Random`: processes that are given the same seed would take the same name.
    const random = yield* Effect.sync(() => randomBytes(9).toString("base64url"))
    const temporary = path.join(dir, `.${own.pid}-${own.place}-${own.started}-${random}.partial`)
    return yield* Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* fs.open(temporary, { flag: "wx" })
        yield* file.writeAll(bytes)
        yield* file.sync
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

  return { sync, withTemporary, claim, claimBoth }
}

// Refuses names that lead out of a folder.
const insideOf = (path: Path.Path) => {
  const isOutside = (folder: string, file: string): boolean => {
    const way = path.relative(folder, path.resolve(folder, file))
    return way === ".." || way.startsWith(`..${path.sep}`) || path.isAbsolute(way)
  }

  return (folder: string, ...files: ReadonlyArray<string>) =>
    files.some((file) => isOutside(folder, file))
      ? Effect.fail(new SaveError({ path: folder, reason: "the name points outside the folder" }))
      : Effect.void
}

const make = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { claim, claimBoth, sync, withTemporary } = atomicWrites(fs, path, yield* ProcessIdentity.current)
  const stayInside = insideOf(path)
  const clean = cleaning(fs, path)

  // A folder with those in it, such as those of days.
  const cleanAll = Effect.fnUntraced(function*(folder: string) {
    const names = yield* Effect.orElseSucceed(fs.readDirectory(folder), () => [])
    // Most names are images': only what has no extension may be a folder.
    const folders = names.filter((name) => !name.includes("."))
    yield* clean(folder)
    yield* Effect.forEach(folders, (name) => clean(path.join(folder, name)), { discard: true })
  })

  const check: ImageStore["Service"]["check"] = Effect.fnUntraced(function*(folder) {
    const dir = path.resolve(folder)
    yield* makeFolder(fs, path, dir).pipe(
      Effect.andThen(fs.access(dir, { writable: true })),
      Effect.andThen(cleanAll(dir)),
      Effect.mapError((error) => new SaveError({ path: dir, reason: reasonOf(error) }))
    )
  })

  // Gives the temporary file the first name that is free.
  const claimName = Effect.fnUntraced(function*(temporary: string, dir: string, saved: FileToSave) {
    const text = saved.text === undefined ? undefined : new TextEncoder().encode(`${saved.text}\n`)
    const taken = new Set(yield* fs.readDirectory(dir))
    const nameAt = namesFor(saved, taken)
    for (let attempt = 0;; attempt++) {
      const name = nameAt(attempt)
      if (taken.has(`${name}.${saved.extension}`) || (text && taken.has(`${name}.txt`))) continue
      const file = path.join(dir, `${name}.${saved.extension}`)
      const isSaved = yield* text === undefined
        ? claim(temporary, file)
        : claimBoth(temporary, file, { file: path.join(dir, `${name}.txt`), bytes: text })
      if (isSaved) return file
    }
  })

  // A file that is being written is finished even when the caller is interrupted.
  const writing = <A>(dir: string, write: Effect.Effect<A, PlatformError.PlatformError>) =>
    makeFolder(fs, path, dir).pipe(
      Effect.andThen(clean(dir)),
      Effect.andThen(write),
      Effect.tap(() => Effect.ignore(sync(dir))),
      Effect.uninterruptible,
      Effect.mapError((error) => new SaveError({ path: dir, reason: reasonOf(error) }))
    )

  const save: ImageStore["Service"]["save"] = Effect.fnUntraced(function*(saved) {
    const folder = path.resolve(saved.folder)
    const dir = path.resolve(folder, saved.directory)
    yield* stayInside(folder, saved.directory, path.join(saved.directory, saved.name))
    return yield* writing(dir, withTemporary(dir, saved.bytes, (temporary) => claimName(temporary, dir, saved)))
  })

  const replace: ImageStore["Service"]["replace"] = Effect.fnUntraced(function*({ folder, name }, text) {
    const dir = path.resolve(folder)
    const file = path.resolve(dir, name)
    yield* stayInside(dir, name)
    const bytes = new TextEncoder().encode(text)
    yield* writing(dir, withTemporary(dir, bytes, (temporary) => fs.rename(temporary, file)))
    return file
  })

  return ImageStore.of({ check, save, replace })
})

/** Names to try one after the other, without extension, for a file in a folder where these names are taken. */
export const namesFor = (
  { name, number }: Pick<FileToSave, "name" | "number">,
  taken: Iterable<string>
): (attempt: number) => string => {
  if (number === false && name !== "") return (attempt) => attempt === 0 ? name : `${name}-${attempt}`
  const [prefix, digits] = number === "grid" ? ["grid-", 4] as const : ["", 5] as const
  const rest = name === "" ? "" : `-${name}`
  const next = nextNumber(prefix, taken)
  return (attempt) => `${prefix}${String(next + attempt).padStart(digits, "0")}${rest}`
}

const nextNumber = (prefix: string, names: Iterable<string>): number => {
  let next = 0
  for (const name of names) {
    // Folders, such as those of days, have no extension. A longer number is not a count, and could not be
    // incremented exactly.
    const number = name.startsWith(prefix)
      ? /^(\d{1,12})(?:-.*)?\.\w+$/s.exec(name.slice(prefix.length))?.[1]
      : undefined
    if (number !== undefined) next = Math.max(next, Number(number) + 1)
  }
  return next
}

const isTaken = (error: PlatformError.PlatformError): boolean => error.reason._tag === "AlreadyExists"

// What a link fails with where the file system has none.
const hasNoLinks = (error: PlatformError.PlatformError): boolean =>
  ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK"].includes(codeOf(error) ?? "")

/**
 * Saves images: `<folder>/<directory>/<number>-<name>.png`.
 *
 * A file appears whole or not at all, and no image is ever replaced, even when several processes save into one folder:
 * it is written under a temporary name, synced, and then linked to the first free name. Its folder is synced too, so
 * that what is saved outlasts a power cut. The temporary files of processes that were killed meanwhile are removed when
 * the folder is next checked or written to.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import { atomicWrites, cleaning } from "../core/atomicWrites.ts"
import { makeFolder } from "../core/makeFolder.ts"
import * as ProcessIdentity from "../core/ProcessIdentity.ts"
import { reasonOf } from "../core/WriteFailure.ts"
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
  /** Syncs each folder once for all files that an effect saves, when the effect ends, however it does. */
  readonly together: <A, E, R>(saves: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /**
   * Writes a text file, replacing an older one, and returns its path. Readers see the old text or the new one. It waits
   * for no disk: after a power cut, the text of the last seconds may be an older one, or empty.
   */
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

/** The folders that `together` syncs at its end; undefined to sync each at once. */
const Unsynced = Context.Reference<Set<string> | undefined>("serena/images/ImageStore/Unsynced", {
  defaultValue: () => undefined
})

const make = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { claim, claimBoth, sync, withTemporary } = atomicWrites(fs, path, yield* ProcessIdentity.current)
  const stayInside = insideOf(path)
  const cleanOut = cleaning(fs, path)
  const cleaned = new Set<string>()
  // Once for each folder.
  const clean = (dir: string) =>
    Effect.suspend(() => cleaned.has(dir) ? Effect.void : cleanOut(cleaned.add(dir) && dir))

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
      Effect.tap((made) => syncAll(made.map((folder) => path.dirname(folder)))),
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

  const syncAll = (folders: Iterable<string>) =>
    Effect.forEach(folders, (dir) => Effect.ignore(sync(dir)), { discard: true })

  // What is made in a folder is safe once the folder is synced; a folder that was made, once the one above it is.
  const isSafe = Effect.fnUntraced(function*(dir: string, made: ReadonlyArray<string>) {
    const folders = [dir, ...made.map((folder) => path.dirname(folder))]
    const unsynced = yield* Unsynced
    if (unsynced === undefined) yield* syncAll(folders)
    else for (const folder of folders) unsynced.add(folder)
  })

  // A file that is being written is finished even when the caller is interrupted.
  const writing = <A>(
    dir: string,
    write: Effect.Effect<A, PlatformError.PlatformError>,
    settle: (made: ReadonlyArray<string>) => Effect.Effect<void> = () => Effect.void
  ) =>
    Effect.gen(function*() {
      const made = yield* makeFolder(fs, path, dir)
      yield* clean(dir)
      const written = yield* write
      yield* settle(made)
      return written
    }).pipe(
      Effect.uninterruptible,
      Effect.mapError((error) => new SaveError({ path: dir, reason: reasonOf(error) }))
    )

  const save: ImageStore["Service"]["save"] = Effect.fnUntraced(function*(saved) {
    const folder = path.resolve(saved.folder)
    const dir = path.resolve(folder, saved.directory)
    yield* stayInside(folder, saved.directory, path.join(saved.directory, saved.name))
    const write = withTemporary(dir, saved.bytes, (temporary) => claimName(temporary, dir, saved))
    return yield* writing(dir, write, (made) => isSafe(dir, made))
  })

  const together: ImageStore["Service"]["together"] = (saves) =>
    Effect.suspend(() => {
      const folders = new Set<string>()
      return Effect.ensuring(
        Effect.provideService(saves, Unsynced, folders),
        Effect.suspend(() => syncAll(folders))
      )
    })

  const replace: ImageStore["Service"]["replace"] = Effect.fnUntraced(function*({ folder, name }, text) {
    const dir = path.resolve(folder)
    const file = path.resolve(dir, name)
    yield* stayInside(dir, name)
    const bytes = new TextEncoder().encode(text)
    yield* writing(dir, withTemporary(dir, bytes, (temporary) => fs.rename(temporary, file), false))
    return file
  })

  return ImageStore.of({ check, save, together, replace })
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

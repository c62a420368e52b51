/**
 * What `serena doctor` says of the models, and of the data folder and its files. It writes nothing.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import { statfs } from "node:fs/promises"
import type { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { listed } from "../../core/Problem.ts"
import { fileSize } from "../../core/Text.ts"
import { reasonOf } from "../../core/WriteFailure.ts"
import { byReason, emptyFolders, isModel } from "../../models/ModelFiles.ts"
import { ModelLibrary } from "../../models/ModelLibrary.ts"
import { checkSettings } from "../../server/checkSettings.ts"
import { type Finding, ok, problem, warning } from "./Finding.ts"

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`

/** What is in the models folders: how many models, and which files do not load and why. */
export const modelFindings = Effect.gen(function*() {
  const library = yield* ModelLibrary
  const own = (yield* library.list).filter(({ embedded }) => !embedded)
  const folders = yield* library.folders
  const usable = own.filter((file) => isModel(file) && file.problems.length === 0)
  const broken = own.filter(({ problems }) => problems.length > 0)
  const where = folders.join(" and ")
  const empty = yield* emptyFolders
  const first = empty !== undefined
    ? problem("models", `there is no model in ${where}`, "Put one there, or get one with: serena models pull")
    : usable.length > 0
    ? ok("models", `${counted(usable.length, "model")} in ${where}`)
    : broken.length > 0
    ? problem("models", `no model in ${where} can be used`, "The reasons follow.")
    : warning(
      "models",
      `only the embedded model: ${folders.length === 0 ? "there is no models folder" : `there is none in ${where}`}`,
      "It draws simple shapes only. Get another one with serena models pull, or name your folder with --models-dir."
    )
  const reasons = byReason(broken, folders, yield* Path.Path).map(({ message, path }) =>
    warning("models", `${path}: ${message}`, "Download it again, or remove it.")
  )
  return [first, ...reasons]
})

/** The part of a path that is there. */
const existing = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  let at = folder
  while (!(yield* Effect.orElseSucceed(fs.exists(at), () => false)) && path.dirname(at) !== at) at = path.dirname(at)
  return at
})

/** Bytes of free disk space below which little can be saved, and below which a model can hardly be downloaded. */
const leastDisk = 200e6
const usualDisk = 5e9

const ofDisk = Effect.fnUntraced(function*(folder: string) {
  const stats = yield* Effect.option(Effect.tryPromise(() => statfs(folder)))
  if (Option.isNone(stats)) return []
  const free = stats.value.bavail * stats.value.bsize
  const found = `${fileSize(free)} free for ${folder}`
  const advice = "Make room there, or name a folder on another disk with --data-dir."
  return [
    free < leastDisk
      ? problem("disk", found, `Images and runs will not be saved. ${advice}`)
      : free < usualDisk
      ? warning("disk", found, `That is less than many a model. ${advice}`)
      : ok("disk", found)
  ]
})

const ofSettings = (file: string) =>
  Effect.match(checkSettings(file), {
    onFailure: ({ problems }) =>
      problem(
        "settings",
        listed(problems).replace(/\.$/, ""),
        `A server does not start with it. Correct ${file}, or remove it.`
      ),
    onSuccess: () => ok("settings", file)
  })

// The first faults that SQLite names are enough.
const faultsShown = 3

const advice = "Stop the server, and restore the file from a backup; or move it away, and the server begins a new one."

/** Whether SQLite finds the database of runs whole. It is opened to read only. */
const ofRuns = Effect.fnUntraced(function*(file: string, size: bigint) {
  const fs = yield* FileSystem.FileSystem
  const { DatabaseSync } = yield* Effect.promise(sqlite)
  const address = pathToFileURL(file)
  // Where no server uses it: SQLite then makes no files next to it.
  if (!(yield* Effect.orElseSucceed(fs.exists(`${file}-wal`), () => true))) address.search = "?immutable=1"
  const checked = yield* Effect.result(
    Effect.scoped(Effect.gen(function*() {
      const database = yield* Effect.acquireRelease(
        Effect.try(() => new DatabaseSync(address, { readOnly: true, timeout: 5000 })),
        (database) => Effect.sync(() => database.close())
      )
      return yield* Effect.try(() => faultsOf(database))
    }))
  )
  const found = `${file}, ${fileSize(Number(size))}`
  return Result.isFailure(checked)
    ? problem("runs", `${found}: ${reasonText(checked.failure.cause)}`, advice)
    : checked.success.length > 0
    ? problem("runs", `${found}: it is damaged (${checked.success.slice(0, faultsShown).join("; ")})`, advice)
    : ok("runs", found)
})

const reasonText = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const faultsOf = (database: DatabaseSync): ReadonlyArray<string> =>
  database.prepare("PRAGMA quick_check").all()
    .map(({ quick_check }) => String(quick_check))
    .filter((row) => row !== "ok")

// Node says on standard error that this module may change: what is used of it here has not since it is there.
const sqlite = async () => {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return await import("node:sqlite")
  } finally {
    process.emitWarning = emitWarning
  }
}

/**
 * What is found of the data folder: whether it can be written, the free space, the settings, the database of runs.
 *
 * @param folder Undefined where this user has no home folder, and none was named.
 */
export const dataFindings = Effect.fn("doctor.dataFolder")(function*(folder: string | undefined) {
  if (folder === undefined) {
    return [
      warning(
        "data folder",
        "this user has no home folder",
        "Settings, runs and hashes of files will not be kept. Name a folder with --data-dir or SERENA_DATA_DIR."
      )
    ]
  }
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const place = yield* existing(folder)
  const stat = yield* Effect.result(fs.stat(place))
  const access = yield* Effect.result(fs.access(place, { readable: true, writable: true }))
  const name = "Name another one with --data-dir or SERENA_DATA_DIR."
  const main: Finding = Result.isFailure(stat)
    ? problem("data folder", `${folder}: ${reasonOf(stat.failure)}`, name)
    : stat.success.type !== "Directory"
    ? problem("data folder", `${place} is a file, not a folder`, name)
    : Result.isFailure(access)
    ? problem(
      "data folder",
      `nothing can be saved in ${folder}: ${reasonOf(access.failure)}`,
      `Give this user the right to write there. Or: ${name}`
    )
    : ok("data folder", place === folder ? folder : `${folder}, which the server will make`)
  const fileIn = Effect.fnUntraced(function*(name: string) {
    const file = path.join(folder, name)
    return { file, info: yield* Effect.option(fs.stat(file)) }
  })
  const settings = yield* fileIn("settings.json")
  const runs = yield* fileIn("runs.sqlite")
  return [
    main,
    ...(yield* ofDisk(place)),
    ...(Option.isNone(settings.info) ? [] : [yield* ofSettings(settings.file)]),
    ...(Option.isNone(runs.info) ? [] : [yield* ofRuns(runs.file, runs.info.value.size)])
  ]
})

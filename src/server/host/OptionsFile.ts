/**
 * Settings in a JSON file, which belongs to one server at a time.
 *
 * It is written under a temporary name, synced and renamed, so that a reader finds either the old settings or the new.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { SettingsNotSaved } from "../../contract/errors.ts"
import * as FileLock from "../../core/FileLock.ts"
import { fileText } from "../../core/fileText.ts"
import { makeFolder } from "../../core/makeFolder.ts"
import { replaceFile } from "../../core/replaceFile.ts"
import { reasonOf } from "../../core/WriteFailure.ts"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"

export interface OptionsFile {
  /** The settings in the file, which are not validated; none if there is no file. */
  readonly values: Readonly<Record<string, unknown>>
  /** Replaces the settings in the file. */
  readonly write: (values: Readonly<Record<string, unknown>>) => Effect.Effect<void, SettingsNotSaved>
}

const broken = (file: string, message: string) => new InvalidOptions({ problems: [{ path: file, message }] })

const inUse = (file: string, { holder, lock }: FileLock.FileInUse) =>
  new InvalidOptions({
    problems: [{
      path: "",
      message: `the settings in ${file} belong to another server, ${holder}. ` +
        "Stop it, or give this server a folder of its own with --data-dir, or a file with --options-file. " +
        `If no such server runs, remove ${lock}`
    }]
  })

/** Reads the file and keeps it for this process until the scope closes. Fails while another server has it. */
export const open = Effect.fn("OptionsFile.open")(function*(
  name: string
): Effect.fn.Return<OptionsFile, InvalidOptions, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = yield* realPath(name)
  // Nothing else writes the file, so the name can be the same each time: a killed process leaves one at most.
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.partial`)
  const notSaved = (reason: string) => new SettingsNotSaved({ file: path.basename(file), reason })

  const locked = yield* Effect.result(
    Effect.andThen(makeFolder(fs, path, path.dirname(file)), FileLock.acquire(file))
  )
  if (Result.isFailure(locked)) {
    const { failure } = locked
    if (failure._tag === "FileInUse") return yield* inUse(file, failure)
    const reason = reasonOf(failure)
    yield* Effect.logWarning(`Settings cannot be saved in ${file}: ${reason}. Changes will be refused.`)
    return {
      values: yield* read(file),
      write: () => Effect.fail(notSaved(`${reason} (when the server started)`))
    }
  }
  const values = yield* read(file)
  yield* Effect.ignore(fs.remove(temporary, { force: true }))

  const write: OptionsFile["write"] = Effect.fn("OptionsFile.write")(function*(values) {
    if (!(yield* locked.success.isHeld)) return yield* notSaved("another server has taken over the file")
    yield* replaceFile(fs, file, temporary, new TextEncoder().encode(`${JSON.stringify(values, null, 4)}\n`)).pipe(
      Effect.tapError(({ message }) => Effect.logError(`Settings were not saved in ${file}: ${message}`)),
      Effect.mapError((error) => notSaved(reasonOf(error)))
    )
  }, Effect.uninterruptible)

  return { values, write }
})

// The file that a path leads to, so that two paths to one file have one lock, and a link stays one.
const realPath = Effect.fnUntraced(function*(name: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.resolve(name)
  const folder = Effect.orElseSucceed(fs.realPath(path.dirname(file)), () => path.dirname(file))
  return yield* Effect.catch(fs.realPath(file), () => Effect.map(folder, (dir) => path.join(dir, path.basename(file))))
})

/** The settings in a file, which are not validated; none if there is no file. */
export const read = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* fs.readFile(file).pipe(
    Effect.catchIf(isMissing, () => Effect.succeed(new TextEncoder().encode("{}"))),
    Effect.mapError(({ message }) => broken(file, `it cannot be read: ${message}`))
  )
  const text = fileText(bytes)
  if (text === undefined) return yield* broken(file, "it is not valid UTF-8; save it as UTF-8")
  const value: unknown = yield* Effect.try({
    try: () => JSON.parse(text),
    catch: (cause) => broken(file, `it is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  })
  if (!Predicate.isObject(value) || Array.isArray(value)) return yield* broken(file, "it is not a JSON object")
  const values: Readonly<Record<string, unknown>> = { ...value }
  return values
})

const isMissing = ({ reason }: PlatformError.PlatformError): boolean => reason._tag === "NotFound"

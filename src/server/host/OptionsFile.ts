/**
 * Settings in a JSON file.
 *
 * It is written under a temporary name, synced and renamed, so that a reader finds either the old settings or the new.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Predicate from "effect/Predicate"
import { randomUUID } from "node:crypto"
import { SaveError } from "../../images/ImageError.ts"
import { InvalidOptions } from "../../processing/Options.ts"

const broken = (file: string, message: string) => new InvalidOptions({ problems: [{ path: file, message }] })

/** Reads the file; a missing one is empty. Values are not validated. */
export const read = Effect.fn("OptionsFile.read")(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(file).pipe(
    Effect.catchIf(({ reason }) => reason._tag === "NotFound", () => Effect.succeed("{}")),
    Effect.mapError(({ message }) => broken(file, `it cannot be read: ${message}`))
  )
  const value: unknown = yield* Effect.try({
    try: () => JSON.parse(text),
    catch: (cause) => broken(file, `it is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  })
  if (!Predicate.isObject(value) || Array.isArray(value)) return yield* broken(file, "it is not a JSON object")
  const values: Readonly<Record<string, unknown>> = { ...value }
  return values
})

/** Replaces the file. */
export const write = Effect.fn("OptionsFile.write")(function*(file: string, values: Readonly<Record<string, unknown>>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const target = path.resolve(file)
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}.partial`)
  yield* Effect.gen(function*() {
    yield* fs.makeDirectory(path.dirname(target), { recursive: true })
    yield* Effect.scoped(Effect.gen(function*() {
      const opened = yield* fs.open(temporary, { flag: "wx" })
      yield* opened.writeAll(new TextEncoder().encode(`${JSON.stringify(values, null, 4)}\n`))
      yield* opened.sync
    }))
    yield* fs.rename(temporary, target)
  }).pipe(
    Effect.ensuring(Effect.ignore(fs.remove(temporary, { force: true }))),
    Effect.uninterruptible,
    Effect.mapError(({ message }) => new SaveError({ path: target, reason: message }))
  )
})

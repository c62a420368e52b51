/**
 * The folder for what is kept: its flag, `SERENA_DATA_DIR`, or the platform's place for a user's data.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { homedir } from "node:os"
import { makeFolder } from "../core/makeFolder.ts"
import type { Problem } from "../core/Problem.ts"
import { reasonOf } from "../core/WriteFailure.ts"
import { usualDataDir } from "./usualDataDir.ts"

const noHome = "this user has no home folder"

// What a flag or the variable names, and which of them it was.
const namedBy = (flag: string | undefined) => {
  const variable = process.env["SERENA_DATA_DIR"]
  const given = flag ?? (variable === "" ? undefined : variable)
  return given === undefined ? undefined : { given, path: flag === undefined ? "SERENA_DATA_DIR" : "dataDir" }
}

// Empty where it is not known, and on some systems an error.
const usual = Effect.gen(function*() {
  const path = yield* Path.Path
  const home = yield* Effect.try({ try: homedir, catch: () => noHome })
  if (home === "") return yield* Effect.fail(noHome)
  return usualDataDir({ os: process.platform, env: process.env, home }, path)
})

/** The folder, which need not be there: for commands that keep little. None where this user has no home folder. */
export const dataDirOf = Effect.fnUntraced(function*(
  flag: string | undefined
): Effect.fn.Return<string | undefined, never, Path.Path> {
  const path = yield* Path.Path
  const named = namedBy(flag)
  return named === undefined ? yield* Effect.orElseSucceed(usual, () => undefined) : path.resolve(named.given)
})

/**
 * Finds and makes the folder. Fails when the one of the flag or the variable cannot be used. Without them it warns, and
 * there is none where the platform's cannot be used: a service may have no home.
 */
export const findDataDir = Effect.fnUntraced(function*(
  flag: string | undefined
): Effect.fn.Return<string | undefined, ReadonlyArray<Problem>, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const prepare = (folder: string) =>
    makeFolder(fs, path, folder).pipe(
      Effect.andThen(fs.access(folder, { writable: true })),
      Effect.mapError((error) => `nothing can be saved in ${folder}: ${reasonOf(error)}`),
      Effect.as(folder)
    )
  const named = namedBy(flag)
  if (named !== undefined) {
    return yield* Effect.mapError(prepare(path.resolve(named.given)), (message) => [{ path: named.path, message }])
  }
  return yield* usual.pipe(
    Effect.flatMap(prepare),
    Effect.catch((message) =>
      Effect.as(
        Effect.logWarning(`There is no data folder: ${message}. Name one with --data-dir or SERENA_DATA_DIR.`),
        undefined
      )
    )
  )
})

/**
 * The models folders that a command names: by its flag, or else by `SERENA_MODELS_DIR`.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import { delimiter } from "node:path"
import type { Problem } from "../core/Problem.ts"
import { folderProblem } from "../models/ModelFiles.ts"

/** The folders; undefined where none is named. Fails when one of them cannot be searched. */
export const namedModelsDirs = Effect.fnUntraced(function*(
  flags: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<string> | undefined, ReadonlyArray<Problem>, FileSystem.FileSystem | Path.Path> {
  const variable = (process.env["SERENA_MODELS_DIR"] ?? "").split(delimiter).filter((folder) => folder !== "")
  const given = flags.length > 0 ? flags : variable
  const path = flags.length > 0 ? "modelsDir" : "SERENA_MODELS_DIR"
  const found = yield* Effect.forEach(given, folderProblem)
  const problems = found.flatMap((message): ReadonlyArray<Problem> => message === undefined ? [] : [{ path, message }])
  if (problems.length > 0) return yield* Effect.fail(problems)
  return given.length === 0 ? undefined : given
})

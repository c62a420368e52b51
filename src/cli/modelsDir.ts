/**
 * The models folder of a command: its flag, `SERENA_MODELS_DIR`, or `./models` where that holds model folders.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { Problem } from "../core/Problem.ts"
import { embeddedDir, folderProblem, modelFolders, unusableFiles } from "../models/ModelFiles.ts"

/** The folder, or none for the embedded model alone. Fails when the flag or the variable names none that exists. */
export const findModelsDir = Effect.fnUntraced(function*(
  flag: string | undefined
): Effect.fn.Return<string | undefined, ReadonlyArray<Problem>, FileSystem.FileSystem | Path.Path> {
  const path = yield* Path.Path
  const variable = process.env["SERENA_MODELS_DIR"]
  const given = flag ?? (variable === "" ? undefined : variable)
  if (given !== undefined) {
    const message = yield* folderProblem(given)
    if (message === undefined) return given
    return yield* Effect.fail([{ path: flag === undefined ? "SERENA_MODELS_DIR" : "modelsDir", message }])
  }
  // In a clone of this project, it is the folder of the embedded model.
  const usual = path.resolve("models")
  if (usual === path.resolve(embeddedDir)) return undefined
  if ((yield* modelFolders(usual)).length > 0) return usual
  // What lies there and does not load is named, rather than passed over for the embedded model.
  return (yield* unusableFiles(usual)).length > 0 ? usual : undefined
})

/**
 * What the models folders hold that was meant as a model and does not load, and folders that cannot be searched.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { listed, type Problem } from "../core/Problem.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import type { ModelFile } from "./ModelFile.ts"
import { ModelLibrary } from "./ModelLibrary.ts"

/** Why a folder cannot be searched for models, as a clause; `undefined` when it can. */
export const folderProblem = Effect.fnUntraced(function*(dir: string) {
  const fs = yield* FileSystem.FileSystem
  const place = (yield* Path.Path).resolve(dir)
  const stat = yield* Effect.option(fs.stat(dir))
  if (Option.isNone(stat)) return `there is no folder ${place}`
  if (stat.value.type !== "Directory") return `${place} is not a folder`
  return yield* Effect.match(fs.readDirectory(dir), {
    onFailure: () => `the folder ${place} cannot be read`,
    onSuccess: () => undefined
  })
})

/** A model: a checkpoint that can be used, with or without all of its parts, or a model folder, which may be broken. */
export const isModel = ({ format, kind, problems }: ModelFile): boolean =>
  kind === "checkpoint" ? format === "onnx" || problems.length === 0 : kind === "unet" && problems.length === 0

/** Kinds of files that are meant as models, if they are not known to be something else. */
const models: ReadonlySet<ModelFile["kind"]> = new Set(["checkpoint", "unet", "diffusion-transformer", "other"])

/** Whether a file was meant as a model and cannot be used. */
export const isUnusable = (file: ModelFile): boolean =>
  !file.embedded && !isModel(file) && file.problems.length > 0 && models.has(file.kind)

/** Why a file cannot be used, in one phrase. */
export const reasonOf = ({ problems }: Pick<ModelFile, "problems">): string =>
  problems.map((problem) => problem.path === "" ? problem.message : listed([problem])).join("; ")

/**
 * What is wrong with files, by their paths within the folders: those of one reason together, of many the first three.
 */
export const byReason = (
  files: ReadonlyArray<ModelFile>,
  folders: ReadonlyArray<string>,
  { relative }: Pick<Path.Path, "relative">
): ReadonlyArray<Problem> =>
  [...Map.groupBy(files, reasonOf)].map(([message, found]) => {
    const paths = found.map(({ file }) => within(file, folders, relative))
    return {
      path: paths.length > 4 ? `${paths.slice(0, 3).join(", ")} and ${paths.length - 3} more` : paths.join(", "),
      message
    }
  })

const within = (file: string, folders: ReadonlyArray<string>, relative: Path.Path["relative"]): string =>
  folders.map((folder) => relative(folder, file)).find((path) => path !== "" && !path.startsWith("..")) ?? file

/** What was meant as a model and cannot be used, by its reason. */
export const unusableModels = Effect.gen(function*() {
  const library = yield* ModelLibrary
  return byReason((yield* library.list).filter(isUnusable), yield* library.folders, yield* Path.Path)
})

/** A sentence about named folders in which there is no model, usable or not; `undefined` for others. */
export const emptyFolders = Effect.gen(function*() {
  const library = yield* ModelLibrary
  const { modelsDir } = yield* CommandOptions
  const own = (yield* library.list).filter(({ embedded }) => !embedded)
  return modelsDir === undefined || own.some((file) => isModel(file) || isUnusable(file))
    ? undefined
    : `There is no model in ${(yield* library.folders).join(" and ")}. Put a model there.`
})

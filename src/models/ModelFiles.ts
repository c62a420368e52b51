/**
 * What a models folder holds: model folders, and files that do not load.
 *
 * Only names and headers of files are read, so that a folder of many gigabytes is surveyed at once.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { fileURLToPath } from "node:url"
import type { Problem } from "../core/Problem.ts"
import { isModelFolder } from "./ModelFolder.ts"
import * as ModelLibrary from "./ModelLibrary.ts"
import { isUpscaler, upscalerFolders } from "./upscalerFiles.ts"

/** The folder of the models that come with this package. */
export const embeddedDir = fileURLToPath(new URL("../../models/", import.meta.url))

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

/** A model folder or a checkpoint, by its name. */
export interface FoundFolder {
  readonly name: string
  /** The folder, or the checkpoint's file. */
  readonly folder: string
}

/** The checkpoints below `dir` that hold a whole model, and diffusers folders of such weights. */
const checkpointsIn = Effect.fnUntraced(function*(dir: string) {
  const found = yield* ModelLibrary.list([dir])
  return found.flatMap(({ file, format, kind, name, problems }): ReadonlyArray<FoundFolder> =>
    format !== "onnx" && kind === "checkpoint" && problems.length === 0 ? [{ name, folder: file }] : []
  )
})

/** The models in `dir`, folders before checkpoints, by name. `dir` may itself be a model folder, which comes first. */
export const modelFolders = Effect.fnUntraced(function*(dir: string) {
  const checkpoints = yield* checkpointsIn(dir)
  const isWeights = new Set(checkpoints.map(({ folder }) => folder))
  const folders = yield* exportedFolders(dir)
  return [...folders.filter(({ folder }) => !isWeights.has(folder)), ...checkpoints]
})

const exportedFolders = Effect.fnUntraced(function*(dir: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = yield* Effect.orElseSucceed(fs.readDirectory(dir), () => [])
  const inside: ReadonlyArray<FoundFolder> = yield* Effect.filter(
    names.toSorted().map((name) => ({ name, folder: path.join(dir, name) })),
    ({ folder }) => isModelFolder(folder),
    { concurrency: 8 }
  )
  const isModel = yield* isModelFolder(dir)
  return isModel ? [{ name: path.basename(dir), folder: dir }, ...inside] : inside
})

const isWeights = (name: string): boolean => /\.(safetensors|ckpt|pth?|bin|gguf|onnx)$/i.test(name)

const toOnnx = "Export the model to a folder of ONNX networks with optimum-cli"

/** What a file or folder holds that does not load, and what to do about it. */
const reasons = {
  upscaler: "upscalers load from .onnx, .safetensors, .pth and .pt files. Use one of those",
  lora: "LoRA files do not load. Merge it into its model before exporting that to ONNX",
  embedding: "embeddings and hypernetworks do not load",
  vae: "a VAE by itself does not load. Export it with its model to ONNX",
  network: `a network by itself is no model. ${toOnnx}`,
  checkpoint: "no checkpoint that loads: damaged, incomplete, or of another kind. Use the whole .safetensors file of " +
    "a Stable Diffusion 1, 2 or XL model",
  folder: `the folder has no model_index.json. ${toOnnx}`
}

/** A file of weights, or a folder of them, that does not load. */
export interface UnusableFile {
  /** Within the models folder. */
  readonly path: string
  readonly holds: keyof typeof reasons
}

/** Why it does not load. */
export const whyUnusable = ({ holds }: Pick<UnusableFile, "holds">): string => reasons[holds]

/** What a file that is named as a model holds if it does not load; `undefined` for other files. */
export const unusable = (name: string): UnusableFile["holds"] | undefined =>
  isWeights(name) ? unusableIn("", name) : undefined

// The folder says what a file of weights is for; checkpoints lie anywhere.
const unusableIn = (folder: string, name: string): UnusableFile["holds"] | undefined => {
  const isOnnx = /\.onnx$/i.test(name)
  if (upscalerFolders.includes(folder)) return isUpscaler(name) ? undefined : "upscaler"
  if (/lora|lycoris/i.test(folder)) return "lora"
  if (/embedding|hypernetwork/i.test(folder)) return "embedding"
  if (/vae/i.test(folder)) return "vae"
  return isOnnx ? "network" : "checkpoint"
}

/**
 * The files of weights that do not load, in `dir` and in its folders that are not model folders; and folders that look
 * like a model without `model_index.json`.
 */
export const unusableFiles = Effect.fnUntraced(function*(dir: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const namesIn = (folder: string) => Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => [])
  if (yield* isModelFolder(dir)) return []
  const used = new Set((yield* checkpointsIn(dir)).map(({ folder }) => folder))
  const filesOf = (names: ReadonlyArray<string>, folder: string): ReadonlyArray<UnusableFile> =>
    names.toSorted().flatMap((name) => {
      const holds = isWeights(name) && !used.has(path.join(dir, folder, name)) ? unusableIn(folder, name) : undefined
      return holds === undefined ? [] : [{ path: path.join(folder, name), holds }]
    })
  const names = yield* namesIn(dir)
  const inside = yield* Effect.forEach(
    names.toSorted().filter((name) => !isWeights(name)),
    Effect.fnUntraced(
      function*(name): Effect.fn.Return<ReadonlyArray<UnusableFile>, never, FileSystem.FileSystem | Path.Path> {
        const folder = path.join(dir, name)
        if (used.has(folder) || (yield* isModelFolder(folder))) return []
        const contents = yield* namesIn(folder)
        return contents.includes("unet")
          ? [{ path: name, holds: "folder" }]
          : filesOf(contents, name)
      }
    ),
    { concurrency: 8 }
  )
  return [...filesOf(names, ""), ...inside.flat()]
})

/** What is wrong with such files: those of one reason together, of many the first three. */
export const byReason = (files: ReadonlyArray<UnusableFile>): ReadonlyArray<Problem> =>
  [...Map.groupBy(files, ({ holds }) => holds)].map(([holds, found]) => {
    const paths = found.map(({ path }) => path)
    return {
      path: paths.length > 4 ? `${paths.slice(0, 3).join(", ")} and ${paths.length - 3} more` : paths.join(", "),
      message: reasons[holds]
    }
  })

/** A sentence about a folder in which there is no model, usable or not; `undefined` for others. */
export const emptyFolder = Effect.fnUntraced(function*(dir: string) {
  const path = yield* Path.Path
  return (yield* modelFolders(dir)).length > 0 || (yield* unusableFiles(dir)).length > 0
    ? undefined
    : `There is no model in ${path.resolve(dir)}. Put a model folder there.`
})

/** Names of the files in the folders of embeddings in `dir`, and next to it, where stable-diffusion-webui has one. */
export const embeddingNames = Effect.fnUntraced(function*(dir: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const namesIn = (folder: string, recursive = false) =>
    Effect.orElseSucceed(fs.readDirectory(folder, { recursive }), (): Array<string> => [])
  const inside = (yield* namesIn(dir)).filter((name) => /^embeddings?$/i.test(name))
  const folders = [...inside.map((name) => path.join(dir, name)), path.join(path.dirname(dir), "embeddings")]
  const files = yield* Effect.forEach(folders, (folder) => namesIn(folder, true))
  return files.flat().filter((name) => isWeights(name)).map((name) => path.parse(name).name).toSorted()
})

/**
 * What a models folder holds: model folders, and files that do not load.
 *
 * Only names and the existence of files are read, so that a folder of many gigabytes is surveyed at once.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { fileURLToPath } from "node:url"
import type { Problem } from "../core/Problem.ts"
import { isModelFolder } from "./ModelFolder.ts"

/** The folder of the models that come with this package. */
export const embeddedDir = fileURLToPath(new URL("../../models/", import.meta.url))

/** A model folder, by its name. */
export interface FoundFolder {
  readonly name: string
  readonly folder: string
}

/** The model folders in `dir`, by name. `dir` may itself be one, which comes first. */
export const modelFolders = Effect.fnUntraced(function*(dir: string) {
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

/** Folders of upscalers, as stable-diffusion-webui names them. */
export const upscalerFolders = ["ESRGAN", "RealESRGAN", "upscalers"]

const isWeights = (name: string): boolean => /\.(safetensors|ckpt|pth?|bin|gguf|onnx)$/i.test(name)

const toOnnx = "Export the model to a folder of ONNX networks with optimum-cli"

/** Why a file that is named as a model does not load; `undefined` for other files. */
export const fileProblem = (name: string): string | undefined => isWeights(name) ? reasonFor("", name) : undefined

// The folder says what a file of weights is for; checkpoints lie anywhere.
const reasonFor = (folder: string, name: string): string | undefined => {
  if (upscalerFolders.includes(folder)) {
    return /\.onnx$/i.test(name) ? undefined : "upscalers load from .onnx files only. Convert it to ONNX"
  }
  if (/lora|lycoris/i.test(folder)) {
    return "LoRA files do not load. Merge it into its model before exporting that to ONNX"
  }
  if (/embedding|hypernetwork/i.test(folder)) return "embeddings and hypernetworks do not load"
  if (/vae/i.test(folder)) return "a VAE by itself does not load. Export it with its model to ONNX"
  return /\.onnx$/i.test(name)
    ? `a network by itself is no model. ${toOnnx}`
    : `checkpoint and LoRA files do not load. ${toOnnx}`
}

/**
 * The files of weights in `dir` and in its folders that are not model folders, each with the reason why it does not
 * load; and folders that look like a model without `model_index.json`.
 */
export const unusableFiles = Effect.fnUntraced(function*(dir: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const namesIn = (folder: string) => Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => [])
  if (yield* isModelFolder(dir)) return []
  const filesOf = (names: ReadonlyArray<string>, folder: string): ReadonlyArray<Problem> =>
    names.toSorted().flatMap((name) => {
      const message = isWeights(name) ? reasonFor(folder, name) : undefined
      return message === undefined ? [] : [{ path: path.join(folder, name), message }]
    })
  const names = yield* namesIn(dir)
  const inside = yield* Effect.forEach(
    names.toSorted().filter((name) => !isWeights(name)),
    Effect.fnUntraced(
      function*(name): Effect.fn.Return<ReadonlyArray<Problem>, never, FileSystem.FileSystem | Path.Path> {
        const folder = path.join(dir, name)
        if (yield* isModelFolder(folder)) return []
        const contents = yield* namesIn(folder)
        return contents.includes("unet")
          ? [{ path: name, message: `the folder has no model_index.json. ${toOnnx}` }]
          : filesOf(contents, name)
      }
    ),
    { concurrency: 8 }
  )
  return [...filesOf(names, ""), ...inside.flat()]
})

/** The same with the files of one reason named together, of many the first three. */
export const byReason = (files: ReadonlyArray<Problem>): ReadonlyArray<Problem> =>
  [...Map.groupBy(files, ({ message }) => message)].map(([message, found]) => {
    const paths = found.map(({ path }) => path)
    return {
      path: paths.length > 4 ? `${paths.slice(0, 3).join(", ")} and ${paths.length - 3} more` : paths.join(", "),
      message
    }
  })

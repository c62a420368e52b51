/**
 * Files of a model folder as they arrive on a machine: what is missing, empty, not downloaded or saved in another
 * encoding is recognised here, before anything is made of the contents.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import { fileText } from "../core/fileText.ts"

/** Where exporters put the weights of a network that is too large for one file. */
export const weightFiles = ["model.onnx_data", "model.onnx.data", "weights.pb"]

/** A network's file and the files of its weights, in the order in which they are hashed. */
export const withItsWeights = Effect.fnUntraced(function*(
  network: string
): Effect.fn.Return<ReadonlyArray<string>, never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const candidates = weightFiles.map((name) => network.replace(/model\.onnx$/, name))
  const weights = yield* Effect.filter(candidates, (file) => Effect.orElseSucceed(fs.exists(file), () => false))
  return [network, ...weights]
})

/** What is wrong with a file that holds nothing. */
export const empty = "the file is empty; download or export it again"

/** What is wrong with a file that Git LFS did not download. */
export const pointer = "the file is a Git LFS pointer in place of the contents; run `git lfs pull` where it was cloned"

/** Whether a file that begins so is a Git LFS pointer. */
export const isPointer = (text: string): boolean => text.startsWith("version https://git-lfs.github.com/spec/")

/** Pointers are smaller than this; Git LFS itself looks no further. */
const largestPointer = 1024n

const unreadable = ({ reason }: PlatformError.PlatformError) =>
  reason._tag === "NotFound" ? "the file is missing" : `the file cannot be read (${reason._tag})`

/**
 * The text of a file without a byte order mark and with line feeds alone, see `fileText`. Fails with what is wrong with
 * it.
 */
export const readText = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<string, string, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* Effect.mapError(fs.readFile(file), unreadable)
  const text = fileText(bytes)
  if (text === undefined) {
    return yield* Effect.fail("the file is not text in UTF-8; download or export it again, or save it in UTF-8")
  }
  if (text.trim() === "") return yield* Effect.fail(empty)
  if (isPointer(text)) return yield* Effect.fail(pointer)
  return text.replace(/\r\n?/g, "\n")
})

/** What is wrong with a file of weights, as far as can be seen without loading it. */
export const weightsProblem = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<string | undefined, never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const found = yield* Effect.option(fs.stat(file))
  if (found._tag === "None") return "the file is missing or may not be read"
  if (found.value.type !== "File") return "it is not a file"
  if (found.value.size === 0n) return empty
  if (found.value.size > largestPointer) return undefined
  const text = yield* Effect.orElseSucceed(fs.readFileString(file), () => "")
  return isPointer(text) ? pointer : undefined
})

/**
 * Files given to a command.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import { UnusableFile } from "./failures.ts"

/** Reads a file of at most `largest` bytes. Fails with `UnusableFile`. */
export const readFile = Effect.fn("readFile")(function*(file: string, largest: number) {
  const fs = yield* FileSystem.FileSystem
  const unreadable = (error: PlatformError.PlatformError) => new UnusableFile({ file, reason: reasonOf(error) })
  const { size, type } = yield* Effect.mapError(fs.stat(file), unreadable)
  // Devices and pipes may never end.
  if (type !== "File") return yield* new UnusableFile({ file, reason: notAFile })
  if (size > largest) {
    const limit = largest < 2 ** 20 ? `${largest} bytes` : `${Math.floor(largest / 2 ** 20)} MB`
    return yield* new UnusableFile({ file, reason: `the file is larger than ${limit}. Check that it is an image.` })
  }
  return yield* Effect.mapError(fs.readFile(file), unreadable)
})

const notAFile = "it cannot be read. Check that it is a file."

const reasonOf = ({ reason }: PlatformError.PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file. Check the path."
    case "PermissionDenied":
      return "there is no permission to read it."
    default:
      return notAFile
  }
}

/**
 * `serena info`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Png from "../images/Png.ts"
import { UnusableFile } from "./failures.ts"

/** Prints the infotext of a picture. */
export const printInfotext = Effect.fn("printInfotext")(function*(file: string, json: boolean) {
  const fs = yield* FileSystem.FileSystem
  const unusable = (reason: string) => new UnusableFile({ file, reason })
  const bytes = yield* fs.readFile(file).pipe(Effect.mapError(({ reason }) =>
    unusable(
      reason._tag === "NotFound"
        ? "there is no such file. Check the path."
        : reason._tag === "PermissionDenied"
        ? "there is no permission to read it."
        : "it cannot be read. Check that it is a file."
    )
  ))
  const infotext = yield* Effect.mapError(Png.readInfotext(bytes), ({ message }) => unusable(message))
  if (infotext === undefined) {
    return yield* unusable("this picture does not tell how it was made: it has no \"parameters\" text.")
  }
  yield* Console.log(json ? JSON.stringify({ infotext }) : infotext)
})

/**
 * Pictures that a command is given: what they tell of themselves.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import * as Metadata from "../images/Metadata.ts"
import * as Infotext from "../processing/Infotext.ts"
import { fieldsOf, settingsOf } from "../processing/InfotextRequest.ts"
import { OptionsPatch } from "../processing/Options.ts"
import { Txt2Img } from "../processing/Processing.ts"
import { UnusableFile } from "./failures.ts"

/** Largest file that is read, in MB. A picture of 8192x8192 pixels fills less, however badly it is compressed. */
const largest = 256

/** The infotext of a picture, and its other texts. Fails with `UnusableFile` when it has no infotext. */
export const readPicture = Effect.fn("readPicture")(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const unusable = (reason: string) => new UnusableFile({ file, reason })
  const unreadable = (error: PlatformError.PlatformError) => unusable(reasonOf(error))
  const { size } = yield* Effect.mapError(fs.stat(file), unreadable)
  if (size > largest * 1024 * 1024) {
    return yield* unusable(`the file is larger than ${largest} MB. Check that it is a picture.`)
  }
  const bytes = yield* Effect.mapError(fs.readFile(file), unreadable)
  const { infotext, items } = yield* Effect.mapError(
    Metadata.readMetadata(bytes),
    ({ message }) => unusable(message)
  )
  if (infotext === undefined) {
    return yield* unusable("this picture does not tell how it was made: there is no infotext in it.")
  }
  return { infotext, items }
})

const reasonOf = ({ reason }: PlatformError.PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file. Check the path."
    case "PermissionDenied":
      return "there is no permission to read it."
    default:
      return "it cannot be read. Check that it is a file."
  }
}

/** Why a picture that was made from another's infotext is not the same, whatever the flags said. */
export const differences = (original: string, made: string): ReadonlyArray<string> => {
  const [before, after] = [Infotext.parse(original).fields, Infotext.parse(made).fields]
  const unknown = [
    ...fieldsOf(before).filter(({ name, value }) => value !== false && !Object.hasOwn(Txt2Img.fields, name)),
    ...settingsOf(before).filter(({ name }) => !Object.hasOwn(OptionsPatch.fields, name))
  ]
  const differs = (key: string): boolean => before[key] !== undefined && before[key] !== after[key]
  const isOtherModel = before["Model hash"] === undefined ? differs("Model") : differs("Model hash")
  return [
    ...(unknown.length === 0
      ? []
      : [`the picture was made with what is not built yet: ${unknown.map(({ name }) => name).join(", ")}.`]),
    ...(isOtherModel
      ? [`the picture was made by ${modelOf(before)}, not by ${modelOf(after)}. Name its model with --model.`]
      : [])
  ]
}

const modelOf = (fields: Infotext.Fields): string =>
  ["Model", "Model hash"].flatMap((key) => fields[key] === undefined ? [] : [String(fields[key])]).join(" ")

/**
 * Pictures that a command is given: what they tell of themselves.
 */
import * as Effect from "effect/Effect"
import * as Metadata from "../images/Metadata.ts"
import * as Infotext from "../processing/Infotext.ts"
import { fieldsOf, settingsOf } from "../processing/InfotextRequest.ts"
import { OptionsPatch } from "../processing/Options.ts"
import { Img2Img, type Processing, Txt2Img } from "../processing/Processing.ts"
import { UnusableFile } from "./failures.ts"
import { readFile } from "./files.ts"

/** Largest file that is read, in bytes. A picture of 8192x8192 pixels fills less, however badly it is compressed. */
const largest = 256 * 2 ** 20

/** The infotext of a picture, and its other texts. Fails with `UnusableFile` when it has no infotext. */
export const readPicture = Effect.fn("readPicture")(function*(file: string) {
  const unusable = (reason: string) => new UnusableFile({ file, reason })
  const bytes = yield* readFile(file, largest)
  const { infotext, items } = yield* Effect.mapError(
    Metadata.readMetadata(bytes),
    ({ message }) => unusable(message)
  )
  if (infotext === undefined) {
    return yield* unusable("this picture does not tell how it was made: there is no infotext in it.")
  }
  return { infotext, items }
})

/** Why a picture that was made from another's infotext is not the same, whatever the flags said. */
export const differences = (
  original: string,
  made: string,
  kind: Processing["_tag"] = "Txt2Img"
): ReadonlyArray<string> => {
  const [before, after] = [Infotext.parse(original).fields, Infotext.parse(made).fields]
  const said = fieldsOf(before)
  const fromPicture = said.some(({ name, value }) => name === "enable_hr" && value === false) ||
    said.some(({ name }) => !Object.hasOwn(Txt2Img.fields, name) && Object.hasOwn(Img2Img.fields, name))
  const unknown = [
    ...said.filter(({ name }) => !Object.hasOwn(Txt2Img.fields, name) && !Object.hasOwn(Img2Img.fields, name)),
    ...settingsOf(before).filter(({ name }) => !Object.hasOwn(OptionsPatch.fields, name))
  ]
  const differs = (key: string): boolean => before[key] !== undefined && before[key] !== after[key]
  const isOtherModel = before["Model hash"] === undefined ? differs("Model") : differs("Model hash")
  return [
    ...(unknown.length === 0
      ? []
      : [`the picture was made with what is not built yet: ${unknown.map(({ name }) => name).join(", ")}.`]),
    ...(kind === "Txt2Img" && before["Denoising strength"] !== undefined && fromPicture
      ? ["the picture was made from another one. Name that one to \"serena img2img\"."]
      : []),
    ...(isOtherModel
      ? [`the picture was made by ${modelOf(before)}, not by ${modelOf(after)}. Name its model with --model.`]
      : [])
  ]
}

const modelOf = (fields: Infotext.Fields): string =>
  ["Model", "Model hash"].flatMap((key) => fields[key] === undefined ? [] : [String(fields[key])]).join(" ")

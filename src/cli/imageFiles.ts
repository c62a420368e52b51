/**
 * Image files given to a command, and their metadata.
 */
import * as Effect from "effect/Effect"
import * as Metadata from "../images/Metadata.ts"
import * as Infotext from "../processing/Infotext.ts"
import { fieldsOf, settingsOf } from "../processing/InfotextRequest.ts"
import { OptionsPatch } from "../processing/Options.ts"
import { Img2Img, type Processing, Txt2Img } from "../processing/Processing.ts"
import { UnusableFile } from "./failures.ts"
import { readFile } from "./files.ts"

/** Largest file that is read, in bytes. An image of 8192x8192 pixels fits, however badly it is compressed. */
const largest = 256 * 2 ** 20

/** Reads the infotext of an image, and its other metadata. Fails with `UnusableFile` when it has no infotext. */
export const readImage = Effect.fn("readImage")(function*(file: string) {
  const unusable = (reason: string) => new UnusableFile({ file, reason })
  const bytes = yield* readFile(file, largest)
  const { infotext, items } = yield* Effect.mapError(
    Metadata.readMetadata(bytes),
    ({ message }) => unusable(message)
  )
  if (infotext === undefined) {
    return yield* unusable("the image contains no infotext, so its generation parameters are unknown.")
  }
  return { infotext, items }
})

/** Reasons why an image generated from an infotext differs from the original, apart from the flags. */
export const differences = (
  original: string,
  made: string,
  kind: Processing["_tag"] = "Txt2Img"
): ReadonlyArray<string> => {
  const [before, after] = [Infotext.parse(original).fields, Infotext.parse(made).fields]
  const said = fieldsOf(before)
  const fromImage = said.some(({ name, value }) => name === "enable_hr" && value === false) ||
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
      : [
        `the image was generated with features that Serena does not have: ${
          unknown.map(({ name }) => name).join(", ")
        }.`
      ]),
    ...(kind === "Txt2Img" && before["Denoising strength"] !== undefined && fromImage
      ? ["the image was generated from an init image. Pass that one to \"serena img2img\"."]
      : []),
    ...(isOtherModel
      ? [`the image was generated with ${modelOf(before)}, not with ${modelOf(after)}. Name its model with --model.`]
      : [])
  ]
}

const modelOf = (fields: Infotext.Fields): string =>
  ["Model", "Model hash"].flatMap((key) => fields[key] === undefined ? [] : [String(fields[key])]).join(" ")

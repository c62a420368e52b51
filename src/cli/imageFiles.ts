/**
 * Image files given to a command, and their metadata.
 */
import * as Effect from "effect/Effect"
import * as Metadata from "../images/Metadata.ts"
import type { CommandOptionsPatch } from "../processing/CommandOptions.ts"
import * as Infotext from "../processing/Infotext.ts"
import type { IsKnown } from "../processing/InfotextWarnings.ts"
import * as JsonInfotext from "../processing/JsonInfotext.ts"
import { knownNames } from "../runner/knownNames.ts"
import { type Present, withPresentNetworks } from "../runner/presentNetworks.ts"
import * as Serena from "../Serena.ts"
import { UnusableFile } from "./failures.ts"
import { readFile } from "./files.ts"

/** Largest file that is read, in bytes. An image of 8192x8192 pixels fits, even if poorly compressed. */
const largest = 256 * 2 ** 20

/**
 * The infotext of an image, or else the JSON that another program stores instead, and its other text entries. Fails
 * with `UnusableFile` if there is neither.
 */
export const readImage = Effect.fn("readImage")(function*(file: string) {
  const unusable = (reason: string) => new UnusableFile({ file, reason })
  const bytes = yield* readFile(file, largest)
  const metadata = yield* Effect.mapError(Metadata.readMetadata(bytes), ({ message }) => unusable(message))
  const { items } = metadata
  const infotext = Metadata.parametersOf(metadata)
  if (infotext === undefined) {
    const names = Object.keys(items)
    const others = names.length === 0 ? "" : ` Other texts in it: ${JsonInfotext.listed(names)}.`
    return yield* unusable(`the image contains no infotext, so its generation parameters are unknown.${others}`)
  }
  return { infotext, items }
})

/** Reasons why an image differs from the one whose infotext was used, known only once it is generated. */
export const differences = (original: string, made: string): ReadonlyArray<string> => {
  const [before, after] = [Infotext.parse(original).fields, Infotext.parse(made).fields]
  const differs = (key: string): boolean => before[key] !== undefined && before[key] !== after[key]
  const isOtherModel = before["Model hash"] === undefined ? differs("Model") : differs("Model hash")
  return isOtherModel
    ? [`the image was generated with ${modelOf(before)}, not with ${modelOf(after)}. Name its model with --model.`]
    : []
}

/** An infotext by the names that there are in a process with these options. */
export const readIn =
  (infotext: string) => (cmdOpts: CommandOptionsPatch): Effect.Effect<Present & { isKnown: IsKnown }> =>
    Effect.zipWith(
      knownNames,
      withPresentNetworks(infotext),
      (isKnown, present) => ({ ...present, isKnown })
    ).pipe(Effect.provide(Serena.layer({ cmdOpts })))

const modelOf = (fields: Infotext.Fields): string =>
  ["Model", "Model hash"].flatMap((key) => fields[key] === undefined ? [] : [String(fields[key])]).join(" ")

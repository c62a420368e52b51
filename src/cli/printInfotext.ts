/**
 * `serena info`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Infotext from "../processing/Infotext.ts"
import { readImage } from "./imageFiles.ts"

/** Prints the infotext of an image, or all of its metadata as a line of JSON. */
export const printInfotext = Effect.fn("printInfotext")(function*(file: string, json: boolean) {
  const { infotext, items } = yield* readImage(file)
  const parameters = Infotext.withDefaults(Infotext.parse(infotext))
  yield* Console.log(json ? JSON.stringify({ infotext, items, parameters }) : infotext)
})

/**
 * `serena info`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Infotext from "../processing/Infotext.ts"
import { report, type UnusableFile } from "./failures.ts"
import { readImage } from "./imageFiles.ts"

/**
 * Prints the infotext of each image, or all of its metadata as a line of JSON; of several images with the name of each.
 *
 * An unusable file does not keep the others from being printed. Fails with `UnusableFile` of the last one.
 */
export const printInfotexts = Effect.fn("printInfotexts")(function*(files: ReadonlyArray<string>, json: boolean) {
  const isOne = files.length === 1
  let unusable: UnusableFile | undefined
  let isFirst = true
  for (const file of files) {
    const read = yield* Effect.result(readImage(file))
    if (read._tag === "Failure") {
      if (unusable !== undefined) yield* report(unusable)
      unusable = read.failure
      continue
    }
    const { infotext, items } = read.success
    if (json) {
      const parameters = Infotext.withDefaults(Infotext.parse(infotext))
      yield* Console.log(JSON.stringify({ ...(!isOne && { file }), infotext, items, parameters }))
    } else {
      yield* Console.log(isOne ? infotext : `${isFirst ? "" : "\n"}${file}\n${infotext}`)
    }
    isFirst = false
  }
  if (unusable !== undefined) return yield* unusable
})

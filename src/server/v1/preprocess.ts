/**
 * What a unit's preprocessor makes of its image.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { detectedMap } from "../../images/detectedMap.ts"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import * as Preprocessors from "../../images/Preprocessors.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { InvalidProcessing } from "../../processing/InvalidProcessing.ts"
import * as Processing from "../../processing/Processing.ts"
import { RunQueue } from "../host/RunQueue.ts"

const invalid = (path: string, message: string) => new InvalidProcessing({ problems: [{ path, message }] })

// A unit is checked as one of a request, with the size of the result.
const decode = Effect.fnUntraced(function*(body: unknown) {
  const { limits } = yield* CommandOptions
  if (!Predicate.isObject(body) || Array.isArray(body)) return yield* invalid("", "Expected an object with fields")
  const { height, width, ...unit }: Readonly<Record<string, unknown>> = { ...body }
  const size = { ...(width !== undefined && { width }), ...(height !== undefined && { height }) }
  const asked = yield* Effect.mapError(
    Processing.decode({ _tag: "Txt2Img", control_units: [unit], ...size }, limits),
    ({ problems }) =>
      new InvalidProcessing({
        problems: problems.map(({ message, path }) => ({ path: path.replace(/^control_units\.0\.?/, ""), message }))
      })
  )
  return { unit: asked.control_units[0], size: { width: asked.width, height: asked.height } }
})

/** The file of the map that a body asks for. */
export const preprocess = Effect.fn("v1.preprocess")(function*(body: unknown) {
  const { limits } = yield* CommandOptions
  const decoder = yield* ImageDecoder
  const { size, unit } = yield* decode(body)
  const preprocessor = Preprocessors.find(unit?.module ?? "none")
  if (preprocessor === undefined) return yield* invalid("module", Preprocessors.missing(unit?.module ?? ""))
  if (unit?.image === undefined) return yield* invalid("image", "give the image to look at")
  const { image: given, mask, pixel_perfect, processor_res, resize_mode, threshold_a: a, threshold_b: b } = unit
  const read = (name: "image" | "mask", bytes: Uint8Array) =>
    Effect.mapError(
      decoder.decode(bytes, limits),
      ({ reason }) => invalid(name, `it cannot be read as an image: ${reason}`)
    )
  const making = Effect.gen(function*() {
    const image = yield* read("image", given)
    const to = { width: size.width ?? image.width, height: size.height ?? image.height }
    const resolution = pixel_perfect
      ? Preprocessors.perfectResolution(image, to, resize_mode)
      : processor_res ?? Preprocessors.usualResolution
    return yield* detectedMap(
      image,
      { preprocessor, resolution, a, b },
      mask === undefined ? undefined : yield* read("mask", mask)
    )
  })
  return yield* (yield* RunQueue).occupy(making)
})

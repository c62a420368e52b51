/**
 * ControlNets as sd-webui-controlnet takes them: the arguments of its script, its lists, and its preprocessors alone.
 *
 * Fields of a unit that are not known are ignored, as there.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { detectedMap } from "../../images/detectedMap.ts"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import * as Preprocessors from "../../images/Preprocessors.ts"
import { Models } from "../../model/Models.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { mostUnits, unitWords } from "../../processing/ControlUnit.ts"
import type { RunResult } from "../../runs/RunResult.ts"
import { RunQueue } from "../host/RunQueue.ts"
import { type ApiError, fromRun, problem, refuse } from "./ApiError.ts"
import {
  decoder,
  FloatNumber,
  ImageTexts,
  Int,
  otherwise,
  readDict,
  readFlag,
  readFloat,
  readInt,
  Text
} from "./Fields.ts"
import type { ImageRequest } from "./ImageRequest.ts"
import { Float } from "./PythonJson.ts"
import { RequestImages } from "./RequestImages.ts"

/** Its name among always-on scripts, in lower case. */
export const script = "controlnet"

type Unit = Readonly<Record<string, unknown>>

const place = ["body", "alwayson_scripts", script, "args"]

/** The place in a body of what is wrong with a unit: that of an argument. */
export const pathOf = (path: string): string => path.replace(/^control_units\b/, place.slice(1).join("."))

const argumentsOf = ({ alwayson_scripts }: Pick<ImageRequest, "alwayson_scripts">): ReadonlyArray<unknown> => {
  const entry = Object.entries(alwayson_scripts).find(([title]) => title.toLowerCase() === script)?.[1]
  const args = readDict(entry)?.["args"]
  return Array.isArray(args) ? args : []
}

/** The units that a request gives as arguments, as Serena's requests have them. */
export const unitsOf = Effect.fnUntraced(function*(
  request: Pick<ImageRequest, "alwayson_scripts">
): Effect.fn.Return<ReadonlyArray<Unit>, ApiError, RequestImages> {
  const units = yield* Effect.forEach(argumentsOf(request), (unit, i) => unitOf(unit, i))
  // Clients send empty units up to the number that there may be.
  const last = units.findLastIndex((unit) => unit["enabled"] !== false)
  return units.slice(0, last + 1)
})

const off: Unit = { enabled: false }

const unitOf = Effect.fnUntraced(function*(
  value: unknown,
  index: number
): Effect.fn.Return<Unit, ApiError, RequestImages> {
  if (value === null || value === undefined) return off
  const fields = readDict(value)
  if (fields === undefined) return yield* problem([...place, index], "value is not a valid dict", "type_error.dict")
  if (Object.keys(fields).length === 0) return off
  const unread = (name: string, message: string) => problem([...place, index, name], message)
  const given = (...names: ReadonlyArray<string>): readonly [name: string, value: unknown] | undefined => {
    const name = names.find((name) => fields[name] !== undefined && fields[name] !== null)
    return name === undefined ? undefined : [name, fields[name]]
  }
  const read = <A>(as: (value: unknown) => A | undefined, what: string, ...names: ReadonlyArray<string>) => {
    const found = given(...names)
    const value = found && as(found[1])
    return found !== undefined && value === undefined
      ? Effect.fail(unread(found[0], `value is not a valid ${what}`))
      : Effect.succeed(value)
  }
  const enabled = yield* read(readFlag, "boolean", "enabled")
  // A unit that does not act is not read further.
  if (enabled === false) return off
  const number = (...names: ReadonlyArray<string>) => read(readFloat, "float", ...names)
  const [threshold_a, threshold_b] = [yield* number("threshold_a"), yield* number("threshold_b")]
  const resolution = yield* read(readInt, "integer", "processor_res")
  const isGuessing = yield* read(readFlag, "boolean", "guessmode")
  const model = yield* read(readName, "string", "model")
  const [, shown] = given("image", "input_image") ?? []
  const [image, mask] = Array.isArray(shown)
    ? shown
    : Predicate.isObject(shown) && !(shown instanceof Uint8Array)
    ? [Reflect.get(shown, "image"), Reflect.get(shown, "mask")]
    : [shown]
  const whole: Unit = {
    enabled: true,
    model: model?.toLowerCase() === "none" ? "" : model,
    module: yield* read(readName, "string", "module"),
    image: yield* imageOf(image, () => unread("image", "expected an image in base64")),
    mask: yield* imageOf(mask ?? given("mask", "mask_image")?.[1], () => unread("mask", "expected an image in base64")),
    weight: yield* number("weight"),
    control_mode: (yield* read(controlModeOf, "control mode", "control_mode")) ??
      (isGuessing === true ? "control" : undefined),
    resize_mode: yield* read(resizeModeOf, "resize mode", "resize_mode"),
    guidance_start: yield* number("guidance_start"),
    guidance_end: yield* number("guidance_end", "guidance"),
    pixel_perfect: yield* read(readFlag, "boolean", "pixel_perfect"),
    low_vram: yield* read(readFlag, "boolean", "low_vram", "lowvram"),
    // -1 stands for the preprocessor's own.
    processor_res: resolution === undefined || resolution < 0 ? undefined : resolution,
    threshold_a: threshold_a === -1 ? undefined : threshold_a,
    threshold_b: threshold_b === -1 ? undefined : threshold_b
  }
  return Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined))
})

/** The files of what the units of a run followed, without those of units that do not want theirs. */
export const mapsOf = (
  request: Pick<ImageRequest, "alwayson_scripts">,
  { maps }: Pick<RunResult, "maps">
): ReadonlyArray<Uint8Array> => {
  const args = argumentsOf(request)
  return maps
    .filter(({ unit }) => readFlag(readDict(args[unit])?.["save_detected_map"]) !== false)
    .map(({ bytes }) => bytes)
}

const readName = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const imageOf = Effect.fnUntraced(function*(
  value: unknown,
  unread: () => ApiError
): Effect.fn.Return<Uint8Array | undefined, ApiError, RequestImages> {
  if (value === undefined || value === null || value === "") return undefined
  if (typeof value !== "string" && !(value instanceof Uint8Array)) return yield* unread()
  return yield* (yield* RequestImages).read(value)
})

// A choice by its number, its label in any case, or Serena's own word.
const choiceOf = (labels: Readonly<Record<string, string>>) => (value: unknown): string | undefined => {
  const names = Object.keys(labels)
  const wanted = typeof value === "string" ? value.trim().toLowerCase() : undefined
  return wanted === undefined
    ? names[readInt(value) ?? -1]
    : names.find((name) => name === wanted || labels[name]?.toLowerCase() === wanted) ?? names[readInt(wanted) ?? -1]
}

const controlModeOf = choiceOf(unitWords.control_mode)

/** Labels of the first versions. */
const olderLabels: Readonly<Record<string, string>> = {
  "scale to fit (inner fit)": "crop",
  "inner fit (scale to fit)": "crop",
  "envelope (outer fit)": "fill",
  "outer fit (shrink to fit)": "fill"
}

const resizeModeOf = (value: unknown): string | undefined =>
  (typeof value === "string" ? olderLabels[value.trim().toLowerCase()] : undefined) ??
    choiceOf(unitWords.resize_mode)(value)

const titles = Effect.gen(function*() {
  const { controlNets } = yield* Models
  return controlNets === undefined ? [] : (yield* controlNets.list).map(({ title }) => title)
})

/** `GET /controlnet/model_list`. */
export const modelList = Effect.map(titles, (model_list) => ({ model_list }))

const slider = ({ label, maximum, minimum, step, value }: Preprocessors.Threshold) => ({
  name: label,
  value: new Float(value),
  min: new Float(minimum),
  max: new Float(maximum),
  step: new Float(step)
})

const resolutionSlider = { name: "Preprocessor Resolution", value: Preprocessors.usualResolution, min: 64, max: 2048 }

/** `GET /controlnet/module_list`: names, or with `alias_names` what people see. */
export const moduleList = (areAliases: boolean) => ({
  module_list: Preprocessors.all.map(({ label, name }) => areAliases ? label : name),
  module_detail: Object.fromEntries(Preprocessors.all.map(({ a, b, isResized, label, name }) => [
    areAliases ? label : name,
    {
      model_free: false,
      sliders: [
        ...(isResized ? [resolutionSlider] : a === undefined ? [] : [null]),
        ...(a === undefined ? [] : [slider(a)]),
        ...(b === undefined ? [] : [slider(b)])
      ]
    }
  ]))
})

const types = [...new Set(Preprocessors.all.flatMap(({ types }) => types))]

/** `GET /controlnet/control_types`: for each, the preprocessors that make its images and the models to follow them. */
export const controlTypes = Effect.map(titles, (all) => {
  const entry = (modules: ReadonlyArray<string>, models: ReadonlyArray<string>, option: string) => ({
    module_list: modules,
    model_list: ["None", ...models],
    default_option: option,
    default_model: models[0] ?? "None"
  })
  const names = Preprocessors.all.map(({ name }) => name)
  return {
    control_types: {
      All: { ...entry(names, all, "none"), default_model: "None" },
      ...Object.fromEntries(types.map((type) => {
        const own = Preprocessors.all.filter(({ types }) => types.includes(type)).map(({ name }) => name)
        const models = all.filter((title) => title.toLowerCase().includes(type.toLowerCase()))
        return [type, entry(["none", ...own], models, own.find((name) => name !== "invert") ?? own[0] ?? "none")]
      }))
    }
  }
})

/** `GET /controlnet/settings`. */
export const settings = { control_net_unit_count: mostUnits }

/** The body of `POST /controlnet/detect`. */
export const DetectRequest = Schema.Struct({
  controlnet_module: otherwise(Text.required, "none"),
  controlnet_input_images: otherwise(ImageTexts.required, []),
  controlnet_masks: otherwise(ImageTexts.nullable, null),
  controlnet_processor_res: otherwise(Int.required, Preprocessors.usualResolution),
  controlnet_threshold_a: otherwise(FloatNumber.required, new Float(-1)),
  controlnet_threshold_b: otherwise(FloatNumber.required, new Float(-1))
})

export const decodeDetect = decoder(DetectRequest)

/** Largest number of images of one request. */
const maxImages = 100

/** `POST /controlnet/detect`: what a preprocessor makes of images. */
export const detect = Effect.fn("controlnet.detect")(function*(body: unknown) {
  const asked = yield* decodeDetect(body)
  const { controlnet_input_images: images, controlnet_module: module, controlnet_processor_res: resolution } = asked
  const preprocessor = Preprocessors.find(module)
  if (preprocessor === undefined) {
    return yield* refuse(422, "Module not available", { errors: Preprocessors.missing(module) })
  }
  if (images.length === 0) return yield* refuse(422, "No image selected")
  if (images.length > maxImages) {
    return yield* problem(["body", "controlnet_input_images"], `at most ${maxImages} images are accepted`)
  }
  if (resolution > 2048) {
    return yield* problem(["body", "controlnet_processor_res"], "ensure this value is less than or equal to 2048")
  }
  const use: Preprocessors.Use = {
    preprocessor,
    resolution: resolution < 64 ? Preprocessors.usualResolution : resolution,
    a: asked.controlnet_threshold_a.value,
    b: asked.controlnet_threshold_b.value
  }
  const { occupy } = yield* RunQueue
  const made = yield* occupy(
    Effect.forEach(images, (image, i) => detected(image, asked.controlnet_masks?.[i], use))
  ).pipe(
    Effect.mapError((error) =>
      error._tag === "QueueFull" || error._tag === "RunsUnavailable" || error._tag === "ShuttingDown"
        ? fromRun(error)
        : error
    )
  )
  return { images: made, info: "Success" }
})

const detected = Effect.fnUntraced(function*(
  image: string | Uint8Array,
  mask: string | Uint8Array | undefined,
  use: Preprocessors.Use
) {
  const hidden = mask === undefined || mask === "" ? undefined : yield* decoded(mask)
  return yield* Effect.mapError(detectedMap(yield* decoded(image), use, hidden), fromRun)
})

const decoded = Effect.fnUntraced(function*(image: string | Uint8Array) {
  const { limits } = yield* CommandOptions
  const bytes = yield* (yield* RequestImages).read(image)
  return yield* Effect.mapError((yield* ImageDecoder).decode(bytes, limits), fromRun)
})

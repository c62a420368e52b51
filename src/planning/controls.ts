/**
 * How the ControlNets of a run act: when, and how strongly at each layer.
 */
import { acting, find as findPreprocessor, missing, usualResolution } from "../images/Preprocessors.ts"
import { type ControlUnit, isActing, unitWords, withoutImages } from "../processing/ControlUnit.ts"
import * as Infotext from "../processing/Infotext.ts"
import type { Processing } from "../processing/Processing.ts"
import type { Problems } from "./Problems.ts"
import type { ControlPlan } from "./RunPlan.ts"

/** A unit that acts, with its place in the request. */
export interface ActingUnit {
  readonly index: number
  readonly unit: ControlUnit
}

/** The units of a request that change something. */
export const actingUnits = ({ control_units }: Processing): ReadonlyArray<ActingUnit> =>
  control_units.flatMap((unit, index) => isActing(unit) ? [{ index, unit }] : [])

/** The ControlNets of a run, before their files are found and their images are made ready. */
export const planControls = (processing: Processing): ReadonlyArray<ControlPlan> =>
  actingUnits(processing).map(({ index, unit }) => ({
    index,
    unit: withoutImages(unit),
    title: unit.model,
    ready: undefined
  }))

/** What is wrong with units before their files are looked for. */
export const unitProblems = (processing: Processing): Problems =>
  actingUnits(processing).flatMap(({ index, unit }) =>
    problemsOf(unit, processing).map(([name, message]) => ({ path: `control_units.${index}.${name}`, message }))
  )

const problemsOf = (
  { guidance_end, guidance_start, image, module }: ControlUnit,
  { _tag }: Processing
): ReadonlyArray<readonly [name: keyof ControlUnit, message: string]> => {
  const problems: Array<readonly [keyof ControlUnit, string]> = []
  if (findPreprocessor(module) === undefined) problems.push(["module", missing(module)])
  if (image === undefined && _tag === "Txt2Img") {
    problems.push(["image", "give the image to follow: text to image has no init image"])
  }
  if (guidance_start > guidance_end) problems.push(["guidance_start", `it is after the end, ${guidance_end}`])
  return problems
}

/** What users should know of units. */
export const unitWarnings = (processing: Processing): ReadonlyArray<string> =>
  actingUnits(processing).flatMap(({ index, unit: { low_vram } }) =>
    low_vram
      ? [`control_units.${index}.low_vram is ignored: the process option lowvram decides for all networks.`]
      : []
  )

/**
 * Whether a unit acts when so many of a pass's steps are done. sd-webui-controlnet looks at the last step that was
 * reported, from 0: it counts the first two steps as one.
 */
export const actsAt = (
  { guidance_end, guidance_start }: Pick<ControlUnit, "guidance_end" | "guidance_start">,
  { done, steps }: { readonly done: number; readonly steps: number }
): boolean => {
  const share = Math.max(0, done - 1) / Math.max(1, steps)
  return share >= guidance_start && share <= guidance_end
}

/** The base of soft weights: each layer counts so much less than the next deeper one. */
const softness = 0.825

/**
 * What each residual of a unit is multiplied by. Soft weights are those of sd-webui-controlnet, which counts from 12
 * whatever the number of layers. It has them also in the second pass of hires fix for edges, whose errors would show.
 */
export const scalesOf = (
  { control_mode, module, weight }: Pick<ControlUnit, "control_mode" | "module" | "weight">,
  { isSecondPass, residuals }: { readonly residuals: number; readonly isSecondPass: boolean }
): Float32Array => {
  const isSoft = control_mode !== "balanced" || (isSecondPass && findPreprocessor(module)?.name === "canny")
  return Float32Array.from({ length: residuals }, (_, i) => weight * (isSoft ? softness ** (12 - i) : 1))
}

/** A unit as sd-webui-controlnet writes it to infotexts, with the numbers that its preprocessor has. */
export const unitText = ({ title, unit }: ControlPlan): string => {
  const preprocessor = findPreprocessor(unit.module)
  const { a, b, isResized = false } = preprocessor ?? {}
  const number = (value: number) => Infotext.textOf(Infotext.float(value))
  const flag = (value: boolean) => value ? "True" : "False"
  const pairs: ReadonlyArray<readonly [key: string, value: string]> = [
    ["Module", preprocessor?.name ?? unit.module],
    ["Model", title],
    ["Weight", number(unit.weight)],
    ["Resize Mode", unitWords.resize_mode[unit.resize_mode]],
    ...(isResized ? [["Processor Res", `${unit.processor_res ?? usualResolution}`] as const] : []),
    ...(a === undefined ? [] : [["Threshold A", number(acting(a, unit.threshold_a))] as const]),
    ...(b === undefined ? [] : [["Threshold B", number(acting(b, unit.threshold_b))] as const]),
    ["Guidance Start", number(unit.guidance_start)],
    ["Guidance End", number(unit.guidance_end)],
    ["Pixel Perfect", flag(unit.pixel_perfect)],
    ["Control Mode", unitWords.control_mode[unit.control_mode]]
  ]
  return pairs.map(([key, value]) => `${key}: ${value.replaceAll(/[,:]/g, " ")}`).join(", ")
}

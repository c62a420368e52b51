/**
 * X/Y/Z plots: one request made for each combination of the values on its axes, as the script of
 * stable-diffusion-webui's does.
 *
 * An axis is a text, `Steps: 5, 10, 20`: the script's name of an axis, or that of the field or setting, and values with
 * commas between them. `1-5`, `1-9 (+2)` and `0-1 [5]` are ranges of numbers: of each, of every second, of five.
 * `Prompt matrix: a | b` has a value for each combination of the parts that `|` separates, which follow the prompt.
 */
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"
import * as Seed from "../core/Seed.ts"
import { nearest } from "../core/Text.ts"
import type { Processing } from "./Processing.ts"

/** A request's cells, and what is written at their edges. */
export interface Plot {
  /** One for each column, row and sheet; an axis that is not there has one label, which is empty. */
  readonly labels: Labels
  /** The requests, without axes: column after column in each row, row after row in each sheet. */
  readonly cells: ReadonlyArray<Processing>
}

export interface Labels {
  readonly x: ReadonlyArray<string>
  readonly y: ReadonlyArray<string>
  readonly z: ReadonlyArray<string>
}

/** Most cells of a plot. */
export const mostCells = 400

/** The fields of the axes. */
export const axisNames = ["x_axis", "y_axis", "z_axis"] as const

type Kind = "float" | "flag" | "int" | "text"

export interface Axis {
  readonly label: string
  /** The name of the field or setting. */
  readonly name: string
  readonly kind: Kind
  /** How its values are written; by default with commas between them. */
  readonly valuesOf?: (text: string) => ReadonlyArray<string>
  readonly isFor?: Processing["_tag"]
  /** What becomes of the request; an error says why nothing does. */
  readonly change: (processing: Processing, value: string, values: ReadonlyArray<string>) => Result.Result<
    Processing,
    string
  >
}

const valueOf = (kind: Kind, text: string): Result.Result<unknown, string> => {
  if (kind === "text") return Result.succeed(text)
  if (kind === "flag") {
    const value = { true: true, false: false }[text.toLowerCase()]
    return value === undefined ? Result.fail(`"${text}" is neither True nor False`) : Result.succeed(value)
  }
  const number = kind === "int" ? Seed.fromText(text) : text.trim() === "" ? Number.NaN : Number(text)
  return number === undefined || Number.isNaN(number)
    ? Result.fail(`"${text}" is not a ${kind === "int" ? "whole number" : "number"}`)
    : Result.succeed(number)
}

const field = (label: string, name: string, kind: Kind, isFor?: Processing["_tag"]): Axis => ({
  label,
  name,
  kind,
  ...(isFor !== undefined && { isFor }),
  change: (processing, value) => Result.map(valueOf(kind, value), (value) => ({ ...processing, [name]: value }))
})

const setting = (label: string, name: string, kind: Kind, isFor?: Processing["_tag"]): Axis => ({
  label,
  name,
  kind,
  ...(isFor !== undefined && { isFor }),
  change: (processing, value) =>
    Result.map(valueOf(kind, value), (value) => ({
      ...processing,
      override_settings: { ...processing.override_settings, [name]: value }
    }))
})

const replaced: Axis["change"] = (processing, value, [search = ""]) => {
  const { negative_prompt, prompt } = processing
  return prompt.includes(search) || negative_prompt.includes(search)
    ? Result.succeed({
      ...processing,
      prompt: prompt.replaceAll(search, () => value),
      negative_prompt: negative_prompt.replaceAll(search, () => value)
    })
    : Result.fail(`"${search}", the first value, is in neither prompt`)
}

const sized: Axis["change"] = (processing, value) => {
  const [, width, height] = /^\s*(\d{1,6})\s*[x\u00D7]\s*(\d{1,6})\s*$/i.exec(value) ?? []
  return width === undefined || height === undefined
    ? Result.fail(`"${value}" is not a size such as 512x768`)
    : Result.succeed({ ...processing, width: Number(width), height: Number(height) })
}

const styled: Axis["change"] = (processing, value) =>
  Result.succeed({ ...processing, styles: [...processing.styles, ...value.split(",").map((name) => name.trim())] })

const appended: Axis["change"] = (processing, value) => {
  const { prompt } = processing
  return Result.succeed(
    value === "" ? processing : { ...processing, prompt: prompt === "" ? value : `${prompt}, ${value}` }
  )
}

// Each combination of the parts, in the order of the webui's script: no part, the first, the second, the first two.
const combinations = (text: string): ReadonlyArray<string> => {
  const parts = text.split("|").map((part) => part.trim()).filter((part) => part !== "")
  // More are over the limit of cells.
  const count = 2 ** Math.min(parts.length, 10)
  return parts.length === 0
    ? []
    : Array.from({ length: count }, (_, bits) => parts.filter((_, i) => (bits >> i) % 2 === 1).join(", "))
}

/** The axes of the webui's script that Serena has, by the names that the script has for them. */
export const axes: ReadonlyArray<Axis> = [
  field("Seed", "seed", "int"),
  field("Var. seed", "subseed", "int"),
  field("Var. strength", "subseed_strength", "float"),
  field("Steps", "steps", "int"),
  field("Hires steps", "hr_second_pass_steps", "int", "Txt2Img"),
  field("CFG Scale", "cfg_scale", "float"),
  field("Image CFG Scale", "image_cfg_scale", "float", "Img2Img"),
  { label: "Prompt S/R", name: "prompt", kind: "text", change: replaced },
  field("Sampler", "sampler_name", "text"),
  field("Hires sampler", "hr_sampler_name", "text", "Txt2Img"),
  setting("Checkpoint name", "sd_model_checkpoint", "text"),
  field("Negative Guidance minimum sigma", "s_min_uncond", "float"),
  field("Sigma Churn", "s_churn", "float"),
  field("Sigma min", "s_tmin", "float"),
  field("Sigma max", "s_tmax", "float"),
  field("Sigma noise", "s_noise", "float"),
  field("Schedule type", "scheduler", "text"),
  setting("Schedule min sigma", "sigma_min", "float"),
  setting("Schedule max sigma", "sigma_max", "float"),
  setting("Schedule rho", "rho", "float"),
  setting("Beta schedule alpha", "beta_dist_alpha", "float"),
  setting("Beta schedule beta", "beta_dist_beta", "float"),
  field("Eta", "eta", "float"),
  setting("Clip skip", "CLIP_stop_at_last_layers", "int"),
  field("Denoising", "denoising_strength", "float"),
  field("Initial noise multiplier", "initial_noise_multiplier", "float", "Img2Img"),
  setting("Extra noise", "img2img_extra_noise", "float"),
  field("Hires upscaler", "hr_upscaler", "text", "Txt2Img"),
  setting("Cond. Image Mask Weight", "inpainting_mask_weight", "float", "Img2Img"),
  setting("VAE", "sd_vae", "text"),
  { label: "Styles", name: "styles", kind: "text", change: styled },
  setting("UniPC Order", "uni_pc_order", "int"),
  setting("Token merging ratio", "token_merging_ratio", "float"),
  setting("Token merging ratio high-res", "token_merging_ratio_hr", "float"),
  setting("Always discard next-to-last sigma", "always_discard_next_to_last_sigma", "flag"),
  setting("SGM noise multiplier", "sgm_noise_multiplier", "flag"),
  field("Refiner checkpoint", "refiner_checkpoint", "text"),
  field("Refiner switch at", "refiner_switch_at", "float"),
  setting("RNG source", "randn_source", "text"),
  { label: "Size", name: "size", kind: "text", change: sized },
  { label: "Prompt matrix", name: "prompt_matrix", kind: "text", change: appended, valuesOf: combinations }
]

/** The axes that a kind of request has. */
export const axesFor = (kind: Processing["_tag"]): ReadonlyArray<Axis> =>
  axes.filter(({ isFor = kind }) => isFor === kind)

/** The parts of an axis's text: the name as it is written, the axis of that name, if there is one, and the values. */
export const parted = (text: string, kind: Processing["_tag"]) => {
  const colon = text.indexOf(":")
  const name = text.slice(0, colon === -1 ? undefined : colon).trim()
  const axis = axesFor(kind).find(({ label, name: own }) =>
    [label, own].some((one) => one.toLowerCase() === name.toLowerCase())
  )
  return { name, axis, written: colon === -1 ? "" : text.slice(colon + 1) }
}

/** Whether a request has an axis. */
export const firstAxis = (asked: Pick<Processing, typeof axisNames[number]>): typeof axisNames[number] | undefined =>
  axisNames.find((name) => (asked[name] ?? "").trim() !== "")

/** The cells of a request with axes; `undefined` without one. */
export const plotOf = (asked: Processing): Result.Result<Plot | undefined, ReadonlyArray<Problem>> => {
  const { x_axis: _, y_axis: __, z_axis: ___, ...rest } = asked
  if (firstAxis(asked) === undefined) return Result.succeed(undefined)
  const problems: Array<Problem> = []
  const read = axisNames.map((path) => {
    const axis = readAxis(asked, asked[path] ?? "")
    if (Result.isFailure(axis)) problems.push({ path, message: axis.failure })
    return Result.isFailure(axis) ? nothing : axis.success
  })
  const [x = nothing, y = nothing, z = nothing] = read
  const count = x.values.length * y.values.length * z.values.length
  if (count > mostCells) problems.push({ path: "x_axis", message: `${count} cells are over the limit of ${mostCells}` })
  if (problems.length > 0) return Result.fail(problems)
  const cells: Array<Processing> = []
  for (const last of z.values) {
    for (const second of y.values) {
      for (const first of x.values) {
        let cell: Processing = rest
        for (const [path, axis, value] of [["x_axis", x, first], ["y_axis", y, second], ["z_axis", z, last]] as const) {
          const changed = axis.change(cell, value, axis.values)
          if (Result.isSuccess(changed)) cell = changed.success
          else problems.push({ path, message: changed.failure })
        }
        cells.push(cell)
      }
    }
  }
  return problems.length > 0
    ? Result.fail([...new Map(problems.map((problem) => [problem.path + problem.message, problem])).values()])
    : Result.succeed({ labels: { x: x.labels, y: y.labels, z: z.labels }, cells })
}

interface ReadAxis extends Pick<Axis, "change"> {
  readonly values: ReadonlyArray<string>
  readonly labels: ReadonlyArray<string>
}

const nothing: ReadAxis = { values: [""], labels: [""], change: (processing) => Result.succeed(processing) }

const readAxis = (asked: Processing, text: string): Result.Result<ReadAxis, string> => {
  if (text.trim() === "") return Result.succeed(nothing)
  const { axis, name, written } = parted(text, asked._tag)
  if (axis === undefined) {
    const near = nearest(name, axesFor(asked._tag).map(({ label }) => label))
    const hint = near === undefined ? "" : `. Did you mean "${near}"?`
    return Result.fail(`no axis of ${asked._tag === "Txt2Img" ? "txt2img" : "img2img"} is named "${name}"${hint}`)
  }
  const values = axis.valuesOf?.(written) ?? valuesOf(axis.kind, written)
  if (values.length === 0) {
    return Result.fail(`the axis ${axis.label} has no values. Give it some, such as 1, 2`)
  }
  if (values.length > mostCells) return Result.fail(`${values.length} values are over the limit of ${mostCells}`)
  const isShort = ["Prompt matrix", "Prompt S/R", "Sampler"].includes(axis.label)
  const labels = values.map((value) => isShort ? value : `${axis.label}: ${value}`)
  return Result.succeed({ change: axis.change, values, labels })
}

/** Values as an axis has them: with commas between them, and in quotation marks where they hold one. */
export const listOf = (values: ReadonlyArray<unknown>): string =>
  values.map((value) => {
    const text = String(value)
    return /[",]/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text
  }).join(", ")

// Values between commas; in quotation marks they may hold commas, and two marks are one.
const valuesOf = (kind: Kind, text: string): ReadonlyArray<string> => {
  const values = [...text.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*?))\s*(?:,|$)/g)].map(([, quoted, plain = ""]) =>
    quoted === undefined ? plain : quoted.replaceAll("\"\"", "\"")
  )
  // The end of the text is found once more after the last value.
  const written = values.slice(0, -1).filter((value) => value !== "")
  return kind === "int" || kind === "float" ? written.flatMap((value) => rangeOf(kind, value)) : written
}

const number = String.raw`([+-]?(?:\d+\.?\d*|\.\d+))`
const range = new RegExp(`^\\s*${number}\\s*-\\s*${number}(?:\\s*\\(\\s*${number}\\s*\\))?\\s*$`)
const counted = new RegExp(`^\\s*${number}\\s*-\\s*${number}\\s*\\[\\s*(\\d{1,4})\\s*\\]\\s*$`)

const rangeOf = (kind: "float" | "int", text: string): ReadonlyArray<string> => {
  const written = (value: number) => String(kind === "int" ? Math.trunc(value) : Number(value.toFixed(8)))
  const [, from, to, count] = counted.exec(text) ?? []
  if (count !== undefined) {
    const [begin, end, steps] = [Number(from), Number(to), Number(count)]
    return Array.from(
      { length: steps },
      (_, i) => written(steps === 1 ? begin : begin + (end - begin) * i / (steps - 1))
    )
  }
  const [, first, last, given = "1"] = range.exec(text) ?? []
  if (first === undefined || last === undefined) return [text]
  const [begin, end] = [Number(first), Number(last)]
  const step = Math.abs(Number(given)) * (end < begin ? -1 : 1)
  const steps = step === 0 ? 0 : Math.min(mostCells, Math.floor((end - begin) / step + 1e-9))
  return Array.from({ length: steps + 1 }, (_, i) => written(begin + step * i))
}

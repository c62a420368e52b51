/**
 * The webui's scripts `X/Y/Z plot` and `Prompt matrix`: their arguments become the axes of a request.
 */
import * as Effect from "effect/Effect"
import { listOf } from "../../processing/Plot.ts"
import { type ApiError, problem } from "./ApiError.ts"
import { readFlag, readInt, readText } from "./Fields.ts"

type Fields = Readonly<Record<string, unknown>>

// The axes of the script, in its order: clients give their numbers. Some act in one kind of request only.
const axes: ReadonlyArray<readonly [label: string, only?: "txt2img" | "img2img"]> = [
  ["Nothing"],
  ["Seed"],
  ["Var. seed"],
  ["Var. strength"],
  ["Steps"],
  ["Hires steps", "txt2img"],
  ["CFG Scale"],
  ["Image CFG Scale", "img2img"],
  ["Prompt S/R"],
  ["Prompt order"],
  ["Sampler"],
  ["Hires sampler", "txt2img"],
  ["Checkpoint name"],
  ["Negative Guidance minimum sigma"],
  ["Sigma Churn"],
  ["Sigma min"],
  ["Sigma max"],
  ["Sigma noise"],
  ["Schedule type"],
  ["Schedule min sigma"],
  ["Schedule max sigma"],
  ["Schedule rho"],
  ["Beta schedule alpha"],
  ["Beta schedule beta"],
  ["Eta"],
  ["Clip skip"],
  ["Denoising"],
  ["Initial noise multiplier"],
  ["Extra noise"],
  ["Hires upscaler", "txt2img"],
  ["Cond. Image Mask Weight", "img2img"],
  ["VAE"],
  ["Styles"],
  ["UniPC Order"],
  ["Face restore"],
  ["Token merging ratio"],
  ["Token merging ratio high-res"],
  ["Always discard next-to-last sigma"],
  ["SGM noise multiplier"],
  ["Refiner checkpoint"],
  ["Refiner switch at"],
  ["RNG source"],
  ["FP8 mode"],
  ["Size"]
]

/** The types of an axis that a kind of request has, by their labels. */
export const typesFor = (isImg2Img: boolean): ReadonlyArray<string> =>
  axes.filter(([, only]) => only !== (isImg2Img ? "txt2img" : "img2img")).map(([label]) => label)

/** A request with axes, and whether the reply has the plot alone. */
export interface Plotted {
  readonly fields: Fields
  readonly onlyGrid: boolean
}

const wrong = (message: string) => problem(["body", "script_args"], message)

/**
 * `X/Y/Z plot`: three times type, values and chosen values, whether the legend is drawn, lone images and sub grids are
 * in the reply, and so on. Types are numbers or labels. Chosen values, where there are some, go before written ones.
 */
export const xyzPlot = Effect.fnUntraced(function*(
  args: ReadonlyArray<unknown>,
  isImg2Img: boolean
): Effect.fn.Return<Plotted, ApiError> {
  const types = typesFor(isImg2Img)
  // Before 1.6 the script had no values to choose from.
  const width = args.length < 9 || typeof args[2] === "number" ? 2 : 3
  const fields: Record<string, unknown> = {}
  for (const [i, name] of ["x_axis", "y_axis", "z_axis"].entries()) {
    const [type, written, chosen] = args.slice(i * width, (i + 1) * width)
    const index = readInt(type)
    const label = typeof type === "string" && index === undefined
      ? types.find((label) => label.toLowerCase() === type.trim().toLowerCase())
      : types[index ?? 0]
    if (label === undefined) return yield* wrong(`${name.slice(0, 1)} type: no axis is ${JSON.stringify(type)}`)
    if (label === "Nothing") continue
    const values = width === 3 && Array.isArray(chosen) && chosen.length > 0 ? listOf(chosen) : readText(written) ?? ""
    fields[name] = `${label}: ${values}`
  }
  if (Object.keys(fields).length === 0) return yield* wrong("no axis has a type other than Nothing")
  const [, lone] = args.slice(3 * width)
  return { fields, onlyGrid: readFlag(lone) !== true }
})

/**
 * `Prompt matrix`: every combination of the parts of a prompt that `|` separates. Its arguments: whether parts stand at
 * the start, whether seeds differ, `positive` or `negative`, `comma` or `space`, and a margin.
 */
export const promptMatrix = Effect.fnUntraced(function*(
  args: ReadonlyArray<unknown>,
  prompt: string
): Effect.fn.Return<Plotted, ApiError> {
  const [atStart, differing, which = "positive", delimiter = "comma"] = args
  const unsupported = [
    ...(readFlag(atStart) === true ? ["parts at the start of the prompt"] : []),
    ...(readFlag(differing) === true ? ["different seeds"] : []),
    ...(which === "positive" ? [] : ["a matrix of the negative prompt"]),
    ...(delimiter === "comma" ? [] : ["parts with spaces between them"])
  ]
  if (unsupported.length > 0) return yield* wrong(`${unsupported.join(", ")}: not available here`)
  const [base = "", ...parts] = prompt.split("|").map((part) => part.trim())
  if (parts.length === 0) return yield* wrong("the prompt has no parts: separate them with |")
  const across = Math.ceil(parts.length / 2)
  const axis = (some: ReadonlyArray<string>) => `Prompt matrix: ${some.join(" | ")}`
  const fields = {
    prompt: base,
    x_axis: axis(parts.slice(0, across)),
    ...(across < parts.length && { y_axis: axis(parts.slice(across)) })
  }
  return { fields, onlyGrid: false }
})

/**
 * Converts the form to a request, and back.
 */
import * as Result from "effect/Result"
import { toJson } from "../../core/Seed.ts"
import { type AskedRequest, isRecord, type Problem } from "../api.ts"
import { defaults, type Form, form, mayBeEmpty, type SeedText } from "./form.ts"
import { askedAxes, plotOfForm } from "./plot.ts"
import { fileOfSource, painted, type Source } from "./source.ts"
import { isEmpty, toPng } from "./strokes.ts"
import type { Kind } from "./ui.ts"
import { askedUnits } from "./units.ts"

const bytesOf = async (blob: Blob): Promise<Uint8Array> => new Uint8Array(await blob.arrayBuffer())

const shared = [
  "prompt",
  "negative_prompt",
  "styles",
  "sampler_name",
  "scheduler",
  "steps",
  "cfg_scale",
  "width",
  "height",
  "seed",
  "batch_size",
  "n_iter",
  "eta"
] as const
const variation = ["subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h"] as const
const hires = ["hr_scale", "hr_resize_x", "hr_resize_y", "hr_upscaler", "hr_second_pass_steps"] as const

// Required numbers that are missing.
const missing = (values: Form, names: ReadonlyArray<keyof Form>): ReadonlyArray<Problem> =>
  names.flatMap((name) =>
    values[name] === null && !mayBeEmpty.has(name) ? [{ path: name, message: "Enter a number." }] : []
  )

const pick = (values: Form, names: ReadonlyArray<keyof Form>): Record<string, unknown> =>
  Object.fromEntries(names.flatMap((name) => values[name] === null ? [] : [[name, values[name]]]))

export interface Asked {
  readonly request: Readonly<Record<string, unknown>>
  readonly problems: ReadonlyArray<Problem>
}

/**
 * The request of a tab and its init image, with the problems that can be found before it is sent.
 *
 * @param hasUnits Whether the ControlNets of the form are in it.
 */
export const build = async (
  kind: Kind,
  start: Source | undefined,
  values = form.value,
  hasUnits = true
): Promise<Asked> => {
  const names: Array<keyof Form> = [...shared, ...values.has_variation ? variation : []]
  const problems: Array<Problem> = []
  const request: Record<string, unknown> = { _tag: kind === "txt2img" ? "Txt2Img" : "Img2Img" }
  if (values.tiling) request["tiling"] = true
  if (values.refiner_checkpoint !== "") names.push("refiner_checkpoint", "refiner_switch_at")
  if (kind === "txt2img") {
    if (values.enable_hr) {
      names.push("enable_hr", ...hires)
      request["denoising_strength"] = values.hr_denoising_strength
      problems.push(...missing(values, ["hr_denoising_strength"]))
    }
  } else {
    names.push("denoising_strength", "initial_noise_multiplier", "image_cfg_scale")
    request["resize_mode"] = Number(values.resize_mode)
    if (start === undefined) problems.push({ path: "init_images", message: "Choose an init image." })
    else request["init_images"] = [await bytesOf(await fileOfSource(kind, start))]
    if (kind === "inpaint") {
      if (start !== undefined && isEmpty(painted.value.inpaint)) {
        problems.push({ path: "mask", message: "Paint over the area to regenerate." })
      }
      names.push("inpaint_full_res_padding", "mask_round")
      problems.push(...missing(values, ["mask_blur"]))
      Object.assign(request, {
        mask_blur_x: values.mask_blur,
        mask_blur_y: values.mask_blur,
        inpainting_fill: Number(values.inpainting_fill),
        inpaint_full_res: values.inpaint_full_res === "true",
        inpainting_mask_invert: Number(values.inpainting_mask_invert)
      })
      if (start !== undefined) {
        request["mask"] = await bytesOf(await toPng(painted.value.inpaint, start.width, start.height))
      }
    }
  }
  problems.push(...missing(values, names))
  const plot = plotOfForm(kind, values)
  if (Result.isFailure(plot)) problems.push(...plot.failure)
  const units = hasUnits ? await askedUnits(kind !== "txt2img") : { request: {}, problems: [] }
  return {
    request: { ...pick(values, names), ...request, ...askedAxes(values), ...units.request },
    problems: [...problems, ...units.problems]
  }
}

/**
 * The form for the same image.
 *
 * @param seed The image's seed, for a request with a random one.
 */
export const formOf = (request: AskedRequest, seed?: SeedText, subseed?: SeedText): Form => {
  const said: Readonly<Record<string, unknown>> = isRecord(request) ? request : {}
  const known = Object.fromEntries(
    Object.entries(defaults).flatMap(([name, like]) => {
      const value = said[name]
      if (value === undefined) return []
      if (typeof like === "string" && (typeof value === "number" || typeof value === "boolean")) {
        return [[name, String(value)]]
      }
      return typeof value === typeof like || (like === null && typeof value === "number") || Array.isArray(value)
        ? [[name, value]]
        : []
    })
  )
  const isTxt2Img = request._tag === "Txt2Img"
  return {
    ...defaults,
    ...known,
    seed: seed ?? toJson(request.seed),
    subseed: subseed ?? toJson(request.subseed),
    subseed_strength: request.subseed_strength > 0 ? request.subseed_strength : defaults.subseed_strength,
    has_variation: request.subseed_strength > 0 || request.seed_resize_from_w > 0,
    hr_denoising_strength: isTxt2Img && request.enable_hr ? request.denoising_strength : defaults.hr_denoising_strength,
    denoising_strength: isTxt2Img ? defaults.denoising_strength : request.denoising_strength,
    mask_blur: isTxt2Img ? defaults.mask_blur : request.mask_blur_x,
    ...emptied(said)
  }
}

// Zeros and minus ones mean "not set".
const emptied = (said: Readonly<Record<string, unknown>>): Partial<Form> => ({
  ...(Number(said["hr_resize_x"] ?? 0) <= 0 && { hr_resize_x: null }),
  ...(Number(said["hr_resize_y"] ?? 0) <= 0 && { hr_resize_y: null }),
  ...(Number(said["hr_second_pass_steps"] ?? 0) <= 0 && { hr_second_pass_steps: null }),
  ...(Number(said["seed_resize_from_w"] ?? 0) <= 0 && { seed_resize_from_w: null }),
  ...(Number(said["seed_resize_from_h"] ?? 0) <= 0 && { seed_resize_from_h: null })
})

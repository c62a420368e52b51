/**
 * `info`: the metadata of a reply's images, as a JSON string within the JSON (`Processed.js` of the webui).
 */
import { fieldsOf } from "../../core/Field.ts"
import * as Infotext from "../../processing/Infotext.ts"
import { Img2Img, type Processing, Txt2Img } from "../../processing/Processing.ts"
import type { ImageFile } from "../../runner/Processed.ts"
import type { RunResult } from "../../runs/RunResult.ts"
import { version } from "../../version.ts"
import { type ImageRequest, isImg2Img } from "./ImageRequest.ts"
import { dumps, Float, write } from "./PythonJson.ts"

/** The images of a reply in order: the grid, then each image followed by its auxiliary images. */
export const replyImages = ({ extraImages, images }: RunResult): ReadonlyArray<ImageFile> => [
  ...extraImages.filter(({ kind }) => kind === "grid"),
  ...images.flatMap((image) => [
    image,
    ...extraImages.filter(({ index, kind }) => kind !== "grid" && index === image.index)
  ])
]

/**
 * The text itself. `request` is the request as its reply shows it, `processing` what was submitted for it. The webui
 * does not have the key `warnings`, which is present only if there are any.
 */
export const info = (
  request: ImageRequest,
  processing: Processing,
  { extraImages, images, plan }: RunResult,
  warnings: ReadonlyArray<string>
): string => {
  const { model } = plan
  const plans = [...images, ...plan.unmade].toSorted((a, b) => a.index - b.index)
  const [first] = plans
  const grid = extraImages.filter(({ kind }) => kind === "grid")
  return write({
    prompt: first?.prompt ?? "",
    all_prompts: plans.map(({ prompt }) => prompt),
    negative_prompt: first?.negativePrompt ?? "",
    all_negative_prompts: plans.map(({ negativePrompt }) => negativePrompt),
    seed: first?.seed ?? processing.seed,
    all_seeds: plans.map(({ seed }) => seed),
    subseed: first?.subseed ?? processing.subseed,
    all_subseeds: plans.map(({ subseed }) => subseed),
    subseed_strength: request.subseed_strength ?? new Float(0, "0"),
    width: processing.width ?? plan.width,
    height: processing.height ?? plan.height,
    sampler_name: plan.sampler,
    cfg_scale: new Float(processing.cfg_scale),
    steps: processing.steps,
    batch_size: processing.batch_size,
    restore_faces: request.restore_faces ?? false,
    face_restoration_model: null,
    sd_model_name: model.name,
    sd_model_hash: model.hash,
    sd_vae_name: model.vae?.name ?? null,
    sd_vae_hash: model.vae?.hash ?? null,
    seed_resize_from_w: request.seed_resize_from_w ?? -1,
    seed_resize_from_h: request.seed_resize_from_h ?? -1,
    denoising_strength: request.denoising_strength,
    extra_generation_params: extraParams(first?.infotext ?? "", isImg2Img(request)),
    index_of_first_image: grid.length,
    infotexts: [...grid, ...images].map(({ infotext }) => infotext),
    styles: request.styles ?? [],
    job_timestamp: timestamp(plan.startedAt),
    clip_skip: plan.clipSkip,
    is_using_inpainting_conditioning: model.isInpainting,
    // The model that the infotexts name.
    version: Infotext.parse(first?.infotext ?? "").fields["Version"] ?? version,
    ...(warnings.length > 0 && { warnings })
  }, dumps)
}

/** A moment as `yyyymmddhhmmss`, local time. */
export const timestamp = (milliseconds: number): string => {
  const date = new Date(milliseconds)
  const two = (value: number) => String(value).padStart(2, "0")
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}` +
    `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`
}

// Keys with a field of their own in the webui; all others are extra parameters.
const fixedKeys: ReadonlySet<string> = new Set([
  "Prompt",
  "Negative prompt",
  "Steps",
  "Sampler",
  "CFG scale",
  "Image CFG scale",
  "Seed",
  "Face restoration",
  "Size-1",
  "Size-2",
  "Model hash",
  "Model",
  "FP8 weight",
  "Cache FP16 weight for LoRA",
  "VAE hash",
  "VAE",
  "Variation seed",
  "Variation seed strength",
  "Seed resize from-1",
  "Seed resize from-2",
  "Clip skip",
  "ENSD",
  "Token merging ratio",
  "Token merging ratio hr",
  "Init image hash",
  "RNG",
  "Tiling",
  "Version",
  "User",
  "Conditional mask weight"
])

const integers: ReadonlySet<string> = new Set(
  [Txt2Img, Img2Img].flatMap(fieldsOf).flatMap(([, { infotext, value }]) =>
    infotext !== undefined && value === "integer" ? [infotext] : []
  )
)

// Their type before they became text.
const extraParams = (infotext: string, isImg2Img: boolean): Readonly<Record<string, unknown>> => {
  const { fields } = Infotext.parse(infotext, { backcompat: false })
  const params: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) {
    const [, name = key, part] = /^(.*)-([12])$/.exec(key) ?? []
    if (fixedKeys.has(key) || (key === "Denoising strength" && isImg2Img)) continue
    if (key === "Schedule type" && value === "Automatic") continue
    if (part === "1") params[name] = `${String(value)}x${String(fields[`${name}-2`])}`
    else if (part === "2") continue
    else if (typeof value !== "string") params[key] = value
    else if (integers.has(key) && /^\d+$/.test(value)) params[key] = Number(value)
    else if (/^-?\d+\.\d+$|^-?\d+(?:\.\d+)?e[+-]\d+$/.test(value)) params[key] = new Float(Number(value), value)
    else if (value === "True" || value === "False") params[key] = value === "True"
    else params[key] = value
  }
  return params
}

/**
 * The second pass of hires fix, all of whose choices fall back on the first.
 */
import { UnknownUpscaler } from "../images/ImageError.ts"
import { latentUpscaleModes } from "../images/Resample.ts"
import type { ModelInfo } from "../model/ModelInfo.ts"
import { hiresSize } from "../processing/HiresSize.ts"
import type { Limits } from "../processing/Limits.ts"
import type { Txt2Img } from "../processing/Processing.ts"
import type { PromptPair } from "../prompt/Styles.ts"
import { isSame } from "./names.ts"
import { type Problems, unknownName } from "./Problems.ts"
import type { HiresPlan, PassPlan } from "./RunPlan.ts"
import { floorTo } from "./sizes.ts"

/** The latent upscale mode of a name, in any case. */
export const latentMode = (name: string) => {
  const wanted = name.trim().toLowerCase()
  return latentUpscaleModes.find((mode) => mode.name.toLowerCase() === wanted)
}

/** An upscaler that does not exist. `known` are the upscalers there are; another server's are its own. */
export const upscalerProblems = (
  { hr_upscaler: upscaler }: Txt2Img,
  known: ReadonlyArray<string> | undefined
): Problems => {
  if (known === undefined || latentMode(upscaler) !== undefined) return []
  const wanted = upscaler.toLowerCase()
  return known.some((name) => name.toLowerCase() === wanted)
    ? []
    : [unknownName("hr_upscaler", new UnknownUpscaler({ upscaler, known: ["Latent", ...known] }))]
}

/** Sizes of the second pass that cannot be made. */
export const hiresSizeProblems = (
  processing: Txt2Img,
  first: Pick<PassPlan, "height" | "width">,
  { name, sizeMultiple }: ModelInfo,
  { max_height, max_width }: Limits
): Problems => {
  const { enlarged, wanted } = hiresSize(processing, first)
  const path = "hr_resize_x"
  if (enlarged.width * enlarged.height > max_width * max_height) {
    const message = `the first pass would be enlarged to ${enlarged.width}x${enlarged.height} pixels, more than the ` +
      `largest image, ${max_width}x${max_height}`
    return [{ path, message }]
  }
  if (Math.min(wanted.width, wanted.height) >= sizeMultiple) return []
  const message = `the second pass would be ${wanted.width}x${wanted.height} pixels, and ${name} makes none ` +
    `smaller than ${sizeMultiple}`
  return [{ path, message }]
}

/** The second pass, but for its noise levels. */
export const planHires = (options: {
  readonly processing: Txt2Img
  readonly first: PassPlan
  readonly names: Pick<PassPlan, "sampler" | "scheduler">
  readonly prompts: PromptPair | undefined
  readonly model: ModelInfo
}): Omit<HiresPlan, "levels"> => {
  const { first, model, names, processing, prompts = first } = options
  const { sizeMultiple } = model
  const latentScale = model.latents?.scale.space ?? sizeMultiple
  const { enlarged, wanted } = hiresSize(processing, first)
  const mode = latentMode(processing.hr_upscaler)
  return {
    ...names,
    width: floorTo(wanted.width, sizeMultiple),
    height: floorTo(wanted.height, sizeMultiple),
    enlarged: { width: floorTo(enlarged.width, latentScale), height: floorTo(enlarged.height, latentScale) },
    steps: processing.hr_second_pass_steps === 0 ? first.steps : processing.hr_second_pass_steps,
    adapters: [],
    prompt: prompts.prompt,
    negativePrompt: prompts.negativePrompt,
    upscaler: mode?.name ?? processing.hr_upscaler,
    latentMode: mode?.mode,
    denoisingStrength: processing.denoising_strength,
    checkpoint: isSame(processing.hr_checkpoint_name) ? undefined : processing.hr_checkpoint_name
  }
}

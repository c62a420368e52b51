/**
 * The infotexts of a plan's images.
 */
import * as Option from "effect/Option"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Sampler } from "../sampling/Sampler.ts"
import * as Schedules from "../sampling/Schedules.ts"
import { version } from "../version.ts"
import * as InfotextWriter from "./InfotextWriter.ts"
import type { ImagePlan, PassPlan, RunPlan } from "./RunPlan.ts"

/** The infotext of one image; empty where another server samples, and writes it. */
export const infotextOf = (
  plan: Omit<RunPlan, "batches">,
  { seed, subseed }: Pick<ImagePlan, "seed" | "subseed">,
  { opts, usesBrackets }: { readonly opts: OptionsSnapshot; readonly usesBrackets: boolean }
): string => {
  const { hires, levels, processing } = plan
  if (levels === undefined) return ""
  const { sampler } = levels
  const second = hires?.levels?.sampler ?? sampler
  const scheduleLabel = labelOf(plan, sampler)
  const hiresLabel = hires === undefined ? scheduleLabel : labelOf(hires, second)
  return InfotextWriter.format({
    processing,
    opts,
    prompt: plan.prompt,
    negativePrompt: plan.negativePrompt,
    steps: plan.steps,
    sampler,
    scheduleLabel,
    seed,
    subseed,
    width: plan.width,
    height: plan.height,
    model: { name: plan.model.name, hash: plan.model.hash },
    usesBrackets,
    ...(hires && {
      hires: {
        ...(hires.checkpoint !== undefined && { checkpoint: hires.checkpoint }),
        ...(second.name !== sampler.name && { sampler: second }),
        ...(hiresLabel !== scheduleLabel && { scheduleLabel: hiresLabel }),
        ...(hires.prompt !== plan.prompt && { prompt: hires.prompt }),
        ...(hires.negativePrompt !== plan.negativePrompt && { negativePrompt: hires.negativePrompt })
      }
    }),
    isInpaintingModel: plan.model.isInpainting === true,
    hasMask: plan.source?.isMasked === true,
    tiling: plan.seamless,
    clipSkip: plan.clipSkip,
    version: `serena-${version}`,
    ...(plan.refiner && { refiner: { name: plan.refiner.checkpoint, switchAt: plan.refiner.switchAt } })
  })
}

// The schedule that a sampler makes of a label.
const labelOf = ({ scheduler: { label } }: PassPlan, sampler: Sampler): string =>
  Option.match(Schedules.get(label), {
    onNone: () => label,
    onSome: (scheduler) => Schedules.forSampler(scheduler, sampler).label
  })

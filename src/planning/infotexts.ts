/**
 * The infotexts of a plan's images, and what they cannot hold.
 */
import * as Option from "effect/Option"
import type { ModelInfo } from "../model/ModelInfo.ts"
import * as Infotext from "../processing/Infotext.ts"
import { fieldRows, pairKeys, settingRows } from "../processing/InfotextKeys.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { PromptPair } from "../prompt/Styles.ts"
import type { Sampler } from "../sampling/Sampler.ts"
import * as Schedules from "../sampling/Schedules.ts"
import { version } from "../version.ts"
import { unitText } from "./controls.ts"
import * as InfotextWriter from "./InfotextWriter.ts"
import type { ImagePlan, PassPlan, RunPlan } from "./RunPlan.ts"

/** What infotexts say that is not part of the plan. */
export interface InfotextContext {
  readonly opts: OptionsSnapshot
  readonly usesBrackets: boolean
  /** The texts that the prompts were drawn from, where they are others. */
  readonly templates: Partial<PromptPair>
  /** Settings that only models of the first one's family read. */
  readonly settings: ModelInfo["settings"]
}

type Seeded = Pick<ImagePlan, "seed" | "subseed">

/** The infotext of one image; empty where another server samples, and writes it. */
export const infotextOf = (plan: Omit<RunPlan, "batches">, seeds: Seeded, context: InfotextContext): string => {
  const facts = factsOf(plan, seeds, context)
  return facts === undefined ? "" : InfotextWriter.format(facts)
}

/**
 * Sentences about what an image's infotext cannot hold: the image cannot be made again from the text, and the images
 * that it came from, alone.
 */
export const infotextWarnings = (
  plan: Omit<RunPlan, "batches">,
  images: ReadonlyArray<Seeded>,
  context: InfotextContext
): ReadonlyArray<string> => {
  const { hires, levels, processing } = plan
  const [first] = images
  const facts = first && factsOf(plan, first, context)
  if (levels === undefined || facts === undefined) return []
  const samplers = [levels.sampler, ...(hires?.levels === undefined ? [] : [hires.levels.sampler])]
  const { add_model_hash_to_info, add_model_name_to_info, add_version_to_infotext, sd_model_checkpoint } = context.opts
  const changed = changedBy(facts)
  const isDrawn = (name: "seed" | "subseed") => images.some((each) => String(each[name]) === "-1")
  return [
    ...(changed.length === 0
      ? []
      : [`The infotext cannot hold ${changed.join(", ")}: reading it back gives another value.`]),
    ...(isDrawn("seed") || (facts.processing.subseed_strength !== 0 && isDrawn("subseed"))
      ? [`The infotext cannot hold ${isDrawn("seed") ? "seed" : "subseed"}: counted up to -1, it means a random seed.`]
      : []),
    ...(processing.batch_size > 1 && samplers.some(({ name }) => name === "DPM adaptive")
      ? ["The infotext cannot hold batch_size: DPM adaptive chooses its steps for the images of a batch together."]
      : []),
    ...(sd_model_checkpoint !== "" && !add_model_hash_to_info && !(add_model_name_to_info && add_version_to_infotext)
      ? [
        "The infotext cannot hold sd_model_checkpoint: add_model_hash_to_info is off, and with it the name or the version."
      ]
      : [])
  ]
}

// Fields and settings whose written values are read back as others, from a file that holds Unicode.
const changedBy = (facts: InfotextWriter.InfotextFacts): ReadonlyArray<string> => {
  const { fields, unreadable } = Infotext.parse(InfotextWriter.format(facts).toWellFormed())
  const isRead = (key: string, value: string) => fields[key] === value
  const rows = [...fieldRows, ...settingRows]
  const namesOf = (key: string) => rows.flatMap((row) => row.key === key || row.key === `${key}-1` ? [row.name] : [])
  if (unreadable !== undefined) return ["prompt"]
  const changed = [
    ...((fields["Prompt"] ?? "") === facts.prompt ? [] : ["prompt"]),
    ...((fields["Negative prompt"] ?? "") === facts.negativePrompt ? [] : ["negative_prompt"]),
    ...InfotextWriter.parametersOf(facts).flatMap(([key, value]) => {
      if (value === undefined) return []
      const text = Infotext.textOf(value)
      const [, first, second] = /^(\d+)x(\d+)$/.exec(text) ?? []
      const isSame = first === undefined || second === undefined || !pairKeys.has(key)
        ? isRead(key, text)
        : isRead(`${key}-1`, first) && isRead(`${key}-2`, second)
      return isSame ? [] : namesOf(key)
    })
  ]
  return [...new Set(changed)]
}

// All that an infotext is made of; absent where another server writes it.
const factsOf = (
  plan: Omit<RunPlan, "batches">,
  { seed, subseed }: Seeded,
  { opts, settings, templates, usesBrackets }: InfotextContext
): InfotextWriter.InfotextFacts | undefined => {
  const { hires, levels, processing } = plan
  if (levels === undefined) return undefined
  const { sampler } = levels
  const second = hires?.levels?.sampler ?? sampler
  const scheduleLabel = labelOf(plan, sampler)
  const hiresLabel = hires === undefined ? scheduleLabel : labelOf(hires, second)
  return {
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
    model: plan.model,
    hashes: plan.hashes,
    usesBrackets,
    templates,
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
    isEditingModel: plan.model.isEditing === true,
    hasMask: processing._tag === "Img2Img" && processing.mask !== undefined,
    // Another model may be of any family.
    familySettings: hires?.checkpoint !== undefined || plan.refiner !== undefined ? "all" : settings ?? [],
    tiling: plan.seamless,
    controls: plan.controls.map(unitText),
    clipSkip: plan.clipSkip,
    version: `serena-${version}`,
    ...(plan.refiner && { refiner: { name: plan.refiner.checkpoint, switchAt: plan.refiner.switchAt } })
  }
}

// The schedule that a sampler makes of a label.
const labelOf = ({ scheduler: { label } }: PassPlan, sampler: Sampler): string =>
  Option.match(Schedules.get(label), {
    onNone: () => label,
    onSome: (scheduler) => Schedules.forSampler(scheduler, sampler).label
  })

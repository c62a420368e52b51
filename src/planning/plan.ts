/**
 * From a request to a `RunPlan`, as pure functions.
 *
 * `outline` settles all that a request and its surroundings decide, and names everything that is wrong with it at once.
 * `plan` adds what is drawn, measured or read only when the request is right: seeds, the time, hashes. Runs in this
 * process and runs on another server are planned alike; of what only the server knows, nothing is made up.
 */
import * as Result from "effect/Result"
import { isEditing, isInpainting, type ModelInfo } from "../model/ModelInfo.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import { exceeded, type Processing } from "../processing/Processing.ts"
import type { PromptPair } from "../prompt/Styles.ts"
import { planControls, unitProblems, unitWarnings } from "./controls.ts"
import { hiresSizeProblems, planHires, upscalerProblems } from "./hires.ts"
import { infotextOf, infotextWarnings } from "./infotexts.ts"
import { levelProblems, planLevels } from "./levels.ts"
import { hiresNames, resolvePlannedNames, type ServerNames } from "./names.ts"
import { type PlanError, type Problems, toError, unknownName } from "./Problems.ts"
import { type Drawing, type PassLoras, planPrompts, type StyleFacts, writtenPrompts } from "./prompts.ts"
import { rowProblems } from "./rows.ts"
import type { HiresPlan, ImagePlan, NetworkHashes, PassPlan, PlannedModel, RefinerPlan, RunPlan } from "./RunPlan.ts"
import { imageSeeds, seedProblems, type Seeds } from "./seeds.ts"
import { passSize, sizeProblems } from "./sizes.ts"
import { planSource, type SourceFacts, sourceProblems, withBatchOf } from "./source.ts"

/** A request, and what settles the choices that it leaves open. */
export interface OutlineInputs {
  readonly runId: string
  readonly processing: Processing
  readonly model: ModelInfo
  readonly opts: OptionsSnapshot
  readonly limits: Limits
  /** What was read of the images that an img2img request comes with. */
  readonly source: SourceFacts | undefined
  /** Names of the upscalers there are; absent where they are another server's. */
  readonly upscalers: ReadonlyArray<string> | undefined
  /** The styles there are; absent where another server merges its own. */
  readonly styles: StyleFacts | undefined
  /** What dynamic prompts are drawn with; left out where prompts are as they are written. */
  readonly drawing?: Drawing | undefined
  /** Another server's samplers and schedulers, which count next to Serena's. */
  readonly server?: ServerNames | undefined
}

/** All of a plan that does not depend on seeds, time and hashes. */
export interface Outline extends Omit<RunPlan, "batches" | "embeddings" | "hashed" | "hashes" | "model" | "startedAt"> {
  readonly opts: OptionsSnapshot
  readonly usesBrackets: boolean
  /** The texts that its prompts were drawn from, where they are others. */
  readonly templates: Partial<PromptPair>
  /** LoRAs that the tags of each pass ask for, by name. */
  readonly loras: PassLoras
  /** Settings that only models of its family read. */
  readonly settings: ModelInfo["settings"]
  readonly isInpainting: boolean | undefined
  readonly isEditing: boolean | undefined
}

/** What an outline lacks for a plan. */
export interface PlanFacts extends Seeds {
  readonly model: Omit<PlannedModel, "isEditing" | "isInpainting">
  /** What the prompts name; left out where another server reads them. */
  readonly networks?: PlannedNetworks | undefined
  /** Left out until they are computed, and where another server reads the files. */
  readonly hashes?: NetworkHashes | undefined
  /** Milliseconds since the epoch. */
  readonly startedAt: number
}

/** What the prompts of a run ask for by name, as it was found. */
export interface PlannedNetworks extends Pick<RunPlan, "embeddings"> {
  /** Adapters of each pass. */
  readonly first: PassPlan["adapters"]
  readonly hires: PassPlan["adapters"]
  readonly warnings: ReadonlyArray<string>
}

const noNetworks: PlannedNetworks = {
  first: [],
  hires: [],
  embeddings: [],
  warnings: []
}

const noHashes: NetworkHashes = { adapters: [], embeddings: [] }

/** When a refiner takes over unless a request says so. */
const defaultSwitch = 0.8

/** Settles a request, or says all that is wrong with it. */
export const outline = (inputs: OutlineInputs): Result.Result<Outline, PlanError> => {
  const { limits, model, opts, runId, server, source } = inputs
  const processing = withBatchOf(inputs.processing, source)
  const { sampler_name, scheduler, steps } = processing
  const names = resolvePlannedNames({ sampler: sampler_name, scheduler }, server)
  const size = passSize(processing, model, source?.sizes[0])
  const wrongSize = sizeProblems(size, model)
  // What the request gave was measured when the run began; here it is what it left open.
  const isGiven = processing === inputs.processing && processing.width !== undefined && processing.height !== undefined
  const wrongLimits = isGiven || wrongSize.length > 0 ? [] : exceeded({ ...processing, ...size }, limits)
  const prompts = inputs.styles === undefined
    ? writtenPrompts(processing)
    : planPrompts(processing, inputs.styles, opts, limits, inputs.drawing)
  const hires = processing._tag === "Txt2Img" && processing.enable_hr ? processing : undefined
  const secondNames = hiresNames(processing)
  const hiresResolved = secondNames && resolvePlannedNames(secondNames, server)
  const wrongNames = namesProblems(names, "")
  const problems: Problems = [
    ...wrongNames,
    ...wrongSize,
    ...seedProblems(processing),
    ...wrongLimits,
    ...prompts.problems,
    // A name that the second pass takes from the first is reported once.
    ...(hiresResolved === undefined ? [] : namesProblems(hiresResolved, "hr_"))
      .filter(({ message }) => message !== wrongNames[0]?.message),
    ...(hires === undefined ? [] : upscalerProblems(hires, inputs.upscalers)),
    ...(hires === undefined || wrongSize.length > 0 || wrongLimits.length > 0
      ? []
      : hiresSizeProblems(hires, size, model, limits)),
    // Another server encodes images of any size that it accepts.
    ...(server === undefined ? unitProblems(processing) : []),
    ...(processing._tag === "Img2Img" && source !== undefined && server === undefined
      ? sourceProblems(processing, source, limits)
      : [])
  ]
  if (problems.length > 0 || Result.isFailure(names)) return Result.fail(toError(problems))

  const image = processing._tag === "Img2Img"
    ? { strength: processing.denoising_strength, fixSteps: opts.img2img_fix_steps }
    : undefined
  const pass: PassPlan = {
    ...size,
    ...names.success,
    steps,
    ...prompts.first,
    levels: planLevels({ pass: { ...names.success, steps }, model, opts, image }),
    adapters: []
  }
  const second = hires && hiresResolved !== undefined && Result.isSuccess(hiresResolved)
    ? withLevels(
      planHires({ processing: hires, first: pass, names: hiresResolved.success, prompts: prompts.hires, model }),
      model,
      opts
    )
    : undefined
  // Another server has its own limits for what its networks see.
  const wrongRows = server !== undefined || inputs.styles === undefined
    ? []
    : rowProblems({ processing, first: pass, second }, limits)
  if (wrongRows.length > 0) return Result.fail(toError(wrongRows))
  const wrongFirst = levelProblems(pass.levels, opts)
  const wrongLevels = wrongFirst.length > 0 ? wrongFirst : levelProblems(second?.levels, opts)
  if (wrongLevels.length > 0) return Result.fail(toError(wrongLevels))

  const planned = processing._tag === "Img2Img" && source !== undefined ? planSource(processing, source) : undefined
  return Result.succeed({
    runId,
    processing,
    ...pass,
    hires: second,
    refiner: planRefiner(processing),
    source: planned?.plan,
    controls: planControls(processing),
    seamless: processing.tiling ?? opts.tiling,
    clipSkip: opts.CLIP_stop_at_last_layers,
    warnings: [...prompts.warnings, ...(planned?.warnings ?? []), ...unitWarnings(processing)],
    opts,
    usesBrackets: prompts.usesBrackets,
    templates: prompts.templates,
    loras: prompts.loras,
    settings: model.settings,
    isInpainting: isInpainting(model),
    isEditing: isEditing(model)
  })
}

/**
 * The plan of an outline: its batches with seeds and infotexts.
 *
 * @param batches The places of its images, where it is one part of a run; all images of the request when left out.
 * @param offset The index of the request's first image, where it is a cell of a plot.
 */
export const plan = (
  { isEditing, isInpainting, opts, settings, templates, usesBrackets, ...rest }: Outline,
  { hashes = noHashes, model, networks = noNetworks, startedAt, ...seeds }: PlanFacts,
  batches: ReadonlyArray<ReadonlyArray<number>> = batchesOf(rest.processing),
  offset = 0
): RunPlan => {
  const { loras: _, ...outline } = rest
  const { negativePrompt, processing, prompt } = outline
  const { embeddings, first: adapters, hires } = networks
  const settled = {
    ...outline,
    adapters,
    hires: outline.hires && { ...outline.hires, adapters: hires },
    embeddings,
    hashes,
    model: { ...model, isInpainting, isEditing },
    startedAt
  }
  const context = { opts, usesBrackets, settings, templates }
  const image = (index: number): ImagePlan => {
    const own = imageSeeds(processing, seeds, index)
    return { index: offset + index, ...own, prompt, negativePrompt, infotext: infotextOf(settled, own, context) }
  }
  const planned = batches.map((places) => places.map(image))
  return {
    ...settled,
    warnings: [...outline.warnings, ...networks.warnings, ...infotextWarnings(settled, planned.flat(), context)],
    batches: planned
  }
}

/** The places of a request's images, batch after batch. */
export const batchesOf = ({ batch_size, n_iter }: Processing): ReadonlyArray<ReadonlyArray<number>> =>
  Array.from({ length: n_iter }, (_, batch) => Array.from({ length: batch_size }, (_, i) => batch * batch_size + i))

/** A second pass with the noise levels that it walks on a model. */
export const withLevels = (hires: Omit<HiresPlan, "levels">, model: ModelInfo, opts: OptionsSnapshot): HiresPlan => ({
  ...hires,
  levels: planLevels({ pass: hires, model, opts, image: { strength: hires.denoisingStrength, fixSteps: true } })
})

const namesProblems = (names: ReturnType<typeof resolvePlannedNames>, prefix: "" | "hr_"): Problems => {
  if (Result.isSuccess(names)) return []
  const { failure } = names
  return [unknownName(failure._tag === "UnknownSampler" ? `${prefix}sampler_name` : `${prefix}scheduler`, failure)]
}

const planRefiner = ({ refiner_checkpoint: checkpoint, refiner_switch_at }: Processing): RefinerPlan | undefined =>
  checkpoint === undefined || checkpoint === "" || checkpoint.toLowerCase() === "none"
    ? undefined
    : { checkpoint, switchAt: refiner_switch_at ?? defaultSwitch }

/**
 * prepare: every choice that a request leaves open, settled.
 *
 * Whatever can be wrong with a request is found here, before the first network runs.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Problem } from "../core/Problem.ts"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import { UnknownUpscaler } from "../images/ImageError.ts"
import { Upscalers } from "../images/Upscalers.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import * as InfotextWriter from "../planning/InfotextWriter.ts"
import type { HiresPlan, ImagePlan, PassPlan, ProcessingState, RefinerPlan, SourcePlan } from "../planning/RunPlan.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import { checkLimits, type Processing, type Txt2Img } from "../processing/Processing.ts"
import { StyleBook } from "../processing/StyleBook.ts"
import * as ExtraNetworks from "../prompt/ExtraNetworks.ts"
import * as Prompt from "../prompt/Prompt.ts"
import * as Styles from "../prompt/Styles.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import * as Samplers from "../sampling/Samplers.ts"
import * as Schedules from "../sampling/Schedules.ts"
import { version } from "../version.ts"
import { latentMode } from "./enlarge.ts"
import * as levels from "./levels.ts"
import * as output from "./output.ts"
import { resolveNames } from "./resolveNames.ts"
import { type Pictures, readPictures, settleSource } from "./settleSource.ts"
import { isInpainting } from "./sourceLatents.ts"

/** Largest seed that is drawn at random, as in stable-diffusion-webui. */
const largestRandomSeed = 4_294_967_293

/** When a refiner takes over unless a request says so. */
const usualSwitch = 0.8

/** Settles what the request leaves open, sees that pictures can be saved, and begins to open the networks. */
export const settle = Effect.fn("prepare")(function*({ processing: asked, runId }: ProcessingRequest<Processing>) {
  const { cmdOpts, model, opts, state } = yield* RuntimeContext
  yield* checkLimits(asked, cmdOpts.limits)
  const pictures = asked._tag === "Img2Img" ? yield* readPictures(asked, cmdOpts.limits) : undefined
  const processing = withBatchOf(asked, pictures)
  const { sampler, scheduler } = yield* resolveNames({
    sampler: processing.sampler_name,
    scheduler: processing.scheduler
  })
  const { height, width } = yield* settleSize(processing, model, pictures)
  yield* checkSeeds(processing)
  yield* checkLimits({ ...processing, height, width }, cmdOpts.limits)

  const styled = yield* settlePrompts(processing, opts, cmdOpts.limits)
  const pass: PassPlan = {
    width,
    height,
    sampler: sampler.name,
    scheduler: scheduler.label,
    steps: processing.steps,
    prompt: styled.prompt,
    negativePrompt: styled.negativePrompt
  }
  const hires = processing._tag === "Txt2Img" && processing.enable_hr
    ? yield* settleHires(processing, pass, styled, model, cmdOpts.limits)
    : undefined
  const source = processing._tag === "Img2Img" && pictures !== undefined
    ? yield* settleSource({ processing, pictures, opts, limits: cmdOpts.limits, model, width, height })
    : undefined
  yield* checkLevels(
    pass,
    model,
    source && { strength: processing.denoising_strength, fixSteps: opts.img2img_fix_steps }
  )
  if (hires !== undefined) {
    yield* checkLevels(hires, model, { strength: hires.denoisingStrength, fixSteps: true })
  }
  const refiner: RefinerPlan | undefined = isNone(processing.refiner_checkpoint)
    ? undefined
    : { checkpoint: processing.refiner_checkpoint, switchAt: processing.refiner_switch_at ?? usualSwitch }

  // A folder that cannot be written is better known now than after all the work.
  yield* output.check(processing, opts)
  // Whoever needs a network later waits for it then, and is told if it does not open.
  const encoder = yield* ImageEncoder
  yield* forkInRun(Effect.ignore(Effect.all([model.warm, encoder.warm], { concurrency: 2 })))

  const facts = {
    runId,
    processing,
    ...pass,
    hires,
    refiner,
    source: source?.source,
    seamless: processing.tiling ?? opts.tiling,
    clipSkip: opts.CLIP_stop_at_last_layers,
    model: {
      name: model.name,
      hash: opts.add_model_hash_to_info ? yield* model.hash : undefined,
      isInpainting: isInpainting(model)
    },
    startedAt: yield* Clock.currentTimeMillis
  }
  const seed = yield* seedOf(processing.seed)
  // Drawn only where it acts, so that a seed alone settles all of a picture.
  const isVaried = processing.subseed_strength !== 0
  const subseed = isVaried ? yield* seedOf(processing.subseed) : Math.max(0, processing.subseed)
  const { batch_size, n_iter } = processing
  const batches = Array.from({ length: n_iter }, (_, round) =>
    Array.from({ length: batch_size }, (_, i): ImagePlan => {
      const index = round * batch_size + i
      // With a variation, it is the variation that changes from picture to picture.
      const own = processing.subseed_strength === 0 ? seed + index : seed
      const plan = { index, seed: own, subseed: subseed + index }
      return {
        ...plan,
        prompt: pass.prompt,
        negativePrompt: pass.negativePrompt,
        infotext: infotextOf({ ...facts, ...plan, opts, method: sampler, styled })
      }
    }))
  yield* state.update({
    job: "preparing",
    jobCount: n_iter * (hires === undefined ? 1 : 2),
    samplingSteps: processing.steps
  })
  const settled: ProcessingState = {
    ...facts,
    batches,
    warnings: [...styled.warnings, ...(source?.warnings ?? [])]
  }
  return settled
})

// Levels that cannot be walked come from settings, when they do not come from too few steps.
const checkLevels = Effect.fnUntraced(function*(
  pass: PassPlan,
  model: LoadedModel,
  image: levels.Options["image"]
) {
  const { opts } = yield* RuntimeContext
  const names = yield* resolveNames(pass)
  const problem = levels.problemOf(levels.plan({ ...names, model, opts, steps: pass.steps, image }))
  if (problem === undefined) return
  const settings = (["sigma_min", "sigma_max", "rho"] as const).filter((name) => opts[name] > 0)
  const paths = settings.length === 0 ? ["scheduler"] : settings.map((name) => `override_settings.${name}`)
  return yield* new InvalidProcessing({ problems: paths.map((path) => ({ path, message: problem })) })
})

const isNone = (name: string | undefined): name is undefined =>
  name === undefined || name === "" || name.toLowerCase() === "none"

const seedOf = (seed: number) => seed === -1 ? Random.nextIntBetween(0, largestRandomSeed) : Effect.succeed(seed)

// Several pictures make a batch of their own size.
const withBatchOf = (processing: Processing, pictures: Pictures | undefined): Processing =>
  pictures === undefined || pictures.images.length === 1
    ? processing
    : { ...processing, batch_size: pictures.images.length }

// Beyond the safe integers two pictures would get one seed.
const checkSeeds = ({ batch_size, n_iter, seed, subseed }: Processing) => {
  const largest = Number.MAX_SAFE_INTEGER - (batch_size * n_iter - 1)
  const problems = Object.entries({ seed, subseed }).flatMap(([path, value]): Array<Problem> =>
    value <= largest ? [] : [{ path, message: `${value} is over ${largest}, the largest for so many pictures` }]
  )
  return problems.length === 0 ? Effect.void : Effect.fail(new InvalidProcessing({ problems }))
}

/** The size in pixels: the request's, that of the picture it starts from, or the model's own. */
const settleSize = Effect.fnUntraced(function*(
  processing: Processing,
  model: LoadedModel,
  pictures: Pictures | undefined
) {
  const { defaultSize, sizeMultiple } = model
  const own = pictures === undefined ? defaultSize : {
    width: Math.max(sizeMultiple, pictures.images[0].width - pictures.images[0].width % sizeMultiple),
    height: Math.max(sizeMultiple, pictures.images[0].height - pictures.images[0].height % sizeMultiple)
  }
  const { height = own.height, width = own.width } = processing
  const problems = [["width", width] as const, ["height", height] as const].flatMap(([path, value]): Array<Problem> => {
    const below = Math.floor(value / sizeMultiple) * sizeMultiple
    if (below === value) return []
    const near = below === 0 ? `${sizeMultiple} is` : `${below} and ${below + sizeMultiple} are`
    return [{ path, message: `${value} is not a multiple of ${sizeMultiple}, as ${model.name} needs it; ${near}` }]
  })
  return problems.length === 0 ? { height, width } : yield* new InvalidProcessing({ problems })
})

interface StyledPrompts {
  /** Styles merged, comments cut: as infotexts show them, and as they are read. */
  readonly prompt: string
  readonly negativePrompt: string
  readonly hires: { readonly prompt: string; readonly negativePrompt: string } | undefined
  readonly usesBrackets: boolean
  readonly warnings: ReadonlyArray<string>
}

/** Merges styles, cuts comments, and sees that no extra network is asked for. */
const settlePrompts = Effect.fnUntraced(function*(processing: Processing, opts: OptionsSnapshot, limits: Limits) {
  const { problems: told, styles } = processing.styles.length === 0
    ? { styles: [], problems: [] }
    : yield* (yield* StyleBook).read
  const known = new Set(styles.map(({ name }) => name))
  const unknown = processing.styles.filter((name) => !known.has(name) && name !== "None")
  const problems: Array<Problem> = []
  const warnings = [...told, ...unknown.map((name) => `No style is named "${name}": it was left out.`)]

  // Tags are words in negative prompts, and told of once where both passes have them: then there is no path.
  const settleOne = (path: string | undefined, text: string): string => {
    const { text: bare } = Prompt.parseNegative(text, { steps: 1, comments: opts.enable_prompt_comments })
    if (path === undefined) return bare
    for (const network of ExtraNetworks.extract(bare).networks) {
      const tag = ExtraNetworks.print(network)
      if (processing.disable_extra_networks) continue
      if (!isExtraNetwork(network.kind)) {
        warnings.push(`Nobody knows what ${tag} asks for: it was taken out of the prompt.`)
      } else {
        problems.push({
          path,
          message: `${tag} asks for an extra network, and those are not supported; take it out, or set ` +
            "disable_extra_networks"
        })
      }
    }
    return bare
  }
  const styledPair = (pair: Styles.PromptPair, path: string | undefined): Styles.PromptPair => {
    const merged = Styles.apply(styles, processing.styles, pair)
    if (Result.isFailure(merged)) {
      problems.push({ path: "styles", message: merged.failure.message })
      return pair
    }
    const bytes = Math.max(Buffer.byteLength(merged.success.prompt), Buffer.byteLength(merged.success.negativePrompt))
    if (bytes > limits.max_prompt_bytes) {
      problems.push({
        path: "styles",
        message: `with them a prompt has ${bytes} bytes, over the limit of ${limits.max_prompt_bytes}`
      })
    }
    return {
      prompt: settleOne(path, merged.success.prompt),
      negativePrompt: settleOne(undefined, merged.success.negativePrompt)
    }
  }

  const { negative_prompt: negativePrompt, prompt } = processing
  const first = styledPair({ prompt, negativePrompt }, "prompt")
  const hires = processing._tag === "Txt2Img" && processing.enable_hr
    ? styledPair(
      {
        prompt: processing.hr_prompt === "" ? prompt : processing.hr_prompt,
        negativePrompt: processing.hr_negative_prompt === "" ? negativePrompt : processing.hr_negative_prompt
      },
      processing.hr_prompt === "" ? undefined : "hr_prompt"
    )
    : undefined
  if (problems.length > 0) return yield* new InvalidProcessing({ problems })
  const styled: StyledPrompts = {
    ...first,
    hires,
    // Whatever they are for, as the webui asks; the other signs are read by some kinds of emphasis only.
    usesBrackets: [first, hires].some((pair) => /[([\\]|BREAK/.test(`${pair?.prompt}${pair?.negativePrompt}`)),
    warnings
  }
  return styled
})

const isExtraNetwork = (kind: string): boolean => ["lora", "lyco", "hypernet"].includes(kind)

/** The second pass, all of whose choices fall back on the first. */
const settleHires = Effect.fnUntraced(function*(
  processing: Txt2Img,
  first: PassPlan,
  styled: StyledPrompts,
  model: LoadedModel,
  limits: Limits
): Effect.fn.Return<
  HiresPlan,
  InvalidProcessing | UnknownUpscaler | Effect.Error<ReturnType<typeof resolveNames>>,
  Upscalers
> {
  const { sampler, scheduler } = yield* resolveNames({
    sampler: isSame(processing.hr_sampler_name) ? first.sampler : processing.hr_sampler_name,
    scheduler: isSame(processing.hr_scheduler) ? first.scheduler : processing.hr_scheduler
  })
  const mode = latentMode(processing.hr_upscaler)
  if (mode === undefined) {
    const { list } = yield* Upscalers
    const known = (yield* list).map(({ name }) => name)
    const wanted = processing.hr_upscaler.toLowerCase()
    if (!known.some((name) => name.toLowerCase() === wanted)) {
      return yield* new UnknownUpscaler({
        upscaler: processing.hr_upscaler,
        known: ["Latent", ...known]
      })
    }
  }
  const { enlarged, wanted } = enlargedSize(processing, first)
  const floor = (length: number, multiple: number) => Math.floor(length / multiple) * multiple
  const { latentScale, sizeMultiple } = model
  const [width, height] = [floor(wanted.width, sizeMultiple), floor(wanted.height, sizeMultiple)]
  if (enlarged.width * enlarged.height > limits.max_width * limits.max_height) {
    const message = `the first pass would be enlarged to ${enlarged.width}x${enlarged.height} pixels, more than the ` +
      `largest picture, ${limits.max_width}x${limits.max_height}`
    return yield* new InvalidProcessing({ problems: [{ path: "hr_resize_x", message }] })
  }
  if (width === 0 || height === 0) {
    const message = `the second pass would be ${wanted.width}x${wanted.height} pixels, and ${model.name} makes none ` +
      `smaller than ${sizeMultiple}`
    return yield* new InvalidProcessing({ problems: [{ path: "hr_resize_x", message }] })
  }
  return {
    width,
    height,
    enlarged: { width: floor(enlarged.width, latentScale), height: floor(enlarged.height, latentScale) },
    sampler: sampler.name,
    scheduler: scheduler.label,
    steps: processing.hr_second_pass_steps === 0 ? first.steps : processing.hr_second_pass_steps,
    prompt: styled.hires?.prompt ?? first.prompt,
    negativePrompt: styled.hires?.negativePrompt ?? first.negativePrompt,
    upscaler: mode?.name ?? processing.hr_upscaler,
    isLatent: mode !== undefined,
    denoisingStrength: processing.denoising_strength,
    checkpoint: isSame(processing.hr_checkpoint_name) ? undefined : processing.hr_checkpoint_name
  }
})

const isSame = (name: string | undefined): name is undefined =>
  name === undefined || name === "" || name.startsWith("Use same ")

interface Size {
  readonly width: number
  readonly height: number
}

/**
 * The size to which the first pass is enlarged, and the part of it that is wanted
 * (`StableDiffusionProcessingTxt2Img.calculate_target_resolution`).
 */
export const enlargedSize = (
  { hr_resize_x: x, hr_resize_y: y, hr_scale }: Pick<Txt2Img, "hr_resize_x" | "hr_resize_y" | "hr_scale">,
  { height, width }: Size
): { readonly enlarged: Size; readonly wanted: Size } => {
  const byWidth = { width: x, height: Math.floor(x * height / width) }
  const byHeight = { width: Math.floor(y * width / height), height: y }
  if (x === 0 && y === 0) {
    const enlarged = { width: Math.floor(width * hr_scale), height: Math.floor(height * hr_scale) }
    return { enlarged, wanted: enlarged }
  }
  if (y === 0) return { enlarged: byWidth, wanted: byWidth }
  if (x === 0) return { enlarged: byHeight, wanted: byHeight }
  return { enlarged: width / height < x / y ? byWidth : byHeight, wanted: { width: x, height: y } }
}

const infotextOf = (
  facts: Omit<ProcessingState, "batches" | "warnings" | "source"> & {
    readonly source: SourcePlan | undefined
    readonly seed: number
    readonly subseed: number
    readonly opts: OptionsSnapshot
    readonly method: Samplers.Sampler
    readonly styled: StyledPrompts
  }
): string => {
  const { hires, method, opts, processing } = facts
  const second = hires === undefined ? method : Option.getOrElse(Samplers.get(hires.sampler), () => method)
  const scheduleLabel = labelOf(facts.scheduler, method)
  return InfotextWriter.format({
    processing,
    opts,
    prompt: facts.prompt,
    negativePrompt: facts.negativePrompt,
    steps: facts.steps,
    sampler: method,
    scheduleLabel,
    seed: facts.seed,
    subseed: facts.subseed,
    width: facts.width,
    height: facts.height,
    model: { name: facts.model.name, hash: facts.model.hash },
    usesBrackets: facts.styled.usesBrackets,
    ...(hires && {
      hires: {
        ...(hires.checkpoint !== undefined && { checkpoint: hires.checkpoint }),
        ...(hires.sampler !== facts.sampler && { sampler: second }),
        ...(labelOf(hires.scheduler, second) !== scheduleLabel && { scheduleLabel: labelOf(hires.scheduler, second) }),
        ...(hires.prompt !== facts.prompt && { prompt: hires.prompt }),
        ...(hires.negativePrompt !== facts.negativePrompt && { negativePrompt: hires.negativePrompt })
      }
    }),
    isInpaintingModel: facts.model.isInpainting,
    hasMask: facts.source?.mask !== undefined,
    tiling: facts.seamless,
    clipSkip: facts.clipSkip,
    version: `serena-${version}`,
    ...(facts.refiner && { refiner: { name: facts.refiner.checkpoint, switchAt: facts.refiner.switchAt } })
  })
}

// The schedule that a sampler makes of a label.
const labelOf = (label: string, sampler: Samplers.Sampler): string =>
  Option.match(Schedules.get(label), {
    onNone: () => label,
    onSome: (scheduler) => Schedules.forSampler(scheduler, sampler).label
  })

// Beside the run, until it ends. A stage may run in a fiber of its own, under hooks that can end it, so a child of the
// stage's fiber would not outlive the stage.
const forkInRun = (effect: Effect.Effect<void>) =>
  Effect.flatMap(
    Effect.serviceOption(Scope.Scope),
    (scope) => Option.isSome(scope) ? Effect.forkIn(effect, scope.value) : Effect.forkChild(effect)
  )

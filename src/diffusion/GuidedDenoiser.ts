/**
 * A model as samplers see it: a function that takes noisy latents and their noise level, and gives the clean ones.
 *
 * It scales the input, asks the network for its prediction with and without the prompt, puts both together by
 * classifier-free guidance, turns the outcome into denoised latents, and keeps what a mask keeps. No memory is taken
 * after `make`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { latentLength, type LatentShape } from "../core/LatentShape.ts"
import type { Conditioning, NamedTensors, ScheduledConditioning } from "../model/Conditioner.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import { at } from "../sampling/Buffers.ts"
import { addImageGuidance, blend, combineGuidance, type WeightedPrediction } from "../sampling/Guidance.ts"
import type { NoiseProcess } from "../sampling/NoiseProcess.ts"
import type { Denoiser, Sampler } from "../sampling/Samplers.ts"
import * as networkRows from "./networkRows.ts"

/** When the unconditional prediction is skipped to save time. */
export interface Skipping {
  /** For this share of the first calls, and this share of the last ones. */
  readonly early: number
  readonly late: number
  /** Below this noise level, in every second call, or in every call. */
  readonly below: number
  readonly everyCall: boolean
}

/** The part of the latents that is kept. */
export interface LatentMask {
  /** `[height/8, width/8]`: 1 where the image is regenerated, 0 where it is kept. */
  readonly values: Float32Array
  /** `[batch, channels, height/8, width/8]`: what stays, without noise. */
  readonly original: Float32Array
}

export interface GuidedDenoiserOptions<E> {
  readonly model: LoadedModel
  /** Shape of one latent. */
  readonly shape: LatentShape
  readonly process: NoiseProcess
  readonly sampler: Sampler
  readonly batch: number
  readonly conditioning: Conditioning
  readonly cfgScale: number
  /** How much the source image guides a model that edits images; 1, or left out, for no guidance by it. */
  readonly imageScale?: number | undefined
  /** Calls that the steps will need, as prompt schedules count them. */
  readonly calls: number
  /** Is run before each call of the network; its failure ends the sampling. */
  readonly gate: Effect.Effect<void, E>
  readonly seamless?: boolean | undefined
  readonly skipping?: Skipping | undefined
  readonly mask?: LatentMask | undefined
  /** What the model reads of a source image, see `networkRows.NetworkRowsOptions`. */
  readonly source?: Float32Array | undefined
  /** The ControlNets that the model follows, see `networkRows.NetworkRowsOptions`. */
  readonly controls?: networkRows.NetworkRowsOptions["controls"]
  /** Tiles in which large latents are predicted, see `networkRows.NetworkRowsOptions`. */
  readonly tiles?: networkRows.NetworkRowsOptions["tiles"]
  /** When deep layers are reused, see `networkRows.NetworkRowsOptions`. */
  readonly deepReuse?: networkRows.NetworkRowsOptions["deepReuse"]
  /** Fraction of the tokens that are merged; none when left out. */
  readonly tokenMerging?: number | undefined
  /** Most runs whose calls are made as one; 1 when left out. */
  readonly runsPerCall?: number | undefined
}

/** A denoiser, and the latest of what it gave: nothing before its first call. */
export interface GuidedDenoiser<E> {
  readonly denoiser: Denoiser<E>
  readonly latest: () => Float32Array | undefined
  /** Goes on counting calls from here: for a model that takes over. */
  readonly continueFrom: (call: number) => void
}

/**
 * A denoiser of `[batch, channels, frames, height/8, width/8]` latents for a sampler.
 *
 * All copies of the batch, for each part of the prompt and without it, go through the network in one call, or in two
 * where prompt and negative prompt are of different length. What the denoiser gives is its own buffer and holds until
 * its next call.
 */
export const make: <E>(
  options: GuidedDenoiserOptions<E>
) => Effect.Effect<
  GuidedDenoiser<E | NetworkError>,
  NetworkError,
  Scope.Scope
> = Effect.fnUntraced(
  function*<E>(options: GuidedDenoiserOptions<E>) {
    const { batch, conditioning: { negative, parts }, imageScale = 1, model, process, sampler, shape } = options
    // Guided by an image, the negative prompt is asked with the image, and last of all without it.
    const isImageGuided = imageScale !== 1 && negative !== undefined
    const unprompted = negative === undefined ? [] : isImageGuided ? [negative, negative] : [negative]
    const skipping = isImageGuided ? undefined : options.skipping
    const rows = (members: ReadonlyArray<ScheduledConditioning>, withoutSource = 0) =>
      networkRows.make({
        model,
        batch,
        shape,
        members,
        withoutSource,
        seamless: options.seamless === true,
        source: options.source,
        prompted: members.filter((member) => parts.includes(member)).length,
        controls: options.controls,
        tiles: options.tiles,
        deepReuse: options.deepReuse,
        tokenMerging: options.tokenMerging,
        runsPerCall: options.runsPerCall
      })
    const together = negative !== undefined && areAlike(parts[0], negative)

    // Prompt and negative prompt in one call; or the prompt's own call, where the other one is apart or left out at
    // times.
    const withoutSource = isImageGuided ? 1 : 0
    const both = together ? yield* rows([...parts, ...unprompted], withoutSource) : undefined
    const skips = skipping !== undefined && (skipping.early > 0 || skipping.late > 0 || skipping.below > 0)
    const alone = both === undefined || skips ? yield* rows(parts) : undefined
    const apart = negative === undefined || together ? undefined : yield* rows(unprompted, withoutSource)

    const size = batch * latentLength(shape)
    const scale = options.cfgScale / sampler.guidanceDivisor
    const guided = new Float32Array(size)
    const denoised = new Float32Array(size)
    const unconditional = new Float32Array(sampler.needsUnconditional ? size : 0)
    const weighted = ({ predictions }: networkRows.NetworkRows): ReadonlyArray<WeightedPrediction> =>
      parts.map(({ weight }, i) => ({ weight, values: predictions[i] ?? guided }))
    const weights = { both: both && weighted(both), alone: alone && weighted(alone) }
    // Timestep samplers blend what the network sees, the others what it makes of it.
    const before = sampler.space === "timestep" ? options.mask : undefined
    const after = sampler.space === "sigma" ? options.mask : undefined

    let calls = 0
    let latest: Float32Array | undefined

    const isSkipped = (sigma: number): boolean => {
      if (!skips || skipping === undefined) return false
      if (skipping.early > 0 && calls / options.calls <= skipping.early) return true
      if (skipping.late > 0 && calls / options.calls >= 1 - skipping.late) return true
      return (calls % 2 === 1 || skipping.everyCall) && sigma < skipping.below
    }

    const writeInput = (rows: networkRows.NetworkRows, x: Float32Array, sigma: number): void => {
      process.input(rows.input, x, sigma)
      if (before !== undefined) blend(rows.input, rows.input, before.original, before.values)
    }

    const toDenoised = (
      out: Float32Array,
      x: Float32Array,
      seen: Float32Array,
      prediction: Float32Array,
      sigma: number
    ): void => process.denoised(out, x, prediction, sigma, before === undefined ? undefined : seen)

    const finish = (x: Float32Array, sigma: number, skipped: boolean): Float32Array => {
      const joint = skipped ? undefined : both
      const used = joint ?? alone
      if (used === undefined) return denoised
      const [first = guided] = used.predictions
      const [without, withNothing = without] = skipped
        ? []
        : apart?.predictions ?? used.predictions.slice(parts.length)
      let prediction = first
      if (without !== undefined || parts.length > 1) {
        const own = joint === undefined ? weights.alone : weights.both
        // Where there is no prediction without the prompt, its first part stands for it.
        combineGuidance(guided, without ?? first, own ?? [], without === undefined ? 1 : scale)
        prediction = guided
      }
      if (isImageGuided && without !== undefined && withNothing !== undefined) {
        addImageGuidance(guided, withNothing, without, imageScale)
      }
      if (sampler.needsUnconditional) toDenoised(unconditional, x, used.input, withNothing ?? first, sigma)
      toDenoised(denoised, x, used.input, prediction, sigma)
      if (after !== undefined) blend(denoised, denoised, after.original, after.values)
      return denoised
    }

    const denoise = (x: Float32Array, sigma: number): Effect.Effect<Float32Array, NetworkError> =>
      Effect.suspend(() => {
        const skipped = isSkipped(sigma)
        const t = sampler.timestep(process, sigma)
        const call = calls++
        const asked: Array<networkRows.NetworkRows> = []
        if (both !== undefined && !skipped) asked.push(both)
        else {
          if (alone !== undefined) asked.push(alone)
          if (apart !== undefined && !skipped) asked.push(apart)
        }
        for (const rows of asked) writeInput(rows, x, sigma)
        const [first, second] = asked
        if (first === undefined) return Effect.succeed(denoised)
        const run = second === undefined
          ? first.run(t, call)
          : Effect.andThen(first.run(t, call), Effect.suspend(() => second.run(t, call)))
        return Effect.map(run, () => latest = finish(x, sigma, skipped))
      })

    const guidedDenoiser: GuidedDenoiser<E | NetworkError> = {
      denoiser: Object.assign(
        (x: Float32Array, sigma: number) => Effect.andThen(options.gate, denoise(x, sigma)),
        { unconditional: () => unconditional }
      ),
      latest: () => latest,
      continueFrom: (call) => {
        calls = call
      }
    }
    return guidedDenoiser
  }
)

// Whether both can go through the network in one call.
const areAlike = (a: ScheduledConditioning | undefined, b: ScheduledConditioning): boolean => {
  const dimsOf = (text: NamedTensors = {}) => Object.entries(text).map(([name, { dims }]) => `${name} ${dims.join()}`)
  return dimsOf(a?.texts[0]).join(";") === dimsOf(b.texts[0]).join(";")
}

/** Whether a negative prompt changes anything at all. */
export const usesNegative = (options: {
  readonly model: LoadedModel
  readonly sampler: Sampler
  readonly cfgScale: number
  readonly imageScale: number
  readonly weights: ReadonlyArray<number>
}): boolean =>
  !options.model.conditioner.isSelfGuided &&
  (options.cfgScale !== 1 || options.imageScale !== 1 || options.sampler.needsUnconditional ||
    options.weights.length !== 1 ||
    at(options.weights, 0) !== 1)

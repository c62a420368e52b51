/**
 * ControlNets in a run: their files found, their images made ready, and what the passes read of them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Region, Size } from "../core/Geometry.ts"
import { listed, type Problem } from "../core/Problem.ts"
import type { Grey, Raster } from "../core/Raster.ts"
import { didYouMean } from "../core/Text.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import * as Preprocessors from "../images/Preprocessors.ts"
import * as RasterWork from "../images/RasterWork.ts"
import { resizeMode } from "../images/ResizeMode.ts"
import type { Control, LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import { type ControlNetFile, Models } from "../model/Models.ts"
import { type ActingUnit, actingUnits, scalesOf } from "../planning/controls.ts"
import type { ControlPlan } from "../planning/RunPlan.ts"
import type { ControlUnit } from "../processing/ControlUnit.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { Limits } from "../processing/Limits.ts"
import type { Processing } from "../processing/Processing.ts"
import type { Source } from "./readSource.ts"

/** What units are made ready for. */
interface Preparation {
  readonly processing: Processing
  readonly limits: Limits
  readonly model: LoadedModel
  /** The images and the mask of img2img. */
  readonly source: Source | undefined
  /** What is cut out of them; absent where all is made. */
  readonly region: Region | undefined
  readonly first: Size
  readonly second: Size | undefined
}

const field = (index: number, name: keyof ControlUnit) => `control_units.${index}.${name}`

/**
 * Finds the files of a request's units, sees that they fit the model, and makes their images ready for both passes.
 * Fails with all that is wrong with them.
 */
export const prepareControls = Effect.fnUntraced(function*(
  controls: ReadonlyArray<ControlPlan>,
  preparation: Preparation
) {
  if (controls.length === 0) return controls
  const problems: Array<Problem> = []
  const files = new Map<number, ControlNetFile>()
  for (const { index, unit } of controls) {
    const found = yield* fileOf(unit, preparation.model)
    if (typeof found === "string") problems.push({ path: field(index, "model"), message: found })
    else files.set(index, found)
  }
  if (problems.length > 0) return yield* new InvalidProcessing({ problems })
  const units = new Map(actingUnits(preparation.processing).map((each) => [each.index, each]))
  // One after the other, so that one image at a time is in memory in its own size.
  return yield* Effect.forEach(
    controls,
    Effect.fnUntraced(function*(control) {
      const [acting, file] = [units.get(control.index), files.get(control.index)]
      if (acting === undefined || file === undefined) return control
      const images = yield* readyImages(acting, preparation)
      const ready: ControlPlan = { ...control, title: file.title, ready: { file: file.file, ...images } }
      return ready
    })
  )
})

// The file of a unit, or why there is none for the model.
const fileOf = Effect.fnUntraced(function*(
  { model: wanted }: Pick<ControlUnit, "model">,
  model: LoadedModel
): Effect.fn.Return<ControlNetFile | string, NetworkError, Models> {
  const { controlled } = model
  if (controlled === undefined) {
    return `${model.name} takes no ControlNet: its networks were exported without a place for one. Use a checkpoint ` +
      "(.safetensors) or a diffusers folder"
  }
  const { controlNets } = yield* Models
  const isNamed = wanted.trim() !== "" && wanted.trim().toLowerCase() !== "none"
  const found = isNamed && controlNets !== undefined ? yield* controlNets.find(wanted) : undefined
  if (found === undefined) {
    const known = controlNets === undefined ? [] : (yield* controlNets.list).map(({ name }) => name)
    if (known.length === 0) return "there is no ControlNet in the models folders: put its file there"
    return isNamed
      ? `no ControlNet is named "${wanted.slice(0, 200)}". ${didYouMean(wanted, known)}`
      : `name a ControlNet: there are ${known.join(", ")}`
  }
  // Its header says whether it fits.
  return yield* Effect.scoped(controlled([found.file])).pipe(
    Effect.as(found),
    Effect.catchTag("InvalidModelFile", ({ problems }) => Effect.succeed(`${found.name}: ${listed(problems)}`))
  )
})

const readyImages = Effect.fnUntraced(function*(
  { index, unit }: ActingUnit,
  { first, limits, region, second, source }: Preparation
) {
  const { decode } = yield* ImageDecoder
  const read = (name: "image" | "mask", bytes: Uint8Array) =>
    Effect.mapError(decode(bytes, limits), ({ reason }) =>
      new InvalidProcessing({
        problems: [{ path: field(index, name), message: `it cannot be read as an image: ${reason}` }]
      }))
  const preprocessor = Preprocessors.find(unit.module)
  const own = unit.image === undefined ? source?.images[0] : yield* read("image", unit.image)
  if (own === undefined || preprocessor === undefined) {
    return yield* Effect.die(new Error(`unit ${index} was planned without an image or a preprocessor`))
  }
  const mode = ({ resize: 0, crop: 1, fill: 2 } as const)[unit.resize_mode]
  const [init] = source?.images ?? []
  // Where a part of the init image is made, the same part of this one is followed.
  const cut = region === undefined || init === undefined
    ? own
    : yield* RasterWork.cropping(yield* resizeMode(mode, own, init.width, init.height), region)
  const mask = preprocessor.name === "inpaint_only"
    ? yield* maskOf(unit.mask === undefined ? undefined : yield* read("mask", unit.mask), source, region)
    : undefined
  const made = yield* Preprocessors.preprocessing(cut, {
    preprocessor,
    resolution: unit.pixel_perfect
      ? Preprocessors.perfectResolution(cut, first, unit.resize_mode)
      : unit.processor_res ?? Preprocessors.usualResolution,
    a: unit.threshold_a,
    b: unit.threshold_b
  }, mask)
  return {
    first: yield* resizeMode(mode, made, first.width, first.height),
    second: second && (yield* resizeMode(mode, made, second.width, second.height))
  }
})

// What is hidden from a ControlNet that fills it: by the unit's own mask, or by the request's as it acts.
const maskOf = Effect.fnUntraced(function*(
  own: Raster | undefined,
  source: Source | undefined,
  region: Region | undefined
) {
  if (own !== undefined) return yield* RasterWork.maskOf(own, { round: false, inverted: false })
  const mask = source?.mask?.grey
  if (mask === undefined || region === undefined) return mask
  const cut: Grey = { ...yield* RasterWork.cropping(mask, region), channels: 1 }
  return cut
})

/** What a pass reads of a ControlNet. */
export interface PassControl {
  readonly unit: ControlPlan["unit"]
  /** The image to follow, in the size of the pass. */
  readonly image: Raster
  /** What each residual is multiplied by while the unit acts. */
  readonly scales: Float32Array
}

/** A model, and the ControlNets that it follows. */
export interface Controlled {
  readonly model: LoadedModel
  readonly residuals: ReadonlyArray<Control>
}

/** A model with the ControlNets of a run, as long as the scope; the same without any. */
export const controlledBy = Effect.fnUntraced(function*(
  model: LoadedModel,
  controls: ReadonlyArray<ControlPlan>
): Effect.fn.Return<
  Controlled,
  NetworkError | InvalidProcessing,
  Scope.Scope
> {
  const files = controls.flatMap(({ ready }) => ready?.file ?? [])
  if (files.length === 0) return { model, residuals: [] }
  const { controlled } = model
  if (controlled === undefined) {
    const message = `${model.name}, which the second pass uses, takes no ControlNet`
    return yield* new InvalidProcessing({ problems: [{ path: "hr_checkpoint_name", message }] })
  }
  const following = yield* controlled(files)
  return { model: following, residuals: following.controls }
})

/** What one of the passes reads of a run's ControlNets. */
export const passControls = (
  controls: ReadonlyArray<ControlPlan>,
  residuals: ReadonlyArray<Control>,
  pass: "first" | "second"
): ReadonlyArray<PassControl> =>
  controls.flatMap(({ ready, unit }, i) => {
    const image = ready?.[pass]
    const own = residuals[i]
    return image === undefined || own === undefined ? [] : [{
      unit,
      image,
      scales: scalesOf(unit, { residuals: own.residuals, isSecondPass: pass === "second" })
    }]
  })

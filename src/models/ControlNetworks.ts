/**
 * A checkpoint's model with ControlNets next to its denoising network.
 *
 * Their weights stay in their files, as the model's do. A ControlNet fits a UNet whose way down it copies: the same
 * widths, halvings and texts.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import type { LatentFormat } from "../model/LatentFormat.ts"
import type { ControlledModel, LoadedModel } from "../model/LoadedModel.ts"
import { InvalidModelFile } from "../model/ModelError.ts"
import { type Contents, contentsOf, type FamilyName } from "./checkpoint/contents.ts"
import { openFile } from "./checkpoint/sources.ts"
import type { ControlNetwork } from "./controlCalls.ts"
import { fitting } from "./fitting.ts"
import { Weights } from "./graph/Weights.ts"
import * as networkModel from "./networkModel.ts"
import { Networks } from "./Networks.ts"
import { controlNet, residualsOf } from "./networks/controlNet.ts"
import { unetShape } from "./networks/unetShape.ts"
import { builtOpener } from "./opening.ts"

/** The model that follows ControlNets, and its networks. */
export interface Followed {
  readonly model: LoadedModel
  readonly family: FamilyName
  /** The UNet's. */
  readonly weights: Weights
  /** With a denoiser that reads residuals. */
  readonly networks: networkModel.Networks
  readonly latents: LatentFormat
}

const familyNames: Readonly<Record<FamilyName, string>> = {
  "sd1": "Stable Diffusion 1",
  "sd2": "Stable Diffusion 2",
  "sdxl": "Stable Diffusion XL",
  "sdxl-refiner": "the refiner of Stable Diffusion XL"
}

type Services = Networks | FileSystem.FileSystem | Path.Path

/** See `LoadedModel.controlled`. */
export const controlled = Effect.fnUntraced(function*(
  followed: Followed,
  files: ReadonlyArray<string>
): Effect.fn.Return<ControlledModel, InvalidModelFile, Services | Scope.Scope> {
  const { latents, model, networks, weights } = followed
  const residuals = yield* fitting(weights.file, () => residualsOf(weights))
  const found = yield* Effect.forEach(files, (file) => openControl(followed, file))
  const { denoiser } = networks
  const following = networkModel.make({
    ...networks,
    denoiser: { ...denoiser, controls: { networks: found, residuals } }
  }, latents)
  return {
    ...model,
    denoising: following.denoising,
    estimates: following.estimates,
    controls: files.map(() => ({ residuals: residuals.length }))
  }
})

const openControl = Effect.fnUntraced(function*(
  { family, model: { name }, weights: unet }: Followed,
  file: string
): Effect.fn.Return<ControlNetwork, InvalidModelFile, Services | Scope.Scope> {
  const source = yield* openFile(file)
  const contents = contentsOf(source.tensors)
  const invalid = (message: string) => new InvalidModelFile({ file, problems: [{ path: "", message }] })
  const part = contents.parts.find(({ network }) => network === "controlnet")
  if (contents.problem !== undefined) return yield* invalid(contents.problem)
  if (part === undefined) return yield* invalid(`it is no ControlNet, but a file of the kind "${contents.kind}"`)
  const weights = Weights.of(source, part.prefix)
  const misfit = yield* fitting(file, () => misfitOf(contents, weights, { family, name, unet }))
  if (misfit !== undefined) return yield* invalid(misfit)
  if (misfit !== undefined) return yield* invalid(`it is ${misfit}: ${name} takes another`)
  const open = yield* builtOpener
  const { graphs } = yield* Networks
  // As its UNet, see `CheckpointModel`.
  const precision = family === "sd2" ? { arithmetic: "float32" } as const : {}
  const variant = (seamless: boolean) =>
    open(
      { model: name, network: "controlnet" },
      Effect.flatMap(graphs, (options) =>
        Effect.map(
          fitting(file, () => controlNet(weights, { ...options, ...precision, summed: true, seamless }).file()),
          (graph) => ({ file, graph })
        ))
    )
  const [plain, seamless] = [yield* variant(false), yield* variant(true)]
  const reads = ["sample", "timestep", "encoder_hidden_states", ...(unetShape(weights).adm > 0 ? ["y"] : [])]
  return { variants: (isSeamless) => isSeamless === true ? seamless : plain, inputs: reads }
})

// Why a ControlNet does not fit a model's UNet.
const misfitOf = (
  contents: Contents,
  own: Weights,
  { family, name, unet }: { readonly family: FamilyName; readonly name: string; readonly unet: Weights }
): string | undefined => {
  if (contents.family !== undefined && contents.family !== family) {
    return `it is a ControlNet of ${familyNames[contents.family]}, and ${name} is of ${familyNames[family]}`
  }
  const [a, b] = [unetShape(own), unetShape(unet)]
  if (a.context !== b.context || a.adm !== b.adm) {
    return `it reads texts of ${a.context} numbers, and ${name} has ${b.context}`
  }
  const [given, taken] = [residualsOf(own), residualsOf(unet)]
  const isAlike = given.length === taken.length &&
    given.every(({ channels, halvings }, i) => channels === taken[i]?.channels && halvings === taken[i].halvings)
  return isAlike ? undefined : `its ${given.length} residuals do not fit the blocks of ${name}`
}

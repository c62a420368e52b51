/**
 * What a checkpoint's UNet predicts. Shapes do not say it: a file next to the checkpoint, the header, or tensors that
 * mark it do, and for Stable Diffusion 2 the values of one tensor.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { InvalidModelFile } from "../../model/ModelError.ts"
import type { Contents, Part } from "./contents.ts"
import { readValues } from "./values.ts"
import type { StoredTensor, WeightSource } from "./WeightSource.ts"

export interface Prediction {
  /** `edm`: Playground 2.5's, which scales by `edm_mean` and `edm_std`. */
  readonly type: "epsilon" | "v_prediction" | "edm"
  /** Whether the schedule ends in noise alone (`ztsnr`). */
  readonly isZeroSnr: boolean
  /** The sign it was recognised by, as a phrase. */
  readonly why: string
}

/** Above this standard deviation of its last attention's first bias, Stable Diffusion 2 predicts v (ComfyUI's rule). */
const largestOfEpsilon = 0.09

/**
 * What a source with a UNet predicts. `yaml` is the text of the `.yaml` file next to it, if there is one; what a user
 * `said` counts more than all signs.
 */
export const predictionOf = Effect.fnUntraced(function*(
  source: WeightSource,
  { family, parts, variant }: Contents,
  { said, yaml }: {
    readonly yaml?: string | undefined
    readonly said?: "epsilon" | "v_prediction" | undefined
  } = {}
): Effect.fn.Return<Prediction, InvalidModelFile, FileSystem.FileSystem> {
  const { metadata, tensors } = source
  const isZeroSnr = tensors.has("ztsnr")
  const found = (type: Prediction["type"], why: string): Prediction => ({ type, isZeroSnr, why })
  if (said !== undefined) return found(said, "a setting says so")
  if (yaml !== undefined && /^\s*parameterization:\s*["']?v["']?\s*(#.*)?$/m.test(yaml)) {
    return found("v_prediction", "the .yaml file next to it has parameterization: v")
  }
  const declared = metadata["modelspec.prediction_type"]
  if (declared === "v" || declared === "v_prediction") return found("v_prediction", "its header says so")
  if (tensors.has("v_pred")) return found("v_prediction", "it has the tensor v_pred")
  if (tensors.has("edm_mean") && tensors.has("edm_std")) return found("edm", "it has the tensors edm_mean and edm_std")
  if (declared === "epsilon") return found("epsilon", "its header says so")
  if (yaml !== undefined && /^\s*parameterization:\s*["']?eps["']?\s*(#.*)?$/m.test(yaml)) {
    return found("epsilon", "the .yaml file next to it has parameterization: eps")
  }
  const unet = parts.find(({ network }) => network === "unet")
  const norm = unet === undefined ? undefined : lastNorm(source, unet)
  if (family !== "sd2" || variant !== undefined || norm === undefined) {
    return found("epsilon", "its family predicts noise")
  }
  const deviation = deviationOf(yield* readValues(norm))
  return found(
    deviation > largestOfEpsilon ? "v_prediction" : "epsilon",
    `the standard deviation of ${norm.name} is ${deviation.toFixed(3)}, ${
      deviation > largestOfEpsilon ? "over" : "not over"
    } ${largestOfEpsilon}`
  )
})

// The first norm of the last block with attention: `output_blocks.11.1...` of Stable Diffusion 2.
const lastNorm = ({ tensors }: WeightSource, { naming, prefix }: Part): StoredTensor | undefined => {
  const pattern = naming === "original"
    ? /^output_blocks\.(\d+)\.()1\.transformer_blocks\.0\.norm1\.bias$/
    : /^up_blocks\.(\d+)\.attentions\.(\d+)\.transformer_blocks\.0\.norm1\.bias$/
  let last: { readonly place: number; readonly tensor: StoredTensor } | undefined
  for (const tensor of tensors.values()) {
    const match = tensor.name.startsWith(prefix) ? pattern.exec(tensor.name.slice(prefix.length)) : null
    if (match === null) continue
    const place = Number(match[1]) * 1000 + Number(match[2])
    if (last === undefined || place > last.place) last = { place, tensor }
  }
  return last?.tensor
}

// As torch computes it: of a sample.
const deviationOf = (values: Float32Array): number => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1))
}

/**
 * What fits the memory there is, asked of the model before its networks run.
 */
import * as Effect from "effect/Effect"
import type { LatentShape, LatentSize } from "../core/LatentShape.ts"
import type { Seams } from "../model/Autoencoder.ts"
import type { DenoisingShape, LoadedModel, MemoryEstimate } from "../model/LoadedModel.ts"
import { type NetworkError, NotEnoughMemory } from "../model/ModelError.ts"
import { fits, rowsAtOnce } from "../planning/memory.ts"

/** How many of a call's rows go through the denoising network at once. Fails where not even one fits. */
export const rowsThatFit: (
  model: LoadedModel,
  shape: DenoisingShape
) => Effect.Effect<number, NetworkError> = Effect.fnUntraced(function*(model, shape) {
  const { batch: rows } = shape
  const all = yield* estimated(model.estimates?.denoising(shape))
  if (all === undefined || fits(all)) return rows
  const one = yield* estimated(model.estimates?.denoising({ ...shape, batch: 1 }))
  // One row is little, or a call of its size was measured.
  if (one === undefined) return 1
  const found = rowsAtOnce({ one, all, rows })
  return found > 0 ? found : yield* notEnough("sampling", model, shape, one)
})

/** Fails where not one row goes through the denoising network with so many bytes of the run's images in memory. */
export const checkRow: (
  model: LoadedModel,
  shape: Omit<DenoisingShape, "batch">,
  images: number
) => Effect.Effect<void, NetworkError> = Effect.fnUntraced(function*(model, shape, images) {
  const one = yield* estimated(model.estimates?.denoising({ ...shape, batch: 1 }))
  if (one !== undefined && !fits(one, images)) return yield* notEnough("sampling", model, shape, one, images)
})

/**
 * Fails where the VAE cannot take latents of this size at once, with so many bytes of the run's images in memory.
 */
export const vaeFits: (
  step: "decoding" | "encoding",
  model: LoadedModel,
  shape: LatentShape & Seams,
  images?: number
) => Effect.Effect<void, NetworkError> = Effect.fnUntraced(function*(step, model, shape, images) {
  const { estimates } = model
  const estimate = yield* estimated(step === "decoding" ? estimates?.decode(shape) : estimates?.encode(shape))
  if (estimate !== undefined && !fits(estimate, images)) return yield* notEnough(step, model, shape, estimate, images)
})

const estimated = (
  estimate: Effect.Effect<MemoryEstimate | undefined, NetworkError> = Effect.undefined
): Effect.Effect<MemoryEstimate | undefined, NetworkError> => estimate

const notEnough = (
  step: NotEnoughMemory["step"],
  { latents: { scale: { space } }, name }: LoadedModel,
  { height, width }: LatentSize,
  estimate: MemoryEstimate,
  images?: number
): NotEnoughMemory =>
  new NotEnoughMemory({
    model: name,
    step,
    width: width * space,
    height: height * space,
    ...estimate,
    ...(images !== undefined && { images })
  })

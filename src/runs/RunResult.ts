/**
 * What a run has made, as files: the same wherever it executed.
 */
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { formatOf, ImageEncoder, type ImageFormat } from "../images/ImageEncoder.ts"
import * as RasterWork from "../images/RasterWork.ts"
import type { RunPlan } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { EncodedImage, Processed, ProcessedImage } from "../runner/Processed.ts"
import { BlobStore } from "./BlobStore.ts"
import { extraOf, fileOf } from "./finished.ts"
import type { PlanFacts, RunRecord } from "./RunRecord.ts"

/** An image without its pixels. */
export type ResultImage = Omit<ProcessedImage, "extras" | "pixels">

/** What the ControlNet of a unit followed. */
export interface ResultMap extends EncodedImage {
  /** Place of its unit in the request. */
  readonly unit: number
}

export interface RunResult extends Pick<Processed, "extraImages" | "interrupted" | "warnings"> {
  /** In the order of their `index`. */
  readonly images: ReadonlyArray<ResultImage>
  /** Empty unless they were asked for. */
  readonly maps: ReadonlyArray<ResultMap>
  readonly plan: PlanFacts
}

/** The result of a run of this process. */
export const resultOf = Effect.fnUntraced(function*(
  processed: Processed,
  { opts, withMaps }: { readonly opts: OptionsSnapshot; readonly withMaps: boolean }
) {
  const { extraImages, images, interrupted, state: plan, warnings } = processed
  const made = new Set(images.map(({ index }) => index))
  const result: RunResult = {
    images: images.map(Struct.omit(["extras", "pixels"])),
    extraImages,
    interrupted,
    warnings,
    maps: withMaps ? yield* mapsOf(plan, formatOf(opts)) : [],
    plan: {
      width: plan.width,
      height: plan.height,
      sampler: plan.sampler.name,
      clipSkip: plan.clipSkip,
      model: {
        name: plan.model.name,
        hash: plan.model.hash ?? null,
        vae: plan.model.vae === undefined
          ? null
          : { name: plan.model.vae.name ?? null, hash: plan.model.vae.hash ?? null },
        isInpainting: plan.model.isInpainting === true
      },
      startedAt: plan.startedAt,
      unmade: plan.batches.flat().filter(({ index }) => !made.has(index)).map(
        Struct.pick(["index", "seed", "subseed", "prompt", "negativePrompt", "infotext"])
      )
    }
  }
  return result
})

// Half of the alpha stands for what is hidden.
const mapsOf = Effect.fnUntraced(function*({ controls }: RunPlan, format: ImageFormat) {
  const { encode } = yield* ImageEncoder
  const maps: Array<ResultMap> = []
  for (const { index, ready } of controls) {
    const map = ready?.second ?? ready?.first
    if (map === undefined) continue
    const isHiding = map.channels === 4
    const chosen: ImageFormat = isHiding ? { ...format, format: "png" } : format
    const raster = isHiding ? yield* RasterWork.halfSeen(map) : map
    maps.push({ unit: index, bytes: yield* encode({ raster, infotext: "" }, chosen), format: chosen.format })
  }
  return maps
})

/** The result of a run that another process has made, from its record; undefined unless it is done. */
export const storedResult = Effect.fnUntraced(function*(
  { extras, images, maps, plan, state, warnings }: Pick<
    RunRecord,
    "extras" | "images" | "maps" | "plan" | "state" | "warnings"
  >
) {
  if (plan === null) return undefined
  const { get } = yield* BlobStore
  const result: RunResult = {
    images: yield* Effect.forEach(images, (stored) =>
      Effect.map(fileOf(stored), (file): ResultImage => {
        const { blob: _, bytes: __, ...facts } = stored
        return { ...facts, ...file }
      })),
    extraImages: yield* Effect.forEach(extras, extraOf),
    maps: yield* Effect.forEach(
      maps,
      ({ blob, format, unit }) => Effect.map(get(blob), (bytes): ResultMap => ({ unit, bytes, format }))
    ),
    interrupted: state === "interrupted",
    warnings,
    plan
  }
  return result
})

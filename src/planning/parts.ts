/**
 * Parts of a run: groups of its images that differ in more than their seeds, each planned like a run of its own.
 *
 * With dynamic prompts, images of one batch that drew the same texts, one after the other, are one group: they are
 * sampled together.
 */
import type * as Arr from "effect/Array"
import * as Result from "effect/Result"
import { batchesOf, type Outline, outline, type OutlineInputs } from "./plan.ts"
import type { PlanError } from "./Problems.ts"
import { type Drawing, planPrompts } from "./prompts.ts"
import type { RunPlan } from "./RunPlan.ts"
import { imageSeeds, type Seeds } from "./seeds.ts"
import { withBatchOf } from "./source.ts"

/** What a part of a run is planned from. */
export interface OutlinedPart {
  readonly outline: Outline
  /** The places of its images in the request, batch after batch. */
  readonly batches: ReadonlyArray<ReadonlyArray<number>>
}

/** What the images of a run draw their texts with: the seeds that it begins with. */
export interface RunDrawing extends Pick<Drawing, "lookup"> {
  readonly seeds: Seeds
}

/** Settles a request. Without `drawing`, prompts are as they are written, and the run is one part. */
export const outlineParts = (
  inputs: Omit<OutlineInputs, "drawing">,
  drawing: RunDrawing | undefined
): Result.Result<Arr.NonEmptyReadonlyArray<OutlinedPart>, PlanError> =>
  Result.gen(function*() {
    const processing = withBatchOf(inputs.processing, inputs.source)
    const all = batchesOf(processing)
    if (drawing === undefined) return [{ outline: yield* outline(inputs), batches: all }]
    const { lookup, seeds } = drawing
    const parts = new Map<string, { readonly outline: Outline; readonly batches: Array<Array<number>> }>()
    for (const batch of all) {
      let last: { readonly key: string; readonly places: Array<number> } | undefined
      for (const index of batch) {
        const { seed } = imageSeeds(processing, seeds, index)
        const own = { seed, lookup }
        const texts = inputs.styles && planPrompts(processing, inputs.styles, inputs.opts, inputs.limits, own)
        const key = JSON.stringify([texts?.first, texts?.hires, texts?.problems])
        if (last?.key === key) {
          last.places.push(index)
          continue
        }
        last = { key, places: [index] }
        const known = parts.get(key) ?? { outline: yield* outline({ ...inputs, drawing: own }), batches: [] }
        known.batches.push(last.places)
        parts.set(key, known)
      }
    }
    const [first, ...others] = parts.values()
    return first === undefined ? [{ outline: yield* outline(inputs), batches: all }] : [first, ...others]
  })

/** The plan of a run of several parts. The choices that differ are shown as those of the first one. */
export const joined = (parts: Arr.NonEmptyReadonlyArray<RunPlan>): RunPlan => {
  const [first, ...others] = parts
  return others.length === 0 ? first : {
    ...first,
    parts,
    batches: parts.flatMap(({ batches }) => batches).toSorted(([a], [b]) => (a?.index ?? 0) - (b?.index ?? 0)),
    warnings: [...new Set(parts.flatMap(({ warnings }) => warnings))]
  }
}

/**
 * The names of samplers, schedulers and upscalers in this process, for what is made of an infotext.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { latentUpscaleModes } from "../images/Resample.ts"
import { Upscalers } from "../images/Upscalers.ts"
import { Models } from "../model/Models.ts"
import type { IsKnown } from "../processing/InfotextWarnings.ts"
import * as Samplers from "../sampling/Samplers.ts"
import * as Schedules from "../sampling/Schedules.ts"

/** Which names of each kind are known. */
export const knownNames: Effect.Effect<IsKnown, never, Models | Upscalers> = Effect.gen(function*() {
  const { list } = yield* Upscalers
  const { vaes } = yield* Models
  const files = vaes === undefined ? undefined : new Set((yield* vaes).flatMap(({ name }) => namesOf(name)))
  return {
    ...(files && { vae: (name) => files.has(name.toLowerCase()) }),
    sampler: (name) => Option.isSome(Samplers.parseName(name)),
    scheduler: (name) => Option.isSome(Schedules.get(name)),
    upscalers: [...latentUpscaleModes, ...(yield* list)].map(({ name }) => name)
  }
})

// With its ending and without.
const namesOf = (file: string): ReadonlyArray<string> =>
  [file, file.replace(/\.\w+$/, "")].map((name) => name.toLowerCase())

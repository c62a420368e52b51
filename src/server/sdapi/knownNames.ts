/**
 * The sampler and scheduler names that this API knows.
 */
import * as Option from "effect/Option"
import type { IsKnown } from "../../processing/InfotextWarnings.ts"
import * as Samplers from "../../sampling/Samplers.ts"
import * as Schedules from "../../sampling/Schedules.ts"

/** Whether a sampler or scheduler of this name exists. */
export const isKnown: IsKnown = {
  sampler: (name) => Option.isSome(Samplers.parseName(name)),
  scheduler: (name) => Option.isSome(Schedules.get(name))
}

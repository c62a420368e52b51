/**
 * From the names in a request to a sampler and a schedule.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { nearest } from "../core/Text.ts"
import * as Samplers from "../sampling/Samplers.ts"
import { UnknownSampler, UnknownScheduler } from "../sampling/SamplingError.ts"
import * as Schedules from "../sampling/Schedules.ts"

/** The sampler and schedule that two names stand for; a schedule in the sampler's name beats the other. */
export const resolveNames = Effect.fnUntraced(function*(names: {
  readonly sampler: string
  readonly scheduler: string
}) {
  const parsed = Samplers.parseName(names.sampler)
  if (Option.isNone(parsed)) {
    const schedule = mistypedSchedule(names.sampler)
    if (schedule !== undefined) {
      return yield* new UnknownScheduler({ scheduler: schedule, known: Schedules.all.map(({ label }) => label) })
    }
    return yield* new UnknownSampler({ sampler: names.sampler, known: Samplers.all.map(({ name }) => name) })
  }
  const { sampler } = parsed.value
  const scheduler = Option.orElse(parsed.value.scheduler, () => Schedules.get(names.scheduler))
  if (Option.isNone(scheduler)) {
    return yield* new UnknownScheduler({ scheduler: names.scheduler, known: Schedules.all.map(({ label }) => label) })
  }
  return { sampler, scheduler: scheduler.value }
})

// What follows a sampler's name, if it is nearly a schedule's: "Karas" of "DPM++ 2M Karas".
const mistypedSchedule = (name: string): string | undefined => {
  const words = name.trim().split(/\s+/)
  const labels = Schedules.all.map(({ label }) => label)
  for (let i = words.length - 1; i > 0; i--) {
    const rest = words.slice(i).join(" ")
    if (Option.isSome(Samplers.get(words.slice(0, i).join(" ")))) {
      return nearest(rest, labels) === undefined ? undefined : rest
    }
  }
  return undefined
}

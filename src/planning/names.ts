/**
 * From the names in a request to samplers and schedulers.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { nearest } from "../core/Text.ts"
import type { Processing } from "../processing/Processing.ts"
import * as Samplers from "../sampling/Samplers.ts"
import { UnknownSampler, UnknownScheduler } from "../sampling/SamplingError.ts"
import * as Schedules from "../sampling/Schedules.ts"
import type { PlannedSampler, PlannedScheduler } from "./RunPlan.ts"

/** The names of a pass, as a request has them. */
export interface PassNames {
  readonly sampler: string
  readonly scheduler: string
}

/** The samplers and schedulers of another server, as its API lists them. */
export interface ServerNames {
  readonly samplers: ReadonlyArray<
    { readonly name: string; readonly aliases?: ReadonlyArray<string> | null | undefined }
  >
  readonly schedulers: ReadonlyArray<{
    readonly name: string
    readonly label?: string | undefined
    readonly aliases?: ReadonlyArray<string> | null | undefined
  }>
}

/** Serena's sampler and scheduler of two names; a scheduler in the sampler's name beats the other. */
export const resolveNames = (names: PassNames): Result.Result<
  { readonly sampler: Samplers.Sampler; readonly scheduler: Schedules.Scheduler },
  UnknownSampler | UnknownScheduler
> => {
  const parsed = Samplers.parseName(names.sampler)
  if (Option.isNone(parsed)) {
    const scheduler = mistypedSchedule(names.sampler)
    return Result.fail(
      scheduler === undefined
        ? new UnknownSampler({ sampler: names.sampler, known: Samplers.all.map(({ name }) => name) })
        : unknownScheduler(scheduler)
    )
  }
  const { sampler } = parsed.value
  const scheduler = Option.orElse(parsed.value.scheduler, () => Schedules.get(names.scheduler))
  return Option.isNone(scheduler)
    ? Result.fail(unknownScheduler(names.scheduler))
    : Result.succeed({ sampler, scheduler: scheduler.value })
}

/** The same with another server's names: they count where Serena does not know both. */
export const resolvePlannedNames = (names: PassNames, server: ServerNames | undefined): Result.Result<
  { readonly sampler: PlannedSampler; readonly scheduler: PlannedScheduler },
  UnknownSampler | UnknownScheduler
> =>
  Result.orElse(resolveNames(names), (unknown) => {
    const sampler = server?.samplers.find(({ aliases, name }) =>
      [name, ...(aliases ?? [])].map(key).includes(key(names.sampler))
    )
    const scheduler = server?.schedulers.find(({ aliases, label, name }) =>
      [name, label ?? name, ...(aliases ?? [])].map(key).includes(key(names.scheduler))
    )
    return sampler === undefined || scheduler === undefined
      ? Result.fail(unknown)
      : Result.succeed({ sampler: { name: sampler.name }, scheduler: { label: scheduler.label ?? scheduler.name } })
  })

const key = (name: string): string => name.trim().toLowerCase()

/** The names of a request's second pass, which fall back on those of the first. */
export const hiresNames = (processing: Processing): PassNames | undefined => {
  if (processing._tag !== "Txt2Img" || !processing.enable_hr) return undefined
  const { hr_sampler_name, hr_scheduler, sampler_name, scheduler } = processing
  // A scheduler in the first sampler's name belongs to the first pass.
  const first = Option.flatMap(Samplers.parseName(sampler_name), (parsed) => parsed.scheduler)
  const firstScheduler = Option.match(first, { onNone: () => scheduler, onSome: ({ label }) => label })
  return {
    sampler: isSame(hr_sampler_name) ? withoutScheduler(sampler_name) : hr_sampler_name,
    scheduler: isSame(hr_scheduler) ? firstScheduler : hr_scheduler
  }
}

const withoutScheduler = (name: string): string =>
  Option.match(Samplers.parseName(name), { onNone: () => name, onSome: ({ sampler }) => sampler.name })

/** Whether a field of the second pass asks for what the first pass has. */
export const isSame = (name: string | undefined): name is undefined =>
  name === undefined || name === "" || name.startsWith("Use same ")

/** Whether a request names samplers and schedulers of Serena's only. */
export const areKnown = (processing: Processing): boolean => {
  const second = hiresNames(processing)
  const first = { sampler: processing.sampler_name, scheduler: processing.scheduler }
  return [first, ...(second === undefined ? [] : [second])].every((names) => Result.isSuccess(resolveNames(names)))
}

const unknownScheduler = (scheduler: string) =>
  new UnknownScheduler({ scheduler, known: Schedules.all.map(({ label }) => label) })

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

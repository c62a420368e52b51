/**
 * `serena samplers`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Samplers from "../sampling/Samplers.ts"
import * as Schedules from "../sampling/Schedules.ts"

/** Prints samplers and schedules with their aliases, or a line of JSON for each. */
export const listSamplers = Effect.fn("listSamplers")(function*(json: boolean) {
  if (json) {
    for (const { aliases, name } of Samplers.all) yield* Console.log(JSON.stringify({ sampler: name, aliases }))
    for (const { aliases, label, name } of Schedules.all) {
      yield* Console.log(JSON.stringify({ scheduler: label, aliases: [name, ...aliases] }))
    }
    return
  }
  yield* Console.log("Samplers (--sampler)")
  for (const { aliases, name } of Samplers.all) yield* Console.log(entry(name, aliases))
  yield* Console.log("\nSchedules (--scheduler)")
  for (const { aliases, label, name } of Schedules.all) yield* Console.log(entry(label, [name, ...aliases]))
})

const entry = (name: string, aliases: ReadonlyArray<string>): string =>
  `  ${name.padEnd(24)}${aliases.join(", ")}`.trimEnd()

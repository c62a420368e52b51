/**
 * A run to be submitted, from what is asked.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Options } from "../processing/Options.ts"
import { OptionsPatch, type OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import { costOf } from "./QueueOrder.ts"
import { isFleeting } from "./RunRecord.ts"
import type { NewRun } from "./RunStore.ts"
import { keepSent, withoutImages } from "./stored.ts"

/** What belongs to a run besides its request. */
export interface Particulars
  extends
    Pick<NewRun, "bound" | "client" | "id" | "keep" | "key" | "needs" | "priority" | "seeds" | "taskId" | "withMaps">
{
  /** Settings that hold wherever it executes. */
  readonly settings: OptionsSnapshot
}

/** Keeps the images of a request, and names them in the run that asks for it. */
export const newRun = Effect.fnUntraced(function*(processing: Processing, { settings, ...particulars }: Particulars) {
  const run: NewRun = {
    ...particulars,
    request: withoutImages(processing),
    sent: yield* keepSent(processing, { fleeting: isFleeting(particulars) }),
    settings: changedSettings(settings),
    cost: costOf(processing)
  }
  return run
})

// Settings that are not the defaults, as JSON.
const changedSettings = (snapshot: OptionsSnapshot): Readonly<Record<string, unknown>> => {
  const defaults: Readonly<Record<string, unknown>> = encodeSettings(Options.defaults)
  return Object.fromEntries(
    Object.entries(encodeSettings(snapshot)).filter(([name, value]) =>
      JSON.stringify(value) !== JSON.stringify(defaults[name])
    )
  )
}

const encodeSettings = Schema.encodeSync(OptionsPatch)

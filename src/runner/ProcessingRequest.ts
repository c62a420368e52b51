/**
 * What the runner is asked to run: a `Processing`, and the run id that progress, traces and logs use.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

export interface ProcessingRequest<out Processing> {
  readonly processing: Processing
  readonly runId: string
}

/** Wraps `processing` for the runner, with a new run id unless one is given. */
export const make = Effect.fnUntraced(function*<Processing>(
  processing: Processing,
  options?: { readonly runId?: string | undefined }
): Effect.fn.Return<ProcessingRequest<Processing>> {
  return { processing, runId: options?.runId ?? (yield* freshRunId) }
})

const freshRunId = Effect.gen(function*() {
  const parts: Array<string> = []
  for (let part = 0; part < 4; part++) {
    parts.push((yield* Random.nextIntBetween(0, 0xFFFF_FFFF)).toString(16).padStart(8, "0"))
  }
  return parts.join("")
})

/**
 * What the runner is asked to run: a `Processing`, and the run id that progress, traces and logs use.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { GeneratedImage } from "./Processed.ts"

export interface ProcessingRequest<out Processing> {
  readonly processing: Processing
  readonly runId: string
  /**
   * Images that an earlier attempt at the same run has finished, with their files. A batch that they fill is not made
   * again; of one that they do not fill, they keep their files. Seeds that the request leaves to chance are theirs.
   */
  readonly finished?: ReadonlyArray<GeneratedImage> | undefined
  /** The settings that hold for it; those of this process when it has none. */
  readonly settings?: OptionsSnapshot | undefined
}

/** What a caller may choose of a run besides its request. */
export interface RunOptions extends Omit<ProcessingRequest<unknown>, "processing" | "runId"> {
  readonly runId?: string | undefined
}

/** Wraps `processing` for the runner, with a new run id unless one is given. */
export const make = Effect.fnUntraced(function*<Processing>(
  processing: Processing,
  { runId, ...options }: RunOptions = {}
): Effect.fn.Return<ProcessingRequest<Processing>> {
  return { ...options, processing, runId: runId ?? (yield* freshRunId) }
})

const freshRunId = Effect.gen(function*() {
  const parts: Array<string> = []
  for (let part = 0; part < 4; part++) {
    parts.push((yield* Random.nextIntBetween(0, 0xFFFF_FFFF)).toString(16).padStart(8, "0"))
  }
  return parts.join("")
})

/**
 * Everything that `processImages` asks for, at once.
 *
 * ```ts
 * it.effect("greets with a picture", () => greet("Ada").pipe(Effect.provide(TestRuntime.layer())))
 * ```
 */
import * as Layer from "effect/Layer"
import type { CommandOptions } from "../processing/CommandOptions.ts"
import type { Options } from "../processing/Options.ts"
import type { Pipeline } from "../runner/Pipeline.ts"
import { RunnerHooks } from "../runner/RunnerHooks.ts"
import type { CaptureContext } from "../runner/RuntimeContext.ts"
import { RecordingHooks } from "./RecordingHooks.ts"
import * as TestContext from "./TestContext.ts"
import * as TestPipeline from "./TestPipeline.ts"

/** What `layer` gives. */
export type Services = CaptureContext | CommandOptions | Options | Pipeline | RunnerHooks

export interface LayerOptions<E = never, R = never> extends TestContext.Overrides {
  /** Observers of every run; none when left out. */
  readonly hooks?: Layer.Layer<RunnerHooks, E, R> | undefined
  /** The stages; plain ones when left out. */
  readonly pipeline?: Layer.Layer<Pipeline> | undefined
}

export const layer = <E = never, R = never>(options: LayerOptions<E, R> = {}): Layer.Layer<Services, E, R> =>
  Layer.mergeAll(
    TestContext.layer(options),
    options.pipeline ?? TestPipeline.layer(),
    options.hooks ?? RunnerHooks.layerNoop
  )

/** The same, with every call of a hook recorded. */
export const layerRecording = (
  options: Omit<LayerOptions, "hooks"> = {}
): Layer.Layer<Services | RecordingHooks> =>
  Layer.mergeAll(TestContext.layer(options), options.pipeline ?? TestPipeline.layer(), RecordingHooks.layer)

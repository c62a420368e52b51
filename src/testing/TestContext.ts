/**
 * Run contexts with `TestModel`, every part of which can be replaced.
 *
 * `layer` serves programs that call `processImages`; `layerRuntimeContext` and `make` serve those that call
 * `ProcessingRunner.run` or a single stage.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { Models } from "../model/Models.ts"
import { CommandOptions, type CommandOptionsPatch } from "../processing/CommandOptions.ts"
import { Options } from "../processing/Options.ts"
import type { OptionsPatch } from "../processing/OptionsSnapshot.ts"
import { Runs } from "../runner/Runs.ts"
import * as RunState from "../runner/RunState.ts"
import { CaptureContext, type Device, RuntimeContext } from "../runner/RuntimeContext.ts"
import * as TestModel from "./TestModel.ts"

export interface Overrides {
  readonly model?: LoadedModel | undefined
  /** Initial settings, applied over the defaults. */
  readonly opts?: OptionsPatch | undefined
  readonly device?: Device | undefined
  /** A state shared by all runs. By default each run has its own. */
  readonly state?: RunState.RunState | undefined
  readonly cmdOpts?: CommandOptionsPatch | undefined
}

/** Makes a context for one run. */
export const make = Effect.fnUntraced(function*(
  overrides: Overrides & { readonly runId?: string | undefined } = {}
): Effect.fn.Return<RuntimeContext["Service"]> {
  const cmdOpts = Object.freeze({ ...CommandOptions.defaults, ...overrides.cmdOpts })
  return Object.freeze({
    model: overrides.model ?? TestModel.make(),
    opts: Options.patched(Options.defaults, overrides.opts ?? {}),
    device: overrides.device ?? { provider: cmdOpts.device },
    state: overrides.state ?? (yield* RunState.make(overrides.runId ?? "test-run")),
    cmdOpts
  })
})

/** Provides the context from `make`. */
export const layerRuntimeContext = (
  overrides?: Overrides & { readonly runId?: string | undefined }
): Layer.Layer<RuntimeContext> => Layer.effect(RuntimeContext, make(overrides))

/** The names of these options, and of those that `TestRuntime.layer` has besides. */
const names = ["model", "opts", "device", "state", "cmdOpts", "pipeline", "styles", "wildcards", "faults", "hooks"]

/** Captures a context for each run from live settings. Every model name is accepted. */
export const layer = (
  overrides: Overrides = {}
): Layer.Layer<CaptureContext | CommandOptions | Models | Options | Runs> => {
  const { device, model = TestModel.make(), state } = overrides
  return Layer.effect(
    CaptureContext,
    Effect.map(CaptureContext.knowing(overrides, names), ({ capture }) =>
      CaptureContext.of({
        capture: (request) =>
          Effect.gen(function*() {
            const context = yield* capture(request)
            // A shared state starts and ends with each run.
            if (state !== undefined) {
              yield* Effect.acquireRelease(state.update({ ended: false }), () => state.update({ ended: true }))
            }
            return Object.freeze({ ...context, device: device ?? context.device, state: state ?? context.state })
          })
      }))
  ).pipe(
    Layer.provide(Layer.fresh(CaptureContext.layer)),
    Layer.provideMerge(
      Layer.mergeAll(
        Layer.succeed(Models, { load: () => Effect.succeed(model) }),
        Options.layer(overrides.opts),
        CommandOptions.layer(overrides.cmdOpts),
        Runs.layer
      )
    )
  )
}

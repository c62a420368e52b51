/**
 * The context of a run: model, settings, device, live state and command options, captured once and shared by all stages
 * and hooks of the run.
 *
 * `opts` is frozen, `state` is live; two runs never share a context.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { unknownNames } from "../core/Problem.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { ModelNotFound, NetworkError } from "../model/ModelError.ts"
import type { ModelInfo } from "../model/ModelInfo.ts"
import { Models } from "../model/Models.ts"
import { checkRequest } from "../processing/checkRequest.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { Options } from "../processing/Options.ts"
import type { ModelSettings, OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import type { ProcessingError } from "./ProcessingError.ts"
import type { ProcessingRequest } from "./ProcessingRequest.ts"
import { Runs } from "./Runs.ts"
import * as RunState from "./RunState.ts"

/** Where the networks run: the name of an onnxruntime execution provider. */
export interface Device {
  readonly provider: CommandOptions["Service"]["device"]
}

export class RuntimeContext extends Context.Service<RuntimeContext, {
  /** With its networks where they run in this process (`isLoaded`). */
  readonly model: LoadedModel | ModelInfo
  readonly opts: OptionsSnapshot
  readonly device: Device
  readonly state: RunState.RunState
  readonly cmdOpts: CommandOptions["Service"]
}>()("serena/runner/RuntimeContext") {}

/** Whether a model name is a file path. The process's own settings may hold a path; a request may not. */
export const isPath = (name: string): boolean => /[\\/]/.test(name)

/** Refuses a request that names a model by path. */
export const notPath = (path: string): Effect.Effect<never, InvalidProcessing> =>
  Effect.fail(
    new InvalidProcessing({
      problems: [{ path, message: "a request cannot name a model by path; use the name of an installed model" }]
    })
  )

/**
 * Captures the `RuntimeContext` of a request: takes the settings snapshot and loads the model. The scope releases it.
 */
export class CaptureContext extends Context.Service<CaptureContext, {
  readonly capture: (
    request: ProcessingRequest<Processing>
  ) => Effect.Effect<RuntimeContext["Service"], ProcessingError, Scope.Scope>
}>()("serena/runner/CaptureContext") {
  /**
   * Captures from the live settings of this process. A program that builds two of them with different settings or
   * models must wrap each in `Layer.fresh`, because layers are memoised.
   */
  static readonly layer: Layer.Layer<CaptureContext, never, CommandOptions | Models | Options | Runs> = Layer.unwrap(
    Effect.map(Models, ({ load }) => CaptureContext.layerWith(load))
  )

  /** Refuses every run if the options of a layer have names that it does not know. */
  static readonly knowing = (
    options: object,
    known: ReadonlyArray<string>
  ): Effect.Effect<CaptureContext["Service"], never, CaptureContext> =>
    Effect.map(CaptureContext, ({ capture }) => {
      const problems = unknownNames(options, { what: "option", known })
      return CaptureContext.of({
        capture: (request) => problems.length === 0 ? capture(request) : Effect.fail(new InvalidOptions({ problems }))
      })
    })

  /** The same, with models from `load`, which is given the name that the settings hold, and the settings. */
  static readonly layerWith = (
    load: (
      name: string,
      settings: ModelSettings
    ) => Effect.Effect<LoadedModel | ModelInfo, ModelNotFound | NetworkError, Scope.Scope>
  ): Layer.Layer<CaptureContext, never, CommandOptions | Options | Runs> =>
    Layer.effect(
      CaptureContext,
      Effect.gen(function*() {
        const cmdOpts = yield* CommandOptions
        const options = yield* Options
        const runs = yield* Runs
        return CaptureContext.of({
          capture: Effect.fnUntraced(function*({ finished, processing, runId, settings }) {
            // Options of a program without types can be anything: every run fails before it begins.
            yield* CommandOptions.check(cmdOpts)
            const snapshot = settings ?? (yield* options.snapshot)
            yield* Options.decode(snapshot)
            yield* checkRequest(processing, cmdOpts.limits)
            const { sd_model_checkpoint: wanted } = processing.override_settings
            if (wanted !== undefined && isPath(wanted)) return yield* notPath("override_settings.sd_model_checkpoint")
            for (const name of ["sd_vae", "sd_text_encoders"] as const) {
              const { [name]: part = "" } = processing.override_settings
              if (isPath(part)) return yield* notPath(`override_settings.${name}`)
            }
            const opts = Options.patched(snapshot, processing.override_settings)
            const state = yield* RunState.make(runId, finished)
            yield* runs.enter(state)
            // However the run ends, including when its model fails to load.
            yield* Effect.addFinalizer(() => state.update({ ended: true }))
            const model = yield* load(opts.sd_model_checkpoint, opts)
            return Object.freeze({ model, opts, device: { provider: cmdOpts.device }, state, cmdOpts })
          })
        })
      })
    )
}

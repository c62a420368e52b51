/**
 * What a run happens in: one object, captured once for each run, the same for all its stages and hooks.
 *
 * Five members and no more. `opts` is frozen, `state` is live; two runs never share a context.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CommandOptions } from "../processing/CommandOptions.ts"
import type { ProcessingError } from "../processing/errors.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Processing } from "../processing/Processing.ts"
import type { LoadedModel } from "./LoadedModel.ts"
import type { ProcessingRequest } from "./ProcessingRequest.ts"
import type { RunState } from "./RunState.ts"

/** Where the networks run: onnxruntime's name of the execution provider. */
export interface Device {
  readonly provider: CommandOptions["Service"]["device"]
}

export class RuntimeContext extends Context.Service<RuntimeContext, {
  readonly model: LoadedModel
  readonly opts: OptionsSnapshot
  readonly device: Device
  readonly state: RunState
  readonly cmdOpts: CommandOptions["Service"]
}>()("serena/runner/RuntimeContext") {}

/** Makes a `RuntimeContext` for a request: takes the snapshot, loads the model. What it holds is given back with the scope. */
export class CaptureContext extends Context.Service<CaptureContext, {
  readonly capture: (
    request: ProcessingRequest<Processing>
  ) => Effect.Effect<RuntimeContext["Service"], ProcessingError, Scope.Scope>
}>()("serena/runner/CaptureContext") {}

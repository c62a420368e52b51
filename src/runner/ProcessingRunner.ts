/**
 * The single execution surface: every run goes through `run`.
 */
import * as Effect from "effect/Effect"
import type { Processing } from "../processing/Processing.ts"
import * as Lifecycle from "./Lifecycle.ts"
import { Pipeline } from "./Pipeline.ts"
import type { Processed } from "./Processed.ts"
import type { ProcessingError } from "./ProcessingError.ts"
import type { ProcessingRequest } from "./ProcessingRequest.ts"
import { RunnerHooks } from "./RunnerHooks.ts"
import type { RuntimeContext } from "./RuntimeContext.ts"

/**
 * Runs a request: prepare, onPrepare, execute, onExecute, finalize, onFinalize.
 *
 * It provides only a scope that closes with the run; the caller provides pipeline, hooks and context.
 */
export const run: (
  request: ProcessingRequest<Processing>
) => Effect.Effect<Processed, ProcessingError, Pipeline | RunnerHooks | RuntimeContext> = Effect.fnUntraced(
  function*(request) {
    return yield* Lifecycle.run(yield* Pipeline, yield* RunnerHooks, request)
  },
  Effect.scoped
)

/**
 * The door that every entrypoint uses.
 */
import * as Effect from "effect/Effect"
import type { Processing } from "../processing/Processing.ts"
import { errorType } from "./errorType.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { Processed } from "./Processed.ts"
import type { ProcessingError } from "./ProcessingError.ts"
import * as ProcessingRequest from "./ProcessingRequest.ts"
import * as ProcessingRunner from "./ProcessingRunner.ts"
import type { RunnerHooks } from "./RunnerHooks.ts"
import { CaptureContext, RuntimeContext } from "./RuntimeContext.ts"

/**
 * Makes the pictures that `processing` asks for: captures the context, wraps the request, and runs it.
 *
 * Its requirements are what `Serena.layer` provides. Interrupting it ends the run after the network call in flight, gives
 * back everything the run held, and leaves the next run unharmed.
 */
export const processImages: (
  processing: Processing,
  options?: { readonly runId?: string | undefined }
) => Effect.Effect<Processed, ProcessingError, CaptureContext | Pipeline | RunnerHooks> = Effect.fn("serena.run")(
  function*(processing, options) {
    const request = yield* ProcessingRequest.make(processing, options)
    const { capture } = yield* CaptureContext
    const context = yield* capture(request)
    return yield* Effect.provideService(ProcessingRunner.run(request), RuntimeContext, context)
  },
  Effect.scoped,
  Effect.tapCause((cause) => {
    const type = errorType(cause)
    return type === undefined ? Effect.void : Effect.annotateCurrentSpan("error.type", type)
  })
)

/**
 * The function that every entrypoint calls to run a request.
 */
import * as Effect from "effect/Effect"
import { withView } from "../model/ModelsView.ts"
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
 * Generates the images that `processing` asks for: captures the context, wraps the request and runs it.
 *
 * `Serena.layer` provides its requirements. Interrupting it ends the run after the network call in flight and releases
 * everything the run held; the next run is unaffected.
 */
export const processImages: (
  processing: Processing,
  options?: ProcessingRequest.RunOptions
) => Effect.Effect<Processed, ProcessingError, CaptureContext | Pipeline | RunnerHooks> = Effect.fn("serena.run")(
  function*(processing, options) {
    const request = yield* ProcessingRequest.make(processing, options)
    const { capture } = yield* CaptureContext
    const context = yield* capture(request)
    return yield* Effect.provideService(ProcessingRunner.run(request), RuntimeContext, context)
  },
  Effect.scoped,
  withView,
  Effect.tapCause((cause) => {
    const type = errorType(cause)
    return type === undefined ? Effect.void : Effect.annotateCurrentSpan("error.type", type)
  })
)

/**
 * The three stages of image generation, as a service.
 *
 * The live layer is the diffusion engine; a test's layer can be three lines. The runner reaches the stages only through
 * this service.
 *
 * @effect-expect-leaking RuntimeContext
 */
import * as Context from "effect/Context"
import type { RunPlan } from "../planning/RunPlan.ts"
import type { Processing } from "../processing/Processing.ts"
import type { Stages } from "./Lifecycle.ts"
import type { Generated, Processed } from "./Processed.ts"
import type { ProcessingError } from "./ProcessingError.ts"
import type { ProcessingRequest } from "./ProcessingRequest.ts"
import type { RuntimeContext } from "./RuntimeContext.ts"

/**
 * The stages that turn a request into image files.
 *
 * @effect-expect-leaking RuntimeContext
 */
export class Pipeline extends Context.Service<
  Pipeline,
  Stages<ProcessingRequest<Processing>, RunPlan, Generated, Processed, ProcessingError, RuntimeContext>
>()("serena/runner/Pipeline") {}

/**
 * The function that every entrypoint calls to run a request.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { problemsOf } from "../core/Problem.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { Img2Img, type Processing, Txt2Img, unknownFields } from "../processing/Processing.ts"
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
  options?: { readonly runId?: string | undefined }
) => Effect.Effect<Processed, ProcessingError, CaptureContext | Pipeline | RunnerHooks> = Effect.fn("serena.run")(
  function*(processing, options) {
    yield* checkRequest(processing)
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

// A program without types can pass any object, and a spread of a request can hold any value.
const checkRequest = Effect.fnUntraced(function*(value: unknown) {
  if (!isRequest(value)) {
    const message = "it is not a complete request; create one with Txt2Img.make({ ... }) or Img2Img.make({ ... })"
    return yield* new InvalidProcessing({ problems: [{ path: "processing", message }] })
  }
  const checked: Effect.Effect<Processing, Schema.SchemaError> = value._tag === "Txt2Img"
    ? checkTxt2Img(value)
    : checkImg2Img(value)
  const wrong = yield* Effect.match(checked, { onFailure: ({ issue }) => problemsOf(issue), onSuccess: () => [] })
  const problems = [...wrong, ...unknownFields(value._tag, value)]
  if (problems.length > 0) return yield* new InvalidProcessing({ problems })
})

const isRequest = (value: unknown): value is { readonly _tag: "Txt2Img" | "Img2Img" } =>
  Predicate.hasProperty(value, "_tag") && (value._tag === "Txt2Img" || value._tag === "Img2Img") &&
  Predicate.hasProperty(value, "override_settings")

const checkTxt2Img = Schema.decodeUnknownEffect(Schema.toType(Txt2Img), { errors: "all" })
const checkImg2Img = Schema.decodeUnknownEffect(Schema.toType(Img2Img), { errors: "all" })

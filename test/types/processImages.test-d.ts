import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { describe, expectTypeOf, it } from "vitest"
import type { RunPlan } from "../../src/planning/RunPlan.ts"
import type { Processing, Txt2Img } from "../../src/processing/Processing.ts"
import type { Pipeline } from "../../src/runner/Pipeline.ts"
import type { Processed } from "../../src/runner/Processed.ts"
import type { processImages } from "../../src/runner/processImages.ts"
import type { ProcessingError } from "../../src/runner/ProcessingError.ts"
import type { ProcessingRequest } from "../../src/runner/ProcessingRequest.ts"
import type * as ProcessingRunner from "../../src/runner/ProcessingRunner.ts"
import { type HookSet, RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import type { CaptureContext, RuntimeContext } from "../../src/runner/RuntimeContext.ts"

describe("processImages", () => {
  it("shows what it needs: a program that forgets a layer does not compile", () => {
    expectTypeOf<typeof processImages>().returns.toEqualTypeOf<
      Effect.Effect<Processed, ProcessingError, CaptureContext | Pipeline | RunnerHooks>
    >()
    type Complete = Effect.Effect<Processed, ProcessingError>
    expectTypeOf<typeof processImages>().returns.not.toExtend<Complete>()
  })

  it("takes what Txt2Img.make gives", () => {
    expectTypeOf<typeof processImages>().parameter(0).toEqualTypeOf<Processing>()
    expectTypeOf<ReturnType<typeof Txt2Img.make>>().toExtend<Processing>()
  })
})

describe("ProcessingRunner.run", () => {
  it("provides nothing to itself", () => {
    expectTypeOf<typeof ProcessingRunner.run>().toEqualTypeOf<
      (
        request: ProcessingRequest<Processing>
      ) => Effect.Effect<Processed, ProcessingError, Pipeline | RunnerHooks | RuntimeContext>
    >()
  })
})

describe("RunnerHooks", () => {
  it("come from layers that need nothing, when their sets need nothing", () => {
    expectTypeOf(RunnerHooks.layerNoop).toEqualTypeOf<Layer.Layer<RunnerHooks>>()
    expectTypeOf<ReturnType<typeof RunnerHooks.layer>>().toEqualTypeOf<Layer.Layer<RunnerHooks>>()
  })

  it("come from layers with the errors and requirements of what makes them", () => {
    expectTypeOf<typeof RunnerHooks.layerEffect<"no audit", "database">>().returns.toEqualTypeOf<
      Layer.Layer<RunnerHooks, "no audit", "database">
    >()
  })

  it("may read the context of the run, and need nothing else", () => {
    type OnPrepare = NonNullable<HookSet["onPrepare"]>
    expectTypeOf<(state: RunPlan) => Effect.Effect<void, never, RuntimeContext>>().toExtend<OnPrepare>()
    expectTypeOf<(state: RunPlan) => Effect.Effect<void, never, "database">>().not.toExtend<OnPrepare>()
    expectTypeOf<(state: RunPlan) => Effect.Effect<void, "error">>().not.toExtend<OnPrepare>()
  })
})

describe("RuntimeContext", () => {
  it("has five members, none of which can be assigned", () => {
    expectTypeOf<keyof RuntimeContext["Service"]>().toEqualTypeOf<"model" | "opts" | "device" | "state" | "cmdOpts">()
    expectTypeOf<RuntimeContext["Service"]>().toEqualTypeOf<Readonly<RuntimeContext["Service"]>>()
    expectTypeOf<RuntimeContext["Service"]["opts"]>().toEqualTypeOf<Readonly<RuntimeContext["Service"]["opts"]>>()
  })
})

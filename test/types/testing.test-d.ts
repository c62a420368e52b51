import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { describe, expectTypeOf, it } from "vitest"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import type { RunPlan } from "../../src/planning/RunPlan.ts"
import type { Pipeline } from "../../src/runner/Pipeline.ts"
import type { Generated } from "../../src/runner/Processed.ts"
import type { processImages } from "../../src/runner/processImages.ts"
import type { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import type { Runs } from "../../src/runner/Runs.ts"
import {
  type RecordingHooks,
  type TestContext,
  type TestModel,
  TestPipeline,
  type TestRuntime
} from "../../src/testing/index.ts"

declare const generated: Generated

describe("TestPipeline.layer", () => {
  it("tells its stages' types, so that three lines suffice", () => {
    const layer = TestPipeline.layer({
      execute: (state) => {
        expectTypeOf(state).toEqualTypeOf<RunPlan>()
        return Effect.succeed(generated)
      }
    })
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Pipeline>>()
  })
})

describe("TestRuntime.layer", () => {
  it("gives everything that processImages asks for", () => {
    expectTypeOf<Effect.Services<ReturnType<typeof processImages>>>().toExtend<TestRuntime.Services>()
    expectTypeOf<typeof TestRuntime.layer<never, never>>().returns.toEqualTypeOf<Layer.Layer<TestRuntime.Services>>()
  })

  it("provides hooks with what lives as long as the process", () => {
    expectTypeOf<typeof TestRuntime.layer<never, Runs | "database">>().returns.toEqualTypeOf<
      Layer.Layer<TestRuntime.Services, never, "database">
    >()
  })

  it("has the errors and requirements of the hooks it is given", () => {
    expectTypeOf<typeof TestRuntime.layer<"no audit", "database">>().returns.toEqualTypeOf<
      Layer.Layer<TestRuntime.Services, "no audit", "database">
    >()
  })
})

describe("the others", () => {
  it("need nothing", () => {
    expectTypeOf<typeof RecordingHooks.layer>().toEqualTypeOf<Layer.Layer<RecordingHooks | RunnerHooks>>()
    expectTypeOf<typeof TestModel.make>().returns.toEqualTypeOf<LoadedModel>()
    expectTypeOf<Layer.Services<ReturnType<typeof TestContext.layer>>>().toEqualTypeOf<never>()
  })
})

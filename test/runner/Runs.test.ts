import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Progress from "../../src/instrumentation/Progress.ts"
import { InferenceError, ModelNotFound } from "../../src/model/ModelError.ts"
import { Models } from "../../src/model/Models.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { Options } from "../../src/processing/Options.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { CaptureContext, RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import { Faults, TestContext, TestPipeline, TestRuntime } from "../../src/testing/index.ts"

const cat = Txt2Img.make({ prompt: "a cat" })
const run = (runId: string) => processImages(cat, { runId })
const ids = Effect.flatMap(Runs, ({ list }) => Effect.map(list, (runs) => runs.map(({ runId }) => runId)))

const hanging = Effect.gen(function*() {
  const hang = yield* Faults.hang("execute")
  const layer = Layer.mergeAll(
    TestContext.layer(),
    TestPipeline.layer().pipe(Faults.layer(hang.fault)),
    RunnerHooks.layerNoop
  )
  return { hang, layer }
})

describe("Runs", () => {
  it.effect("lists the runs that have not ended, the oldest first", () =>
    Effect.gen(function*() {
      const { hang, layer } = yield* hanging
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* ids, [])
        const first = yield* Effect.forkChild(run("first"), { startImmediately: true })
        yield* hang.hanging
        const second = yield* Effect.forkChild(run("second"), { startImmediately: true })
        assert.deepStrictEqual(yield* ids, ["first", "second"])
        yield* Fiber.interrupt(first)
        assert.deepStrictEqual(yield* ids, ["second"])
        yield* hang.release
        yield* Fiber.join(second)
        assert.deepStrictEqual(yield* ids, [])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("finds a run by its id", () =>
    Effect.gen(function*() {
      const { hang, layer } = yield* hanging
      yield* Effect.gen(function*() {
        const { get } = yield* Runs
        yield* Effect.forkChild(run("mine"), { startImmediately: true })
        yield* hang.hanging
        const found = yield* get("mine")
        assert.strictEqual(Option.map(found, ({ runId }) => runId).pipe(Option.getOrUndefined), "mine")
        assert.isTrue(Option.isNone(yield* get("other")))
      }).pipe(Effect.provide(layer))
    }))

  it.effect("streams the progress of a run that has not begun, until it ends", () => {
    const hooks = RunnerHooks.layer({
      onExecute: () => Effect.flatMap(RuntimeContext, ({ state }) => state.update({ text: "from a hook" }))
    })
    return Effect.gen(function*() {
      const watching = yield* Effect.forkChild(Stream.runCollect(Progress.stream("mine")), { startImmediately: true })
      yield* run("other")
      yield* run("mine")
      const seen = yield* Fiber.join(watching)
      assert.isTrue(seen.every(({ runId }) => runId === "mine"))
      assert.strictEqual(seen.at(-1)?.ended, true)
      assert.strictEqual(seen.at(-1)?.text, "from a hook")
    }).pipe(Effect.provide(TestRuntime.layer({ hooks, pipeline: TestPipeline.layer() })))
  })

  it.effect("ends the stream of a run whose model does not load", () =>
    Effect.gen(function*() {
      const watching = yield* Effect.forkChild(Stream.runLast(Progress.stream("mine")), { startImmediately: true })
      yield* Effect.flip(run("mine"))
      const last = yield* Fiber.join(watching)
      assert.strictEqual(Option.getOrUndefined(last)?.ended, true)
    }).pipe(Effect.provide(
      Layer.mergeAll(
        CaptureContext.layer.pipe(
          Layer.provide(Layer.succeed(Models, {
            load: (model) => Effect.fail(new ModelNotFound({ model, searched: [], known: [] }))
          }))
        ),
        TestPipeline.layer(),
        RunnerHooks.layerNoop
      ).pipe(Layer.provideMerge(Layer.mergeAll(Options.layer(), CommandOptions.layer(), Runs.layer)))
    )))

  it.effect("ends the stream of a run that fails", () =>
    Effect.gen(function*() {
      const watching = yield* Effect.forkChild(Stream.runLast(Progress.stream("mine")), { startImmediately: true })
      yield* Effect.flip(run("mine"))
      const last = yield* Fiber.join(watching)
      assert.strictEqual(Option.getOrUndefined(last)?.ended, true)
      assert.deepStrictEqual(yield* ids, [])
    }).pipe(Effect.provide(Layer.mergeAll(
      TestContext.layer(),
      TestPipeline.layer({ execute: () => Effect.fail(new InferenceError({ file: "unet", reason: "no memory" })) }),
      RunnerHooks.layerNoop
    ))))
})

import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { Txt2Img } from "../../src/processing/Processing.ts"
import type { Stage } from "../../src/runner/Lifecycle.ts"
import type { Generated } from "../../src/runner/Processed.ts"
import * as ProcessingRequest from "../../src/runner/ProcessingRequest.ts"
import * as ProcessingRunner from "../../src/runner/ProcessingRunner.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Faults, RecordingHooks, TestContext, TestPipeline } from "../../src/testing/index.ts"
import { everyError } from "./everyError.ts"

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, width: 8, height: 8 })
const stages: ReadonlyArray<Stage> = ["prepare", "execute", "finalize"]
const hooksBefore = { prepare: [], execute: ["onPrepare"], finalize: ["onPrepare", "onExecute"] } as const

const run = Effect.flatMap(ProcessingRequest.make(cat, { runId: "r1" }), ProcessingRunner.run)
const hooksCalled = Effect.gen(function*() {
  const { calls } = yield* RecordingHooks
  return (yield* calls).map((call) => call.hook).filter((hook) => hook.startsWith("on"))
})

const layer = (pipeline = TestPipeline.layer()) =>
  Layer.mergeAll(pipeline, RecordingHooks.layer, TestContext.layerRuntimeContext({ runId: "r1" }))
const layerWith = (...faults: ReadonlyArray<Faults.Fault>) => layer(TestPipeline.layer().pipe(Faults.layer(...faults)))

describe("ProcessingRunner.run", () => {
  it.effect("calls every hook, in order, with what the stages gave", () => {
    const generated: Generated = { images: [], interrupted: false, warnings: ["from a test"] }
    return Effect.gen(function*() {
      const processed = yield* run
      const { state, ...rest } = processed
      assert.deepStrictEqual(rest, { images: [], extraImages: [], interrupted: false, warnings: ["from a test"] })
      const { calls } = yield* RecordingHooks
      const recorded = yield* calls
      assert.deepStrictEqual(recorded.map((call) => call.hook), [
        "around:prepare:start",
        "around:prepare:end",
        "onPrepare",
        "around:execute:start",
        "around:execute:end",
        "onExecute",
        "around:finalize:start",
        "around:finalize:end",
        "onFinalize"
      ])
      const [onPrepare, onExecute, onFinalize] = recorded.filter((call) => call.hook.startsWith("on"))
      assert.isTrue(onPrepare?.hook === "onPrepare" && onPrepare.state === state && state.processing === cat)
      assert.isTrue(onExecute?.hook === "onExecute" && onExecute.executed === generated)
      assert.isTrue(onFinalize?.hook === "onFinalize" && onFinalize.result === processed)
      assert.isTrue(recorded.every((call) => call.runId === "r1"))
    }).pipe(Effect.provide(layer(TestPipeline.layer({ execute: () => Effect.succeed(generated) }))))
  })

  it.effect("gives the same with hooks as without", () =>
    Effect.gen(function*() {
      const withHooks = yield* Effect.provide(run, layer())
      const without = yield* Effect.provide(
        run,
        Layer.mergeAll(TestPipeline.layer(), RunnerHooks.layerNoop, TestContext.layerRuntimeContext())
      )
      assert.deepStrictEqual(withHooks, without)
    }))

  for (const stage of stages) {
    it.effect.each(everyError)(
      `ends with the $_tag of ${stage}, typed, and calls no later hook`,
      (error) =>
        Effect.gen(function*() {
          const failed = yield* Effect.flip(run)
          assert.strictEqual(failed, error)
          assert.deepStrictEqual(yield* hooksCalled, [...hooksBefore[stage]])
        }).pipe(Effect.provide(layerWith(Faults.fail(stage, error))))
    )
  }

  it.effect.each(stages)("ends with a defect of %s, and calls no later hook", (stage) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.exit(run), Exit.die("bug"))
      assert.deepStrictEqual(yield* hooksCalled, [...hooksBefore[stage]])
    }).pipe(Effect.provide(layerWith(Faults.die(stage, "bug", { when: "after" })))))

  it.effect.each(stages)(
    "ends when it is interrupted in %s: finalizers run, no later hook is called",
    (stage) =>
      Effect.gen(function*() {
        const released: Array<string> = []
        const hang = yield* Faults.hang(stage)
        const guarded: Faults.Fault = (pipeline) => {
          const guard = Effect.ensuring(Effect.sync(() => released.push(stage)))
          return {
            prepare: (request) => stage === "prepare" ? guard(pipeline.prepare(request)) : pipeline.prepare(request),
            execute: (state) => stage === "execute" ? guard(pipeline.execute(state)) : pipeline.execute(state),
            finalize: (state, executed) =>
              stage === "finalize" ? guard(pipeline.finalize(state, executed)) : pipeline.finalize(state, executed)
          }
        }
        yield* Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(run)
          yield* hang.hanging
          assert.isEmpty(released)
          yield* Fiber.interrupt(fiber)
          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
          assert.deepStrictEqual(released, [stage])
          assert.deepStrictEqual(yield* hooksCalled, [...hooksBefore[stage]])
        }).pipe(Effect.provide(layerWith(guarded, hang.fault)))
      })
  )

  it.effect("tells the hooks around a stage how it ended", () =>
    Effect.gen(function*() {
      yield* Effect.exit(run)
      const { calls } = yield* RecordingHooks
      const last = (yield* calls).at(-1)
      assert.isTrue(last?.hook === "around:execute:end" && Exit.hasDies(last.exit))
    }).pipe(Effect.provide(layerWith(Faults.die("execute", "bug")))))

  it.effect("waits for a hook before it goes on", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const executed = yield* Deferred.make<void>()
      const hooks = RunnerHooks.layer({
        onPrepare: () => Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(goOn))
      })
      const pipeline = TestPipeline.layer({
        execute: (state) => Effect.andThen(Deferred.succeed(executed, undefined), TestPipeline.execute(state))
      })
      const fiber = yield* run.pipe(
        Effect.provide(Layer.mergeAll(pipeline, hooks, TestContext.layerRuntimeContext())),
        Effect.forkChild
      )
      yield* Deferred.await(reached)
      assert.isFalse(yield* Deferred.isDone(executed))
      yield* Deferred.succeed(goOn, undefined)
      yield* Fiber.join(fiber)
      assert.isTrue(yield* Deferred.isDone(executed))
    }))
})

describe("ProcessingRequest.make", () => {
  it.effect("wraps the processing itself", () =>
    Effect.gen(function*() {
      const request = yield* ProcessingRequest.make(cat)
      assert.strictEqual(request.processing, cat)
      assert.deepStrictEqual(Object.keys(request), ["processing", "runId"])
    }))

  it.effect("gives each request an id of its own, or the one that was asked for", () =>
    Effect.gen(function*() {
      const ids = new Set<string>()
      for (let i = 0; i < 1000; i++) {
        const { runId } = yield* ProcessingRequest.make(cat)
        assert.match(runId, /^[0-9a-f]{32}$/)
        ids.add(runId)
      }
      assert.strictEqual(ids.size, 1000)
      assert.strictEqual((yield* ProcessingRequest.make(cat, { runId: "mine" })).runId, "mine")
    }))
})

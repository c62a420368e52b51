import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Faults, RecordingHooks, TestPipeline, TestRuntime } from "../../src/testing/index.ts"

const cat = Txt2Img.make({ prompt: "a cat", width: 8, height: 8 })

describe("RecordingHooks", () => {
  it.effect("tell the calls of two runs at once apart", () =>
    Effect.gen(function*() {
      const { calls } = yield* RecordingHooks
      yield* Effect.all([processImages(cat, { runId: "a" }), processImages(cat, { runId: "b" })], {
        concurrency: "unbounded"
      })
      const recorded = yield* calls
      for (const runId of ["a", "b"]) {
        const own = recorded.filter((call) => call.runId === runId).map((call) => call.hook)
        assert.deepStrictEqual(own.filter((hook) => hook.startsWith("on")), ["onPrepare", "onExecute", "onFinalize"])
        assert.strictEqual(own.length, 9)
      }
    }).pipe(Effect.provide(TestRuntime.layerRecording())))

  it.effect("record how each stage ended", () =>
    Effect.gen(function*() {
      const { calls } = yield* RecordingHooks
      yield* Effect.exit(processImages(cat))
      const ends = (yield* calls).flatMap((call) => "exit" in call ? [[call.hook, Exit.isSuccess(call.exit)]] : [])
      assert.deepStrictEqual(ends, [["around:prepare:end", true], ["around:execute:end", false]])
    }).pipe(
      Effect.provide(
        TestRuntime.layerRecording({ pipeline: TestPipeline.layer().pipe(Faults.layer(Faults.die("execute", "bug"))) })
      )
    ))

  it.effect("forget what they recorded when they are cleared", () =>
    Effect.gen(function*() {
      const { calls, clear } = yield* RecordingHooks
      yield* processImages(cat)
      yield* clear
      assert.isEmpty(yield* calls)
    }).pipe(Effect.provide(TestRuntime.layerRecording())))

  it.effect("can be put among other hooks", () =>
    Effect.gen(function*() {
      const { calls, hooks } = yield* RecordingHooks.make
      yield* processImages(cat).pipe(
        Effect.provide(TestRuntime.layer({ hooks: RunnerHooks.layer({ onPrepare: () => Effect.void }, hooks) }))
      )
      assert.strictEqual((yield* calls).length, 9)
    }))
})

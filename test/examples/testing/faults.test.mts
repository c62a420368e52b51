// faults.test.mts
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { InferenceError, NetworkThreadDied } from "serena-runtime"
import { Faults, RecordingHooks, TestPipeline, TestRuntime } from "serena-runtime/testing"
import { generate } from "./generate.mts"

const layerWith = (fault: Faults.Fault) =>
  TestRuntime.layerRecording({ pipeline: TestPipeline.layer().pipe(Faults.layer(fault)) })

const attempts = Effect.gen(function*() {
  const { calls } = yield* RecordingHooks
  return (yield* calls).filter(({ hook }) => hook === "around:execute:start").length
})

describe("generate", () => {
  it.effect("retries when the thread died", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(generate("cat"))
      assert.strictEqual(error._tag, "NetworkThreadDied")
      assert.strictEqual(yield* attempts, 2)
    }).pipe(Effect.provide(layerWith(Faults.fail("execute", new NetworkThreadDied({ reason: "killed" }))))))

  it.effect("does not retry other errors", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(generate("cat"))
      assert.strictEqual(error._tag, "InferenceError")
      assert.strictEqual(yield* attempts, 1)
    }).pipe(
      Effect.provide(
        layerWith(Faults.fail("execute", new InferenceError({ file: "unet", reason: "out of memory", remedy: "size" })))
      )
    ))

  it.effect("times out after half a minute", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.flip(generate("cat")))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "TimeoutError")
    }).pipe(Effect.provide(layerWith(Faults.delay("execute", "1 hour")))))
})

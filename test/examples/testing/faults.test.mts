// faults.test.mts
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { InferenceError, NetworkThreadDied } from "serena-runtime"
import { Faults, RecordingHooks, TestPipeline, TestRuntime } from "serena-runtime/testing"
import { picture } from "./picture.mts"

const layerWith = (fault: Faults.Fault) =>
  TestRuntime.layerRecording({ pipeline: TestPipeline.layer().pipe(Faults.layer(fault)) })

const tries = Effect.gen(function*() {
  const { calls } = yield* RecordingHooks
  return (yield* calls).filter(({ hook }) => hook === "around:execute:start").length
})

describe("picture", () => {
  it.effect("tries again when the thread died", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(picture("cat"))
      assert.strictEqual(error._tag, "NetworkThreadDied")
      assert.strictEqual(yield* tries, 2)
    }).pipe(Effect.provide(layerWith(Faults.fail("execute", new NetworkThreadDied({ reason: "killed" }))))))

  it.effect("does not try again what would fail again", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(picture("cat"))
      assert.strictEqual(error._tag, "InferenceError")
      assert.strictEqual(yield* tries, 1)
    }).pipe(
      Effect.provide(layerWith(Faults.fail("execute", new InferenceError({ file: "unet", reason: "out of memory" }))))
    ))

  it.effect("waits for half a minute", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.flip(picture("cat")))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "TimeoutError")
    }).pipe(Effect.provide(layerWith(Faults.delay("execute", "1 hour")))))
})

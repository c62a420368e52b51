// hooks.test.mts
import { assert, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { processImages, ProcessingRequest, ProcessingRunner, RunnerHooks, Txt2Img } from "serena-runtime"
import { RecordingHooks, TestContext, TestPipeline, TestRuntime } from "serena-runtime/testing"
import { bright, counting } from "./bright.mts"

const two = Txt2Img.make({ prompt: "a cat", batch_size: 2 })

// Generates only white images.
const white = TestPipeline.layer({
  execute: (state) =>
    Effect.map(TestPipeline.execute(state), (generated) => ({
      ...generated,
      images: generated.images.map((image) => ({ ...image, pixels: image.pixels.fill(255) }))
    }))
})

it.effect("counts bright images", () =>
  Effect.gen(function*() {
    yield* processImages(two)
    assert.strictEqual((yield* Metric.value(bright)).count, 2)
  }).pipe(Effect.provide(TestRuntime.layer({ pipeline: white, hooks: RunnerHooks.layer(counting) }))))

it.effect("calls the hooks of a run in a given context", () =>
  Effect.gen(function*() {
    const recorder = yield* RecordingHooks.make
    const request = yield* ProcessingRequest.make(two)
    yield* ProcessingRunner.run(request).pipe(
      Effect.provide([
        TestContext.layerRuntimeContext({ runId: "mine", opts: { samples_save: false } }),
        TestPipeline.layer(),
        RunnerHooks.layer(recorder.hooks, counting)
      ])
    )
    const calls = yield* recorder.calls
    assert.deepStrictEqual(calls.map(({ hook }) => hook), [
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
    assert.isTrue(calls.every(({ runId }) => runId === "mine"))
  }))

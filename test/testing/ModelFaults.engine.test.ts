import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { pipe } from "effect/Function"
import { TestClock } from "effect/testing"
import { setImmediate } from "node:timers/promises"
import { filled } from "../../src/core/Raster.ts"
import { InferenceError } from "../../src/model/ModelError.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { ModelFaults, PlainEncoder, TestModel, TestRuntime } from "../../src/testing/index.ts"

const common = { prompt: "a cat", seed: 7, steps: 4 }
const cat = Txt2Img.make(common)
const error = new InferenceError({ file: "unet/model.onnx", reason: "broken" })
const places: ReadonlyArray<ModelFaults.Place> = ["embed", "encode", { step: 1 }, { step: 4 }, "decode"]

/** A request that comes to this place: only pictures to begin with are encoded. */
const requestFor = (place: ModelFaults.Place) =>
  place !== "encode" ? Effect.succeed(cat) : PlainEncoder.encode({
    raster: filled({ width: 64, height: 64 }, 3, 100),
    infotext: ""
  }).pipe(Effect.map((picture) => Img2Img.make({ ...common, init_images: [picture] })))

/** A run on a model with a fault at a place, and how many denoising calls were made. */
const run = (place: ModelFaults.Place, fault: ModelFaults.ModelFault) => {
  const calls = { count: 0 }
  const counting: ModelFaults.ModelFault = (model) => ({
    ...model,
    denoising: (shape) =>
      Effect.map(model.denoising(shape), (call) => ({
        ...call,
        run: (t) => Effect.andThen(Effect.sync(() => calls.count++), call.run(t))
      }))
  })
  const layer = TestRuntime.layer({ model: pipe(TestModel.make(), counting, fault) })
  return { calls, layer, effect: Effect.provide(Effect.flatMap(requestFor(place), processImages), layer) }
}

describe("ModelFaults", () => {
  it.effect.each(places)("fail at %j", (place) =>
    Effect.gen(function*() {
      const { calls, effect } = run(place, ModelFaults.fail(place, error))
      assert.strictEqual(yield* Effect.flip(effect), error)
      const made = typeof place === "object" ? place.step - 1 : place === "decode" ? 4 : 0
      assert.strictEqual(calls.count, made)
    }))

  it.effect.each(places)("die at %j", (place) =>
    Effect.gen(function*() {
      assert.isTrue(Exit.hasDies(yield* Effect.exit(run(place, ModelFaults.die(place, "bug")).effect)))
    }))

  it.effect.each(places)("have no memory at %j, in onnxruntime's words", (place) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(run(place, ModelFaults.outOfMemory(place)).effect)
      assert.strictEqual(error._tag, "InferenceError")
      assert.include(error.message, "Failed to allocate memory for requested buffer of size")
      assert.include(error.message, "Try a smaller size or batch.")
    }))

  it.effect("name the network that had no memory", () =>
    Effect.gen(function*() {
      const files = yield* Effect.forEach(places, (place) =>
        Effect.flip(run(place, ModelFaults.outOfMemory(place)).effect))
      assert.deepStrictEqual(
        files.map((error) =>
          error._tag === "InferenceError" ? error.file : ""
        ),
        [
          "text_encoder/model.onnx",
          "vae_encoder/model.onnx",
          "unet/model.onnx",
          "unet/model.onnx",
          "vae_decoder/model.onnx"
        ]
      )
    }))

  it.effect("let the thread die once: the next run succeeds", () =>
    Effect.gen(function*() {
      const { layer } = run({ step: 2 }, ModelFaults.threadDied({ step: 2 }))
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(processImages(cat)))._tag, "NetworkThreadDied")
        assert.strictEqual((yield* processImages(cat)).images.length, 1)
      }).pipe(Effect.provide(layer))
    }))

  it.effect.each(places)("hang at %j until they are released", (place) =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang(place)
      const fiber = yield* Effect.forkChild(run(place, fault).effect)
      yield* hanging
      assert.isUndefined(fiber.pollUnsafe())
      yield* release
      assert.strictEqual((yield* Fiber.join(fiber)).images.length, 1)
    }))

  it.effect.each(places)(
    "hang at %j until they are interrupted, as one that waits for its turn",
    (place) =>
      Effect.gen(function*() {
        const { fault, hanging } = yield* ModelFaults.hang(place)
        const fiber = yield* Effect.forkChild(run(place, fault).effect)
        yield* hanging
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      })
  )

  it.effect.each(places)("hang in flight at %j: an interruption waits for the call", (place) =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang(place, { inFlight: true })
      const fiber = yield* Effect.forkChild(run(place, fault).effect)
      yield* hanging
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      yield* release
      yield* Fiber.join(interrupting)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect("delay a call", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(run({ step: 2 }, ModelFaults.delay({ step: 2 }, "10 seconds")).effect)
      // The run comes to the call in its own time.
      let seconds = 0
      while (fiber.pollUnsafe() === undefined) {
        yield* Effect.promise(() => setImmediate())
        yield* TestClock.adjust("1 second")
        seconds++
      }
      assert.strictEqual((yield* Fiber.join(fiber)).images.length, 1)
      assert.isAtLeast(seconds, 10)
    }))

  it.effect("strike as often as they are told", () =>
    Effect.gen(function*() {
      const { layer } = run("decode", ModelFaults.fail("decode", error, { times: 2 }))
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* Effect.flip(processImages(cat)), error)
        assert.strictEqual(yield* Effect.flip(processImages(cat)), error)
        yield* processImages(cat)
      }).pipe(Effect.provide(layer))
    }))
})

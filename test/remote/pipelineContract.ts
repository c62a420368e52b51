/**
 * What every pipeline owes to those who use it, wherever its pictures are made.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readMetadata } from "../../src/images/Metadata.ts"
import { InferenceError } from "../../src/model/ModelError.ts"
import * as Infotext from "../../src/processing/Infotext.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import type { Pipeline } from "../../src/runner/Pipeline.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Runs } from "../../src/runner/Runs.ts"
import type { CaptureContext } from "../../src/runner/RuntimeContext.ts"
import { Faults, RecordingHooks, SavedImages, TestModel, type TestRuntime } from "../../src/testing/index.ts"
import { file, slopes } from "../diffusion/pictures.ts"

export type Services = CaptureContext | Pipeline | RunnerHooks | Runs | SavedImages

/** A pipeline with everything around it; `engine` is about where pictures are made, `hooks` about where it is asked. */
export type Make = (options: {
  readonly engine?: TestRuntime.PipelineOptions | undefined
  readonly hooks?: Layer.Layer<RunnerHooks> | undefined
}) => Effect.Effect<Layer.Layer<Services>, never, Scope.Scope>

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, steps: 3, width: 64, height: 64 })

const slow = TestModel.make({ stepDuration: "10 millis" })

export const pipelineContract = (name: string, make: Make) =>
  describe(`${name} as a pipeline`, () => {
    it.live("goes through the stages in their order, each hook after its stage", () =>
      Effect.gen(function*() {
        const recorder = yield* RecordingHooks.make
        const layer = yield* make({ hooks: RunnerHooks.layer(recorder.hooks) })
        yield* Effect.provide(processImages(cat), layer)
        assert.deepStrictEqual((yield* recorder.calls).map(({ hook }) => hook), [
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
      }))

    it.live("shows hooks the very images that come out", () =>
      Effect.gen(function*() {
        const recorder = yield* RecordingHooks.make
        const layer = yield* make({ hooks: RunnerHooks.layer(recorder.hooks) })
        const processed = yield* Effect.provide(processImages(cat), layer)
        for (const call of yield* recorder.calls) {
          if (call.hook === "onExecute") {
            assert.deepStrictEqual(
              call.executed.images.map(({ pixels }) => pixels),
              processed.images.map(({ pixels }) => pixels)
            )
          }
          if (call.hook === "onFinalize") assert.strictEqual(call.result, processed)
        }
      }))

    it.live("counts seeds on through batches and rounds", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const { images, interrupted, state } = yield* Effect.provide(
          processImages({ ...cat, batch_size: 2, n_iter: 2 }),
          layer
        )
        assert.deepStrictEqual(images.map(({ index, seed }) => [index, seed]), [[0, 7], [1, 8], [2, 9], [3, 10]])
        assert.deepStrictEqual(state.batches.map((batch) => batch.map(({ seed }) => seed)), [[7, 8], [9, 10]])
        assert.isFalse(interrupted)
        assert.isTrue(images.every(({ complete }) => complete))
      }))

    it.live("counts on from seeds that no number holds", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const seed = 6302954713490123530n
        const { images } = yield* Effect.provide(processImages({ ...cat, seed, batch_size: 2 }), layer)
        assert.deepStrictEqual(images.map(({ seed }) => seed), [seed, seed + 1n])
        assert.deepStrictEqual(images.map(({ infotext }) => infotext.includes(`Seed: ${seed}`)), [true, false])
      }))

    it.live("keeps the seed and counts the variation seed where there is one", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const { images } = yield* Effect.provide(
          processImages({ ...cat, batch_size: 2, subseed: 30, subseed_strength: 0.5 }),
          layer
        )
        assert.deepStrictEqual(images.map(({ seed, subseed }) => [seed, subseed]), [[7, 30], [7, 31]])
      }))

    it.live("draws a seed, tells it, and makes the same image of it again", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const [first, again] = yield* Effect.gen(function*() {
          const { images: [first] } = yield* processImages({ ...cat, seed: -1 })
          assert.isDefined(first)
          const { images: [again] } = yield* processImages({ ...cat, seed: first.seed })
          return [first, again] as const
        }).pipe(Effect.provide(layer))
        assert.isAtLeast(Number(first.seed), 0)
        assert.deepStrictEqual(again?.bytes, first.bytes)
      }))

    it.live("gives infotexts that are in the files and tell how the images were made", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const { images } = yield* Effect.provide(
          processImages({ ...cat, negative_prompt: "a dog", sampler_name: "Euler a", batch_size: 2 }),
          layer
        )
        for (const { bytes, infotext, seed } of images) {
          assert.strictEqual((yield* readMetadata(bytes)).infotext, infotext)
          const { fields } = Infotext.parse(infotext)
          assert.deepStrictEqual(
            ["Prompt", "Negative prompt", "Sampler", "Steps", "Seed"].map((key) => String(fields[key])),
            ["a cat", "a dog", "Euler a", "3", String(seed)]
          )
        }
      }))

    it.live("starts from an image, and takes its size from it", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const picture = yield* file(slopes(64, 72))
        const { images: [image], state } = yield* Effect.provide(
          processImages(Img2Img.make({ prompt: "a cat", seed: 1, steps: 3, init_images: [picture] })),
          layer
        )
        assert.deepStrictEqual([image?.width, image?.height], [64, 72])
        assert.deepInclude(state.source, { denoisingStrength: 0.75, isMasked: false })
      }))

    it.live("saves the bytes that it gives", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        yield* Effect.gen(function*() {
          const { images } = yield* processImages({ ...cat, batch_size: 2, override_settings: { grid_save: false } })
          const { files } = yield* SavedImages
          assert.deepStrictEqual([...yield* files], images.map(({ bytes, path }) => [path, bytes]))
        }).pipe(Effect.provide(layer))
      }))

    it.live("names every problem of a request before anything is made", () =>
      Effect.gen(function*() {
        const recorder = yield* RecordingHooks.make
        const layer = yield* make({ hooks: RunnerHooks.layer(recorder.hooks) })
        const error = yield* Effect.flip(
          Effect.provide(processImages({ ...cat, steps: 100_000, width: 100_000 }), layer)
        )
        assert.strictEqual(error._tag, "InvalidProcessing")
        if (error._tag === "InvalidProcessing") {
          assert.deepStrictEqual(error.problems.map(({ path }) => path), ["steps", "width"])
        }
        assert.deepStrictEqual(yield* recorder.calls, [])
      }))

    it.live("refuses names that no one knows", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const sampler = yield* Effect.flip(Effect.provide(processImages({ ...cat, sampler_name: "Eulr" }), layer))
        assert.strictEqual(sampler._tag, "UnknownSampler")
        const scheduler = yield* Effect.flip(Effect.provide(processImages({ ...cat, scheduler: "Karas" }), layer))
        assert.strictEqual(scheduler._tag, "UnknownScheduler")
      }))

    it.live("refuses an image that is none", () =>
      Effect.gen(function*() {
        const layer = yield* make({})
        const error = yield* Effect.flip(Effect.provide(
          processImages(Img2Img.make({ init_images: [new Uint8Array([1, 2, 3])] })),
          layer
        ))
        assert.strictEqual(error._tag, "InvalidProcessing")
      }))

    it.live("ends with a typed error when the engine fails, and calls no hook after it", () =>
      Effect.gen(function*() {
        const recorder = yield* RecordingHooks.make
        const failing = Faults.fail("execute", new InferenceError({ file: "unet", reason: "out of memory" }))
        const layer = yield* make({ engine: { faults: [failing] }, hooks: RunnerHooks.layer(recorder.hooks) })
        const error = yield* Effect.flip(Effect.provide(processImages(cat), layer))
        assert.include(error.message, "out of memory")
        const hooks = (yield* recorder.calls).map(({ hook }) => hook)
        assert.deepStrictEqual(hooks.slice(-2), ["around:execute:start", "around:execute:end"])
      }))

    it.live("tells how far it is, and ends early with what it has when it is asked to", () =>
      Effect.gen(function*() {
        const layer = yield* make({ engine: { model: slow } })
        yield* Effect.gen(function*() {
          const runs = yield* Runs
          const begun = yield* Deferred.make<number>()
          yield* Effect.forkChild(
            Stream.runForEach(runs.watch("r1"), ({ samplingStep }) =>
              samplingStep >= 2
                ? Effect.gen(function*() {
                  yield* Deferred.succeed(begun, samplingStep)
                  const [run] = yield* runs.list
                  if (run !== undefined && !(yield* run.progress).interrupted) yield* run.interrupt
                })
                : Effect.void)
          )
          const processed = yield* processImages({ ...cat, steps: 100, n_iter: 3 }, { runId: "r1" })
          assert.isAtLeast(yield* Deferred.await(begun), 2)
          assert.isTrue(processed.interrupted)
          assert.strictEqual(processed.images.length, 1)
          assert.isFalse(processed.images[0]?.complete)
        }).pipe(Effect.provide(layer))
      }))

    it.live("goes on with the next batch when it is asked to skip one", () =>
      Effect.gen(function*() {
        const layer = yield* make({ engine: { model: slow } })
        yield* Effect.gen(function*() {
          const runs = yield* Runs
          const request = { ...cat, steps: 100, n_iter: 2 }
          const whole = yield* processImages(request)
          const fiber = yield* Effect.forkChild(processImages(request, { runId: "r1" }))
          yield* Stream.runHead(Stream.filter(runs.watch("r1"), ({ samplingStep }) => samplingStep >= 2))
          const [run] = yield* runs.list
          yield* run?.skip ?? Effect.die("no run")
          const { images } = yield* Fiber.join(fiber)
          assert.deepStrictEqual(images.map(({ index }) => index), [0, 1])
          const [first, second] = images.map(({ pixels }) => pixels)
          assert.notDeepEqual(first, whole.images[0]?.pixels)
          assert.deepStrictEqual(second, whole.images[1]?.pixels)
        }).pipe(Effect.provide(layer))
      }))

    it.live("stops when its caller is interrupted, and goes on with the next run", () =>
      Effect.gen(function*() {
        const layer = yield* make({ engine: { model: slow } })
        yield* Effect.gen(function*() {
          const runs = yield* Runs
          const fiber = yield* Effect.forkChild(processImages({ ...cat, steps: 100 }, { runId: "r1" }))
          yield* Stream.runHead(Stream.filter(runs.watch("r1"), ({ samplingStep }) => samplingStep >= 1))
          yield* Fiber.interrupt(fiber)
          const exit = yield* Fiber.await(fiber)
          assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
          assert.deepStrictEqual(yield* runs.list, [])
          const { images } = yield* processImages(cat)
          assert.strictEqual(images.length, 1)
        }).pipe(Effect.provide(layer))
      }))
  })

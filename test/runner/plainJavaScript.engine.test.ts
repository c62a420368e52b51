import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { processImages, Serena, Txt2Img } from "../../src/index.ts"
import { RemoteRuntime } from "../../src/remote/index.ts"
import { TestRuntime } from "../../src/testing/index.ts"

/** Calls a function as a program without types does. */
const untyped = <A>(call: (...args: ReadonlyArray<never>) => A, ...args: ReadonlyArray<unknown>): A =>
  Reflect.apply(call, undefined, args)

const star = Txt2Img.make({ prompt: "a star", steps: 1 })

describe("a program without types", () => {
  it.effect("is shown how to create a request when it passes another object", () =>
    Effect.gen(function*() {
      for (const request of [{ prompt: "x" }, { _tag: "Txt2Img", prompt: "x" }, "x", undefined]) {
        const error = yield* Effect.flip(untyped(processImages, request))
        assert.strictEqual(error._tag, "InvalidProcessing")
        assert.include(error.message, "create one with Txt2Img.make({ ... })")
      }
    }).pipe(Effect.provide(Serena.layer())))

  it.effect("is told what a spread of a request made wrong", () =>
    Effect.gen(function*() {
      const wrong = [
        [{ ...star, steps: 0 }, /^The request cannot be processed\. Correct steps: /],
        [{ ...star, sampler_name: 7, width: "64" }, /Correct sampler_name: .*; width: /],
        [{ ...star, _tag: "Img2Img" }, /init_images: /],
        [{ ...star, promt: "x" }, /promt: no field has this name; did you mean "prompt"\?/]
      ] as const
      for (const [request, sentence] of wrong) {
        const error = yield* Effect.flip(untyped(processImages, request))
        assert.strictEqual(error._tag, "InvalidProcessing")
        assert.match(error.message, sentence)
      }
    }).pipe(Effect.provide(Serena.layer())))

  it.effect("may give some limits: the others have their defaults", () =>
    Effect.gen(function*() {
      const layer = untyped(Serena.layer, { cmdOpts: { limits: { max_steps: 1 } }, options: { samples_save: false } })
      const { images } = yield* Effect.provide(processImages(star), layer)
      assert.lengthOf(images, 1)
      const error = yield* processImages(Txt2Img.make({ ...star, steps: 2 })).pipe(Effect.provide(layer), Effect.flip)
      assert.include(error.message, "steps: 2 is over the limit of 1")
    }))

  it.effect("is told which options of the layer are wrong before anything runs", () =>
    Effect.gen(function*() {
      const wrong = [
        [{ options: { samples_format: "gif" } }, /^The options cannot be used\. Correct samples_format: Expected /],
        [{ options: { samples_fromat: "png" } }, /samples_fromat: .*samples_format/],
        [{ cmdOpts: { device: "gpu" } }, /^The options cannot be used\. Correct cmdOpts\.device: Expected /],
        [{ cmdOpts: { limits: { max_width: -1 } } }, /cmdOpts\.limits\.max_width: /],
        [{ cmdOpts: { devise: "cpu" } }, /cmdOpts\.devise: no option has this name; did you mean "device"\?/],
        [{ cmdOpts: { limits: { max_step: 1 } } }, /cmdOpts\.limits\.max_step: .*"max_steps"\?/],
        [{ option: {} }, /option: no option has this name; did you mean "options"\?/]
      ] as const
      for (const [options, sentence] of wrong) {
        const error = yield* processImages(star).pipe(Effect.provide(untyped(Serena.layer, options)), Effect.flip)
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.match(error.message, sentence)
      }
    }))

  it.effect("is told so of every layer that takes options", () =>
    Effect.gen(function*() {
      const cmdOpts = { device: "gpu" }
      const layers = [
        untyped(RemoteRuntime.layer, { url: "http://127.0.0.1:9", cmdOpts }),
        untyped(RemoteRuntime.layer, { url: "http://127.0.0.1:9", options: { samples_format: "gif" } }),
        untyped(RemoteRuntime.layer, { url: "http://127.0.0.1:9", pollIntervall: 1 }),
        untyped(TestRuntime.layer, { cmdOpts }),
        untyped(TestRuntime.layer, { opts: { samples_format: "gif" } }),
        untyped(TestRuntime.layer, { options: {} })
      ]
      for (const layer of layers) {
        const error = yield* processImages(star).pipe(Effect.provide(layer), Effect.flip)
        assert.strictEqual(error._tag, "InvalidOptions")
      }
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { processImages, Serena, Txt2Img } from "../../src/index.ts"

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

  it.effect("is told which options of the layer are wrong before anything runs", () =>
    Effect.gen(function*() {
      const wrong = [
        [{ options: { samples_format: "gif" } }, /^The options cannot be used\. Correct samples_format: Expected /],
        [{ options: { samples_fromat: "png" } }, /samples_fromat: .*samples_format/],
        [{ cmdOpts: { device: "gpu" } }, /^The options cannot be used\. Correct cmdOpts\.device: Expected /],
        [{ cmdOpts: { limits: { max_width: -1 } } }, /cmdOpts\.limits\.max_width: /]
      ] as const
      for (const [options, sentence] of wrong) {
        const error = yield* processImages(star).pipe(Effect.provide(untyped(Serena.layer, options)), Effect.flip)
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.match(error.message, sentence)
      }
    }))
})

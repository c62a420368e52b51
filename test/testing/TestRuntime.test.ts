import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Options } from "../../src/processing/Options.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, width: 8, height: 8 })

layer(TestRuntime.layer())("TestRuntime", (it) => {
  it.effect("has everything that processImages asks for", () =>
    Effect.gen(function*() {
      const { images } = yield* processImages(cat)
      assert.strictEqual(images.length, 1)
    }))

  it.effect("has the live settings, too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* Options).snapshot, Options.defaults)
    }))
})

describe("TestRuntime.layer", () => {
  it.effect("gives the same pictures every time", () =>
    Effect.gen(function*() {
      const once = yield* Effect.provide(processImages(cat), TestRuntime.layer())
      assert.deepStrictEqual(yield* Effect.provide(processImages(cat), TestRuntime.layer()), once)
    }))
})

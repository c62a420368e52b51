import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { performance } from "node:perf_hooks"
import { Txt2Img } from "../../src/processing/Processing.ts"
import * as Attention from "../../src/prompt/Attention.ts"
import * as Chunks from "../../src/prompt/Chunks.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import { assertLinear, vocabulary } from "../prompt/fixtures.ts"

// Here nothing counts the lines that run, which would slow them.
describe("time", () => {
  it("of reading attention is in proportion to the text", () => assertLinear(Attention.parse))

  it("of packing chunks is in proportion to the text", () =>
    assertLinear((prompt) => Chunks.pack(Attention.parse(prompt), vocabulary)))

  it.effect("of a run on TestRuntime is less than 5 ms", () =>
    Effect.gen(function*() {
      const cat = Txt2Img.make({ prompt: "a cat", seed: 7 })
      yield* Effect.forEach(Array.from({ length: 30 }), () => processImages(cat), { discard: true })
      const times = yield* Effect.forEach(Array.from({ length: 50 }), () =>
        Effect.gen(function*() {
          const start = performance.now()
          yield* processImages(cat)
          return performance.now() - start
        }))
      // The fastest is the one that a busy machine has disturbed least.
      assert.isBelow(Math.min(...times), 5)
    }).pipe(Effect.provide(TestRuntime.layer())))
})

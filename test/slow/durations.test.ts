import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Txt2Img } from "../../src/processing/Processing.ts"
import * as Attention from "../../src/prompt/Attention.ts"
import * as Chunks from "../../src/prompt/Chunks.ts"
import * as Prompt from "../../src/prompt/Prompt.ts"
import * as PromptSchedule from "../../src/prompt/PromptSchedule.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import { cpuTime } from "../cpuTime.ts"
import { hostile, vocabulary } from "../prompt/fixtures.ts"

const fastest = (run: () => unknown): number => Math.min(...Array.from({ length: 3 }, () => cpuTime(run)))

/** Eight times the text takes eight times the time, generously measured: a quadratic parser takes sixty-four times. */
const assertLinear = (run: (text: string) => unknown): void => {
  const small = hostile(12_500)
  for (const [i, [name, text]] of hostile(100_000).entries()) {
    const short = fastest(() => run(small[i]?.[1] ?? ""))
    const long = fastest(() => run(text))
    assert.isBelow(long, 24 * short + 40, name)
  }
}

// Here nothing counts the lines that run, which would slow them.
describe("time", () => {
  it("of reading attention is in proportion to the text", () => assertLinear(Attention.parse))

  it("of packing chunks is in proportion to the text", () =>
    assertLinear((prompt) => Chunks.pack(Attention.parse(prompt), vocabulary)))

  it("of reading a prompt is in proportion to the text", () =>
    assertLinear((text) => Prompt.parse(text, { steps: 10 })))

  it("of scheduling a prompt is in proportion to the text", () =>
    assertLinear((text) => PromptSchedule.make(text, { steps: 10 })))

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

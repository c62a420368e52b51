import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Txt2Img } from "../../src/processing/Processing.ts"
import * as Prompt from "../../src/prompt/Prompt.ts"
import * as PromptSchedule from "../../src/prompt/PromptSchedule.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import { operations, operationsOf } from "../operations.ts"
import { hostile, vocabulary } from "../prompt/fixtures.ts"
import * as whole from "../prompt/whole.ts"

/**
 * Eight times the text takes eight times the operations, or some more where numbers get longer with the depth of the
 * brackets. A quadratic parser takes sixty-four times as many.
 */
const assertLinear = (run: (text: string) => unknown): void => {
  const small = hostile(6_250)
  for (const [i, [name, text]] of hostile(50_000).entries()) {
    const short = operations(() => run(small[i]?.[1] ?? ""))
    const long = operations(() => run(text))
    assert.isAbove(short, 0, name)
    assert.isBelow(long, 12 * short, name)
  }
}

describe("operations", () => {
  it("of a quadratic parser are seen", () => {
    const withoutDots = (text: string) => {
      let rest = text
      while (rest.includes(".")) rest = rest.replace(".", "")
      return rest
    }
    const short = operations(() => withoutDots(".".repeat(100)))
    assert.isAbove(operations(() => withoutDots(".".repeat(800))), 40 * short)
  })

  it("of reading attention are in proportion to the text", () => assertLinear(whole.parse))

  it("of packing chunks are in proportion to the text", () =>
    assertLinear((prompt) => whole.pack(whole.parse(prompt), vocabulary)))

  it("of reading a prompt are in proportion to the text", () =>
    assertLinear((text) => Prompt.parse(text, { steps: 10 })))

  it("of scheduling a prompt are in proportion to the text", () =>
    assertLinear((text) => PromptSchedule.make(text, { steps: 10 })))

  // A run of 20 steps takes 4 to 5 ms on two cores that do nothing else.
  it.effect("of a run on TestRuntime are few, and more only with the steps", () =>
    Effect.gen(function*() {
      const once = (steps: number) => operationsOf(processImages(Txt2Img.make({ prompt: "a cat", seed: 7, steps })))
      // What runs at the same time in this process, and what is made once, only adds.
      const count = (steps: number) =>
        Effect.map(Effect.replicateEffect(once(steps), 5), (counts) => Math.min(...counts))
      const [twenty, forty, sixty] = [yield* count(20), yield* count(40), yield* count(60)]
      assert.isBelow(twenty, 320_000)
      // The next twenty steps take no more than those before them. Work that grew with the steps taken would need 5 / 3
      // of it; on a busy machine a run gives more turns to others, which costs a few percent.
      assert.isBelow(sixty - forty, (forty - twenty) * 1.3, `${twenty}, ${forty}, ${sixty}`)
    }).pipe(Effect.provide(TestRuntime.layer())))
})

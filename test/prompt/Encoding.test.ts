import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Attention from "../../src/prompt/Attention.ts"
import * as Chunks from "../../src/prompt/Chunks.ts"
import * as Encoding from "../../src/prompt/Encoding.ts"
import * as PromptSchedule from "../../src/prompt/PromptSchedule.ts"
import { ofModel, vocabulary, words } from "./fixtures.ts"
import * as whole from "./whole.ts"

/** Reads a prompt of 150 steps whose texts may take so many chunks, and counts the texts that were read for it. */
const within = Effect.fnUntraced(function*(text: string, most: number) {
  const schedule = PromptSchedule.make(text, { steps: 150 })
  let read = 0
  const counting = {
    ...ofModel,
    encode: (texts: ReadonlyArray<string>) => Effect.suspend(() => (read++, ofModel.encode(texts)))
  }
  const budget = { prompt: "prompt", texts: schedule.texts.length, most } as const
  const outcome = yield* Effect.result(Encoding.make(schedule, counting, { budget }))
  return { outcome, read, texts: schedule.texts.length }
})

const breaks = (count: number) => "BREAK ".repeat(count) + "w0"

describe("the chunks that a prompt may take", () => {
  it.effect("are enough for all that fits", () =>
    Effect.gen(function*() {
      for (const [text, most] of [[breaks(7), 8], [words(75 * 8), 8], ["[w0|w1|w2]", 3]] as const) {
        assert.isTrue((yield* within(text, most)).outcome._tag === "Success", text)
      }
    }))

  it.effect("refuse a text that is too long, with numbers", () =>
    Effect.gen(function*() {
      const { outcome } = yield* within(breaks(8), 8)
      assert.deepStrictEqual(
        outcome._tag === "Failure" && outcome.failure.message,
        "its text takes 9 chunks of 77 tokens, over the limit of 8"
      )
    }))

  it.effect("are taken by each text that prompt editing makes, and the first one tells", () =>
    Effect.gen(function*() {
      const { outcome, read, texts } = yield* within(`${words(75 * 9)} [w0|w1|w2] [w0|w1] [w3|w4|w5|w6|w7]`, 299)
      assert.strictEqual(texts, 30)
      assert.strictEqual(read, 1)
      assert.deepStrictEqual(
        outcome._tag === "Failure" && outcome.failure.message,
        "30 texts (prompt editing, AND) of up to 10 chunks take 300 chunks of 77 tokens, over the limit of 299"
      )
    }))

  it.effect("count as many texts as there are, before any of them is read through", () =>
    Effect.gen(function*() {
      const { outcome, read } = yield* within("[w0|w1|w2]", 2)
      assert.deepStrictEqual([outcome._tag, read], ["Failure", 1])
    }))
})

describe("packing", () => {
  it("pauses at every BREAK", () => {
    const pieces = whole.parse(breaks(16_000))
    let pauses = 0
    for (const _ of Chunks.packing(pieces, vocabulary)) pauses++
    assert.isAtLeast(pauses, 16_000)
  })
})

describe("reading attention", () => {
  it("pauses within 100 kB of BREAK", () => {
    let pauses = 0
    for (const _ of Attention.parsing(breaks(16_000))) pauses++
    assert.isAtLeast(pauses, 100)
  })
})

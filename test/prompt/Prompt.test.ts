import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Encoding from "../../src/prompt/Encoding.ts"
import * as Prompt from "../../src/prompt/Prompt.ts"
import * as PromptSchedule from "../../src/prompt/PromptSchedule.ts"
import { Fragments, hostile, join, ofModel, vocabulary, words } from "./fixtures.ts"

const steps = { steps: 10 }
const partsOf = (prompt: Prompt.Prompt) =>
  prompt.parts.map(({ schedule, weight }) => [weight, schedule.entries.map(({ text, until }) => [until, text])])

describe("Prompt.parse", () => {
  it("goes from comments to schedules, in this order", () => {
    const prompt = Prompt.parse("a [cat:dog:0.5] <lora:x:0.3> AND (b:1.2):0.7 # AND c", steps)
    assert.strictEqual(prompt.text, "a [cat:dog:0.5] <lora:x:0.3> AND (b:1.2):0.7 \n")
    assert.deepStrictEqual(prompt.networks.map(({ positional }) => positional), [["x", "0.3"]])
    assert.deepStrictEqual(partsOf(prompt), [
      [1, [[5, "a cat"], [10, "a dog"]]],
      [0.7, [[10, " (b:1.2)"]]]
    ])
  })

  it("gives each part its own schedule", () => {
    assert.deepStrictEqual(partsOf(Prompt.parse("[a:b:5] AND [c:d:3]", steps)), [
      [1, [[5, "a"], [10, "b"]]],
      [1, [[3, " c"], [10, " d"]]]
    ])
  })

  it("keeps comments when they are switched off", () => {
    assert.strictEqual(Prompt.parse("a # b", { ...steps, comments: false }).text, "a # b")
  })

  it("lets networks out of brackets", () => {
    const prompt = Prompt.parse("[<lora:x:1>::5]", steps)
    assert.strictEqual(prompt.networks.length, 1)
    assert.deepStrictEqual(partsOf(prompt), [[1, [[5, ""], [10, ""]]]])
  })

  it("goes on counting in the second pass", () => {
    assert.deepStrictEqual(partsOf(Prompt.parse("a [b:1.5] c", { steps: 5, firstPassSteps: 10 })), [
      [1, [[2, "a  c"], [5, "a b c"]]]
    ])
  })

  it.effect.prop("reads any text", [Schema.Union([Schema.String, Fragments])], ([given]) => {
    const text = typeof given === "string" ? given : join(given)
    const schedules = [...Prompt.parse(text, steps).parts, Prompt.parseNegative(text, steps)]
    return Effect.forEach(schedules, ({ schedule }) => Encoding.make(schedule, ofModel))
  }, { arbitrary: { runs: 500 } })

  it("reads a hundred thousand characters of anything", () => {
    for (const [name, text] of hostile(100_000)) assert.isAtLeast(Prompt.parse(text, steps).parts.length, 1, name)
  })

  it("shares a schedule among parts of equal text", () => {
    const [first, second, third] = Prompt.parse("a AND b:2 AND b", steps).parts
    assert.strictEqual(second?.schedule.source, " b")
    assert.strictEqual(third?.schedule, second?.schedule)
    assert.notStrictEqual(first?.schedule, second?.schedule)
  })
})

describe("Prompt.parseNegative", () => {
  it("reads tags and AND as words and knows no weight", () => {
    const { schedule, text } = Prompt.parseNegative("<lora:x:1> AND [a:b:5] 16:9 # c", steps)
    assert.strictEqual(text, "<lora:x:1> AND [a:b:5] 16:9 \n")
    assert.deepStrictEqual(schedule.texts, ["<lora:x:1> AND a 16:9 \n", "<lora:x:1> AND b 16:9 \n"])
  })
})

describe("Encoding", () => {
  const make = (text: string, options?: Encoding.EncodingOptions) =>
    Encoding.make(PromptSchedule.make(text, steps), ofModel, options)

  it.effect("holds each distinct text once, with how often the schedule has it, in equally many chunks", () =>
    Effect.gen(function*() {
      const { chunkCount, texts } = yield* make(`[w0|${words(80)}|w0]`)
      assert.strictEqual(chunkCount, 2)
      assert.deepStrictEqual(texts.map(({ repeats }) => repeats), [7, 3])
      assert.deepStrictEqual(texts.map(({ chunks }) => chunks.map(({ used }) => used)), [[1, 0], [75, 5]])
    }))

  it.effect("is reached by an entry's index", () =>
    Effect.gen(function*() {
      const schedule = PromptSchedule.make("[a|b|a]", steps)
      const { texts } = yield* Encoding.make(schedule, ofModel)
      assert.isTrue(schedule.entries.every(({ index, text }) => texts[index]?.text === text))
    }))

  it.effect("reads brackets as characters when emphasis is None", () =>
    Effect.gen(function*() {
      const weights = (emphasis: "None" | "Original") =>
        Effect.map(make("(w0:1.5)", { emphasis }), ({ texts }) => texts[0]?.chunks[0]?.weights[1])
      assert.strictEqual(yield* weights("Original"), 1.5)
      assert.strictEqual(yield* weights("None"), 1)
    }))

  it.effect("fills encodings up to one length", () =>
    Effect.gen(function*() {
      const aligned = Encoding.align([yield* make("w0"), yield* make(words(160))], vocabulary)
      assert.deepStrictEqual(aligned.map(({ chunkCount }) => chunkCount), [3, 3])
      assert.deepStrictEqual(aligned[0]?.texts[0]?.chunks.map(({ used }) => used), [1, 0, 0])
    }))
})

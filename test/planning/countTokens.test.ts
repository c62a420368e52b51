import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { countTokens } from "../../src/planning/countTokens.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestModel, TestRuntime } from "../../src/testing/index.ts"

const model = TestModel.make()
const [encoder] = model.textEncoders

/** Counts a request's tokens; for the arithmetic model a word is one. */
const counted = (input: Parameters<typeof Txt2Img.make>[0], options: TestRuntime.LayerOptions = {}) =>
  countTokens(Txt2Img.make(input)).pipe(Effect.scoped, Effect.provide(TestRuntime.layer({ model, ...options })))

const words = (count: number, first = "w") => Array.from({ length: count }, (_, i) => `${first}${i}`).join(" ")

describe("countTokens", () => {
  it.effect("counts each chunk, and those before the last as full", () =>
    Effect.gen(function*() {
      const { negativePrompt, prompt } = yield* counted({
        prompt: `${words(80)} BREAK a cat`,
        negative_prompt: "blurry"
      })
      assert.deepStrictEqual(prompt, { tokens: 152, capacity: 225, chunks: [75, 5, 2], dynamic: false })
      assert.deepStrictEqual(negativePrompt, { tokens: 1, capacity: 75, chunks: [1], dynamic: false })
      const nothing = yield* counted({})
      assert.deepStrictEqual(nothing.prompt, { tokens: 0, capacity: 75, chunks: [0], dynamic: false })
    }))

  it.effect("counts neither signs of attention nor tags nor comments, and styles with the prompt", () =>
    Effect.gen(function*() {
      const { negativePrompt, prompt } = yield* counted({
        prompt: "a ((red:1.2) cat) [dog] <lora:x:0.5> # sits\n",
        negative_prompt: "<lora:x:1>",
        styles: ["ink"]
      }, {
        styles: [{ name: "ink", prompt: "{prompt}, film noir", negativePrompt: "" }],
        opts: { enable_prompt_comments: true }
      })
      assert.strictEqual(prompt.tokens, 7)
      // Tags are words there.
      assert.strictEqual(negativePrompt.tokens, 1)
    }))

  it.effect("counts the longest of several texts, and one of those that a dynamic prompt becomes", () =>
    Effect.gen(function*() {
      const edited = yield* counted({ prompt: `[a b:${words(90)}:0.5] AND c` })
      assert.deepStrictEqual(edited.prompt.chunks, [75, 15])
      const dynamic = { prompt: "{a|__long__}", dynamic_prompts: true }
      const options = { wildcards: { long: "b c d" } }
      const drawn = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (seed) => counted({ ...dynamic, seed }, options))
      assert.deepStrictEqual([...new Set(drawn.map(({ prompt }) => prompt.tokens))].toSorted(), [1, 3])
      assert.isTrue(drawn.every(({ negativePrompt, prompt }) => prompt.dynamic && !negativePrompt.dynamic))
      const { prompt } = yield* counted({ ...dynamic, dynamic_prompts: false }, options)
      assert.deepStrictEqual([prompt.tokens, prompt.dynamic], [1, false])
      const wrong = yield* Effect.flip(counted({ ...dynamic, prompt: "{a|b" }, options))
      assert.deepInclude(wrong._tag === "InvalidProcessing" ? wrong.problems[0] : undefined, { path: "prompt" })
    }))

  it.effect("refuses what a run would refuse", () =>
    Effect.gen(function*() {
      const limits = Limits.make({ max_prompt_chunks: 2 })
      const error = yield* Effect.flip(counted({ negative_prompt: words(151) }, { cmdOpts: { limits } }))
      assert.strictEqual(error._tag === "InvalidProcessing" && error.problems[0]?.path, "negative_prompt")
    }))

  it.effect("counts what a run encodes", () =>
    Effect.gen(function*() {
      for (const prompt of ["a cat, a dog", `${words(70)}, ${words(20, "v")}`, "a BREAK (b:1.1), c BREAK d", ""]) {
        const encoded: Array<number> = []
        const recording = TestModel.make({
          textEncoders: [{
            ...encoder,
            encode: (ids, options) => {
              encoded.push(ids.filter((id) => id > 2).length)
              return encoder.encode(ids, options)
            }
          }]
        })
        const request = { prompt, steps: 1, cfg_scale: 1 }
        yield* Effect.provide(processImages(Txt2Img.make(request)), TestRuntime.layer({ model: recording }))
        assert.deepStrictEqual((yield* counted(request)).prompt.chunks, encoded)
      }
    }))
})

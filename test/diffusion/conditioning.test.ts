import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Limits } from "../../src/processing/Limits.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestModel, TestRuntime } from "../../src/testing/index.ts"
import * as recordingModel from "./recordingModel.ts"

type Input = Parameters<typeof Txt2Img.make>[0]

const run = (input: Input) => processImages(Txt2Img.make({ seed: 1, steps: 6, ...input }))

const pixels = (input: Input) => Effect.map(run(input), ({ images: [image] }) => image?.pixels)

const withRuntime = <A, E>(effect: Effect.Effect<A, E, TestRuntime.Services>) =>
  effect.pipe(Effect.provide(TestRuntime.layer()))

/** What the network was asked in a run. */
const askedIn = Effect.fnUntraced(function*(input: Input) {
  const { asked, model } = recordingModel.make()
  yield* run(input).pipe(Effect.provide(TestRuntime.layer({ model })))
  return asked
})

describe("a prompt's words", () => {
  it.effect("weigh what is written, and nothing else", () =>
    withRuntime(Effect.gen(function*() {
      const plain = yield* pixels({ prompt: "a cat" })
      assert.notDeepEqual(yield* pixels({ prompt: "a (cat:1.3)" }), plain)
      assert.notDeepEqual(yield* pixels({ prompt: "a [cat]" }), yield* pixels({ prompt: "a (cat)" }))
      assert.deepStrictEqual(yield* pixels({ prompt: "a (cat:1.0)" }), plain)
      const ignored = { override_settings: { emphasis: "Ignore" } } as const
      assert.deepStrictEqual(yield* pixels({ prompt: "a (cat:1.3)", ...ignored }), plain)
      const none = { override_settings: { emphasis: "None" } } as const
      assert.notDeepEqual(yield* pixels({ prompt: "a (cat:1.3)", ...none }), plain)
    })))

  it.effect("count however many they are", () =>
    withRuntime(Effect.gen(function*() {
      const words = Array.from({ length: 200 }, (_, i) => `word${i}`)
      const other = [...words.slice(0, -1), "different"]
      assert.notDeepEqual(yield* pixels({ prompt: words.join(" ") }), yield* pixels({ prompt: other.join(" ") }))
    })))

  it.effect("go to the network in portions of 77 tokens, which BREAK begins anew", () =>
    Effect.gen(function*() {
      const tokens = Effect.fnUntraced(function*(prompt: string) {
        const [first] = yield* askedIn({ prompt, cfg_scale: 1 })
        return first?.tokens
      })
      assert.strictEqual(yield* tokens("a cat"), 77)
      assert.strictEqual(yield* tokens("a BREAK cat"), 154)
      assert.strictEqual(yield* tokens(Array.from({ length: 151 }, () => "a").join(" ")), 231)
    }))

  it.effect("are refused before a network runs where they take more chunks than the limit", () =>
    Effect.gen(function*() {
      const plain = TestModel.make()
      const [encoder] = plain.textEncoders
      let calls = 0
      const encode: typeof encoder.encode = (...args) => Effect.suspend(() => (calls++, encoder.encode(...args)))
      const model = { ...plain, textEncoders: [{ ...encoder, encode }] as const }
      const limits = Limits.make({ max_prompt_chunks: 3 })
      const four = "[a|b|c|d]"
      const refused = Effect.fnUntraced(function*(input: Input) {
        const before = calls
        const error = yield* Effect.flip(
          run(input).pipe(Effect.provide(TestRuntime.layer({ model, cmdOpts: { limits } })))
        )
        return [error.message, calls - before]
      })
      const sentence = (field: string) =>
        `The request cannot be processed. Correct ${field}: 4 texts (prompt editing, AND) of up to 1 chunk take ` +
        "4 chunks of 77 tokens, over the limit of 3."
      assert.deepStrictEqual(yield* refused({ prompt: four }), [sentence("prompt"), 0])
      assert.deepStrictEqual(yield* refused({ prompt: "a AND b AND c AND d" }), [sentence("prompt"), 0])
      assert.deepStrictEqual(yield* refused({ negative_prompt: four }), [sentence("negative_prompt"), 0])
      const [hires] = yield* refused({ prompt: "a", enable_hr: true, hr_prompt: four })
      assert.deepStrictEqual(hires, sentence("hr_prompt"))
      assert.deepStrictEqual(yield* refused({ prompt: "a BREAK b BREAK c BREAK d" }), [
        "The request cannot be processed. Correct prompt: its text takes 4 chunks of 77 tokens, over the limit of 3.",
        0
      ])
    }))

  it.effect("are cut after the last comma only where a setting says so", () =>
    withRuntime(Effect.gen(function*() {
      const prompt = `${"a ".repeat(70)}, ${"b ".repeat(10)}`
      const never = { override_settings: { comma_padding_backtrack: 0 } }
      assert.notDeepEqual(yield* pixels({ prompt }), yield* pixels({ prompt, ...never }))
    })))

  it.effect("are read by an earlier layer with clip skip", () =>
    withRuntime(Effect.gen(function*() {
      const skipping = (CLIP_stop_at_last_layers: number) =>
        run({ prompt: "a cat", override_settings: { CLIP_stop_at_last_layers } })
      const [plain, skipped] = [yield* skipping(1), yield* skipping(2)]
      assert.notDeepEqual(skipped.images[0]?.pixels, plain.images[0]?.pixels)
      assert.include(skipped.images[0]?.infotext, "Clip skip: 2")
      assert.isEmpty(skipped.warnings)
    })))

  it.effect("are read by the last layer, with a warning, where there is no other", () =>
    Effect.gen(function*() {
      const plain = TestModel.make()
      const [encoder] = plain.textEncoders
      const model = { ...plain, textEncoders: [{ ...encoder, largestClipSkip: Effect.succeed(1) }] as const }
      const { images, state, warnings } = yield* run({
        prompt: "a cat",
        override_settings: { CLIP_stop_at_last_layers: 2 }
      }).pipe(Effect.provide(TestRuntime.layer({ model })))
      assert.lengthOf(warnings, 1)
      assert.include(warnings[0], "hidden states")
      // Neither claims what did not act.
      assert.notInclude(images[0]?.infotext, "Clip skip")
      assert.strictEqual(state.clipSkip, 1)
    }))
})

describe("a prompt that changes", () => {
  const textsOf = Effect.fnUntraced(function*(prompt: string, input: Input = {}) {
    const asked = yield* askedIn({ prompt, cfg_scale: 1, ...input })
    return recordingModel.numbered(asked.map(({ texts: [text = ""] }) => text))
  })

  it.effect("changes after the call that its number names", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* textsOf("[cat:dog:3]"), [0, 0, 0, 0, 1, 1])
      assert.deepStrictEqual(yield* textsOf("[cat:dog:0.5]"), [0, 0, 0, 0, 1, 1])
      assert.deepStrictEqual(yield* textsOf("[cat:dog:0]"), [0, 0, 0, 0, 0, 0])
    }))

  it.effect("takes turns", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* textsOf("[cat|dog]"), [0, 0, 1, 0, 1, 0])
    }))

  it.effect("counts both calls of a step of second order", () =>
    Effect.gen(function*() {
      const texts = yield* textsOf("[cat:dog:0.5]", { sampler_name: "Heun" })
      assert.deepStrictEqual(texts, [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    }))

  it.effect("counts shares as steps by an old setting", () =>
    Effect.gen(function*() {
      const old = { override_settings: { use_old_scheduling: true } }
      assert.deepStrictEqual(yield* textsOf("[cat:dog:2.0]", old), [0, 0, 0, 1, 1, 1])
    }))
})

describe("parts of a prompt", () => {
  it.effect("go to the network next to each other, and the negative prompt last", () =>
    Effect.gen(function*() {
      const [first] = yield* askedIn({ prompt: "cat AND dog:0.5 AND bird", batch_size: 2 })
      assert.deepStrictEqual(recordingModel.numbered(first?.texts ?? []), [0, 0, 1, 1, 2, 2, 3, 3])
    }))

  it.effect("lead by their weights", () =>
    withRuntime(Effect.gen(function*() {
      const alone = yield* pixels({ prompt: "cat" })
      assert.deepStrictEqual(yield* pixels({ prompt: "cat AND dog:0" }), alone)
      assert.notDeepEqual(yield* pixels({ prompt: "cat AND dog" }), alone)
      // Twice half a part is the part, but for the last bit of a few samples.
      const halves = yield* pixels({ prompt: "cat:0.5 AND cat:0.5" })
      for (const [i, value] of (halves ?? []).entries()) assert.closeTo(value, alone?.[i] ?? NaN, 1)
    })))

  it.effect("of other lengths are filled up, and a negative prompt of another length has calls of its own", () =>
    Effect.gen(function*() {
      const asked = yield* askedIn({ prompt: "cat AND dog BREAK bird", negative_prompt: "bad", steps: 2 })
      assert.deepStrictEqual(asked.map(({ batch, tokens }) => [batch, tokens]), [[2, 154], [1, 77], [2, 154], [1, 77]])
    }))
})

describe("a negative prompt", () => {
  it.effect("is not asked for without guidance", () =>
    Effect.gen(function*() {
      const rows = (cfg_scale: number) =>
        Effect.map(askedIn({ prompt: "cat", cfg_scale, steps: 2 }), (asked) => asked.map(({ batch }) => batch))
      assert.deepStrictEqual(yield* rows(7), [2, 2])
      assert.deepStrictEqual(yield* rows(1), [1, 1])
    }))

  it.effect("is left out of every second call below a noise level, and of the first or last calls", () =>
    Effect.gen(function*() {
      const rows = (override_settings: NonNullable<Input>["override_settings"] & object) =>
        Effect.map(askedIn({ prompt: "cat", override_settings }), (asked) => asked.map(({ batch }) => batch))
      assert.deepStrictEqual(yield* rows({ s_min_uncond: 100 }), [2, 1, 2, 1, 2, 1])
      assert.deepStrictEqual(yield* rows({ s_min_uncond: 100, s_min_uncond_all: true }), [1, 1, 1, 1, 1, 1])
      assert.deepStrictEqual(yield* rows({ s_min_uncond: 0.01 }), [2, 2, 2, 2, 2, 2])
      assert.deepStrictEqual(yield* rows({ skip_early_cond: 0.34 }), [1, 1, 1, 2, 2, 2])
      assert.deepStrictEqual(yield* rows({ skip_late_cond: 0.34 }), [2, 2, 2, 2, 1, 1])
    }))
})

describe("deep layers", () => {
  const reused = (input: Input) =>
    Effect.map(askedIn(input), (asked) => asked.map(({ reusesDeep }) => reusesDeep ? "-" : "X").join(""))
  const every = (deepcache_interval: number, deepcache_start = 0) => ({
    override_settings: { deepcache_interval, deepcache_start }
  })

  it.effect("are computed in one of as many calls as the interval says, and in all of them by default", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reused({ prompt: "cat" }), "XXXXXX")
      assert.strictEqual(yield* reused({ prompt: "cat", ...every(2) }), "X-X-X-")
      assert.strictEqual(yield* reused({ prompt: "cat", ...every(3) }), "X--X--")
      assert.strictEqual(yield* reused({ prompt: "cat", ...every(2, 0.5) }), "XXX-X-")
      assert.strictEqual(yield* reused({ prompt: "cat", ...every(3, 1) }), "XXXXXX")
      assert.strictEqual(yield* reused({ prompt: "cat", steps: 3, sampler_name: "Heun", ...every(3) }), "X--X-")
    }))

  it.effect("are computed anew for each batch, and where the prompt changes", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reused({ prompt: "cat", steps: 4, n_iter: 2, ...every(3) }), "X--XX--X")
      assert.strictEqual(yield* reused({ prompt: "[cat:dog:2]", ...every(5) }), "X--X--")
      const skipping = { override_settings: { ...every(5).override_settings, skip_early_cond: 0.34 } }
      assert.strictEqual(yield* reused({ prompt: "cat", ...skipping }), "X--X--")
    }))

  it.effect("are computed in all calls where latents are predicted in tiles", () =>
    Effect.gen(function*() {
      const override_settings = { ...every(3).override_settings, latent_tile_size: 64 }
      const asked = yield* reused({ prompt: "cat", width: 96, height: 64, steps: 2, override_settings })
      assert.match(asked, /^X+$/)
    }))
})

describe("comments, styles and extra networks", () => {
  it.effect("are no words of the prompt", () =>
    withRuntime(Effect.gen(function*() {
      const { images: [image] } = yield* run({ prompt: "a cat # and a dog" })
      assert.deepStrictEqual(image?.pixels, yield* pixels({ prompt: "a cat \n" }))
      assert.match(image?.infotext ?? "", /^a cat\nSteps/)
      const kept = yield* run({ prompt: "a cat # dog", override_settings: { enable_prompt_comments: false } })
      assert.match(kept.images[0]?.infotext ?? "", /^a cat # dog\nSteps/)
    })))

  it.effect("are merged by name, and unknown names told of", () =>
    Effect.gen(function*() {
      const { images: [image], warnings } = yield* run({ prompt: "a cat", styles: ["oil", "unknown"] })
      assert.match(image?.infotext ?? "", /^a cat, oil painting\nNegative prompt: photo\nSteps/)
      assert.deepStrictEqual(warnings, [`No style is named "unknown": it was left out.`])
    }).pipe(
      Effect.provide(
        TestRuntime.layer({ styles: [{ name: "oil", prompt: "oil painting", negativePrompt: "photo" }] })
      )
    ))

  it.effect("are left out with a warning where there is no such network, and stay in the infotext", () =>
    withRuntime(Effect.gen(function*() {
      const { images: [image], warnings } = yield* run({ prompt: "a cat <lora:fur:0.5> <hypernet:x>" })
      assert.match(image?.infotext ?? "", /^a cat <lora:fur:0.5> <hypernet:x>\nSteps/)
      assert.deepStrictEqual(warnings, [
        "Hypernetworks are not supported: `<hypernet:x>` was removed from the prompt.",
        "No LoRA is named fur: it was left out."
      ])
      assert.deepStrictEqual(image?.pixels, yield* pixels({ prompt: "a cat  " }))
    })))

  it.effect("are taken out without a word when the request says so, and with a warning when no one knows them", () =>
    withRuntime(Effect.gen(function*() {
      const plain = yield* pixels({ prompt: "a cat" })
      const without = yield* run({ prompt: "a cat<lora:fur:0.5>", disable_extra_networks: true })
      assert.deepStrictEqual(without.images[0]?.pixels, plain)
      assert.isEmpty(without.warnings)
      const unknown = yield* run({ prompt: "a cat<thing:x>" })
      assert.deepStrictEqual(unknown.images[0]?.pixels, plain)
      assert.lengthOf(unknown.warnings, 1)
    })))
})

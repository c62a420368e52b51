import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Infotext from "../../src/processing/Infotext.ts"
import { readInfotext } from "../../src/processing/InfotextRequest.ts"
import { Options } from "../../src/processing/Options.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"

type Input = Parameters<typeof Txt2Img.make>[0]

const wildcards = { "colour": "red\ngreen\nblue\n", "animals/dogs": "poodle\nterrier", "noise": "grain\nblur" }
const styles = [{ name: "scene", prompt: "{prompt} in {rain|snow}", negativePrompt: "" }]
const runtime = TestRuntime.layer({ wildcards, styles })

const request = {
  prompt: "a __colour__ {cat|__animals/*__} # mine",
  negative_prompt: "__noise__",
  dynamic_prompts: true,
  seed: 5,
  steps: 3
}

const run = (input: Input = {}) => processImages(Txt2Img.make({ ...request, ...input }))
const problems = (input: Input) => Effect.map(Effect.flip(run(input)), String)

describe("dynamic prompts", () => {
  it.effect("draw a text for each image from its seed, whatever its neighbours are", () =>
    Effect.gen(function*() {
      const many = yield* run({ n_iter: 12 })
      assert.isAbove(new Set(many.images.map(({ prompt }) => prompt)).size, 4)
      const negative = new Set(many.images.map(({ negativePrompt }) => negativePrompt))
      assert.deepStrictEqual(negative, new Set(["grain", "blur"]))
      for (const { prompt } of many.images) assert.match(prompt, /^a (red|green|blue) (cat|poodle|terrier)$/)
      const facts = (images: typeof many.images) =>
        images.map((
          { index, infotext, negativePrompt, pixels, prompt, seed }
        ) => [index, infotext.replace(/, Batch size: \d+/, ""), negativePrompt, pixels, prompt, seed])
      for (const [batch_size, n_iter] of [[12, 1], [4, 3], [3, 4]] as const) {
        const other = yield* run({ batch_size, n_iter })
        assert.deepStrictEqual(facts(other.images), facts(many.images))
        assert.isFalse(other.interrupted)
      }
      const [, , third] = many.images
      const { images: [alone] } = yield* run({ seed: 7 })
      assert.deepStrictEqual([alone?.prompt, alone?.bytes], [third?.prompt, third?.bytes])
    }).pipe(Effect.provide(runtime)))

  it.effect("sample together what drew the same text", () =>
    Effect.gen(function*() {
      const { state } = yield* run({ prompt: "a {cat|cat}", negative_prompt: "", batch_size: 4, n_iter: 2 })
      assert.deepStrictEqual(state.batches.map(({ length }) => length), [4, 4])
      assert.isUndefined(state.parts)
    }).pipe(Effect.provide(runtime)))

  it.effect("leave what was drawn, and the template, in the infotext; it makes the image again", () =>
    Effect.gen(function*() {
      const { images: [image], warnings } = yield* run()
      assert.deepStrictEqual(warnings, [])
      const { fields } = Infotext.parse(image?.infotext ?? "")
      assert.deepInclude(fields, {
        "Prompt": image?.prompt,
        "Negative prompt": image?.negativePrompt,
        "Template": "a __colour__ {cat|__animals/*__}",
        "Negative Template": "__noise__"
      })
      const opts = Options.patched(Options.defaults, { dynamic_prompts: true })
      const again = yield* readInfotext(image?.infotext ?? "", {}, { opts, swapModel: true })
      assert.deepStrictEqual(again.warnings, [])
      assert.deepInclude(again.request.override_settings, { dynamic_prompts: false })
      const { images: [remade] } = yield* processImages(again.request)
      assert.deepStrictEqual(remade?.pixels, image?.pixels)
    }).pipe(Effect.provide(runtime)))

  it.effect("are off unless a request or the setting asks for them", () =>
    Effect.gen(function*() {
      const plain = { prompt: "a {red|green} __colour__", negative_prompt: "", dynamic_prompts: undefined }
      const { images: [off] } = yield* run(plain)
      assert.strictEqual(off?.prompt, plain.prompt)
      assert.notInclude(off?.infotext, "Template")
      const override_settings = { dynamic_prompts: true }
      assert.notStrictEqual((yield* run({ ...plain, override_settings })).images[0]?.prompt, plain.prompt)
      const { images: [refused] } = yield* run({ ...plain, override_settings, dynamic_prompts: false })
      assert.deepStrictEqual(refused?.pixels, off?.pixels)
    }).pipe(Effect.provide(runtime)))

  it.effect("leave a prompt without their signs as it is", () =>
    Effect.gen(function*() {
      const plain = { prompt: "a (red:1.2) [cat|dog]", negative_prompt: "blur", batch_size: 2 }
      const [on, off] = [yield* run(plain), yield* run({ ...plain, dynamic_prompts: false })]
      assert.deepStrictEqual(on.images.map(({ bytes }) => bytes), off.images.map(({ bytes }) => bytes))
    }).pipe(Effect.provide(runtime)))

  it.effect("are drawn with their styles, and alike in both passes", () =>
    Effect.gen(function*() {
      const { images } = yield* run({
        prompt: "a {cat|dog}",
        styles: ["scene"],
        enable_hr: true,
        n_iter: 6,
        hr_negative_prompt: "{a|b}"
      })
      assert.isAbove(new Set(images.map(({ prompt }) => /(rain|snow)$/.exec(prompt)?.[1])).size, 1)
      for (const { infotext } of images) {
        assert.notInclude(infotext, "Hires prompt")
        assert.match(infotext, /Hires negative prompt: [ab],/)
      }
    }).pipe(Effect.provide(runtime)))

  it.effect("name what is wrong with its place", () =>
    Effect.gen(function*() {
      assert.include(yield* problems({ prompt: "a {cat" }), "Correct prompt: at character 3: this { is never closed")
      assert.include(
        yield* problems({ negative_prompt: "__nois__", prompt: "x", styles: [] }),
        "negative_prompt: at character 1: no wildcard is named __nois__ in the folder wildcards. Did you mean __noise__?"
      )
      assert.include(
        yield* problems({ enable_hr: true, hr_prompt: "}" }),
        "hr_prompt: at character 1: this } closes no brace"
      )
      assert.include(yield* problems({ prompt: "{a|b", styles: ["scene"] }), "prompt: with its styles, at character 1:")
    }).pipe(Effect.provide(runtime)))
})

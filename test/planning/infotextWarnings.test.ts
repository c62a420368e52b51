import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"

type Input = Parameters<typeof Txt2Img.make>[0]

const run = (input: Input) => processImages(Txt2Img.make({ prompt: "a cat", seed: 1, steps: 2, ...input }))

// The fields and settings that the infotext cannot hold.
const lost = (input: Input) =>
  Effect.map(
    run(input),
    ({ warnings }) =>
      warnings.flatMap((warning) => /^The infotext cannot hold ([\w, ]+):/.exec(warning)?.[1]?.split(", ") ?? [])
  )

describe("what an infotext cannot hold", () => {
  it.effect("is named in a warning", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Input, ReadonlyArray<string>]> = [
        [{}, []],
        [{ prompt: "a cat, (big:1.2)\n[sun:moon:0.5]", negative_prompt: "Steps: 3, Seed: 4, Size: 8x8" }, []],
        [{ prompt: "a cat\nNegative prompt: a dog" }, ["prompt", "negative_prompt"]],
        [{ prompt: "{\"prompt\": \"a cat\"}" }, ["prompt"]],
        [{ negative_prompt: "a dog\nNegative prompt: a bird" }, ["negative_prompt"]],
        [{ enable_hr: true, hr_prompt: "\"quoted\"" }, ["hr_prompt"]],
        [{ enable_hr: true, hr_negative_prompt: "32x32" }, ["hr_negative_prompt"]],
        [{ prompt: "a cat \uD800" }, ["prompt"]],
        [{ seed: -2, batch_size: 2 }, ["seed"]],
        [{ sampler_name: "DPM adaptive", batch_size: 2 }, ["batch_size"]],
        [{ sampler_name: "DPM adaptive", n_iter: 2 }, []],
        [
          {
            override_settings: {
              sd_model_checkpoint: "other",
              add_model_hash_to_info: false,
              add_model_name_to_info: false
            }
          },
          ["sd_model_checkpoint"]
        ],
        [{ override_settings: { sd_model_checkpoint: "other", add_model_hash_to_info: false } }, []]
      ]
      for (const [input, names] of cases) assert.deepStrictEqual(yield* lost(input), names, JSON.stringify(input))
    }).pipe(Effect.provide(TestRuntime.layer())))

  it.effect("is not the blanks around a prompt, which are trimmed", () =>
    Effect.gen(function*() {
      const { images: [image], warnings } = yield* run({
        prompt: "\n  a cat \t\n  big # one\n\n",
        negative_prompt: " a dog  ",
        enable_hr: true,
        hr_prompt: "  \n"
      })
      assert.deepStrictEqual(warnings, [])
      assert.strictEqual(image?.prompt, "a cat\nbig")
      assert.match(image?.infotext ?? "", /^a cat\nbig\nNegative prompt: a dog\nSteps: 2, /)
      assert.notInclude(image?.infotext, "Hires prompt")
    }).pipe(Effect.provide(TestRuntime.layer())))
})

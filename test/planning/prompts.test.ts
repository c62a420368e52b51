import { assert, describe, it } from "@effect/vitest"
import { planPrompts, type StyleFacts } from "../../src/planning/prompts.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Options } from "../../src/processing/Options.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"

const none: StyleFacts = { styles: [], problems: [] }

const planned = (
  input: Parameters<typeof Txt2Img.make>[0],
  styles: StyleFacts = none,
  limits = Limits.make({})
) =>
  planPrompts(Txt2Img.make(input), styles, Options.patched(Options.defaults, { enable_prompt_comments: true }), limits)

const ink = { name: "ink", prompt: "{prompt}, ink", negativePrompt: "colour" }

describe("prompts", () => {
  it("have styles merged in both passes", () => {
    const { first, hires, usesBrackets } = planned(
      { prompt: "a cat", negative_prompt: "a dog", styles: ["ink"], enable_hr: true, hr_prompt: "a (lion)" },
      { styles: [ink], problems: [] }
    )
    assert.deepStrictEqual(first, { prompt: "a cat, ink", negativePrompt: "a dog, colour" })
    assert.deepStrictEqual(hires, { prompt: "a (lion), ink", negativePrompt: "a dog, colour" })
    assert.isTrue(usesBrackets)
    assert.isFalse(planned({ prompt: "a cat" }).usesBrackets)
  })

  it("have comments cut", () => {
    assert.strictEqual(planned({ prompt: "a cat # mine" }).first.prompt.trimEnd(), "a cat")
  })

  it("warn of styles that do not exist, and of what is wrong with their file", () => {
    const { warnings } = planned({ styles: ["ink", "None"] }, { styles: [], problems: ["line 3 is broken"] })
    assert.deepStrictEqual(warnings, ["line 3 is broken", "No style is named \"ink\": it was left out."])
  })

  it("have the LoRAs of their tags read for each pass, and not those of negative prompts", () => {
    const { first, loras } = planned({
      prompt: "a <lora:x:0.5> cat <lyco:y:1:0.25>",
      negative_prompt: "<lora:z:1>",
      enable_hr: true,
      hr_prompt: "a <lora:x:te=0.1:unet=0.2:dyn=4>"
    })
    const lora = (name: string, textEncoderWeight: number, networkWeight: number, dynamicRank?: number) => ({
      name,
      textEncoderWeight,
      networkWeight,
      dynamicRank
    })
    assert.deepStrictEqual(loras.first, [lora("x", 0.5, 0.5), lora("y", 1, 0.25)])
    assert.deepStrictEqual(loras.hires, [lora("x", 0.1, 0.2, 4)])
    assert.strictEqual(first.prompt, "a <lora:x:0.5> cat <lyco:y:1:0.25>")
    const styled = planned({ prompt: "a cat", styles: ["ink"], enable_hr: true }, {
      styles: [{ ...ink, prompt: "{prompt} <lora:ink>" }],
      problems: []
    })
    assert.deepStrictEqual(styled.loras, { first: [lora("ink", 1, 1)], hires: [lora("ink", 1, 1)] })
  })

  it("have wrong tags refused and unknown ones warned of, once for both passes", () => {
    const { problems, warnings } = planned({ prompt: "<lora:x:a> <foo:1>", enable_hr: true })
    assert.deepStrictEqual(problems, [{
      path: "prompt",
      message: "<lora:x:a> cannot be used: \"a\" is not a number. Write it like <lora:name:0.8> or remove it"
    }])
    assert.deepStrictEqual(warnings, ["Unknown tag `<foo:1>` removed from the prompt."])
    const many = planned({ prompt: "<foo:1>".repeat(1000) }).warnings
    assert.deepStrictEqual([many.length, many.at(-1)], [21, "980 more unknown tags removed from the prompt."])
    const own = planned({ enable_hr: true, hr_prompt: "<lora:x:a> <hypernet:x:1>" })
    assert.deepStrictEqual(own.problems.map(({ path }) => path), ["hr_prompt"])
    assert.deepStrictEqual(own.warnings, [
      "Hypernetworks are not supported: `<hypernet:x:1>` was removed from the prompt."
    ])
    const disabled = planned({ prompt: "<lora:x:a> <lora:y:1> <foo:1>", disable_extra_networks: true })
    assert.deepStrictEqual(
      [disabled.problems, disabled.warnings, disabled.loras.first],
      [[], [], []]
    )
  })

  it("are within the limits with their styles, too", () => {
    const { problems } = planned(
      { prompt: "a cat", styles: ["ink"] },
      { styles: [ink], problems: [] },
      Limits.make({ max_prompt_bytes: 8 })
    )
    assert.deepStrictEqual(problems.map(({ path }) => path), ["styles"])
  })
})

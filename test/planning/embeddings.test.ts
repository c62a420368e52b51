import { assert, describe, it } from "@effect/vitest"
import { embeddingWarnings } from "../../src/planning/embeddings.ts"

const there = ["EasyNegative", "bad-hands-5", "art (v2)"]

const warned = (prompt: string, negativePrompt = "") =>
  embeddingWarnings([{ prompt, negativePrompt }, undefined], there)

describe("embeddings that do not load", () => {
  it.each<readonly [prompt: string, negative: string, names: string]>([
    ["a cat", "easynegative, blur", "EasyNegative in the prompts is"],
    ["a cat, (EasyNegative:1.2)", "", "EasyNegative in the prompts is"],
    ["[bad-hands-5|cat]", "EASYNEGATIVE", "EasyNegative, bad-hands-5 in the prompts are"],
    ["in the way of art (v2), a cat", "", "art (v2) in the prompts is"],
    ["a cat, embedding:EasyNegative", "", "EasyNegative in the prompts is"],
    ["a cat", "(embedding:missing.pt:1.1)", "missing.pt in the prompts is"]
  ])("are named in a warning where a prompt names them: %s / %s", (prompt, negative, names) => {
    assert.deepStrictEqual(warned(prompt, negative), [`Embeddings are not loaded: ${names} read as words.`])
  })

  it.each(["a cat", "uneasynegative", "easynegatives", "easynegative-2", "bad hands 5", "art", "embedding: "])(
    "are not seen in other words: %s",
    (prompt) => {
      assert.deepStrictEqual(warned(prompt), [])
    }
  )

  it("are named in the prompts of the second pass, too, and once", () => {
    const pass = { prompt: "easynegative", negativePrompt: "" }
    assert.lengthOf(embeddingWarnings([pass, pass], there), 1)
    assert.lengthOf(embeddingWarnings([{ prompt: "", negativePrompt: "" }, pass], there), 1)
  })
})

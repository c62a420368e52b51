import { assert, describe, it } from "@effect/vitest"
import { askedAt, writtenFor } from "../../src/studio/state/caret.ts"

/** What is asked for at the `‸` of a text, as the text before it, the query and the kind. */
const at = (marked: string, hasLoras = true) => {
  const caret = marked.indexOf("‸")
  const asked = askedAt(marked.replace("‸", ""), caret, hasLoras)
  return asked && [marked.slice(0, asked.from), asked.query, ...(asked.kind === undefined ? [] : [asked.kind])]
}

describe("the caret in a prompt", () => {
  it.each<readonly [text: string, asked: ReadonlyArray<string> | undefined]>([
    ["a cat, long ha‸", ["a cat, ", "long ha"]],
    ["a cat,\nlo‸", ["a cat,\n", "lo"]],
    ["(long ha‸:1.2)", ["(", "long ha"]],
    ["[a|lo‸]", ["[a|", "lo"]],
    ["a ^_‸", ["", "a ^_"]],
    // Too little, the end of a word, the middle of one.
    ["a‸", undefined],
    ["a cat ‸", undefined],
    ["a cat, ‸", undefined],
    ["a ca‸t", undefined],
    ["(cat:1.2‸", undefined],
    ["a <lora:‸", ["a ", "", "lora"]],
    ["a <lora:my st‸", ["a ", "my st", "lora"]],
    ["a <lyco:x‸, b", ["a ", "x", "lora"]],
    // Its weight, and what is no tag of LoRAs.
    ["a <lora:my style:0.‸", undefined],
    ["a <hyper‸", undefined],
    ["a <lora:x:1>, lo‸", ["a <lora:x:1>, ", "lo"]],
    ["__‸", ["", "", "wildcard"]],
    ["a __animals/d‸", ["a ", "animals/d", "wildcard"]],
    ["__a__ lo‸", ["", "__a__ lo"]],
    ["__a__, __b‸", ["__a__, ", "b", "wildcard"]]
  ])("asks at %s for %j", (text, asked) => {
    assert.deepStrictEqual(at(text), asked)
  })

  it("asks for no LoRA in a negative prompt", () => {
    assert.isUndefined(at("<lora:‸", false))
  })

  it("gets a comma after a word at the end of a line", () => {
    const tag = { kind: "tag", text: "long hair" } as const
    assert.deepStrictEqual(["", "\nmore", ", more", ")"].map((after) => writtenFor(tag, after)), [
      "long hair, ",
      "long hair, ",
      "long hair",
      "long hair"
    ])
    assert.strictEqual(writtenFor({ kind: "lora", text: "<lora:x:1>" }, ""), "<lora:x:1>")
  })
})

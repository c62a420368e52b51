import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { adjusted } from "../../src/studio/state/attention.ts"

/** A text whose selection stands between `⟨` and `⟩`; a lone `⟨` is the caret. */
const read = (marked: string) => {
  const from = marked.indexOf("⟨")
  const text = marked.replace("⟨", "").replace("⟩", "")
  const to = marked.replace("⟨", "").indexOf("⟩")
  return { text, from, to: to === -1 ? from : to }
}

const press = (marked: string, key: "up" | "down"): string | undefined => {
  const selection = read(marked)
  const edit = adjusted(selection, key === "up")
  if (edit === undefined) return undefined
  const { by, from, selected, to } = edit
  const text = selection.text.slice(0, from) + by + selection.text.slice(to)
  return `${text.slice(0, selected[0])}⟨${text.slice(...selected)}⟩${text.slice(selected[1])}`
}

describe("attention by keys", () => {
  it.each<readonly [before: string, key: "up" | "down", after: string | undefined]>([
    // The word at the caret, and the selection without the spaces at its ends.
    ["a red c⟨at on a mat", "up", "a red (⟨cat⟩:1.1) on a mat"],
    ["a ⟨red cat ⟩on a mat", "up", "a (⟨red cat⟩:1.1) on a mat"],
    ["a cat⟨", "down", "a (⟨cat⟩:0.9)"],
    // Once more, from anywhere within, and back to no weight.
    ["a (⟨cat⟩:1.1) on", "up", "a (⟨cat⟩:1.2) on"],
    ["a (cat:1.⟨3) on", "down", "a (⟨cat⟩:1.2) on"],
    ["a (⟨cat⟩:1.1) on", "down", "a ⟨cat⟩ on"],
    ["a (⟨cat⟩:0.9) on", "up", "a ⟨cat⟩ on"],
    // The innermost brackets; those without a weight stand for 1.1.
    ["(a (red ⟨cat:1.5):0.8)", "up", "(a (⟨red cat⟩:1.6):0.8)"],
    ["a (⟨cat)", "up", "a (⟨cat⟩:1.2)"],
    ["a (⟨cat)", "down", "a ⟨cat⟩"],
    // Brackets that are part of the text are none.
    ["a \\(c⟨at\\)", "up", "a \\((⟨cat⟩:1.1)\\)"],
    // Extra networks, by smaller steps.
    ["a <lora:x⟨y:0.8> cat", "up", "a ⟨<lora:xy:0.85>⟩ cat"],
    ["a <lora:x⟨y> cat", "down", "a ⟨<lora:xy:0.95>⟩ cat"],
    ["a ,⟨ b", "up", undefined],
    ["⟨", "up", undefined]
  ])("of %s, %s", (before, key, after) => {
    assert.strictEqual(press(before, key), after)
  })

  it.prop("goes up and down again to the same text", [
    Schema.Array(Schema.Literals(["a", "red", " ", ",", "cat"])),
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))
  ], ([parts, one, other]) => {
    const text = parts.join("")
    const [from = 0, to = 0] = [one, other].map((place) => Math.min(place, text.length)).toSorted((a, b) => a - b)
    const up = adjusted({ text, from, to }, true)
    if (up === undefined) return
    const changed = text.slice(0, up.from) + up.by + text.slice(up.to)
    const down = adjusted({ text: changed, from: up.selected[0], to: up.selected[1] }, false)
    assert.isDefined(down)
    if (down !== undefined) {
      assert.strictEqual(changed.slice(0, down.from) + down.by + changed.slice(down.to), text)
    }
  })
})

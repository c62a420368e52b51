import { assert, describe, it } from "@effect/vitest"
import * as Composition from "../../src/prompt/Composition.ts"
import { Fragments, join } from "./fixtures.ts"

describe("Composition.split", () => {
  it.each<readonly [string, ReadonlyArray<readonly [string, number]>]>([
    ["a", [["a", 1]]],
    ["a AND b", [["a", 1], [" b", 1]]],
    ["a :1.2 AND b :0.5", [["a", 1.2], [" b", 0.5]]],
    ["a AND b:-1", [["a", 1], [" b", -1]]],
    ["a : 1. AND b", [["a", 1], [" b", 1]]],
    ["a AND b AND c:.5", [["a", 1], [" b", 1], [" c", 0.5]]],
    ["a AND", [["a", 1], ["", 1]]],
    ["AND b", [["", 1], [" b", 1]]],
    ["aANDb", [["aANDb", 1]]],
    ["a and b", [["a and b", 1]]],
    ["a (b:1.2) AND c", [["a (b:1.2)", 1], [" c", 1]]],
    ["a AND b : c", [["a", 1], [" b : c", 1]]],
    ["a AND b :1e2", [["a", 1], [" b :1e2", 1]]],
    ["[a:b:3] AND c:0.5", [["[a:b:3]", 1], [" c", 0.5]]],
    ["a AND [b:c:5] AND [c:d:5]", [["a", 1], [" [b:c:5]", 1], [" [c:d:5]", 1]]],
    ["[a:b:5] AND [c:d:5]", [["[a:b:5]", 1], [" [c:d:5]", 1]]],
    ["at ratio 16:9", [["at ratio 16", 9]]],
    ["12:30 AND b", [["12", 30], [" b", 1]]],
    ["éAND b", [["éAND b", 1]]],
    ["猫AND b", [["猫AND b", 1]]],
    ["a_AND", [["a_AND", 1]]],
    ["a:+.5\n", [["a", 0.5]]],
    ["a:1:2", [["a:1", 2]]],
    [":1", [["", 1]]],
    ["", [["", 1]]]
  ])("%j", (prompt, parts) => {
    assert.deepStrictEqual(Composition.split(prompt), parts.map(([text, weight]) => ({ text, weight })))
  })

  it.prop("gives at least one part, and never more text", [Fragments], ([fragments]) => {
    const prompt = join(fragments)
    const parts = Composition.split(prompt)
    assert.isAtLeast(parts.length, 1)
    assert.isAtMost(parts.reduce((sum, { text }) => sum + text.length, 0), prompt.length)
    assert.isTrue(parts.every(({ text }) => prompt.includes(text)))
  })
})

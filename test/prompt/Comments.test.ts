import { assert, describe, it } from "@effect/vitest"
import * as Comments from "../../src/prompt/Comments.ts"
import { Fragments, join } from "./fixtures.ts"

describe("Comments.strip", () => {
  it.each([
    ["a # b", "a \n"],
    ["a\n# b\nc", "a\nc"],
    ["# b\nc", "\nc"],
    ["a # b # c\nd", "a \nd"],
    ["a \\# b", "a \\\n"],
    ["a\n# b\n# c\nd", "a\n\nd"],
    ["a\n#", "a\n"],
    ["no comment", "no comment"],
    ["", ""]
  ])("%j becomes %j", (text, expected) => {
    assert.strictEqual(Comments.strip(text), expected)
  })

  it.prop("leaves no comment, and nothing to do the second time", [Fragments], ([fragments]) => {
    const stripped = Comments.strip(join(fragments))
    assert.notInclude(stripped, "#")
    assert.strictEqual(Comments.strip(stripped), stripped)
  })
})

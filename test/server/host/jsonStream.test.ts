import { assert, describe, it } from "@effect/vitest"
import { gathered, listPieces } from "../../../src/server/host/jsonStream.ts"
import { isHeavier, pieces } from "../../../src/server/sdapi/PythonJson.ts"

const styles = Array.from({ length: 100_000 }, (_, i) => ({ name: `s${i}`, prompt: `text ${i}`, negative_prompt: "" }))

describe("a long list", () => {
  it("is sent in many parts, none of them large", () => {
    for (const made of [pieces(styles), listPieces(styles, (style) => style)]) {
      const parts = Array.from(gathered(made))
      assert.isAtLeast(parts.length, 80)
      assert.isBelow(Math.max(...parts.map(({ length }) => length)), 2 ** 17)
      assert.strictEqual(parts.join(""), JSON.stringify(styles))
    }
  })

  it("may be empty", () => {
    assert.deepStrictEqual(Array.from(gathered(listPieces([], String))), ["[]"])
    assert.deepStrictEqual(Array.from(gathered(listPieces([1], String))), ["[\"1\"]"])
  })
})

describe("a reply", () => {
  it("is heavy by its bytes, its characters, or its values", () => {
    const mega = 2 ** 20
    assert.isFalse(isHeavier({ images: ["a".repeat(mega / 2)], info: "" }, mega))
    assert.isTrue(isHeavier({ images: [new Uint8Array(mega)] }, mega))
    assert.isTrue(isHeavier(["a".repeat(mega / 2), "b".repeat(mega / 2)], mega))
    assert.isFalse(isHeavier(styles.slice(0, 1000), mega))
    assert.isTrue(isHeavier(styles, mega))
  })

  it("is weighed no further than it takes", () => {
    const unread = {
      get value(): never {
        throw new Error("was read")
      }
    }
    assert.isTrue(isHeavier([new Uint8Array(2), unread], 1))
  })
})

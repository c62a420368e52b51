import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Inversions from "../../src/prompt/Inversions.ts"

// One id for each character.
const idsOf = (text: string): ReadonlyArray<number> => Array.from(text, (character) => character.charCodeAt(0))
const encode = (texts: ReadonlyArray<string>) => Effect.succeed(texts.map(idsOf))

const foundIn = Effect.fnUntraced(function*(text: string, names: ReadonlyArray<string>) {
  const find = yield* Inversions.finder(names.map((name) => ({ name, vectors: 3 })), { encode })
  const ids = idsOf(text)
  return ids.flatMap((_, place) => {
    const found = find?.(ids, place)
    return found === undefined ? [] : [[place, found.name, found.tokens, found.vectors]]
  })
})

describe("Inversions.finder", () => {
  it.effect("finds names as ids wherever they begin", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* foundIn("ab-cd-ab", ["ab", "cd"]), [[0, "ab", 2, 3], [3, "cd", 2, 3], [
        6,
        "ab",
        2,
        3
      ]])
      assert.deepStrictEqual(yield* foundIn("a", ["ab", ""]), [])
      assert.isUndefined(yield* Inversions.finder([], { encode }))
    }))

  it.effect("prefers the longest name, and of equal ones the first", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* foundIn("abc", ["ab", "abc"]), [[0, "abc", 3, 3]])
      assert.deepStrictEqual(yield* foundIn("abd", ["ab", "abc"]), [[0, "ab", 2, 3]])
    }))

  it.effect("takes the mark of ComfyUI and the file's ending with the name", () =>
    Effect.gen(function*() {
      const [first] = yield* foundIn("embedding:ab", ["ab"])
      assert.deepStrictEqual(first, [0, "ab", 12, 3])
      assert.deepStrictEqual((yield* foundIn("embedding:ab.pt", ["ab"]))[0], [0, "ab", 15, 3])
    }))
})

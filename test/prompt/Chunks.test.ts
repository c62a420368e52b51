import { assert, describe, it } from "@effect/vitest"
import * as Attention from "../../src/prompt/Attention.ts"
import * as Chunks from "../../src/prompt/Chunks.ts"
import { Fragments, join, vocabulary, words } from "./fixtures.ts"
import * as whole from "./whole.ts"

const pack = (prompt: string, options?: Chunks.PackOptions) => whole.pack(whole.parse(prompt), vocabulary, options)
const used = (prompt: string, options?: Chunks.PackOptions) => pack(prompt, options).map(({ used }) => used)

describe("Chunks.pack", () => {
  it.each<readonly [name: string, prompt: string, used: ReadonlyArray<number>, backtrack: number]>([
    ["empty", "", [0], 20],
    ["75 words", words(75), [75], 20],
    ["76 words", words(76), [75, 1], 20],
    ["151 words", words(151), [75, 75, 1], 20],
    ["70 words, comma, 10 words", `${words(70)}, ${words(10)}`, [71, 10], 20],
    ["the same, backtrack 0", `${words(70)}, ${words(10)}`, [75, 6], 0],
    ["55 words, comma, 25 words", `${words(55)}, ${words(25)}`, [56, 25], 20],
    ["54 words, comma, 26 words", `${words(54)}, ${words(26)}`, [75, 6], 20],
    ["74 words, comma, 6 words", `${words(74)}, ${words(6)}`, [75, 6], 20],
    ["75 words, comma, 5 words", `${words(75)}, ${words(5)}`, [75, 6], 20],
    ["w0 w1 BREAK w2", "w0 w1 BREAK w2", [2, 1], 20],
    ["BREAK w0", "BREAK w0", [0, 1], 20],
    ["w0 BREAK", "w0 BREAK", [1], 20],
    ["w0 BREAK BREAK w1", "w0 BREAK BREAK w1", [1, 0, 1], 20]
  ])("%s", (_, prompt, expected, commaBacktrack) => {
    assert.deepStrictEqual(used(prompt, { commaBacktrack }), expected)
  })

  it("frames ids and weights to 77", () => {
    const [chunk] = pack("w0 (w1 w2:1.5), w3")
    assert.deepStrictEqual(chunk?.ids.slice(0, 8), [49_406, 1000, 1001, 1002, 267, 1003, 49_407, 49_407])
    assert.deepStrictEqual(chunk?.weights.slice(0, 8), [1, 1, 1.5, 1.5, 1, 1, 1, 1])
    assert.strictEqual(chunk?.ids.length, 77)
    assert.strictEqual(chunk?.weights.length, 77)
    assert.isTrue(chunk?.ids.slice(6).every((id) => id === 49_407))
  })

  it("pads after the first end token where the model has a padding of its own", () => {
    const [chunk] = whole.pack(whole.parse("w0"), { ...vocabulary, padding: 0 })
    assert.deepStrictEqual(chunk?.ids, [49_406, 1000, 49_407, ...Array.from({ length: 74 }, () => 0)])
    const [full] = whole.pack(whole.parse(words(75)), { ...vocabulary, padding: 0 })
    assert.strictEqual(full?.ids.at(-1), 49_407)
  })

  it("takes the ids that it is given", () => {
    const [chunk] = whole.pack([], { ...vocabulary, start: 814, end: 815, padding: 815 })
    assert.deepStrictEqual(chunk?.ids, [814, ...Array.from({ length: 76 }, () => 815)])
  })

  it("moves what follows the comma with its weights", () => {
    const chunks = pack(`${words(70)}, (w70 w71:1.4) ${words(8, 72)}`)
    assert.deepStrictEqual(chunks.map(({ used }) => used), [71, 10])
    assert.deepStrictEqual(chunks[0]?.weights.slice(70, 75), [1, 1, 1, 1, 1])
    assert.deepStrictEqual(chunks[1]?.ids.slice(0, 4), [49_406, 1070, 1071, 1072])
    assert.deepStrictEqual(chunks[1]?.weights.slice(0, 5), [1, 1.4, 1.4, 1, 1])
  })

  it("encodes piece by piece", () => {
    const seen: Array<string> = []
    const encode = (text: string) => {
      seen.push(text)
      return []
    }
    whole.pack(whole.parse("a (b) BREAK c"), { ...vocabulary, encode })
    assert.deepStrictEqual(seen, ["a ", "b", "", "c"])
  })

  it("puts a textual inversion in whole", () => {
    const findInversion: Chunks.FindInversion = (ids, place) =>
      ids[place] === 1900 ? { name: "style", tokens: 2, vectors: 4 } : undefined
    const chunks = pack(`${words(72)} (w900 w901:1.2) w3`, { findInversion })
    assert.deepStrictEqual(chunks.map(({ used }) => used), [72, 5])
    assert.deepStrictEqual(chunks[1]?.inversions, [
      { inversion: { name: "style", tokens: 2, vectors: 4 }, at: 1, vectors: 4 }
    ])
    assert.deepStrictEqual(chunks[1]?.ids.slice(0, 7), [49_406, 0, 0, 0, 0, 1003, 49_407])
    assert.deepStrictEqual(chunks[1]?.weights.slice(0, 7), [1, 1.2, 1.2, 1.2, 1.2, 1, 1])

    const moved = pack(`w900 w901 ${words(64)}, w900 w901 ${words(5)}`, { findInversion })
    assert.deepStrictEqual(moved.map(({ inversions, used }) => [used, inversions.map(({ at }) => at)]), [
      [69, [1]],
      [9, [1]]
    ])
  })

  it.prop("keeps every token in order, in chunks of at most 75", [Fragments], ([fragments]) => {
    const pieces = whole.parse(join(fragments).repeat(8))
    const chunks = whole.pack(pieces, vocabulary)
    assert.isAtLeast(chunks.length, 1)
    assert.isTrue(chunks.every(({ ids, used, weights }) => used <= 75 && ids.length === 77 && weights.length === 77))
    assert.deepStrictEqual(
      chunks.flatMap(({ ids, used }) => ids.slice(1, used + 1)),
      pieces.filter((piece) => !Attention.isBreak(piece)).flatMap(({ text }) => Array.from(vocabulary.encode(text)))
    )
  })
})

describe("Chunks.pad", () => {
  it("adds empty chunks up to a number, and never takes any", () => {
    const chunks = pack("w0")
    assert.deepStrictEqual(Chunks.pad(chunks, 3, vocabulary).map(({ used }) => used), [1, 0, 0])
    assert.deepStrictEqual(Chunks.pad(chunks, 2, vocabulary)[1], Chunks.empty(vocabulary))
    assert.strictEqual(Chunks.pad(chunks, 0, vocabulary), chunks)
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Attention from "../../src/prompt/Attention.ts"
import { Fragments, hostile, join } from "./fixtures.ts"
import { printAttention } from "./printAttention.ts"
import * as whole from "./whole.ts"

type Row = readonly [prompt: string, pieces: ReadonlyArray<readonly [string, number]>]

const rows: ReadonlyArray<Row> = [
  ["normal text", [["normal text", 1]]],
  ["an (important) word", [["an ", 1], ["important", 1.1], [" word", 1]]],
  ["(a:1.2)", [["a", 1.2]]],
  ["(a:1.2 )", [["a", 1.2]]],
  ["( a : 1.5 )", [[" a ", 1.5]]],
  ["((a))", [["a", 1.21]]],
  ["[[a]]", [["a", 0.826446]]],
  ["(a:-1)", [["a", -1]]],
  ["(a:+.5)", [["a", 0.5]]],
  ["[a:1.2]", [["a:1.2", 0.909091]]],
  ["(a:1.2", [["a:1.2", 1.1]]],
  ["(a:)", [["a:", 1.1]]],
  ["(a:b)", [["a:b", 1.1]]],
  ["(a:1.2):1.3", [["a", 1.2], [":1.3", 1]]],
  ["(0.5:1.2)", [["0.5", 1.2]]],
  ["(unbalanced", [["unbalanced", 1.1]]],
  ["unbalanced)", [["unbalanced)", 1]]],
  ["a [b", [["a ", 1], ["b", 0.909091]]],
  ["a ]b", [["a ]b", 1]]],
  ["\\(literal\\]", [["(literal]", 1]]],
  ["a \\\\ b", [["a \\ b", 1]]],
  ["a\\b", [["ab", 1]]],
  ["(unnecessary)(parens)", [["unnecessaryparens", 1.1]]],
  ["(a:1.3)(b:1.3)", [["ab", 1.3]]],
  ["([a]:2)", [["a", 1.818182]]],
  ["((a:1.5) b:1.2)", [["a", 1.8], [" b", 1.2]]],
  ["a (b (c) d) e", [["a ", 1], ["b ", 1.1], ["c", 1.21], [" d", 1.1], [" e", 1]]],
  ["a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", [
    ["a ", 1],
    ["house", 1.573],
    [" ", 1.1],
    ["on", 1],
    [" a ", 1.1],
    ["hill", 0.55],
    [", sun, ", 1.1],
    ["sky", 1.4641],
    [".", 1.1]
  ]],
  ["", [["", 1]]],
  ["()", [["", 1]]],
  ["[]", [["", 1]]],
  ["(:1.5)", [["", 1]]],
  ["a: b", [["a: b", 1]]],
  ["a BREAK b", [["a", 1], ["BREAK", -1], ["b", 1]]],
  ["a\nBREAK\nb", [["a", 1], ["BREAK", -1], ["b", 1]]],
  ["BREAK", [["", 1], ["BREAK", -1], ["", 1]]],
  ["aBREAK b", [["aBREAK b", 1]]],
  ["(a BREAK b:1.2)", [["a", 1.2], ["BREAK", -1.2], ["b", 1.2]]],
  ["(a:1.2.3)", [["a:1.2.3", 1.1]]],
  ["(a:.)", [["a:.", 1.1]]],
  ["(a[b)c]d", [["a", 1.1], ["b", 1], ["c", 0.909091], ["d", 1]]],
  ["a\\", [["a", 1]]]
]

describe("Attention.parse", () => {
  it.each(rows)("%j", (prompt, pieces) => {
    const found = whole.parse(prompt)
    assert.deepStrictEqual(found.map(({ text }) => text), pieces.map(([text]) => text))
    for (const [i, [, weight]] of pieces.entries()) assert.closeTo(found[i]?.weight ?? NaN, weight, 5e-7)
  })

  it("knows a break from a word of that name", () => {
    const breaks = (prompt: string) => whole.parse(prompt).filter(Attention.isBreak).length
    assert.strictEqual(breaks("a BREAK b BREAK c"), 2)
    assert.strictEqual(breaks("(a BREAK b:1.2)"), 0)
    assert.strictEqual(breaks("aBREAK b"), 0)
  })

  it("reads brackets as characters when emphasis is None, and as usual when it is Ignore", () => {
    const prompt = "a (b:1.2) \\(c\\) BREAK [d]"
    assert.deepStrictEqual(whole.parse(prompt, "None"), [{ text: prompt, weight: 1 }])
    assert.deepStrictEqual(whole.parse(prompt, "Ignore"), whole.parse(prompt, "Original"))
    assert.deepStrictEqual(whole.parse(prompt, "No norm"), whole.parse(prompt, "Original"))
  })

  it("counts 256 brackets around a piece, from the inside out", () => {
    const nested = (depth: number) => whole.parse("(".repeat(depth) + "a" + ")".repeat(depth))[0]?.weight ?? NaN
    assert.closeTo(nested(256) / 1.1 ** 256, 1, 1e-9)
    assert.strictEqual(nested(1000), nested(256))
  })

  it.prop("gives pieces without equal neighbours", [Fragments], ([fragments]) => {
    const pieces = whole.parse(join(fragments))
    assert.isAtLeast(pieces.length, 1)
    assert.isTrue(pieces.every(({ weight }, i) => weight !== pieces[i + 1]?.weight))
  })

  it.prop("reads any string", [Schema.String], ([text]) => {
    assert.isAtLeast(whole.parse(text).length, 1)
  })
})

const assertRoundTrip = (pieces: ReadonlyArray<Attention.Piece>) => {
  const printed = printAttention(pieces)
  assert.deepStrictEqual(whole.parse(printed), pieces, printed.slice(0, 200))
}

describe("printed attention", () => {
  it.each(rows)("writes what %j means", (prompt) => assertRoundTrip(whole.parse(prompt)))

  it("writes as people do", () => {
    const again = (prompt: string) => printAttention(whole.parse(prompt))
    assert.strictEqual(
      again("a ((cat:1.5)) BREAK [b] \\(c\\)"),
      "a (cat:1.6500000000000001) BREAK (b:0.9090909090909091) \\(c\\)"
    )
    assert.strictEqual(again("a BREAK b\nBREAK\n"), "a BREAK b BREAK")
    assert.strictEqual(again(""), "")
  })

  it.prop("is undone by parse, for what parse gave", [Fragments], ([fragments]) => {
    assertRoundTrip(whole.parse(join(fragments)))
  }, { arbitrary: { runs: 2000 } })

  it.prop(
    "is undone by parse, for pieces of any text and weight",
    [Schema.Array(Schema.Struct({ text: Schema.Union([Schema.String, Fragments]), weight: Schema.Finite }))],
    ([pieces]) => {
      assertRoundTrip(
        whole.merge(
          pieces.map(({ text, weight }) => ({ text: typeof text === "string" ? text : join(text), weight }))
        )
      )
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "is undone by parse, with breaks anywhere",
    [Schema.Array(Schema.Struct({
      text: Schema.Literals(["", "BREAK", " ", "a", "a ", " b", "\\", "BREAKx", "x BREAK y", "😀BREAK"]),
      weight: Schema.Literals([1, -1, 1.5, 0])
    }))],
    ([pieces]) => assertRoundTrip(whole.merge(pieces)),
    { arbitrary: { runs: 1000 } }
  )

  it("writes every number", () => {
    for (const weight of [Infinity, -Infinity, NaN, -0, 1e-7, 5e-324, 1.7976931348623157e308, 1e21, -123.456]) {
      assertRoundTrip([{ text: "a", weight }, { text: "", weight: 2 }, { text: "b", weight: 1 }])
    }
  })

  it("writes long texts", () => {
    for (const [, text] of hostile(20_000)) assertRoundTrip(whole.parse(text))
  })
})

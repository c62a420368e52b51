import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as DynamicPrompt from "../../src/prompt/DynamicPrompt.ts"
import { hostile } from "./fixtures.ts"

const options = (lines: ReadonlyArray<string>) => lines.map((line) => Result.getOrThrow(DynamicPrompt.parseLine(line)))

// Wildcards by their names.
const lookupIn = (wildcards: Readonly<Record<string, ReadonlyArray<string>>>): DynamicPrompt.Lookup => (pattern) => {
  const lines = wildcards[pattern]
  return lines === undefined
    ? Result.fail(`no wildcard is named __${pattern}__`)
    : Result.succeed({ lines: options(lines), problems: [] })
}

const wildcards = {
  "colour": ["red", "green", "blue"],
  "animals/dogs": ["poodle", "{small|large} terrier"],
  "pets": ["__animals/dogs__", "cat"],
  "weighted": ["1000::often", "0::never", "rarely"],
  "for ever": ["a __for ever__"],
  "doubling": ["__doubling____doubling__"]
}
const lookup = lookupIn(wildcards)

const drawn = (text: string, seed: number | bigint = 1, longest = 10_000) =>
  Result.flatMap(
    DynamicPrompt.parse(text),
    (template) => DynamicPrompt.expand(template, { seed, stream: "prompt", lookup, longest })
  )
const expand = (text: string, seed: number | bigint = 1) => Result.getOrThrow(drawn(text, seed))
const seeds = Array.from({ length: 200 }, (_, seed) => seed)
const all = (text: string) => new Set(seeds.map((seed) => expand(text, seed)))
const problem = (text: string) => {
  const result = drawn(text)
  return Result.isFailure(result) ? result.failure.message : "none"
}

describe("a dynamic prompt", () => {
  it.each<readonly [text: string, expected: ReadonlyArray<string>]>([
    ["a {red|green} cat", ["a red cat", "a green cat"]],
    ["a{ small|} cat", ["a small cat", "a cat"]],
    ["{a|{b|c}}", ["a", "b", "c"]],
    ["{2$$a|b|c}", ["a, b", "b, a", "a, c", "c, a", "b, c", "c, b"]],
    ["{2$$ and $$a|b}", ["a and b", "b and a"]],
    ["{1-2$$ | $$a|b}", ["a", "b", "a | b", "b | a"]],
    ["{-1$$a|b}", ["a", "b"]],
    ["{2-$$+$$ a | b }", ["a+b", "b+a"]],
    ["{0-1$$a|b}", ["", "a", "b"]],
    ["{9$$a|b}", ["a, b", "b, a"]],
    ["{0::a|b}", ["b"]],
    ["{~a}", ["a"]],
    ["__colour__ cat", ["red cat", "green cat", "blue cat"]],
    ["__animals/dogs__", ["poodle", "small terrier", "large terrier"]],
    ["__pets__", ["poodle", "small terrier", "large terrier", "cat"]],
    [
      "{3$$/$$__colour__}",
      ["red", "green", "blue"].flatMap((a, i, all) => {
        const [b, c] = all.filter((_, j) => j !== i)
        return [`${a}/${b}/${c}`, `${a}/${c}/${b}`]
      })
    ],
    ["{__colour__|grey}", ["red", "green", "blue", "grey"]],
    ["__~colour__", ["red", "green", "blue"]],
    [String.raw`\{a\|b\} \__c__`, ["{a|b} __c__"]],
    ["a|b ______ c __ d", ["a|b ______ c __ d"]],
    ["(a:1.2) [b:c:0.5] [d|e] <lora:x:1>", ["(a:1.2) [b:c:0.5] [d|e] <lora:x:1>"]]
  ])("%s becomes each of its texts", (text, expected) => {
    assert.deepStrictEqual([...all(text)].toSorted(), expected.toSorted())
  })

  it("takes options and lines as often as their weights say", () => {
    const count = (text: string, wanted: string) =>
      Array.from({ length: 3000 }, (_, seed) => expand(text, seed)).filter((text) => text === wanted).length
    assert.closeTo(count("{3::a|b}", "a") / 3000, 0.75, 0.05)
    assert.closeTo(count("{0.5::a|0.5::b|1::c}", "c") / 3000, 0.5, 0.05)
    assert.isAtLeast(count("__weighted__", "often"), 2900)
    assert.strictEqual(count("__weighted__", "never"), 0)
  })

  it("draws two wildcards independently, and two streams of one seed", () => {
    assert.strictEqual(all("__colour__ __colour__").size, 9)
    const template = Result.getOrThrow(DynamicPrompt.parse("__colour__"))
    const of = (stream: string) =>
      seeds.map((seed) => Result.getOrThrow(DynamicPrompt.expand(template, { seed, stream, lookup, longest: 100 })))
    const same = of("prompt").filter((text, i) => text === of("negative_prompt")[i]).length
    assert.closeTo(same / seeds.length, 1 / 3, 0.15)
  })

  it("draws the same text of a seed on every machine and in every release", () => {
    const text = "{a|b|c|d|e|f|g|h} __colour__ {2$$x|y|z}"
    assert.deepStrictEqual([0, 1, -1, 2n ** 64n - 1n, 12345].map((seed) => expand(text, seed)), [
      "e blue y, z",
      "a blue y, x",
      // -1 and the largest seed have the same 64 bits.
      "h green z, x",
      "h green z, x",
      "h red y, x"
    ])
  })

  it.each<readonly [text: string, message: string]>([
    ["a {b|c", "at character 3: this { is never closed. Add a }, or write \\{ for the sign itself"],
    ["a {b|{c}", "at character 3: this { is never closed. Add a }, or write \\{ for the sign itself"],
    ["a b} c", "at character 4: this } closes no brace. Remove it, or write \\} for the sign itself"],
    ["a __cats__", "at character 3: no wildcard is named __cats__"],
    ["{0::a|0::b}", "at character 1: all options have the weight 0. Give one of them more"],
    ["{3-1$$a|b}", "at character 1: the range 3-1 ends before it begins"],
    ["a ${x=b}", "at character 3: variables (${…}) are not supported. Write the text itself, or a wildcard"],
    [
      "__@colour__",
      "at character 1: __@colour__ asks for its lines in turn, which is not supported. " +
      "Remove the @ to draw one"
    ],
    ["{@a|b}", "at character 1: {@…} asks for its options in turn, which is not supported. Remove the @ to draw one"],
    [
      "x __../secret__",
      "at character 3: __../secret__ leads out of the folder of wildcards. " +
      "Name a file in it, like __animals/dogs__"
    ],
    ["__a for ever__ __for ever__", "at character 1: no wildcard is named __a for ever__"],
    [
      "x __for ever__",
      "at character 3: wildcards name one another more than 32 deep: " +
      "__for ever__ → __for ever__ → __for ever__"
    ],
    [
      "x __doubling__",
      "at character 3: wildcards name one another more than 32 deep: " +
      "__doubling__ → __doubling__ → __doubling__"
    ]
  ])("%s has its problem named with its place", (text, message) => {
    assert.strictEqual(problem(text), message)
  })

  it.each(["/etc/x", "a/../../b", "a\\b", "./a", "C:/x/../y"])("does not look for __%s__", (name) => {
    assert.match(problem(`__${name}__`), /leads out of the folder of wildcards/)
  })

  it("has all wildcards checked, also those that only lines name, whatever is drawn", () => {
    const of = (text: string, lines: Readonly<Record<string, ReadonlyArray<string>>>) =>
      DynamicPrompt.problemsOf(Result.getOrThrow(DynamicPrompt.parse(text)), lookupIn(lines)).map(String)
    assert.deepStrictEqual(of("{a|b|__x__} __colour__", { colour: ["1::__y__", "0::__z__"], y: ["__colour__"] }), [
      "InvalidTemplate: at character 6: no wildcard is named __x__",
      "InvalidTemplate: at character 13: no wildcard is named __z__"
    ])
  })

  it("is no longer than its limit", () => {
    const result = drawn("{3$$__colour__}", 1, 10)
    assert.isTrue(Result.isFailure(result))
    assert.strictEqual(Result.getOrThrow(drawn("{3$$__colour__}", 1, 16)).length, 16)
  })

  const Fragments = Schema.Array(
    Schema.Literals([
      ..."ab{}|$\\_ \n:é".split(""),
      "{a|b}",
      "{2$$a|b|c}",
      "{2::a|",
      "__colour__",
      "__pets__",
      "__",
      "$$",
      "1-3$$",
      "\\{",
      "\ud83d"
    ])
  ).check(Schema.isMaxLength(30))

  it.prop("is read and drawn without a crash, the same text of the same seed", [Fragments, Schema.Int], (
    [fragments, seed]
  ) => {
    const text = fragments.join("")
    const [one, other] = [drawn(text, seed), drawn(text, seed)]
    assert.deepStrictEqual(one, other)
    if (Result.isFailure(one)) {
      assert.isAtLeast(one.failure.at, 0)
      assert.isAtMost(one.failure.at, text.length)
    }
  })

  it.prop("without its signs is drawn as it is", [Schema.String, Schema.Int], ([text, seed]) => {
    const plain = text.replaceAll(/[{}\\]|__/g, "")
    if (!DynamicPrompt.isDynamic(plain)) assert.strictEqual(expand(plain, seed), plain)
  })

  it.prop("escaped, is the text itself", [Schema.Array(Schema.Literals([..."ab{}| "]))], ([signs]) => {
    const text = signs.join("")
    assert.strictEqual(expand(text.replaceAll(/[{}|]/g, "\\$&")), text)
  })

  it.each(hostile(100_000))("takes time in proportion to its length: %s", (_, text) => {
    const braces = text.replaceAll("(", "{").replaceAll(")", "}")
    for (const each of [text, braces, text.replaceAll("[", "__")]) assert.isDefined(drawn(each))
  })
})

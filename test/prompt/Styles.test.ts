import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Styles from "../../src/prompt/Styles.ts"
import * as whole from "./whole.ts"

describe("Styles.merge", () => {
  it.each([
    ["style words", "a cat", "a cat, style words"],
    ["a {prompt} of wonder", "a cat", "a a cat of wonder"],
    ["{prompt} and {prompt}", "c", "c and c"],
    ["style", "", "style"],
    ["", "a cat", "a cat"],
    [" style ", " a cat ", "a cat, style"],
    ["{prompt}!", " a cat ", " a cat !"],
    ["<{prompt}>", "$& $1 {prompt}", "<$& $1 {prompt}>"]
  ])("%j takes %j to %j", (style, prompt, expected) => {
    assert.strictEqual(Styles.merge(style, prompt), expected)
  })
})

describe("Styles.apply", () => {
  const styles: ReadonlyArray<Styles.PromptStyle> = [
    { name: "one", prompt: "first", negativePrompt: "bad" },
    { name: "two", prompt: "big {prompt}", negativePrompt: "" },
    { name: "double", prompt: "{prompt}{prompt}", negativePrompt: "" }
  ]
  const pair = { prompt: "cat", negativePrompt: "dog" }

  it("merges in the order of the names and passes over unknown ones", () => {
    assert.deepStrictEqual(
      Result.getOrThrow(Styles.apply(styles, ["one", "nobody", "two"], pair)),
      { prompt: "big cat, first", negativePrompt: "dog, bad" }
    )
    assert.deepStrictEqual(
      Result.getOrThrow(Styles.apply(styles, ["two", "one"], pair)),
      { prompt: "big cat, first", negativePrompt: "dog, bad" }
    )
  })

  it("refuses styles that multiply the prompt without end", () => {
    const result = Styles.apply(styles, Array.from({ length: 64 }, () => "double"), pair)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) {
      assert.strictEqual(result.failure._tag, "StyledPromptTooLong")
      assert.match(result.failure.message, /"double".*at most 1000000/)
    }
  })
})

describe("Styles.parse", () => {
  const style = (name: string, prompt: string, negativePrompt = ""): Styles.PromptStyle => ({
    name,
    prompt,
    negativePrompt
  })

  it("reads columns in any order, a byte order mark, and both kinds of line ends", () => {
    const csv = "\ufeffname,prompt,negative_prompt\r\na,one,bad\r\n\r\nb,two,\nc,three"
    assert.deepStrictEqual(whole.parseStyles(csv), {
      styles: [style("a", "one", "bad"), style("b", "two"), style("c", "three")],
      problems: []
    })
    assert.deepStrictEqual(whole.parseStyles("negative_prompt,name,prompt\nbad,a,one\n").styles, [
      style("a", "one", "bad")
    ])
  })

  it("reads quoted fields with commas, quotes and lines in them", () => {
    const csv = "name,prompt,negative_prompt\nA, \"a, \"\"b\"\"\r\nc\",\"x\"\nB,\"\",b \"quoted\"\n"
    assert.deepStrictEqual(whole.parseStyles(csv), {
      styles: [style("A", "a, \"b\"\r\nc", "x"), style("B", "", "b \"quoted\"")],
      problems: []
    })
  })

  it("reads old files and leaves comments out", () => {
    assert.deepStrictEqual(whole.parseStyles("name,text\n# note,x\na,one\n"), {
      styles: [style("a", "one")],
      problems: []
    })
  })

  it("tells bad rows by their line and goes on", () => {
    const csv =
      "name,prompt,negative_prompt\na,\"one\ntwo\",\n,nameless\nb\nc,one, two, three\nd,four\na,again\ne,\"open\nf,x"
    const { problems, styles } = whole.parseStyles(csv)
    assert.deepStrictEqual(styles, [style("d", "four"), style("a", "again")])
    assert.deepStrictEqual(problems, [
      { line: 4, message: "the style has no name" },
      { line: 5, message: "the style \"b\" has no prompt" },
      { line: 6, message: "there are 4 fields for 3 columns; a text with commas must be quoted" },
      { line: 8, message: "the style \"a\" is defined more than once; this one is used" },
      { line: 9, message: "a quoted field is not closed" }
    ])
  })

  it("leaves out a text that is longer than a prompt may be", () => {
    const long = `"${"a\n".repeat(600_000)}"`
    assert.deepStrictEqual(whole.parseStyles(`name,prompt\na,${long}\nb,two\nc,${"c".repeat(1_000_001)}`), {
      styles: [style("b", "two")],
      problems: [
        { line: 2, message: "a text has 1200000 characters; at most 1000000 are read" },
        { line: 600_004, message: "a text has 1000001 characters; at most 1000000 are read" }
      ]
    })
  })

  it("tells when a needed column is missing", () => {
    assert.deepStrictEqual(whole.parseStyles("title,prompt\na,b").problems, [
      { line: 1, message: "the columns are title, prompt; name and prompt are required" }
    ])
    assert.deepStrictEqual(whole.parseStyles(""), { styles: [], problems: [] })
  })

  it.each([
    ["rows", Array.from({ length: 10_000 }, (_, i) => `s${i},text ${i}\n`).join("")],
    ["empty rows", "\n".repeat(20_000)],
    ["fields", ",".repeat(20_000)],
    ["doubled quotes", `a,"${"\"".repeat(40_000)}"`],
    ["lines of a text", `a,"${"\n".repeat(20_000)}"`]
  ])("pauses while it reads many %s", (_, rows) => {
    let pauses = 0
    for (const _ of Styles.parsing("name,prompt\n" + rows)) pauses++
    assert.isAtLeast(pauses, 70)
  })

  it.prop("gives back any style that was quoted", [Schema.String, Schema.String], ([prompt, negativePrompt]) => {
    const quote = (text: string) => `"${text.replaceAll("\"", "\"\"")}"`
    const csv = `name,prompt,negative_prompt\nx,${quote(prompt)},${quote(negativePrompt)}\n`
    assert.deepStrictEqual(whole.parseStyles(csv), { styles: [style("x", prompt, negativePrompt)], problems: [] })
  })
})

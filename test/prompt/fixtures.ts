/** Inputs that tests of the prompt language share. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Vocabulary, Words } from "../../src/prompt/Chunks.ts"

/** Fragments of the language, to be joined into prompts that are often nearly right. */
export const Fragments = Schema.Array(
  Schema.Literals([
    ..."ab()[]:|\\ \n#<>,é猫".split(""),
    "[a:b:3]",
    "[c:0.5]",
    "[a|b]",
    "[:",
    "(x:1.2)",
    ":1.3)",
    ": .5 )",
    ":-1)",
    ":2]",
    "1.2.3",
    " AND ",
    ":0.5",
    "BREAK",
    " BREAK ",
    "<lora:x:1>",
    "# no",
    "\\(",
    "\\:",
    "\u001c",
    "\ufeff",
    "\ud83d",
    "😀"
  ])
).check(Schema.isMaxLength(40))

export const join = (fragments: ReadonlyArray<string>): string => fragments.join("")

/** Texts of about `size` characters that are made to hurt a parser. */
export const hostile = (size: number): ReadonlyArray<readonly [name: string, text: string]> => {
  const unit = (text: string) => text.repeat(Math.ceil(size / text.length))
  const nested = (open: string, close: string) => {
    const depth = Math.ceil(size / (open.length + close.length))
    return open.repeat(depth) + close.repeat(depth)
  }
  return [
    ...["(", ")", "[", "]", ":", "|", "\\", "\\(", "#", "<", "<a:", "<a:>", "<lora:x:1>", ",", " ", "\n", "\n#"].map(
      unit
    ),
    ...["BREAK", " BREAK", "AND", " AND ", " : ", ": 1", "1", ":1)", "[a:b:3]", "[a|b]", "[a|", "[a:", "[a:   ", "[:1"]
      .map(unit),
    ...["(a:1.1", "(a", "[a", "([", ")(", "][", "[)", "(]", "(a)b", "[[a:b:3]", "a {prompt}", "\"", "a,\"b"].map(unit),
    nested("(", ")"),
    nested("(a", ")"),
    nested("([a", "])"),
    nested("(a", ":1.1)"),
    nested("([", ")]"),
    nested("[a:", ":3]"),
    nested("[a:", "b:3]"),
    nested("[a|", "]"),
    nested("[a|b:", "]"),
    nested("(a:", ")"),
    `${" ".repeat(size)}BREA`,
    `:${" ".repeat(size)}1x`
  ].map((text) => [`${JSON.stringify(text.slice(0, 12))}… ${text.length}`, text])
}

const start = 49_406
const end = 49_407

/** A tokenizer of one id a word: 267 for a comma, 1000 + n for `w<n>`, 1 for any other. */
export const vocabulary: Words = {
  encode: (text) =>
    (text.match(/,|[^\s,]+/g) ?? []).map((word) =>
      word === "," ? 267 : 1000 + Number(/^w(\d+)$/.exec(word)?.[1] ?? -999)
    ),
  comma: 267,
  start,
  end,
  padding: end
}

/** The same, as a model has it. */
export const ofModel: Vocabulary = {
  ...vocabulary,
  encode: (texts) => Effect.succeed(texts.map((text) => vocabulary.encode(text)))
}

/** `w0 w1 w2 ...` */
export const words = (count: number, from = 0): string =>
  Array.from({ length: count }, (_, i) => `w${from + i}`).join(" ")

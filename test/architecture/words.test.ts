import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

const filesIn = (folder: string, ending: RegExp): ReadonlyArray<string> =>
  readdirSync(`${root}/${folder}`, { recursive: true, encoding: "utf8" })
    .filter((file) => ending.test(file))
    .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)

/** Words that the glossary has better ones for, also as parts of names in camel case. */
const banned = /\b(?:beside|told|tells?|telling|whoever|nobody|somebody|everybody|pictures?)\b|[a-z](?:Beside|Picture)/i

// The webui's names of the inpaint area, and the folder of a user.
const allowed = [/Whole picture/g, /\/pictures\//g]

const unwanted = (text: string): string | undefined =>
  banned.exec(allowed.reduce((rest, each) => rest.replace(each, ""), text))?.[0]

const inLines = (file: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.flatMap((line, i) => {
    const word = unwanted(line)
    return word === undefined ? [] : [`${file}:${i + 1}: ${word}`]
  })

const linesOf = (file: string) => readFileSync(`${root}/${file}`, "utf8").split("\n")

/** What a line says of a test, with the first argument of `it` or `describe`. */
const titleIn = (line: string): string =>
  /^\s*(?:it|describe|test)[\w.]*\("((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replace(/\b(?:told|tells?)\b/g, "") ?? ""

describe("the words of the glossary", () => {
  it("are those of the sources: names, comments and messages", () => {
    const sources = filesIn("src", /\.(?:tsx?|mjs|css)$/)
    assert.deepStrictEqual(sources.flatMap((file) => inLines(file, linesOf(file))), [])
  })

  it("are those of the documentation, except in titles of tests that it quotes", () => {
    const pages = [
      "README.md",
      "CONTRIBUTING.md",
      "SECURITY.md",
      "CHANGELOG.md",
      ...filesIn("docs", /\.md$/).filter((file) => file !== "docs/glossary.md")
    ]
    const prose = (line: string) => line.replaceAll(/"[^"]*"/g, "")
    assert.deepStrictEqual(pages.flatMap((file) => inLines(file, linesOf(file).map(prose))), [])
  })

  it("are those of the titles of tests", () => {
    const tests = filesIn("test", /\.test\.m?ts$/)
    assert.deepStrictEqual(tests.flatMap((file) => inLines(file, linesOf(file).map(titleIn))), [])
  })

  it("are missed where another word stands, in prose and in names", () => {
    assert.deepStrictEqual(
      ["a picture", "Whole picture", "isBeside", "/home/me/pictures/a.png", "it is told"].map(unwanted),
      ["picture", undefined, "sBeside", undefined, "told"]
    )
  })
})

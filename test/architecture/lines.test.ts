import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
const longest = 120

// A line of one literal, which cannot be broken without changing it or its neighbours: a string, a template, a regular
// expression. It may be returned, an element of a list, or a part of a sum.
const literal = /^(?:return )?(?:"(?:[^"\\]|\\.)*"|`.*`|\/.*\/[a-z]*)[,;]?(?: \+)?$/

// Files with a stylesheet in a template: its bytes are the reply's.
const stylesheets: ReadonlySet<string> = new Set(["src/server/v1/ReferencePage.ts"])
const rule = /^[^{}]+\{.*\}$/

const isComment = (line: string): boolean => /^(?:\/\/|\/\*|\*)/.test(line)

const isUnbreakable = (file: string, line: string): boolean =>
  !isComment(line) && (literal.test(line) || (stylesheets.has(file) && rule.test(line)))

const tooLong = (file: string, text: string): ReadonlyArray<string> =>
  text.split("\n").flatMap((line, i) =>
    line.length > longest && !isUnbreakable(file, line.trim()) ? [`${file}:${i + 1}: ${line.length} columns`] : []
  )

const sources = ["src", "test"].flatMap((folder) =>
  readdirSync(`${root}/${folder}`, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
)

describe("lines", () => {
  it("have at most 120 columns, unless they are one literal", () => {
    assert.deepStrictEqual(sources.flatMap((file) => tooLong(file, readFileSync(`${root}/${file}`, "utf8"))), [])
  })

  it("are found when they are too long, comments always", () => {
    const long = "x".repeat(longest)
    const lines = [`// ${long}`, ` * ${long}`, `/** ${long} */`, `call("${long}")`, `// "${long}"`, `"${long}",`]
    assert.lengthOf(tooLong("a.ts", lines.join("\n")), 5)
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defaults } from "../../src/cli/demo.ts"
import { readMetadata } from "../../src/images/Metadata.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import * as modelFolders from "../models/families.ts"
import { conformancePage, measurements, proofs } from "./page.ts"
import { families, promptRules } from "./rules.ts"

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const page = readFileSync(project("docs/conformance.md"), "utf8")

const cellsOf = (line: string): ReadonlyArray<string> => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())

/** The rows of the table under a heading, by their first cells. */
const rowsUnder = (heading: string): ReadonlyMap<string, ReadonlyArray<string>> => {
  const [, section = ""] = page.split(`\n## ${heading}\n`)
  const [own = ""] = section.split("\n## ")
  const [, , ...rows] = own.split("\n").filter((line) => line.startsWith("|")).map(cellsOf)
  return new Map(rows.map((cells) => [cells[0] ?? "", cells]))
}

// Deviations and case counts can differ here, so they and the column widths are ignored.
const structureOf = (text: string): string =>
  text.split("\n").map((line) => {
    if (!line.startsWith("|")) return line
    const cells = cellsOf(line)
    const isMeasured = cells.length === 6
    return cells.map((cell, i) => {
      if (/^-+$/.test(cell)) return "-"
      return isMeasured ? i === 2 || i === 4 ? "?" : cell : /^\d+$/.test(cell) ? "?" : cell
    }).join("|")
  }).join("\n")

describe("the conformance page", () => {
  it.effect("says what the code and its tests say: else `npm run docs`", () =>
    Effect.gen(function*() {
      const current = conformancePage(yield* measurements, () => 1)
      assert.strictEqual(structureOf(page), structureOf(current))
    }))

  it("has every sampler and every schedule, each with cases", () => {
    for (
      const [heading, names] of [
        ["Samplers", Samplers.all.map(({ name }) => name)],
        ["Schedules", Schedules.all.map(({ label }) => label)]
      ] as const
    ) {
      const rows = rowsUnder(heading)
      for (const name of names) assert.isAbove(Number(rows.get(name)?.[1]), 0, name)
    }
  })

  it("has every part of the prompt language, each with cases", () => {
    const sources = readdirSync(project("src/prompt")).map((file) => file.replace(".ts", ""))
    assert.deepStrictEqual(sources.filter((source) => !promptRules.some((rule) => rule.source === source)), [])
    const rows = rowsUnder("The prompt language")
    for (const { name } of promptRules) assert.isAbove(Number(rows.get(name)?.[2]), 0, name)
  })

  it("has every kind of model folder", () => {
    const names = Object.keys(modelFolders.families)
    assert.deepStrictEqual(Object.keys(families), names)
    assert.deepStrictEqual([...rowsUnder("Model families").keys()], names.map((name) => `\`${name}\``))
  })

  it.effect("names only tests that there are", () =>
    Effect.gen(function*() {
      const missing = proofs(yield* measurements).filter(({ file, title }) =>
        !readFileSync(project(file), "utf8").replaceAll(/\(\s+/g, "(").includes(`(${JSON.stringify(title)},`)
      )
      assert.deepStrictEqual(missing, [])
    }))

  it.effect("shows the image that its command makes", () =>
    Effect.gen(function*() {
      const { infotext = "" } = yield* readMetadata(readFileSync(project("docs/images/samplers.png")))
      assert.isTrue(infotext.startsWith(`${defaults.prompt}\nSteps: 20, Sampler: ${Samplers.all[0]?.name}, `), infotext)
    }))
})

describe("measurements", () => {
  it.effect("are within the tolerances of the reference values", () =>
    Effect.gen(function*() {
      const all = Object.values(yield* measurements).flat()
      assert.isAbove(all.length, 50)
      for (const { cases, name, share } of all) {
        assert.isAbove(cases, 0, name)
        assert.isAtMost(share, 1, name)
      }
    }))
})

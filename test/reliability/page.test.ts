import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { type Fault, faults } from "./faults.ts"

const rows = Object.values(faults).flatMap((group): ReadonlyArray<readonly [string, Fault]> => Object.entries(group))

describe("the page of faults", () => {
  it.for(rows)("has a test for %s", ([key, { file, title }]) => {
    const source = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")
    if (title === undefined) assert.match(source, new RegExp(`trying\\(\\s*(?:\\{ \\.\\.\\.)?${key}\\b`))
    else assert.include(source, title)
  })
})

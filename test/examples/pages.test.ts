import { assert, describe, it } from "@effect/vitest"
import { expect } from "vitest"
import { names, pathOf, unused, withPrograms } from "./pages.ts"

describe("the how-to pages", () => {
  it("are there for each folder of programs", () => {
    assert.includeMembers([...names], ["hooks", "testing", "entrypoints", "shutdown", "progress", "cancellation"])
  })

  it.each(names)("show the programs of %s: else run this test with -u", async (name) => {
    await expect(withPrograms(name)).toMatchFileSnapshot(pathOf(name))
    assert.deepStrictEqual(unused(name), [])
  })
})

import { assert, describe, it } from "@effect/vitest"
import type { MemoryEstimate } from "../../src/model/LoadedModel.ts"
import { fits, rowsAtOnce } from "../../src/planning/memory.ts"

const estimate = (needed: number, available: number): MemoryEstimate => ({ needed, available, limit: "machine" })

/** Rows of a call of which each takes 10, and all together 5 more. */
const split = (rows: number, available: number) =>
  rowsAtOnce({ one: estimate(15, available), all: estimate(5 + 10 * rows, available), rows })

describe("rows of a call", () => {
  it("go together where all of them fit", () => {
    assert.strictEqual(split(4, 45), 4)
    assert.strictEqual(split(1, 15), 1)
  })

  it("are as many as fit where not all of them do", () => {
    assert.deepStrictEqual([44, 35, 34, 25, 24, 15].map((available) => split(4, available)), [3, 3, 2, 2, 1, 1])
  })

  it("are none where not even one fits", () => {
    assert.strictEqual(split(4, 14), 0)
    assert.strictEqual(split(1, 14), 0)
  })

  it("are all of them where nothing is known", () => {
    assert.isTrue(fits(undefined))
  })
})

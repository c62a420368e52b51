import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { compared, figure, misses, rounded } from "./report.ts"

describe("a bench's rows", () => {
  it("are compared by the ratios of neighbours, not by the ratio of medians", () => {
    const { base, high, low, ratio, value } = compared("a", "ms", [1, 20, 300], "b", [2, 10, 300])
    assert.deepStrictEqual({ value, base, ratio, low, high }, { value: 20, base: 10, ratio: 1, low: 0.5, high: 2 })
  })

  it("have no spread when they were measured once", () => {
    assert.deepStrictEqual(figure("a", "ms", [3]), { name: "a", unit: "ms", value: 3 })
  })

  it.prop(
    "miss a target that is a bound: from above, or of rates from below",
    [Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 50 })), Schema.Literals([0.5, 1, 8])],
    ([value, target]) => {
      const found = Number(rounded(value))
      assert.strictEqual(misses(figure("a", "", [value], { target })), found > target)
      assert.strictEqual(misses(figure("a", "", [value], { target, isRate: true })), found < target)
    }
  )
})

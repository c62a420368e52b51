import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { nearest, proposer, pythonFloat } from "../../src/core/Text.ts"

describe("pythonFloat", () => {
  it.each([
    [7, "7.0"],
    [0, "0.0"],
    [-0, "-0.0"],
    [7.5, "7.5"],
    [-3, "-3.0"],
    [0.1, "0.1"],
    [0.1 + 0.2, "0.30000000000000004"],
    [1 / 3, "0.3333333333333333"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [0.000012345, "1.2345e-05"],
    [-0.00001, "-1e-05"],
    [1e-10, "1e-10"],
    [1e-100, "1e-100"],
    [5e-324, "5e-324"],
    [123456789, "123456789.0"],
    [1e15, "1000000000000000.0"],
    [9007199254740992, "9007199254740992.0"],
    [9999999999999998, "9999999999999998.0"],
    [1e16, "1e+16"],
    [1.5e16, "1.5e+16"],
    [1e21, "1e+21"],
    [1e22, "1e+22"],
    [123456789012345680, "1.2345678901234568e+17"],
    [1.7976931348623157e308, "1.7976931348623157e+308"],
    [Infinity, "inf"],
    [-Infinity, "-inf"],
    [NaN, "nan"]
  ])("%d is written %s", (value, written) => {
    assert.strictEqual(pythonFloat(value), written)
  })

  it.prop("reads back as the same number, and never looks like an integer", [Schema.Finite], ([value]) => {
    const written = pythonFloat(value)
    assert.isTrue(Object.is(Number(written), value), written)
    assert.match(written, /^-?\d+(\.\d+(e[+-]\d{2,3})?|e[+-]\d{2,3})$/)
  }, { arbitrary: { runs: 1000 } })

  it.prop("holds for numbers of every size", [Schema.Finite, Schema.Int], ([mantissa, exponent]) => {
    const value = mantissa * 10 ** (exponent % 300)
    const written = pythonFloat(value)
    assert.isTrue(!Number.isFinite(value) || Object.is(Number(written), value), written)
    assert.isTrue(!Number.isFinite(value) || /[.e]/.test(written), written)
  }, { arbitrary: { runs: 1000 } })
})

const known = ["Euler", "Euler a", "Heun", "DPM++ 2M"]

describe("nearest proposes", () => {
  it("the nearest name, whatever its case", () => {
    assert.strictEqual(nearest("Eular", known), "Euler")
    assert.strictEqual(nearest("HEUN", known), "Heun")
    assert.strictEqual(nearest("dpm++2m", known), "DPM++ 2M")
  })

  it("nothing when no name is near", () => {
    assert.isUndefined(nearest("quantum leap", known))
    assert.isUndefined(nearest("", known))
    assert.isUndefined(nearest("Eular", []))
    assert.isUndefined(nearest("sd15", ["xl15"]))
  })

  it("at once, for a name as long as a book", () => {
    assert.isUndefined(nearest("x".repeat(10_000_000), known))
  }, 500)

  it("a name that begins with it, the shortest first", () => {
    const flags = ["set", "seed", "outdir", "cfg-scale", "negative-prompt", "sampler", "samples"]
    assert.deepStrictEqual(
      ["cfg", "out", "neg", "sam", "xy"].map((name) => nearest(name, flags)),
      ["cfg-scale", "outdir", "negative-prompt", "sampler", undefined]
    )
  })

  it("without needless comparisons: a name reads at most 1,000 known ones, and compares a few in full", () => {
    let reads = 0
    const counted = new Proxy(Array.from({ length: 100_000 }, (_, i) => `name ${i}`), {
      get: (target, key, receiver) => {
        if (typeof key === "string" && /^\d+$/.test(key)) reads++
        const value: unknown = Reflect.get(target, key, receiver)
        return value
      }
    })
    assert.isDefined(nearest("nome 999", counted))
    assert.isAtMost(reads, 1000)
  })

  it("for the first names that it is asked about", () => {
    const propose = proposer(known, 2)
    assert.deepStrictEqual(["Eular", "x", "Eular"].map(propose), ["Euler", undefined, undefined])
  })

  it("an exact name before all others", () => {
    assert.strictEqual(nearest("Euler a", known), "Euler a")
    assert.strictEqual(nearest("Euler", known), "Euler")
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { fromFloat16, readFloat16, toFloat16, writeFloat16 } from "../../src/core/float16.ts"

const halves = Uint16Array.from({ length: 2 ** 16 }, (_, half) => half)

describe("half precision", () => {
  it("is read from a table as it is computed", () => {
    const numbers = new Float32Array(halves.length)
    readFloat16(numbers, halves)
    assert.deepStrictEqual(numbers, Float32Array.from(halves, fromFloat16))
  })

  it("is written as it is computed: all halves, what lies between two, and what is next to that", () => {
    const neighbours = Float32Array.from(halves, fromFloat16)
    const between = neighbours.map((value, half) => (value + fromFloat16(half ^ 1)) / 2)
    const bits = (values: Float32Array, step: number) =>
      new Float32Array(new Uint32Array(values.buffer).map((single) => single + step).buffer)
    for (const values of [neighbours, between, bits(between, 1), bits(between, -1)]) {
      const written = new Uint16Array(values.length)
      writeFloat16(written, values)
      assert.deepStrictEqual(written, Uint16Array.from(values, toFloat16))
    }
  })

  it.prop("is written as it is computed, for any number", [Schema.Number], ([value]) => {
    const written = new Uint16Array(1)
    writeFloat16(written, Float32Array.of(value))
    assert.strictEqual(written[0], toFloat16(value))
  })
})

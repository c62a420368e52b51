import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { toFloat16 } from "../../src/core/float16.ts"
import * as TensorBuffer from "../../src/models/TensorBuffer.ts"

const change = Schema.Struct({
  place: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 })),
  value: Schema.Number
})

const halvesOf = ({ tensor }: TensorBuffer.TensorBuffer) => Array.from(tensor.data, Number)

describe("a buffer of half precision", () => {
  it.prop("holds what its values are at each push", [Schema.Array(Schema.Array(change))], ([pushes]) => {
    const whole = TensorBuffer.make("float16", [4, 2])
    const part = TensorBuffer.rows(whole, 1, 3)
    for (const changes of [[], ...pushes]) {
      for (const { place, value } of changes) whole.values[place] = value
      part.push()
      assert.deepStrictEqual(halvesOf(part), Array.from(part.values, toFloat16))
    }
  })

  it("is converted only where its values changed", () => {
    const buffer = TensorBuffer.make("float16", [3])
    buffer.values.set([1, 2, 3])
    buffer.push()
    if (buffer.tensor.data instanceof Uint16Array) buffer.tensor.data.fill(0)
    buffer.push()
    assert.deepStrictEqual(halvesOf(buffer), [0, 0, 0])
    buffer.values[2] = 4
    buffer.push()
    assert.deepStrictEqual(halvesOf(buffer), [1, 2, 4].map(toFloat16))
  })
})

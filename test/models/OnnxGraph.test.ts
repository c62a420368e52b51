import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import * as OnnxGraph from "../../src/models/OnnxGraph.ts"
import { embedded } from "./fixtures.ts"

const whole = Arbitrary.schema(Schema.Int)
const number = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 29 - 1 })))
const text = Arbitrary.schema(Schema.String)

describe("OnnxGraph", () => {
  it("reads the numbers and texts that the format's own description shows", () => {
    // From protobuf's "Encoding" page: 150 in field 1, "testing" in field 2, and -2 as ten bytes.
    assert.deepStrictEqual(OnnxGraph.integersOf(Uint8Array.of(0x08, 0x96, 0x01), 1), [150])
    const testing = Uint8Array.of(0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67)
    assert.strictEqual(OnnxGraph.textOf(testing, 2), "testing")
    const minusTwo = Uint8Array.of(0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
    assert.deepStrictEqual(OnnxGraph.integersOf(minusTwo, 1), [-2])
    // 3, 270 and 86942, packed into field 6.
    const packed = Uint8Array.of(0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05)
    assert.deepStrictEqual(OnnxGraph.integersOf(packed, 6), [3, 270, 86_942])
  })

  it.prop("reads what it wrote", [number, whole, text], ([number, value, words]) => {
    const message = Buffer.concat([...OnnxGraph.integer(number, value), ...OnnxGraph.text(number + 1, words)])
    assert.deepStrictEqual(OnnxGraph.integersOf(message, number), [value === 0 ? 0 : value])
    assert.strictEqual(OnnxGraph.textOf(message, number + 1), new TextDecoder().decode(new TextEncoder().encode(words)))
    assert.deepStrictEqual([...OnnxGraph.fieldsOf(message)].map((field) => field.number), [number, number + 1])
  })

  it("leaves what is not edited byte for byte, without a copy", () => {
    for (const part of ["text_encoder", "unet", "vae_decoder", "vae_encoder"]) {
      const file = readFileSync(`${embedded}/${part}/model.onnx`)
      const [only, ...rest] = OnnxGraph.edited(file, () => undefined)
      assert.lengthOf(rest, 0)
      assert.strictEqual(only?.buffer, file.buffer)
      assert.strictEqual(only?.length, file.length)
      // Taken apart and put together again, down to the nodes.
      const again = OnnxGraph.edited(file, ({ number, value }) =>
        number === 7
          ? OnnxGraph.nested(number, OnnxGraph.edited(value, ({ whole }) => [whole]))
          : undefined)
      assert.isTrue(file.equals(Buffer.concat(again)))
    }
  })

  it("replaces, removes and adds fields", () => {
    const message = Buffer.concat([...OnnxGraph.integer(1, 5), ...OnnxGraph.text(2, "two"), ...OnnxGraph.integer(3, 7)])
    const changed = Buffer.concat(
      OnnxGraph.edited(
        message,
        ({ number }) =>
          number === 1 ? [] : number === 2 ? [...OnnxGraph.text(2, "zwei"), ...OnnxGraph.integer(9, -1)] : undefined
      )
    )
    assert.deepStrictEqual([...OnnxGraph.fieldsOf(changed)].map(({ number }) => number), [2, 9, 3])
    assert.strictEqual(OnnxGraph.textOf(changed, 2), "zwei")
    assert.deepStrictEqual(OnnxGraph.integersOf(changed, 9), [-1])
  })

  it("throws for bytes that are cut off, wherever that is, and for those that are no message", () => {
    const message = Buffer.concat([
      ...OnnxGraph.integer(1, 300),
      ...OnnxGraph.text(2, "words"),
      Uint8Array.of(0x1d, 0, 0, 0x80, 0x3f),
      Uint8Array.of(0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)
    ])
    const ends = [0, 3, 10, 15, 24]
    for (let length = 0; length <= message.length; length++) {
      const read = () => [...OnnxGraph.fieldsOf(message.subarray(0, length))]
      if (ends.includes(length)) assert.strictEqual(read().length, ends.indexOf(length))
      else assert.throws(read, /cut off/)
    }
    // A length beyond all memory, a number without an end, and a kind that was given up.
    assert.throws(() => [...OnnxGraph.fieldsOf(Uint8Array.of(0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f))], /ONNX/)
    assert.throws(() => [...OnnxGraph.fieldsOf(new Uint8Array(64).fill(0xff))], /ONNX/)
    assert.throws(() => [...OnnxGraph.fieldsOf(Uint8Array.of(0x0b))], /ONNX/)
  })
})

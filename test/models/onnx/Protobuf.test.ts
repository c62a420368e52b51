import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { float, integer, Message, message, string } from "../../../src/models/onnx/Protobuf.ts"

const whole = Arbitrary.schema(Schema.Int)
const number = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 29 - 1 })))
const text = Arbitrary.schema(Schema.String)

describe("a protobuf message", () => {
  it("reads the values that the format's own description shows", () => {
    // From protobuf's "Encoding" page: 150 in field 1, "testing" in field 2, and -2 as ten bytes.
    assert.deepStrictEqual(new Message(Uint8Array.of(0x08, 0x96, 0x01)).integers(1), [150])
    const testing = Uint8Array.of(0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67)
    assert.strictEqual(new Message(testing).string(2), "testing")
    const minusTwo = Uint8Array.of(0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
    assert.deepStrictEqual(new Message(minusTwo).integers(1), [-2])
    // 3, 270 and 86942, packed into field 6.
    const packed = Uint8Array.of(0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05)
    assert.deepStrictEqual(new Message(packed).integers(6), [3, 270, 86_942])
  })

  it.prop("reads what was written", [number, whole, text], ([number, value, words]) => {
    const read = new Message(Buffer.concat([...integer(number, value), ...string(number + 1, words)]))
    assert.deepStrictEqual(read.integers(number), [value === 0 ? 0 : value])
    assert.strictEqual(read.string(number + 1), new TextDecoder().decode(new TextEncoder().encode(words)))
    assert.deepStrictEqual(read.unread(), [])
  })

  it("reads floats, packed or not", () => {
    const packed = message(4, [new Uint8Array(Float32Array.of(0.5, -2).buffer)])
    const read = new Message(Buffer.concat([...float(3, 1.25), ...float(3, -1), ...packed]))
    assert.deepStrictEqual([read.floats(3), read.floats(4)], [[1.25, -1], [0.5, -2]])
  })

  it("gives views of its bytes, and those of the fields that were not read", () => {
    const bytes = Buffer.concat([...integer(1, 5), ...message(2, [new Uint8Array(1000)]), ...integer(3, 7)])
    const read = new Message(bytes)
    assert.strictEqual(read.integer(1), 5)
    assert.strictEqual(read.integer(4), 0)
    assert.deepStrictEqual(Buffer.concat(read.unread()), bytes.subarray(2))
    const value = read.last(2)
    assert.lengthOf(value ?? [], 1000)
    assert.strictEqual(value?.buffer, bytes.buffer)
    assert.deepStrictEqual(Buffer.concat(read.unread()), Buffer.concat(integer(3, 7)))
  })

  it("throws for bytes that are truncated, wherever that is, and for those that are no message", () => {
    const bytes = Buffer.concat([
      ...integer(1, 300),
      ...string(2, "words"),
      ...float(3, 1),
      Uint8Array.of(0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)
    ])
    const ends = [0, 3, 10, 15, 24]
    for (let length = 0; length <= bytes.length; length++) {
      const read = () => new Message(bytes.subarray(0, length))
      if (ends.includes(length)) assert.strictEqual(read().unread().length, ends.indexOf(length))
      else assert.throws(read, /truncated/)
    }
    // A length beyond all memory, a number without an end, and a wire type that was deprecated.
    assert.throws(() => new Message(Uint8Array.of(0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)), /ONNX/)
    assert.throws(() => new Message(new Uint8Array(64).fill(0xff)), /ONNX/)
    assert.throws(() => new Message(Uint8Array.of(0x0b)), /ONNX/)
  })
})

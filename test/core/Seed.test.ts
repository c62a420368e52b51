import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as ExactJson from "../../src/core/ExactJson.ts"
import * as Seed from "../../src/core/Seed.ts"

const large = 6302954713490123530n

describe("a seed", () => {
  it("is a number where that is exact, and a bigint beyond", () => {
    assert.deepStrictEqual(
      ["0", "-1", "+7", "9007199254740991", "9007199254740992", String(large), "-9223372036854775808"]
        .map(Seed.fromText),
      [0, -1, 7, 9007199254740991, 9007199254740992n, large, -(2n ** 63n)]
    )
    assert.deepStrictEqual(
      ["", "1.5", "1e3", "0x5", "seven", "1 2", "--1"].map(Seed.fromText),
      Array(7).fill(undefined)
    )
    assert.deepStrictEqual([5n, -1n, large].map(Seed.settled), [5, -1, large])
  })

  it("counts on exactly over 2^53, and keeps its 64 bits at both ends of the range", () => {
    assert.deepStrictEqual([0, 1, 2].map((i) => Seed.plus(Number.MAX_SAFE_INTEGER, i)), [
      Number.MAX_SAFE_INTEGER,
      9007199254740992n,
      9007199254740993n
    ])
    assert.strictEqual(Seed.plus(-9007199254740993n, 2), Number.MIN_SAFE_INTEGER)
    assert.strictEqual(Seed.plus(Seed.largest, 3), 2)
    assert.strictEqual(Seed.plus(Seed.smallest, -1), 2n ** 63n - 1n)
  })

  it("is a number in JSON, or a text of its digits", () => {
    const json = Schema.toCodecJson(Seed.Seed)
    const [read, write] = [Schema.decodeUnknownSync(json), Schema.encodeSync(json)]
    assert.deepStrictEqual(
      [5, "5", String(large), " -9223372036854775808 "].map((value) => read(value)),
      [5, 5, large, -(2n ** 63n)]
    )
    assert.deepStrictEqual([5, 5n, large].map((value) => write(value)), [5, 5, String(large)])
  })

  it.each<readonly [value: unknown, why: string]>([
    ["18446744073709551616", "18446744073709551616 is out of range: -2^63 to 2^64 - 1"],
    ["-9223372036854775809", "out of range"],
    [2 ** 53, "over 2^53, where numbers are not exact"],
    [1.5, "Expected an integer from -2^63 to 2^64 - 1"],
    ["a cat", "Expected an integer from -2^63 to 2^64 - 1"],
    [true, "Expected an integer from -2^63 to 2^64 - 1"]
  ])("is not %j, and the error says why", (value, why) => {
    assert.throws(() => Schema.decodeUnknownSync(Schema.toCodecJson(Seed.Seed))(value), why)
  })
})

describe("JSON", () => {
  it("keeps the digits of seeds, alone and in lists", () => {
    assert.deepStrictEqual(
      ExactJson.parse(
        `{"seed":${large},"Subseed" : -9223372036854775808,"all_seeds": [1, ${large},\n9007199254740991],
        "a":{"noise_seed":[${large}]}}`
      ),
      {
        seed: String(large),
        Subseed: "-9223372036854775808",
        all_seeds: [1, String(large), 9007199254740991],
        a: { noise_seed: [String(large)] }
      }
    )
  })

  it("is otherwise read as ever", () => {
    for (
      const text of [
        `{"seed":5,"subseed":-1}`,
        `{"seed":1e20,"subseed":18446744073709551615.0}`,
        `{"steps":${large},"seed":"${large}"}`,
        JSON.stringify({ prompt: `"seed": ${large}`, seed: 1 }),
        `{"seed":[[${"1".repeat(15)}]],"seeds":{}}`,
        "[]",
        "5"
      ]
    ) assert.deepStrictEqual(ExactJson.parse(text), JSON.parse(text))
    for (const text of [`{"seed":0${large}}`, `{"seed":${large}`, `{"seed":--${large}}`, `{"seeds":[${large} 1]}`]) {
      assert.throws(() => ExactJson.parse(text), SyntaxError)
    }
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { parse } from "../../src/server/host/JsonText.ts"
import type { Unprocessable } from "../../src/server/sdapi/ApiError.ts"
import { readDict, readFlag, readFloat, readInt, readText } from "../../src/server/sdapi/Fields.ts"
import { decodeImg2Img, decodeTxt2Img } from "../../src/server/sdapi/ImageRequest.ts"
import { detailOf } from "../../src/server/sdapi/JsonBody.ts"
import { compact, dumps, Float, write } from "../../src/server/sdapi/PythonJson.ts"

const details = (body: unknown, decode: (body: unknown) => Effect.Effect<unknown, Unprocessable> = decodeTxt2Img) =>
  Effect.map(Effect.flip(decode(body)), ({ detail }) => detail.map(({ loc, type }) => [loc.join("."), type]))

describe("Fields, as pydantic 1 reads them", () => {
  it("cuts and converts whole numbers", () => {
    for (
      const [given, read] of [["3", 3], [3, 3], [1.5, 1], [-1.5, -1], [true, 1], [" 7 ", 7], ["1_000", 1000]] as const
    ) {
      assert.strictEqual(readInt(given), read)
    }
    for (const given of ["1.5", "", "x", [], {}, NaN, "9".repeat(400)]) assert.isUndefined(readInt(given))
  })

  it("reads numbers from text", () => {
    for (
      const [given, read] of [["1.5", 1.5], ["1e-3", 0.001], [false, 0], [".5", 0.5], ["-inf", -Infinity]] as const
    ) {
      assert.strictEqual(readFloat(given), read)
    }
    assert.isNaN(readFloat("nan"))
    for (const given of ["", "1,5", "x", [], "0x10"]) assert.isUndefined(readFloat(given))
  })

  it("reads flags from words", () => {
    for (const given of [true, 1, "1", "true", "ON", "Yes", "t", "y"]) assert.strictEqual(readFlag(given), true)
    for (const given of [false, 0, "0", "false", "off", "No", "f", "n"]) assert.strictEqual(readFlag(given), false)
    for (const given of [2, "", "maybe", [], {}]) assert.isUndefined(readFlag(given))
  })

  it("reads texts from numbers, and objects from lists of pairs", () => {
    assert.strictEqual(readText(7), "7")
    assert.isUndefined(readText([]))
    assert.deepStrictEqual(readDict([]), {})
    assert.deepStrictEqual(readDict([["a", 1]]), { a: 1 })
    assert.isUndefined(readDict(["a"]))
    assert.isUndefined(readDict("a"))
  })

  it.effect("name every problem with its place", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* details({ steps: "x", cfg_scale: [], prompt: {}, send_images: null, styles: ["a", {}], tiling: 3 }),
        [
          ["body.prompt", "type_error.str"],
          ["body.styles.1", "type_error.str"],
          ["body.steps", "type_error.integer"],
          ["body.cfg_scale", "type_error.float"],
          ["body.tiling", "type_error.bool"],
          ["body.send_images", "type_error.none.not_allowed"]
        ]
      )
      assert.deepStrictEqual(yield* details({ denoising_strength: null }, decodeImg2Img), [
        ["body.denoising_strength", "type_error.none.not_allowed"]
      ])
      assert.deepStrictEqual(yield* details(null), [["body", "value_error.missing"]])
      assert.deepStrictEqual(yield* details(["x"]), [["body", "type_error.dict"]])
    }))

  it.effect("keep nulls and defaults, and pass over what they do not know", () =>
    Effect.gen(function*() {
      const request = yield* decodeTxt2Img({ seed: null, cfg_scale: 7, url: "x", clip_skip: 1 })
      assert.isNull(request.seed)
      assert.strictEqual(write(request.cfg_scale), "7.0")
      assert.strictEqual(write(request.subseed_strength), "0")
      assert.strictEqual(request.sampler_index, "Euler")
      assert.notProperty(request, "url")
    }))
})

describe("JSON as Python writes it", () => {
  it("shows floats as floats, in replies and in texts", () => {
    const value = { a: [new Float(7), 7, 0.5], b: "é\u{1F600}\"", c: null, d: undefined, e: true }
    assert.strictEqual(write(value, compact), "{\"a\":[7.0,7,0.5],\"b\":\"é😀\\\"\",\"c\":null,\"e\":true}")
    assert.strictEqual(
      write(value, dumps),
      "{\"a\": [7.0, 7, 0.5], \"b\": \"\\u00e9\\ud83d\\ude00\\\"\", \"c\": null, \"e\": true}"
    )
    assert.strictEqual(write(new Float(NaN)), "null")
  })
})

describe("JSON that is wrong", () => {
  // As Python's json tells it.
  const cases = [
    ["", "Expecting value", 0],
    ["{", "Expecting property name enclosed in double quotes", 1],
    ["{\"a\" 1}", "Expecting ':' delimiter", 5],
    ["{\"a\":1 \"b\"}", "Expecting ',' delimiter", 7],
    ["[1,]", "Expecting value", 3],
    ["{\"a\":1,}", "Expecting property name enclosed in double quotes", 7],
    ["[1] 2", "Extra data", 4],
    ["\"abc", "Unterminated string starting at", 0],
    ["{'a': 1}", "Expecting property name enclosed in double quotes", 1]
  ] as const

  it.each(cases)("%s", (text, msg, pos) => {
    const parsed = parse(text)
    assert.strictEqual(parsed._tag, "Failure")
    if (parsed._tag === "Failure") {
      const detail = detailOf(text, parsed.failure)
      assert.deepStrictEqual(detail.loc, ["body", pos])
      assert.strictEqual(detail.ctx?.["msg"], msg)
      assert.strictEqual(detail.msg, `${msg}: line 1 column ${pos + 1} (char ${pos})`)
    }
  })

  it("is located by line and column", () => {
    const parsed = parse("{\n  \"a\": 1,\n  \"b\": oops\n}")
    if (parsed._tag === "Success") return assert.fail("it parsed")
    assert.deepStrictEqual(parsed.failure, { fault: "value", position: 19, line: 3, column: 8 })
  })

  it("is located without copying the text: six million line ends take no array of lines", () => {
    const parsed = parse("\n".repeat(6_000_000))
    if (parsed._tag === "Success") return assert.fail("it parsed")
    assert.deepStrictEqual(parsed.failure, { fault: "value", position: 6_000_000, line: 6_000_001, column: 1 })
  })

  it("is not read at all when it is nested too deeply", () => {
    const deep = parse("[".repeat(100_000) + "]".repeat(100_000))
    assert.strictEqual(deep._tag, "Failure")
    assert.strictEqual(parse(`{"a": "${"[".repeat(1000)}"}`)._tag, "Success")
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { fromBase64 } from "../../src/processing/ImageBytes.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { decode } from "../../src/processing/Processing.ts"

const anyFile = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), {
    minLength: 1,
    maxLength: 64
  }),
  (bytes) => Uint8Array.from(bytes)
)
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")
const inLines = (text: string) => text.replaceAll(/.{1,7}/g, "$&\r\n")

/** Everything a client may send in place of the bytes. */
const forms: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  "base64": base64,
  "base64 in lines": (bytes) => inLines(base64(bytes)),
  "base64 without padding": (bytes) => base64(bytes).replaceAll("=", ""),
  "URL-safe base64": (bytes) => Buffer.from(bytes).toString("base64url"),
  "URL-safe base64 with padding": (bytes) => base64(bytes).replaceAll("+", "-").replaceAll("/", "_"),
  "a data URL": (bytes) => `data:image/png;base64,${base64(bytes)}`
}

// Bytes that the process holds, in strings and in buffers.
const held = () => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe("images of a request", () => {
  it.effect.prop(
    "are the same from bytes, base64, URL-safe base64 and data URLs",
    [anyFile, anyFile],
    ([image, mask]) =>
      Effect.gen(function*() {
        const request = { _tag: "Img2Img", prompt: "a cat", steps: 5 }
        const expected = yield* decode({ ...request, init_images: [image], mask })
        assert.isTrue(expected._tag === "Img2Img" && expected.init_images[0] === image && expected.mask === mask)
        for (const [name, form] of Object.entries(forms)) {
          const decoded = yield* decode({ ...request, init_images: [form(image)], mask: form(mask) })
          assert.deepStrictEqual(decoded, expected, name)
        }
      })
  )

  it.effect("may be bytes and base64 in one request", () =>
    Effect.gen(function*() {
      const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)]
      const decoded = yield* decode({ _tag: "Img2Img", init_images: [one, base64(two)], batch_size: 2 })
      assert.deepInclude(decoded, { init_images: [one, two] })
    }))

  it.effect("are refused as bytes as they are as text, all at once", () =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(decode({
        _tag: "Img2Img",
        steps: 0,
        batch_size: 4,
        init_images: [new Uint8Array(11), base64(new Uint8Array(11)), new Uint8Array(), new Uint8Array(10)],
        mask: new Uint8Array(12)
      }, Limits.make({ max_image_bytes: 10 })))
      const over = (bytes: number) => `${bytes} is over the limit of 10 bytes for an image file`
      assert.sameDeepMembers([...problems].filter(({ path }) => path !== "steps"), [
        { path: "init_images.0", message: over(11) },
        { path: "init_images.1", message: over(11) },
        { path: "init_images.2", message: "the file is empty" },
        { path: "mask", message: over(12) }
      ])
      assert.isTrue(problems.some(({ path }) => path === "steps"))
    }))

  it.effect("are never repeated in a message", () =>
    Effect.gen(function*() {
      const secret = "SECRETSECRET"
      const limits = Limits.make({ max_image_bytes: 5, max_batch_size: 8 })
      for (const init_images of [secret, { secret }, [secret], [`${secret}!`], [[secret]], [secret.repeat(100)]]) {
        const error = yield* Effect.flip(decode({ _tag: "Img2Img", init_images, mask: `${secret}!` }, limits))
        assert.notInclude(JSON.stringify(error) + error.message, "SECRET")
      }
    }))

  it.effect("are not looked at in a list that is longer than any batch", () =>
    Effect.gen(function*() {
      let read = 0
      const images = new Proxy(Array.from({ length: 1000 }, () => "AA=="), {
        get: (list, key, receiver) => {
          if (typeof key === "string" && /^\d+$/.test(key) && key !== "0") read++
          return Reflect.get(list, key, receiver)
        }
      })
      const { problems } = yield* Effect.flip(decode({ _tag: "Img2Img", init_images: images }))
      assert.deepStrictEqual(problems, [{ path: "init_images", message: "1000 images are over the limit of 16" }])
      assert.strictEqual(read, 0)
    }))
})

describe("fromBase64", () => {
  it("takes no memory for a text that is too long", () => {
    // So long a text is a tree of its parts, which reading it would copy to one place.
    const huge = "A".repeat(2 ** 29 - 100)
    const before = held()
    const result = fromBase64(huge, 2 ** 20)
    assert.isBelow(held() - before, 2 ** 26)
    assert.deepStrictEqual(result, Result.fail({ _tag: "TooLarge", bytes: Math.floor((2 ** 29 - 100) * 3 / 4) }))
  })

  it("allocates no bytes for a text that is a little too long, whose bytes it counts", () => {
    const [limit, bytes] = [48_000_000, 60_000_000]
    const text = Buffer.alloc(bytes / 3 * 4, "A").toString("latin1")
    const before = process.memoryUsage().arrayBuffers
    const result = fromBase64(text, limit)
    assert.isAtMost(process.memoryUsage().arrayBuffers - before, 0)
    assert.deepStrictEqual(result, Result.fail({ _tag: "TooLarge", bytes }))
  })

  it("takes exactly the limit, line breaks not counted", () => {
    const text = inLines(base64(new Uint8Array(100)))
    assert.deepStrictEqual(fromBase64(text, 100), Result.succeed(new Uint8Array(100)))
    assert.deepStrictEqual(fromBase64(text, 99), Result.fail({ _tag: "TooLarge", bytes: 100 }))
  })

  it.each(["", " ", "=", "A", "A===", "AA===", "AAA==", "AAAA=", "AA=A", "A=AA", "AAAAA", "AA*=", "é", "data:,AAAA"])(
    "refuses %j",
    (text) => assert.deepStrictEqual(fromBase64(text, 100), Result.fail({ _tag: "NotBase64" }))
  )

  it.prop("reads what others wrote", [anyFile], ([bytes]) => {
    for (const padded of [base64(bytes), base64(bytes).replaceAll("=", "")]) {
      assert.deepStrictEqual(fromBase64(padded, 64), Result.succeed(bytes))
    }
  })
})

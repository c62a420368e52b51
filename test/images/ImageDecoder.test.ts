import { assert, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"

const decode = (bytes: Uint8Array) =>
  Effect.flatMap(ImageDecoder, ({ decode }) => decode(bytes, { max_image_bytes: 2 ** 20, max_image_pixels: 4096 }))

/** A file of one pixel. */
const bmp = () => {
  const file = Buffer.alloc(58)
  file.write("BM")
  file.writeUInt32LE(54, 10)
  file.writeUInt32LE(40, 14)
  file.writeInt32LE(1, 18)
  file.writeInt32LE(1, 22)
  file.writeUInt16LE(1, 26)
  file.writeUInt16LE(24, 28)
  file.set([3, 2, 1], 54)
  return new Uint8Array(file)
}

it.layer(ImageDecoder.layer)("ImageDecoder.layer", (it) => {
  // Nothing can load a native module here.
  it.effect("loads no native module for files that it refuses, nor for BMP", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(decode(new TextEncoder().encode("<svg>")))
      assert.match(refused.reason, /SVG/)
      assert.deepStrictEqual([...(yield* decode(bmp())).data], [1, 2, 3])
      const png = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
      const cause = yield* Effect.flip(Effect.sandbox(decode(png)))
      assert.match(Cause.pretty(cause), /sharp/)
    }))
})

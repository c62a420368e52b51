import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as vaeTiles from "../../src/diffusion/vaeTiles.ts"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { layerModels } from "../models/fixtures.ts"

const latents = { channels: 4, frames: 1 }
const scale = 8
const numbers = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * 0.9))

/** Decodes by enlarging the first three channels, as no pixel knows of its neighbours, and notes the sizes it sees. */
const decoder = () => {
  const seen: Array<readonly [height: number, width: number, seamless: boolean]> = []
  const decode: LoadedModel["decode"] = (latent, { height, seamless = false, width }) =>
    Effect.sync(() => {
      seen.push([height, width, seamless])
      return Float32Array.from({ length: 3 * height * width * 64 }, (_, i) => {
        const x = i % (width * 8)
        const y = Math.floor(i / (width * 8)) % (height * 8)
        const channel = Math.floor(i / (height * width * 64))
        return latent[(channel * height + (y >> 3)) * width + (x >> 3)] ?? NaN
      })
    })
  return { seen, decode }
}

/** Encodes the corner pixel of each 8 x 8; the fourth channel is their mean. */
const encode: LoadedModel["encode"] = (pixels, { height, width }) =>
  Effect.sync(() =>
    Float32Array.from({ length: 4 * height * width }, (_, i) => {
      const x = i % width
      const y = Math.floor(i / width) % height
      const channel = Math.floor(i / (height * width))
      const at = (c: number) => pixels[(c * height * 8 + y * 8) * width * 8 + x * 8] ?? NaN
      return channel < 3 ? at(channel) : (at(0) + at(1) + at(2)) / 3
    })
  )

const assertClose = (actual: Float32Array, expected: Float32Array) => {
  assert.strictEqual(actual.length, expected.length)
  const off = expected.findIndex((value, i) => !(Math.abs(value - (actual[i] ?? NaN)) <= 1e-5))
  assert.strictEqual(off, -1, `${actual[off]} is not ${expected[off]}`)
}

describe("decodeTiled and encodeTiled", () => {
  it.effect.each([
    { height: 20, width: 33, tile: 8, overlap: 2 },
    { height: 20, width: 33, tile: 8, overlap: 2, seamless: true },
    { height: 6, width: 30, tile: 16, overlap: 4 },
    { height: 6, width: 30, tile: 16, overlap: 4, seamless: true }
  ])("give what the whole gives where pixels do not know of each other: $height x $width", (
    { overlap, tile, ...given }
  ) =>
    Effect.gen(function*() {
      const shape = { ...latents, ...given }
      const { decode, seen } = decoder()
      const latent = numbers(4 * shape.height * shape.width)
      const whole = yield* decode(latent, shape)
      seen.length = 0
      const tiled = yield* vaeTiles.decodeTiled(decode, latent, shape, { tile, overlap }, scale)
      assertClose(tiled, whole)
      // All of one size, and without seams of their own: the tiles go round.
      assert.isAbove(seen.length, 1)
      assert.lengthOf(new Set(seen.map(String)), 1)
      assert.isFalse(seen[0]?.[2])

      const back = yield* vaeTiles.encodeTiled(encode, tiled, shape, { tile, overlap }, scale)
      assertClose(back, yield* encode(whole, shape))
    }))

  it.effect("pass an image no larger than a tile on as it is, seams too", () =>
    Effect.gen(function*() {
      const { decode, seen } = decoder()
      const shape = { ...latents, height: 8, width: 6, seamless: true }
      const latent = numbers(4 * 48)
      const size = { tile: 8, overlap: 2 }
      const pixels = yield* vaeTiles.decodeTiled(decode, latent, shape, size, scale)
      assert.deepStrictEqual(pixels, yield* decode(latent, shape))
      assert.deepStrictEqual(seen[0], [8, 6, true])
      assert.deepStrictEqual(
        yield* vaeTiles.encodeTiled(encode, pixels, shape, size, scale),
        yield* encode(pixels, shape)
      )
    }))

  it.effect("blend tiles that disagree without a step", () =>
    Effect.gen(function*() {
      let count = 0
      const decode: LoadedModel["decode"] = (_, { height, width }) =>
        Effect.sync(() => new Float32Array(3 * height * width * 64).fill(count++))
      const pixels = yield* vaeTiles.decodeTiled(
        decode,
        new Float32Array(4 * 8 * 12),
        { ...latents, height: 8, width: 12 },
        { tile: 8, overlap: 4 },
        scale
      )
      const line = pixels.subarray(0, 96)
      const steps = Array.from(line.subarray(1), (value, i) => value - (line[i] ?? NaN))
      assert.strictEqual(line[0], 0)
      assert.strictEqual(line[95], 1)
      assert.closeTo(Math.max(...steps), 1 / 32, 1e-5)
    }))

  it.effect("stay close to the whole with a real autoencoder, whose normalisation sees one tile at a time", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("shapes-128")
      const shape = { ...latents, height: 64, width: 64 }
      const disc = [0.8, -0.5, -0.6]
      const ground = [-0.7, 0.2, 0.5]
      const picture = Float32Array.from({ length: 3 * 512 * 512 }, (_, i) => {
        const channel = Math.floor(i / (512 * 512))
        const [y, x] = [Math.floor(i / 512) % 512, i % 512]
        return ((x - 200) ** 2 + (y - 260) ** 2 < 150 ** 2 ? disc : ground)[channel] ?? NaN
      })
      const meanDifference = (a: Float32Array, b: Float32Array) =>
        a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length

      const size = { tile: 32, overlap: 16 }
      const latent = yield* vaeTiles.encodeTiled(model.encode, picture, shape, size, scale)
      assert.isBelow(meanDifference(latent, yield* model.encode(picture, shape)), 0.06)
      const tiled = yield* vaeTiles.decodeTiled(model.decode, latent, shape, size, scale)
      // Of a range of 2.
      assert.isBelow(meanDifference(tiled, yield* model.decode(latent, shape)), 0.04)
      assert.isBelow(meanDifference(tiled, picture), 0.08)
    }).pipe(Effect.provide(layerModels({ threads: 1 }))))
})

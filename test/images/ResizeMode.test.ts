import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { crop, filled, paste, type Raster } from "../../src/core/Raster.ts"
import { atOnce } from "../../src/core/Work.ts"
import { lanczosInParts, type ResizeMode, resizeMode, sizeFor } from "../../src/images/ResizeMode.ts"
import { resize } from "./whole.ts"

const columns = (values: ReadonlyArray<number>, height: number): Raster => ({
  width: values.length,
  height,
  channels: 1,
  data: Uint8Array.from({ length: values.length * height }, (_, i) => values[i % values.length] ?? 0)
})
const noise = (width: number, height: number, channels: Raster["channels"]): Raster => ({
  width,
  height,
  channels,
  data: Uint8Array.from({ length: width * height * channels }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24)
})
const lanczos = (mode: ResizeMode, raster: Raster, width: number, height: number) =>
  atOnce(lanczosInParts(mode, raster, { width, height }))
const side = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
const Mode = Schema.Literals([0, 1, 2])

describe("resizeMode", () => {
  it.effect("0 stretches", () =>
    Effect.gen(function*() {
      const image = columns([0, 50, 100, 150], 2)
      assert.deepStrictEqual(yield* resizeMode(0, image, 8, 8), resize(image, 8, 8, "lanczos"))
    }))

  it("1 covers and cuts off both sides alike", () => {
    assert.deepStrictEqual([...lanczos(1, columns([10, 20, 30, 40], 2), 2, 2).data], [20, 30, 20, 30])
  })

  it("2 fits in and goes on beyond the edges", () => {
    // Beyond an edge the bicubic has weights 1.125 and -0.125.
    const edge = Math.round(1.125 * 80 - 0.125 * 40)
    assert.deepStrictEqual([...lanczos(2, columns([80, 40, 40, 80], 1), 8, 1).data], [
      edge,
      edge,
      80,
      40,
      40,
      80,
      edge,
      edge
    ])
  })

  it("2 leaves no row empty when the height is odd", () => {
    const tall = lanczos(2, filled({ width: 4, height: 2 }, 3, 200), 4, 5)
    assert.isTrue(tall.data.every((value) => value === 200))
  })

  it.prop("gives the size that was asked for, and keeps one colour", [Mode, side, side, side, side], (given) => {
    const [mode, width, height, toWidth, toHeight] = given
    const resized = lanczos(mode, filled({ width, height }, 3, 99), toWidth, toHeight)
    assert.deepStrictEqual(resized, filled({ width: toWidth, height: toHeight }, 3, 99))
  })

  it.effect("scales by what is given, and fails as it does", () =>
    Effect.gen(function*() {
      const sizes: Array<readonly [number, number]> = []
      const scale = (_: Raster, width: number, height: number) => {
        sizes.push([width, height])
        return Effect.succeed(filled({ width, height }, 1, 7))
      }
      assert.deepStrictEqual(
        yield* resizeMode(1, columns([1, 2], 1), 8, 8, scale),
        filled({ width: 8, height: 8 }, 1, 7)
      )
      assert.deepStrictEqual(sizes, [[16, 8]])
      assert.strictEqual(yield* Effect.flip(resizeMode(2, columns([1, 2], 1), 8, 8, () => Effect.fail("none"))), "none")
    }))

  const Channels = Schema.Literals([1, 3, 4])
  it.prop("1 is all of it scaled, then cut", [Channels, side, side, side, side], (given) => {
    const [channels, width, height, toWidth, toHeight] = given
    const image = noise(width, height, channels)
    const size = sizeFor(1, image, { width: toWidth, height: toHeight })
    const whole = resize(image, size.width, size.height, "lanczos")
    const left = Math.floor(size.width / 2) - Math.floor(toWidth / 2)
    const top = Math.floor(size.height / 2) - Math.floor(toHeight / 2)
    assert.deepStrictEqual(
      lanczos(1, image, toWidth, toHeight),
      paste(filled({ width: toWidth, height: toHeight }, channels), whole, -left, -top)
    )
  })

  it.effect("1 scales no more than what is seen of a long strip", () =>
    Effect.gen(function*() {
      // Scaled, it would be 512 x 33 million pixels.
      const strip = noise(1, 65_536, 3)
      const covered = yield* resizeMode(1, strip, 512, 512)
      assert.deepInclude(covered, { width: 512, height: 512 })
      // Half a pixel of either side of the middle is seen.
      const near = crop(strip, { left: 0, top: 32_768 - 4, right: 1, bottom: 32_768 + 4 })
      assert.deepStrictEqual(covered, yield* resizeMode(1, near, 512, 512))
      let asked = 0
      const scale = () => Effect.sync(() => (asked++, strip))
      assert.deepStrictEqual(yield* resizeMode(1, strip, 512, 512, scale), covered)
      assert.strictEqual(asked, 0)
    }))

  it.effect("gives a scaling what is seen and a margin, where all would be too large", () =>
    Effect.gen(function*() {
      const tall = noise(8, 200, 3)
      const seen: Array<Raster> = []
      const nearest = (raster: Raster, width: number, height: number) => {
        seen.push(raster)
        return Effect.succeed(resize(raster, width, height, "nearest"))
      }
      const covered = yield* resizeMode(1, tall, 16, 16, nearest)
      assert.deepStrictEqual(
        covered,
        crop(resize(tall, 16, 400, "nearest"), { left: 0, top: 192, right: 16, bottom: 208 })
      )
      assert.deepStrictEqual(seen, [crop(tall, { left: 0, top: 88, right: 8, bottom: 112 })])
    }))

  it.effect("asks no scaling for an image that grows in no direction", () =>
    Effect.gen(function*() {
      const image = noise(40, 30, 3)
      const shrunk = yield* resizeMode(1, image, 20, 20, () => Effect.fail("asked"))
      assert.deepStrictEqual(shrunk, lanczos(1, image, 20, 20))
    }))
})

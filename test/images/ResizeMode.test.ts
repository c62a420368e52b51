import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { filled, type Raster } from "../../src/images/Raster.ts"
import * as Resample from "../../src/images/Resample.ts"
import { lanczos, resizeMode } from "../../src/images/ResizeMode.ts"

const columns = (values: ReadonlyArray<number>, height: number): Raster => ({
  width: values.length,
  height,
  channels: 1,
  data: Uint8Array.from({ length: values.length * height }, (_, i) => values[i % values.length] ?? 0)
})
const side = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
const Mode = Schema.Literals([0, 1, 2])

describe("resizeMode", () => {
  it.effect("0 stretches", () =>
    Effect.gen(function*() {
      const picture = columns([0, 50, 100, 150], 2)
      assert.deepStrictEqual(yield* resizeMode(0, picture, 8, 8), Resample.resize(picture, 8, 8, "lanczos"))
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
})

import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { Raster } from "../../src/core/Raster.ts"
import { grid } from "../../src/images/Grid.ts"

/** 2 by 1 pixels of one grey. */
const tile = (value: number): Raster => ({ width: 2, height: 1, channels: 3, data: new Uint8Array(6).fill(value) })
const tiles = (count: number) => Array.from({ length: count }, (_, i) => tile(i + 1))

/** Rows and columns of a grid of such tiles. */
const layout = (count: number, rows: number, batchSize = 1) => {
  const { height, width } = grid(tiles(count), { rows, batchSize })
  return [height, width / 2]
}

/** The red of every pixel, row by row. */
const reds = ({ data, width }: Raster) => {
  const values = [...data].filter((_, i) => i % 3 === 0)
  return Array.from({ length: values.length / width }, (_, y) => values.slice(y * width, (y + 1) * width))
}

describe("grid", () => {
  it.each([
    [1, [1, 1]],
    [2, [1, 2]],
    [3, [2, 2]],
    [4, [2, 2]],
    [5, [2, 3]],
    [6, [2, 3]],
    [7, [3, 3]],
    [10, [3, 4]],
    [12, [3, 4]],
    [13, [4, 4]]
  ])("makes %i images nearly square when asked for -1 rows", (count, expected) => {
    assert.deepStrictEqual(layout(count, -1), expected)
  })

  it("makes as many rows as asked for, or as a batch has images, and no more than there are images", () => {
    assert.deepStrictEqual(layout(6, 3), [3, 2])
    assert.deepStrictEqual(layout(7, 2), [2, 4])
    assert.deepStrictEqual(layout(6, 0, 2), [2, 3])
    assert.deepStrictEqual(layout(3, 10), [3, 1])
    assert.deepStrictEqual(layout(3, 0, 8), [3, 1])
  })

  it("puts images from left to right, then down, and leaves the rest black", () => {
    assert.deepStrictEqual(reds(grid(tiles(3), { rows: -1, batchSize: 1 })), [[1, 1, 2, 2], [3, 3, 0, 0]])
  })

  it("gives grey images three channels, and shows black behind what is transparent", () => {
    const grey: Raster = { width: 1, height: 1, channels: 1, data: Uint8Array.of(9) }
    const alpha: Raster = { width: 1, height: 1, channels: 4, data: Uint8Array.of(255, 100, 0, 51) }
    assert.deepStrictEqual(grid([grey, alpha], { rows: 1, batchSize: 1 }), {
      width: 2,
      height: 1,
      channels: 3,
      data: Uint8Array.of(9, 9, 9, 51, 20, 0)
    })
  })

  it("gives each image a cell of the first one's size", () => {
    const large: Raster = { width: 3, height: 2, channels: 1, data: Uint8Array.of(5, 6, 7, 8, 9, 10) }
    const small: Raster = { width: 1, height: 1, channels: 1, data: Uint8Array.of(4) }
    assert.deepStrictEqual(reds(grid([tile(1), large, small], { rows: 1, batchSize: 1 })), [[1, 1, 5, 6, 4, 0]])
  })

  it("makes an image of no pixels of none", () => {
    assert.deepStrictEqual(grid([], { rows: -1, batchSize: 1 }), {
      width: 0,
      height: 0,
      channels: 3,
      data: new Uint8Array()
    })
  })

  const count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))
  const rows = Schema.Int.check(Schema.isBetween({ minimum: -1, maximum: 70 }))
  it.prop("shows every image once, whatever the rows", [count, rows, count], ([count, rows, batchSize]) => {
    const shown = reds(grid(tiles(count), { rows, batchSize })).flat().filter((red) => red > 0)
    assert.deepStrictEqual(shown, tiles(count).flatMap((_, i) => [i + 1, i + 1]))
  })
})

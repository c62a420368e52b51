import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as Tiles from "../../src/images/Tiles.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const grids = Arbitrary.map(
  Arbitrary.all([int(1, 40), int(1, 40), int(1, 24), int(1, 24), int(0, 20), Arbitrary.schema(Schema.Boolean)]),
  ([height, width, tileHeight, tileWidth, overlap, seamless]) =>
    Tiles.grid({ height, width, tile: { height: tileHeight, width: tileWidth }, overlap, seamless })
)

/** The whole, from tiles that `change` made of those of `planes`. */
const throughTiles = (
  planes: Float32Array,
  channels: number,
  from: Tiles.Grid,
  to = from,
  change = (tile: Float32Array) => tile
) => {
  const sum = new Float32Array(channels * to.rows.length * to.columns.length)
  const tile = new Float32Array(channels * from.rows.tile * from.columns.tile)
  for (const place of from.tiles) {
    Tiles.cut(tile, planes, channels, from, place)
    Tiles.add(sum, change(tile), channels, to, place)
  }
  return sum
}

const numbers = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7) * 3)

const assertClose = (actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5) => {
  assert.strictEqual(actual.length, expected.length)
  const off = Array.from(expected, (value, i) => Math.abs(value - (actual[i] ?? NaN)))
    .findIndex((difference) => !(difference <= tolerance))
  assert.strictEqual(off, -1, `${actual[off]} is not ${expected[off]}`)
}

describe("split", () => {
  // images.split_grid of stable-diffusion-webui gives these starts.
  it.each([
    { length: 512, tile: 192, overlap: 8, starts: [0, 160, 320] },
    { length: 500, tile: 192, overlap: 8, starts: [0, 154, 308] },
    { length: 1024, tile: 512, overlap: 64, starts: [0, 256, 512] },
    { length: 193, tile: 192, overlap: 8, starts: [0, 1] },
    { length: 192, tile: 192, overlap: 8, starts: [0] },
    { length: 20, tile: 192, overlap: 8, starts: [0] }
  ])("spreads tiles evenly: $tile over $length from $starts", ({ length, overlap, starts, tile }) => {
    assert.deepStrictEqual(Tiles.split(length, tile, overlap), starts)
  })

  it.prop(
    "covers the length, with at least the overlap, up to half a tile, and in order",
    [int(1, 3000), int(1, 300), int(0, 100)],
    ([length, tile, overlap]) => {
      const starts = Tiles.split(length, tile, overlap)
      const common = Math.min(overlap, Math.floor(tile / 2))
      assert.strictEqual(starts[0], 0)
      assert.strictEqual(starts.at(-1), Math.max(0, length - tile))
      for (const [index, start] of starts.slice(1).entries()) {
        const gap = start - (starts[index] ?? NaN)
        assert.isTrue(gap > 0 && gap <= tile - common, `${gap} of ${tile}`)
      }
    }
  )

  it.prop(
    "covers a round length, from the last tile to the first also",
    [int(1, 3000), int(1, 300), int(0, 100)],
    ([length, tile, overlap]) => {
      const starts = Tiles.splitRound(length, tile, overlap)
      if (starts.length === 1) return assert.isAtLeast(tile, length)
      const common = Math.min(overlap, Math.floor(tile / 2))
      for (const [index, start] of starts.entries()) {
        const gap = (starts[index + 1] ?? length) - start
        assert.isTrue(gap > 0 && gap <= tile - common, `${gap} of ${tile}`)
      }
    }
  )

  it("asks for no more than half a tile in common, so that tiles end", () => {
    assert.lengthOf(Tiles.split(512, 8, 48), 127)
    assert.lengthOf(Tiles.split(512, 1, 48), 512)
  })
})

describe("grid", () => {
  it.prop("has weights that sum to 1 at every point", [grids], ([grid]) => {
    const { columns, rows } = grid
    const ones = new Float32Array(rows.tile * columns.tile).fill(1)
    const sum = throughTiles(new Float32Array(rows.length * columns.length), 1, grid, grid, () => ones)
    assertClose(sum, new Float32Array(sum.length).fill(1), 1e-6)
    assert.isTrue([...rows.weights, ...columns.weights].every((weights) => weights.every((weight) => weight > 0)))
  })

  it.prop("gives back what is cut and added as it was", [grids, int(1, 4)], ([grid, channels]) => {
    const planes = numbers(channels * grid.rows.length * grid.columns.length)
    assertClose(throughTiles(planes, channels, grid), planes)
  })

  it.prop("adds numbers as doubles do", [grids, int(1, 4)], ([grid, channels]) => {
    const { columns, rows } = grid
    const values = numbers(channels * rows.tile * columns.tile)
    const sum = numbers(channels * rows.length * columns.length)
    const wanted = Float32Array.from(sum)
    for (const tile of grid.tiles) {
      Tiles.add(sum, values, channels, grid, tile)
      for (let i = 0; i < values.length; i++) {
        const [y, x] = [Math.floor(i / columns.tile) % rows.tile, i % columns.tile]
        const line = Math.floor(i / columns.tile / rows.tile) * rows.length +
          ((rows.starts[tile.row] ?? NaN) + y) % rows.length
        const at = line * columns.length + ((columns.starts[tile.column] ?? NaN) + x) % columns.length
        const weight = (rows.weights[tile.row]?.[y] ?? NaN) * (columns.weights[tile.column]?.[x] ?? NaN)
        wanted[at] = (wanted[at] ?? NaN) + weight * (values[i] ?? NaN)
      }
    }
    assert.deepStrictEqual(sum, wanted)
  })

  it.prop("has the same tiles at another scale", [grids, int(1, 4)], ([grid, factor]) => {
    const large = Tiles.scaled(grid, factor)
    assert.deepStrictEqual(large.tiles, grid.tiles)
    const { columns, rows } = grid
    const enlarged = (values: Float32Array, height: number, width: number) =>
      Float32Array.from(
        { length: height * width * factor ** 2 },
        (_, i) => {
          const y = Math.floor(i / (width * factor) / factor)
          const x = Math.floor((i % (width * factor)) / factor)
          return values[y * width + x] ?? NaN
        }
      )
    const planes = numbers(rows.length * columns.length)
    assertClose(
      throughTiles(planes, 1, grid, large, (tile) => enlarged(tile, rows.tile, columns.tile)),
      enlarged(planes, rows.length, columns.length)
    )
  })

  it("is one tile with the weight 1 for what fits into it", () => {
    for (const seamless of [false, true]) {
      const grid = Tiles.grid({ height: 5, width: 7, tile: { height: 8, width: 7 }, overlap: 2, seamless })
      assert.strictEqual(grid.tiles.length, 1)
      assert.deepStrictEqual([grid.rows.tile, grid.columns.tile], [5, 7])
      const planes = numbers(35)
      assert.deepStrictEqual(throughTiles(planes, 1, grid), planes)
    }
  })

  it("goes linearly from one tile to the next", () => {
    const grid = Tiles.grid({ height: 1, width: 12, tile: { height: 1, width: 8 }, overlap: 4 })
    let count = 0
    const sum = throughTiles(new Float32Array(12), 1, grid, grid, (tile) => tile.fill(count++))
    assertClose(sum, [0, 0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1])
  })

  it("goes round the edges of seamless planes, also where one tile is long enough", () => {
    const grid = Tiles.grid({ height: 16, width: 64, tile: { height: 32, width: 32 }, overlap: 4, seamless: true })
    assert.deepStrictEqual(grid.columns.starts, [0, 21, 42])
    assert.deepStrictEqual([grid.rows.tile, grid.columns.tile], [32, 32])
    const tile = new Float32Array(32 * 32)
    // Each value tells where it comes from.
    const planes = Float32Array.from({ length: 16 * 64 }, (_, i) => i)
    Tiles.cut(tile, planes, 1, grid, { row: 0, column: 2 })
    for (const [y, x] of [[0, 0], [7, 21], [8, 22], [31, 31]] as const) {
      assert.strictEqual(tile[y * 32 + x], ((8 + y) % 16) * 64 + (42 + x) % 64)
    }
  })

  it.prop("is added row by row of tiles, in parts, as at once", [int(1, 40), int(1, 24), int(0, 12), int(1, 9)], (
    [height, side, overlap, step]
  ) => {
    const grid = Tiles.grid({ height, width: 9, tile: { height: side, width: 5 }, overlap })
    const { rows } = grid
    const planes = numbers(2 * height * 9)
    const tile = new Float32Array(2 * rows.tile * 5)
    const whole = new Float32Array(planes.length)
    for (const place of grid.tiles) {
      Tiles.cut(tile, planes, 2, grid, place)
      const top = rows.starts[place.row] ?? 0
      const band = new Float32Array(2 * rows.tile * 9)
      for (let from = 0; from < rows.tile; from += step) {
        Tiles.add(band, tile, 2, grid, place, { from, to: Math.min(rows.tile, from + step) }, {
          top,
          height: rows.tile
        })
      }
      for (let i = 0; i < band.length; i++) {
        const channel = Math.floor(i / (rows.tile * 9))
        const at = channel * height * 9 + top * 9 + i % (rows.tile * 9)
        whole[at] = (whole[at] ?? NaN) + (band[i] ?? NaN)
      }
    }
    assertClose(whole, planes)
  })
})

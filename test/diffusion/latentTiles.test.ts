import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as latentTiles from "../../src/diffusion/latentTiles.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

interface Case {
  readonly size: { readonly height: number; readonly width: number }
  readonly plan: latentTiles.TilePlan
}

const cases = Arbitrary.map(
  Arbitrary.all([int(1, 24), int(1, 24), int(4, 16), int(0, 8), Arbitrary.schema(Schema.Boolean)]),
  ([height, width, side, overlap, seamless]): Case => ({
    size: { height, width },
    plan: latentTiles.plan({ height, width }, { tile: { height: side, width: side }, overlap }, seamless)
  })
)

const numbers = (length: number) => Float32Array.from({ length }, (_, i) => Math.cos(i * 2.3))

/** A prediction made tile by tile by a network that is arithmetic on each tile. */
const predicted = (
  { plan, size }: Case,
  values: Float32Array,
  channels: number,
  network: (sample: Float32Array, prediction: Float32Array) => void
) => {
  const sample = new Float32Array(channels * plan.tile.height * plan.tile.width)
  const prediction = new Float32Array(sample.length)
  const sum = new Float32Array(channels * size.height * size.width)
  for (const tile of plan.tiles) {
    latentTiles.gather(sample, values, channels, plan, tile)
    network(sample, prediction)
    latentTiles.scatterAdd(sum, prediction, channels, plan, tile)
  }
  return sum
}

describe("latentTiles", () => {
  it.prop("predicts as at once where each value is predicted alone, for any number of latents", [cases, int(1, 9)], (
    [given, channels]
  ) => {
    const values = numbers(channels * given.size.height * given.size.width)
    const sum = predicted(given, values, channels, (sample, prediction) => {
      for (let i = 0; i < sample.length; i++) prediction[i] = (sample[i] ?? NaN) * -0.5 + 2
    })
    assert.isTrue(sum.every((value, i) => Math.abs(value - ((values[i] ?? NaN) * -0.5 + 2)) <= 1e-5))
  })

  it.prop("predicts between the least and the most that tiles say", [cases], ([given]) => {
    let count = 0
    const values = new Float32Array(given.size.height * given.size.width)
    const sum = predicted(given, values, 1, (_, prediction) => prediction.fill(count++))
    assert.isTrue(sum.every((value) => value >= -1e-5 && value <= count - 1 + 1e-5))
  })

  it("has one tile for latents no larger than one, whose values are passed on as they are", () => {
    const size = { height: 8, width: 6 }
    const plan = latentTiles.plan(size, { tile: { height: 8, width: 8 }, overlap: 4 }, true)
    assert.isTrue(plan.isWhole)
    assert.deepStrictEqual(plan.tile, size)
    const values = numbers(2 * 48)
    const copied = predicted({ plan, size }, values, 2, (sample, prediction) => prediction.set(sample))
    assert.deepStrictEqual(copied, values)
  })

  it("keeps tiles of multiples of 8 at that, also where seamless latents need one in a direction", () => {
    const plan = latentTiles.plan(
      { height: 64, width: 136 },
      { tile: { height: 96, width: 96 }, overlap: 12 },
      true
    )
    assert.isFalse(plan.isWhole)
    assert.deepStrictEqual(plan.tile, { height: 96, width: 96 })
    assert.deepStrictEqual(plan.tiles, [{ row: 0, column: 0 }, { row: 0, column: 1 }])
  })

  it("joins the edges of seamless latents as it joins tiles", () => {
    // A network that predicts its tile's own middle as 1 and its outermost column as 0 shows each seam.
    const size = { height: 4, width: 32 }
    const plan = latentTiles.plan(size, { tile: { height: 4, width: 16 }, overlap: 4 }, true)
    const { tile: { height, width } } = plan
    const sum = predicted({ plan, size }, new Float32Array(4 * 32), 1, (_, prediction) => {
      for (let i = 0; i < height * width; i++) prediction[i] = i % width === 0 || i % width === width - 1 ? 0 : 1
    })
    const [least, ...others] = [...new Set(plan.grid.columns.starts)].map((start) => sum[start] ?? NaN)
    for (const other of others) assert.closeTo(other, least ?? NaN, 0.1)
    assert.isAbove(least ?? NaN, 0.8)
  })
})

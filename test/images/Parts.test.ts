import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { type Raster, toRgb } from "../../src/core/Raster.ts"
import * as Work from "../../src/core/Work.ts"
import * as Parts from "../../src/images/Parts.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("byLines", () => {
  it.prop("comes to each line once, in order", [int(0, 60), int(1, 2 ** 18)], ([lines, effort]) => {
    const seen: Array<number> = []
    Work.atOnce(Parts.byLines(lines, effort, (from, to) => {
      assert.isTrue(to - from === 1 || (to - from) * effort <= Work.workAtOnce)
      for (let line = from; line < to; line++) seen.push(line)
    }))
    assert.deepStrictEqual(seen, Array.from({ length: lines }, (_, line) => line))
  })
})

describe("eachPixel", () => {
  it.prop("puts together what is made of some lines each", [int(1, 9), int(1, 60)], ([width, height]) => {
    const image: Raster = { width, height, channels: 1, data: new Uint8Array(width * height).map((_, i) => i) }
    const made = Work.atOnce(Parts.eachPixel(image, 3, (lines) => toRgb(lines), 2 ** 14))
    assert.deepStrictEqual(made, toRgb(image))
  })
})

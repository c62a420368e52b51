import { assert, describe, it } from "@effect/vitest"
import { filled } from "../../src/core/Raster.ts"
import { labelSize } from "../../src/images/Label.ts"
import { plot } from "../../src/images/Plot.ts"

const cell = (value: number) => filled({ width: 40, height: 30 }, 3, value)

describe("a drawn plot", () => {
  it("shows its cells in columns, rows and sheets, and leaves one that was not made black", () => {
    const cells = [cell(10), cell(20), cell(30), undefined, cell(50), cell(60), cell(70), cell(80)]
    const { data, height, width } = plot(cells, { x: ["", ""], y: ["", ""], z: ["", ""] })
    assert.deepStrictEqual([width, height], [2 * 84 + 16, 64])
    const at = (x: number, y: number) => data[(y * width + x) * 3]
    assert.deepStrictEqual([at(0, 0), at(44, 0), at(0, 34), at(44, 34)], [10, 20, 30, 0])
    assert.deepStrictEqual([at(100, 0), at(144, 0), at(100, 34), at(144, 34)], [50, 60, 70, 80])
    assert.deepStrictEqual([at(40, 0), at(0, 30)], [0, 0])
  })

  it("has the values of its axes at its edges", () => {
    const bare = plot([cell(9), cell(9)], { x: ["", ""], y: [""], z: [""] })
    const { data, height, width } = plot([cell(9), cell(9)], { x: ["a", "b"], y: ["row"], z: ["sheet"] })
    // Three lines of the font fit the height of a cell.
    const scale = 3
    assert.strictEqual(height, bare.height + 2 * (labelSize("", scale).height + 4))
    assert.strictEqual(width, bare.width + labelSize("row", scale).width + 4)
    assert.isTrue(data.includes(255))
    assert.isFalse(bare.data.includes(255))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { hiresSize } from "../../src/processing/HiresSize.ts"

describe("hiresSize", () => {
  const first = { width: 512, height: 768 }
  const size = (hr_resize_x: number, hr_resize_y: number, hr_scale = 2) =>
    hiresSize({ hr_resize_x, hr_resize_y, hr_scale }, first)

  it("scales both sides, or keeps the proportions for one, or covers both and cuts", () => {
    assert.deepStrictEqual(size(0, 0, 1.5), {
      enlarged: { width: 768, height: 1152 },
      wanted: { width: 768, height: 1152 }
    })
    assert.deepStrictEqual(size(1024, 0).enlarged, { width: 1024, height: 1536 })
    assert.deepStrictEqual(size(0, 1024).enlarged, { width: 682, height: 1024 })
    assert.deepStrictEqual(size(1024, 1024), {
      enlarged: { width: 1024, height: 1536 },
      wanted: { width: 1024, height: 1024 }
    })
    assert.deepStrictEqual(size(600, 1200), {
      enlarged: { width: 800, height: 1200 },
      wanted: { width: 600, height: 1200 }
    })
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { filled, paste, premultiply, type Raster, toRgba, unpremultiply, withoutAlpha } from "../../src/core/Raster.ts"
import { filling } from "../../src/images/MaskFill.ts"
import { visibleWhere } from "../../src/images/Overlay.ts"
import { alphaComposite, fill, gaussianBlur } from "./whole.ts"

const noise = (width: number, height: number, channels: 3 | 4): Raster => ({
  width,
  height,
  channels,
  data: Uint8Array.from({ length: width * height * channels }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24)
})
const side = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
const size = { width: 40, height: 24 }
const hole = paste(filled(size, 1), filled({ width: 20, height: 12 }, 1, 255), 10, 6)

describe("gaussianBlur", () => {
  it.prop("keeps one value, whatever the size and the radius", [side, side, side], ([width, height, radius]) => {
    const flat = filled({ width, height }, 4, 201)
    assert.deepStrictEqual(gaussianBlur(flat, radius * 8), flat)
  })

  it("is three boxes with parts of a pixel at their ends, each rounded", () => {
    // Each pass has a third of the variance: whole pixels for a radius of 1, and a part of those next to them.
    const line = filled({ width: 41, height: 1 }, 4)
    line.data.fill(255, 20 * 4, 21 * 4)
    const blurred = gaussianBlur(line, 2).data.filter((_, i) => i % 4 === 0)
    const variance = 4 / 3
    const part = 3 * (1 * 2 - 3 * variance) / (6 * (variance - 4))
    const weights = [part, 1, 1, 1, part].map((weight) => weight / (3 + 2 * part))
    const once = (from: ReadonlyArray<number>) =>
      from.map((_, x) => Math.round(weights.reduce((sum, weight, i) => sum + weight * (from[x + i - 2] ?? 0), 0)))
    const impulse = Array.from({ length: 41 }, (_, x) => x === 20 ? 255 : 0)
    assert.deepStrictEqual([...blurred], once(once(once(impulse))))
  })
})

describe("filling", () => {
  it("leaves what is not masked", () => {
    const image = noise(40, 24, 3)
    const filledIn = fill(image, hole)
    assert.strictEqual(filledIn.channels, 3)
    assert.isTrue(filledIn.data.every((value, i) => hole.data[Math.floor(i / 3)] === 255 || value === image.data[i]))
  })

  it("makes the hole of its surroundings", () => {
    const around = filled(size, 3, 90)
    const image = paste(around, filled({ width: 20, height: 12 }, 3, 255), 10, 6)
    const { data } = fill(image, hole)
    // Divided by a small alpha, a rounded colour is some steps off.
    assert.isTrue(data.every((value) => Math.abs(value - 90) <= 4))
  })

  it("gives the image for a black mask, and black for a white one", () => {
    const image = noise(40, 24, 3)
    assert.deepStrictEqual(fill(image, filled(size, 1)), image)
    assert.deepStrictEqual(fill(image, filled(size, 1, 255)), filled(size, 3))
  })

  it.effect("lays the blurred ones over each other, the sharpest last", () =>
    Effect.gen(function*() {
      const image = noise(150, 90, 3)
      const mask = paste(filled(image, 1), filled({ width: 80, height: 40 }, 1, 200), 30, 20)
      const surroundings = visibleWhere("black", mask, premultiply(toRgba(image)))
      let whole = filled(image, 4)
      for (const radius of [256, 64, 16, 16, 4, 4, 4, 4, 2, 2, 0]) {
        whole = alphaComposite(whole, unpremultiply(gaussianBlur(surroundings, radius)))
      }
      assert.deepStrictEqual(yield* filling(image, mask), withoutAlpha(whole))
      assert.deepStrictEqual(fill(image, mask), withoutAlpha(whole))
    }))
})

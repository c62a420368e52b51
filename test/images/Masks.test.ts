import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { crop, filled, paste, type Raster } from "../../src/core/Raster.ts"
import * as Masks from "../../src/images/Masks.ts"
import { blur, latentMask } from "./whole.ts"

const pixels = (channels: Raster["channels"], ...values: ReadonlyArray<number>): Raster => ({
  width: values.length / channels,
  height: 1,
  channels,
  data: Uint8Array.from(values)
})
/** Black, with a white rectangle. */
const rectangle = (width: number, height: number, left: number, top: number, right: number, bottom: number) =>
  paste(filled({ width, height }, 1), filled({ width: right - left, height: bottom - top }, 1, 255), left, top)

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("fromImage", () => {
  it("is the grey of ITU-R 601", () => {
    const rgb = pixels(3, 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255)
    assert.deepStrictEqual([...Masks.fromImage(rgb, { round: true }).data], [76, 150, 29, 255])
  })

  it("is the alpha, when there is any", () => {
    const rgba = pixels(4, 9, 9, 9, 128, 9, 9, 9, 129, 9, 9, 9, 0)
    assert.deepStrictEqual([...Masks.fromImage(rgba, { round: true }).data], [0, 255, 0])
    assert.deepStrictEqual([...Masks.fromImage(rgba, { round: false }).data], [128, 129, 0])
    assert.deepStrictEqual([...Masks.fromImage(pixels(4, 9, 9, 9, 255), { round: true }).data], [9])
  })
})

describe("blur", () => {
  it("has OpenCV's weights", () => {
    assert.deepStrictEqual([...Masks.gaussianWeights(1)], [1, 14, 62, 102, 62, 14, 1])
    assert.strictEqual(Masks.gaussianWeights(4).length, 21)
  })

  it("mirrors at the outermost pixel", () => {
    const [w3 = 0, w2 = 0, w1 = 0, w0 = 0] = Masks.gaussianWeights(1)
    const blurred = blur(pixels(1, 0, 255, 0, 0, 0, 0, 0, 0), 1, 0)
    const expected = [2 * w1, w0 + w2, w1 + w3, w2, w3, 0, 0, 0].map((weight) => (weight * 255 + 128) >> 8)
    assert.deepStrictEqual([...blurred.data], expected)
  })

  it.prop("keeps one value, and masks of one pixel", [int(0, 255), int(0, 20), int(1, 9)], ([value, sigma, size]) => {
    const mask = filled({ width: size, height: 3 }, 1, value)
    assert.deepStrictEqual(blur(mask, sigma, sigma), mask)
  })

  /** Along one line, sample by sample, as OpenCV defines it. */
  const blurredLine = (line: ReadonlyArray<number>, sigma: number): ReadonlyArray<number> => {
    if (sigma === 0) return line
    const weights = [...Masks.gaussianWeights(sigma)]
    const half = (weights.length - 1) / 2
    const period = Math.max(1, 2 * line.length - 2)
    const reflected = (at: number): number => {
      const within = (at % period + period) % period
      return Math.min(within, period - within)
    }
    return line.map((_, x) =>
      weights.reduce((sum, weight, tap) => sum + weight * (line[reflected(x + tap - half)] ?? NaN), 128) >> 8
    )
  }
  const transposed = (lines: ReadonlyArray<ReadonlyArray<number>>) =>
    (lines[0] ?? []).map((_, x) => lines.map((line) => line[x] ?? NaN))

  it.prop(
    "is the sum of all weighted neighbours, rounded along x and then along y",
    [int(1, 7), int(1, 7), int(0, 999), Schema.Literals([0, 1, 2.5, 7, 40, 512]), Schema.Literals([0, 3, 64])],
    ([width, height, seed, x, y]) => {
      const data = Uint8Array.from({ length: width * height }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24)
      const lines = Array.from({ length: height }, (_, row) => [...data.subarray(row * width, (row + 1) * width)])
      const wide = lines.map((line) => blurredLine(line, x))
      const high = transposed(transposed(wide).map((line) => blurredLine(line, y)))
      assert.deepStrictEqual([...blur({ width, height, channels: 1, data }, x, y).data], high.flat())
    }
  )

  it("blurs strips of lines that are long and many", () => {
    const mask = { ...filled({ width: 4000, height: 50 }, 1), data: new Uint8Array(200_000).map((_, i) => i * i >> 4) }
    const part = { left: 3200, right: 3400, top: 0, bottom: 50 }
    assert.deepStrictEqual(crop(blur(mask, 0, 64), part), blur(crop(mask, part), 0, 64))
  })

  it.prop("has no more than 256 weights to add, however wide it is", [int(1, 512)], ([sigma]) => {
    const weights = Masks.gaussianWeights(sigma)
    assert.strictEqual(weights.reduce((sum, weight) => sum + weight, 0), 256)
    assert.isTrue(weights.every((weight) => weight >= 0))
  })

  it.effect("is the same with pauses", () =>
    Effect.gen(function*() {
      const mask = rectangle(401, 303, 60, 70, 220, 250)
      assert.deepStrictEqual(yield* Masks.blurring(mask, 30, 20), blur(mask, 30, 20))
    }))

  it("blurs along x and along y alike", () => {
    const wide = blur(rectangle(9, 9, 3, 3, 6, 6), 2, 0).data
    const high = blur(rectangle(9, 9, 3, 3, 6, 6), 0, 2).data
    assert.deepStrictEqual(high, wide.map((_, i) => wide[(i % 9) * 9 + Math.floor(i / 9)] ?? 0))
  })
})

describe("cropRegion", () => {
  it("is the bounding box with padding, inside the mask", () => {
    const mask = rectangle(20, 10, 4, 1, 6, 3)
    assert.deepStrictEqual(Masks.cropRegion(mask, 0), { left: 4, top: 1, right: 6, bottom: 3 })
    assert.deepStrictEqual(Masks.cropRegion(mask, 3), { left: 1, top: 0, right: 9, bottom: 6 })
    assert.deepStrictEqual(Masks.cropRegion(mask, 99), { left: 0, top: 0, right: 20, bottom: 10 })
  })

  it("is none when all is black", () => {
    assert.isUndefined(Masks.cropRegion(filled({ width: 5, height: 5 }, 1), 32))
  })
})

describe("expandRegion", () => {
  const image = { width: 100, height: 80 }

  it("widens to the proportions, and moves inside", () => {
    const square = { width: 512, height: 512 }
    const narrow = { left: 40, top: 10, right: 50, bottom: 40 }
    assert.deepStrictEqual(Masks.expandRegion(narrow, square, image), { left: 30, top: 10, right: 60, bottom: 40 })
    const atRight = { left: 90, top: 10, right: 100, bottom: 40 }
    assert.deepStrictEqual(Masks.expandRegion(atRight, square, image), { left: 70, top: 10, right: 100, bottom: 40 })
    const atTop = { left: 10, top: 0, right: 40, bottom: 10 }
    assert.deepStrictEqual(Masks.expandRegion(atTop, square, image), { left: 10, top: 0, right: 40, bottom: 30 })
    const whole = { left: 0, top: 0, right: 100, bottom: 10 }
    assert.deepStrictEqual(Masks.expandRegion(whole, square, image), { left: 0, top: 0, right: 100, bottom: 80 })
  })

  it.prop(
    "never loses a part of the region, nor leaves the image",
    [int(0, 99), int(1, 100), int(0, 79), int(1, 80), int(1, 16), int(1, 16)],
    ([left, width, top, height, w, h]) => {
      const region = { left, top, right: Math.min(100, left + width), bottom: Math.min(80, top + height) }
      const grown = Masks.expandRegion(region, { width: w * 64, height: h * 64 }, image)
      assert.isTrue(grown.left >= 0 && grown.top >= 0 && grown.right <= 100 && grown.bottom <= 80)
      assert.isTrue(grown.left <= region.left && grown.top <= region.top)
      assert.isTrue(grown.right >= region.right && grown.bottom >= region.bottom)
    }
  )
})

describe("overlayMask and invert", () => {
  it("double up to white, and turn white to black", () => {
    assert.deepStrictEqual([...Masks.overlayMask(pixels(1, 0, 1, 127, 128, 255)).data], [0, 2, 254, 255, 255])
    assert.deepStrictEqual([...Masks.invert(pixels(1, 0, 1, 255)).data], [255, 254, 0])
  })
})

describe("latentMask", () => {
  it("is of the latents' size, 0 to 1", () => {
    const mask = rectangle(64, 32, 32, 0, 64, 32)
    const latent = latentMask(mask, { width: 8, height: 4 }, { round: true })
    assert.deepStrictEqual([...latent], Array.from({ length: 32 }, (_, i) => i % 8 < 4 ? 0 : 1))
  })

  it.prop("holds nothing but 0 and 1 when rounded", [int(0, 24), int(0, 24), int(1, 8)], ([left, top, side]) => {
    const mask = blur(rectangle(32, 32, left, top, left + side, top + side), 3, 3)
    const size = { width: 4, height: 4 }
    const soft = latentMask(mask, size, { round: false })
    const hard = latentMask(mask, size, { round: true })
    assert.isTrue(soft.every((value, i) => value >= 0 && value <= 1 && hard[i] === (value > 0.5 ? 1 : 0)))
  })

  it.effect("is the same with pauses", () =>
    Effect.gen(function*() {
      const [mask, size] = [rectangle(400, 320, 70, 60, 220, 250), { width: 80, height: 60 }]
      const latent = yield* Masks.latentMasking(mask, size, { round: false })
      assert.deepStrictEqual(latent, latentMask(mask, size, { round: false }))
    }))
})

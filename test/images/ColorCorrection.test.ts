import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { filled, type Raster } from "../../src/core/Raster.ts"
import * as ColorCorrection from "../../src/images/ColorCorrection.ts"
import * as Lab from "../../src/images/Lab.ts"
import * as plain from "./plain.ts"
import { correct } from "./whole.ts"

const size = { width: 16, height: 16 }
const gradient = (red: number, green: number, blue: number): Raster => ({
  ...size,
  channels: 3,
  data: Uint8Array.from({ length: 768 }, (_, i) => ([red, green, blue][i % 3] ?? 0) * (64 + Math.floor(i / 6)) / 255)
})
const luminosity = (rgb: Uint8Array, at: number) =>
  0.299 * (rgb[at] ?? 0) + 0.587 * (rgb[at + 1] ?? 0) + 0.114 * (rgb[at + 2] ?? 0)

describe("L*a*b*", () => {
  it("has OpenCV's numbers", () => {
    const lab = (...rgb: ReadonlyArray<number>) => [...Lab.toLab(Uint8Array.from(rgb))]
    assert.deepStrictEqual(lab(255, 255, 255), [255, 128, 128])
    assert.deepStrictEqual(lab(0, 0, 0), [0, 128, 128])
    assert.deepStrictEqual(lab(255, 0, 0), [136, 208, 195])
    assert.deepStrictEqual(lab(0, 255, 0), [224, 42, 211])
    assert.deepStrictEqual(lab(0, 0, 255), [82, 207, 20])
  })

  const sample = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
  it.prop("comes back from greys", [sample], ([value]) => {
    const back = Lab.fromLab(Lab.toLab(Uint8Array.of(value, value, value)))
    assert.isTrue(back.every((channel) => Math.abs(channel - value) <= 1))
  })
})

describe("the bytes", () => {
  const First = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
  it.prop("of conversions are those of the formulas", [First, First], ([first, second]) => {
    const all = new Uint8Array(3 * 256)
    for (let i = 0; i < 256; i++) all.set([first, second, i], 3 * i)
    assert.deepStrictEqual(Lab.toLab(all), plain.toLab(all))
    assert.deepStrictEqual(Lab.fromLab(all), plain.fromLab(all))
  })

  const Around = Schema.Int.check(Schema.isBetween({ minimum: -100, maximum: 300 }))
  const Spread = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 }))
  it.prop(
    "of a correction are those of the formulas",
    [Around, Around, Spread, Spread, Schema.Int],
    ([a, b, spreadA, spreadB, seed]) => {
      const noise = (around: number, spread: number, seed: number): Raster => ({
        ...size,
        channels: 3,
        data: Uint8Array.from({ length: 768 }, (_, i) => {
          const share = (Math.imul(i + seed, 2654435761) >>> 8) / 2 ** 24
          return Math.min(255, Math.max(0, around + spread * (share - 0.5) + 20 * (i % 3)))
        })
      })
      const [original, result] = [noise(a, spreadA, seed), noise(b, spreadB, seed + 99)]
      assert.deepStrictEqual(correct(original, result).data, plain.correct(original, result))
    }
  )
})

describe("correcting", () => {
  it("changes the colours of an image with the right ones by no more than the conversion", () => {
    const image = gradient(200, 180, 160)
    const { data } = correct(image, image)
    assert.isTrue(data.every((value, i) => Math.abs(value - (image.data[i] ?? 0)) <= 6))
  })

  it("brings back the colours, and keeps the luminosity", () => {
    const [original, result] = [gradient(220, 120, 60), gradient(120, 130, 220)]
    const corrected = correct(original, result)
    const mean = ({ data }: Raster, channel: number) =>
      data.reduce((sum, value, i) => i % 3 === channel ? sum + value / 256 : sum, 0)
    assert.isAbove(mean(result, 2), mean(result, 0))
    assert.isAbove(mean(corrected, 0), mean(corrected, 2) + 40)
    for (let i = 0; i < 768; i += 3) {
      assert.closeTo(luminosity(corrected.data, i), luminosity(result.data, i), 1)
    }
  })

  it("keeps black black and white white", () => {
    const original = gradient(220, 120, 60)
    for (const value of [0, 255]) {
      assert.deepStrictEqual(correct(original, filled(size, 3, value)), filled(size, 3, value))
    }
  })

  it.effect("is the same for all lines at once and for a few at a time", () =>
    Effect.gen(function*() {
      const noise = (seed: number, channels: 3 | 4): Raster => ({
        width: 80,
        height: 150,
        channels,
        data: Uint8Array.from({ length: 12_000 * channels }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24)
      })
      // One line is one part.
      const line = (raster: Raster) => ({ ...raster, width: 12_000, height: 1 })
      const [original, result] = [noise(7, 3), noise(1234, 4)]
      const corrected = yield* ColorCorrection.correcting(original, result)
      assert.deepInclude(corrected, { width: 80, height: 150, channels: 3 })
      const once = correct(line(original), line(result))
      assert.deepStrictEqual(corrected.data, once.data)
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  crop,
  filled,
  paste,
  premultiply,
  type Raster,
  toRgba,
  unpremultiply,
  withoutAlpha
} from "../../src/core/Raster.ts"
import type { Mask } from "../../src/images/Masks.ts"
import * as Overlay from "../../src/images/Overlay.ts"
import { alphaComposite, applyOverlay, maskComposite, overlay, resize } from "./whole.ts"

const size = { width: 12, height: 10 }
const noise = (seed: number): Raster => ({
  ...size,
  channels: 3,
  data: Uint8Array.from({ length: 360 }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24)
})
const maskOf = (values: (x: number, y: number) => number): Mask => ({
  ...size,
  channels: 1,
  data: Uint8Array.from({ length: 120 }, (_, i) => values(i % 12, Math.floor(i / 12)))
})
const half = maskOf((x) => x < 6 ? 0 : 255)
const left = { left: 0, top: 0, right: 6, bottom: 10 }
const right = { left: 6, top: 0, right: 12, bottom: 10 }

describe("applying", () => {
  it("keeps what is not masked, and shows the result under the mask", () => {
    const [original, result] = [noise(1), noise(99)]
    const out = applyOverlay(result, overlay(original, half))
    assert.strictEqual(out.channels, 3)
    assert.deepStrictEqual(crop(out, left), crop(original, left))
    assert.deepStrictEqual(crop(out, right), crop(result, right))
  })

  it("puts a result back into the region that it was made for", () => {
    const region = { left: 6, top: 2, right: 11, bottom: 7 }
    const mask = maskOf((x, y) => x >= 6 && x < 11 && y >= 2 && y < 7 ? 255 : 0)
    const original = noise(1)
    const result = resize(noise(5), 20, 20, "bicubic")
    const out = applyOverlay(result, overlay(original, mask), region)
    assert.deepStrictEqual(out, paste(original, resize(result, 5, 5, "lanczos"), 6, 2))
  })

  const value = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
  it.prop("mixes where the mask is grey, between the two", [value, value, value], ([share, a, b]) => {
    const above = overlay(filled(size, 3, a), maskOf(() => share))
    const { data } = applyOverlay(filled(size, 3, b), above)
    // A colour of small alpha is known only roughly: by 255 / alpha, of which alpha / 255 shows.
    assert.isAtMost(Math.abs((data[0] ?? 0) - (b * share + a * (255 - share)) / 255), 2.5)
  })
})

describe("maskCompositing", () => {
  it("shows the result under the mask alone", () => {
    const result = noise(7)
    const { channels, data } = maskComposite(result, half)
    assert.strictEqual(channels, 4)
    for (let i = 0; i < 120; i++) {
      const expected = i % 12 < 6 ? [0, 0, 0, 0] : [...result.data.subarray(i * 3, i * 3 + 3), 255]
      assert.deepStrictEqual([...data.subarray(i * 4, i * 4 + 4)], expected)
    }
  })

  it("has the mask's size with a region, the result's without", () => {
    const result = filled({ width: 24, height: 20 }, 3, 50)
    assert.deepInclude(maskComposite(result, half, right), size)
    assert.deepInclude(maskComposite(result, half), { width: 24, height: 20 })
  })

  it("refuses a mask of another size where none is brought to it", () => {
    assert.throws(() => overlay(filled({ width: 2, height: 2 }, 3), half), RangeError)
  })
})

describe("with pauses", () => {
  const large = { width: 240, height: 190 }
  const noiseOf = (channels: 3 | 4): Raster => ({
    ...large,
    channels,
    data: Uint8Array.from({ length: 45_600 * channels }, (_, i) => Math.imul(i + channels, 2654435761) >>> 24)
  })
  const mask: Mask = { ...large, channels: 1, data: noiseOf(3).data.subarray(0, 45_600) }
  const visible = (raster: Raster, colour: "black" | "white") =>
    unpremultiply(Overlay.visibleWhere(colour, mask, premultiply(toRgba(raster))))

  it.effect("is what the whole image would be", () =>
    Effect.gen(function*() {
      const [result, original] = [noiseOf(3), noiseOf(4)]
      const above = yield* Overlay.overlaying(original, mask)
      assert.deepStrictEqual(above, visible(original, "black"))
      assert.deepStrictEqual(
        yield* Overlay.applying(result, above),
        withoutAlpha(alphaComposite(toRgba(result), above))
      )
      assert.deepStrictEqual(yield* Overlay.maskCompositing(result, mask), visible(result, "white"))
    }))

  it.effect("puts a result into its region", () =>
    Effect.gen(function*() {
      const region = { left: 30, top: 40, right: 200, bottom: 180 }
      const [result, above] = [resize(noiseOf(3), 170, 140, "box"), noiseOf(4)]
      const whole = paste(filled(large, 4), toRgba(result), 30, 40)
      assert.deepStrictEqual(
        yield* Overlay.applying(result, above, region),
        withoutAlpha(alphaComposite(whole, above))
      )
      assert.deepStrictEqual(yield* Overlay.maskCompositing(result, mask, region), visible(whole, "white"))
    }))
})

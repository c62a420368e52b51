import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Region } from "../../src/core/Geometry.ts"
import { crop, type Raster } from "../../src/core/Raster.ts"
import * as Resample from "../../src/images/Resample.ts"
import * as plain from "./plain.ts"
import { resize } from "./whole.ts"

const grey = (width: number, height: number, values: ReadonlyArray<number>): Raster => ({
  width,
  height,
  channels: 1,
  data: Uint8Array.from(values)
})
const row = (...values: ReadonlyArray<number>) => grey(values.length, 1, values)
const noise = (width: number, height: number, channels: Raster["channels"]): Raster => ({
  width,
  height,
  channels,
  data: Uint8Array.from({ length: width * height * channels }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24)
})
const filters = ["nearest", "box", "bilinear", "bicubic", "lanczos"] as const

const side = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 24 }))
const Filter = Schema.Literals(filters)
const Channels = Schema.Literals([1, 3, 4])

describe("resizing", () => {
  it("takes the nearest sample", () => {
    assert.deepStrictEqual([...resize(row(1, 2, 3), 6, 1, "nearest").data], [1, 1, 2, 2, 3, 3])
    assert.deepStrictEqual([...resize(row(1, 2, 3, 4), 2, 1, "nearest").data], [2, 4])
  })

  it("averages under a box, halves rounded up", () => {
    assert.deepStrictEqual([...resize(row(0, 10, 20, 31), 2, 1, "box").data], [5, 26])
    assert.deepStrictEqual([...resize(grey(2, 2, [0, 10, 20, 31]), 1, 1, "box").data], [16])
  })

  it("has the weights of Pillow's filters", () => {
    // Places 1/4 and 3/4 between the two samples.
    assert.deepStrictEqual([...resize(row(0, 200), 4, 1, "bilinear").data], [0, 50, 150, 200])
    // Triangle of twice the width around 0.5 + 0.5: weights 3/7, 3/7, 1/7.
    assert.deepStrictEqual([...resize(row(70, 140, 210, 0), 2, 1, "bilinear").data], [120, 110])
    // At a quarter of a sample, a = -0.5: -0.0703125, 0.8671875, 0.2265625, -0.0234375.
    const [, , , , , , value] = resize(row(0, 0, 0, 255, 0, 0, 0, 0), 16, 1, "bicubic").data
    assert.strictEqual(value, Math.round(255 * 0.8671875))
  })

  it("has the windowed sinc of Lanczos, normalised", () => {
    const sinc = (x: number) => x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
    const weights = [-2.25, -1.25, -0.25, 0.75, 1.75, 2.75].map((x) => sinc(x) * sinc(x / 3))
    const sum = weights.reduce((a, b) => a + b)
    const samples = [10, 200, 30, 140, 90, 250, 0, 60]
    const wanted = weights.reduce((total, weight, i) => total + weight / sum * (samples[i] ?? 0), 0)
    // Sample 5 of 16 stands at (5 + 0.5) / 2 = 2.75, a quarter beyond the middle of sample 2.
    assert.strictEqual(resize(row(...samples), 16, 1, "lanczos").data[5], Math.round(wanted))
  })

  it("goes on beyond an edge for a part of no width", () => {
    const edge = resize(row(100, 60), 2, 1, "bicubic", { from: { left: 0, top: 0, right: 0, bottom: 1 } })
    assert.deepStrictEqual([...edge.data], [105, 105])
  })

  it("gives what is transparent no part in the colours", () => {
    const data = Uint8Array.of(255, 0, 0, 255, 0, 255, 0, 0)
    const small = resize({ width: 2, height: 1, channels: 4, data }, 1, 1, "box")
    assert.deepStrictEqual([...small.data], [255, 0, 0, 128])
  })

  const Blended = Schema.Literals(["box", "bilinear", "bicubic", "lanczos"])
  it.prop(
    "has the bytes of plain sums",
    [Blended, Channels, side, side, side, side],
    ([filter, channels, width, height, toWidth, toHeight]) => {
      const image = noise(width, height, channels)
      const wanted = width === toWidth && height === toHeight
        ? image.data
        : plain.resize(image, toWidth, toHeight, filter)
      assert.deepStrictEqual(resize(image, toWidth, toHeight, filter).data, wanted)
    }
  )

  it("has them in images of many parts", () => {
    for (const channels of [1, 3, 4] as const) {
      const image = noise(301, 203, channels)
      for (const [width, height] of [[97, 411], [640, 31]] as const) {
        const resized = resize(image, width, height, "lanczos")
        assert.deepStrictEqual(resized.data, plain.resize(image, width, height, "lanczos"))
      }
    }
  })

  it("has them in strips of lines that are long and many", () => {
    const image = noise(9000, 400, 1)
    const part = { left: 8100, right: 8300, top: 0, bottom: 20 }
    const strip = resize(crop(image, { ...part, bottom: 400 }), 200, 20, "lanczos")
    assert.deepStrictEqual(crop(resize(image, 9000, 20, "lanczos"), part), strip)
  })

  it.prop("keeps one colour", [Filter, Channels, side, side, side, side], ([filter, channels, w, h, toW, toH]) => {
    const data = new Uint8Array(w * h * channels).map((_, i) => i % channels === 3 ? 255 : 77)
    const resized = resize({ width: w, height: h, channels, data }, toW, toH, filter)
    assert.strictEqual(resized.data.length, toW * toH * channels)
    assert.isTrue(resized.data.every((value, i) => value === (i % channels === 3 ? 255 : 77)))
  })

  it.prop("leaves an image of the same size", [Filter, Channels, side, side], ([filter, channels, w, h]) => {
    assert.deepStrictEqual(resize(noise(w, h, channels), w, h, filter), noise(w, h, channels))
  })

  it.prop("is one pass along the width and one along the height", [Filter, side, side], ([filter, w, h]) => {
    const image = noise(9, 7, 3)
    const both = resize(image, w, h, filter)
    assert.deepStrictEqual(both, resize(resize(image, w, 7, filter), w, h, filter))
  })

  const Corners = Schema.Tuple([side, side, side, side])
  it.prop(
    "makes any window of the result as the whole has it",
    [Filter, Channels, side, side, Corners, Corners],
    ([filter, channels, w, h, [a, b, c, d], [toW, toH, fromW, fromH]]) => {
      const image = noise(w, h, channels)
      const window = {
        left: Math.min(a, toW) - 1,
        top: Math.min(b, toH) - 1,
        right: Math.min(toW, a + c),
        bottom: Math.min(toH, b + d)
      }
      // A nearest sample must lie in the image; the others may be of a part of no size.
      const from = { left: 0, top: 0, right: Math.min(w, fromW), bottom: Math.min(h, filter === "box" ? h : fromH - 1) }
      for (const parted of filter === "nearest" ? [{}] : [{}, { from }]) {
        const whole = resize(image, toW, toH, filter, parted)
        assert.deepStrictEqual(
          resize(image, toW, toH, filter, { ...parted, window }),
          crop(whole, window)
        )
      }
    }
  )

  it("computes nothing but the window", () => {
    // The whole would have 2e17 samples.
    const window = { left: 5e8, top: 5e8, right: 5e8 + 2, bottom: 5e8 + 1 }
    const { data } = resize(grey(2, 2, [0, 200, 0, 200]), 1e9, 1e9, "bilinear", { window })
    assert.deepStrictEqual([...data], [100, 100])
  })

  it.effect("is the same with pauses, however many lines there are", () =>
    Effect.gen(function*() {
      for (const filter of filters) {
        const image = noise(300, 200, 4)
        const rows = yield* Resample.resizing(image, 250, 330, filter)
        assert.deepStrictEqual(rows, resize(image, 250, 330, filter))
      }
    }))

  it("refuses windows that reach beyond the result", () => {
    const reach = (window: Region) => () => resize(row(1, 2), 4, 1, "box", { window })
    assert.throws(reach({ left: 0, top: 0, right: 5, bottom: 1 }), RangeError)
    assert.throws(reach({ left: -1, top: 0, right: 2, bottom: 1 }), RangeError)
    assert.throws(reach({ left: 2, top: 0, right: 2, bottom: 1 }), RangeError)
  })

  it("refuses sizes that are none", () => {
    assert.throws(() => resize(row(1), 0, 1, "box"), RangeError)
    assert.throws(() => resize(row(1), 1.5, 1, "nearest"), RangeError)
  })
})

describe("interpolate", () => {
  const line = (values: ReadonlyArray<number>, to: number, mode: Resample.InterpolationMode) => [
    ...Resample.interpolate(
      Float32Array.from(values),
      { channels: 1, height: 1, width: values.length },
      { width: to, height: 1 },
      mode
    )
  ]

  it("has torch's numbers", () => {
    assert.deepStrictEqual(line([0, 1], 4, "bilinear"), [0, 0.25, 0.75, 1])
    assert.deepStrictEqual(line([0, 1], 4, "bilinear-antialiased"), [0, 0.25, 0.75, 1])
    assert.deepStrictEqual(line([0, 1, 2, 3], 2, "bilinear"), [0.5, 2.5])
    // Antialiased: weights 3/7, 3/7, 1/7.
    assert.closeTo(line([0, 1, 2, 3], 2, "bilinear-antialiased")[0] ?? NaN, 5 / 7, 1e-6)
    assert.deepStrictEqual(line([0, 1, 2], 2, "nearest"), [0, 1])
    assert.deepStrictEqual(line([0, 1, 2], 2, "nearest-exact"), [0, 2])
    assert.deepStrictEqual(line([5, 7], 4, "nearest"), [5, 5, 7, 7])
  })

  it("has a cubic of -0.75, and of -0.5 when antialiased", () => {
    const weights = (a: number) => {
      const inner = (x: number) => (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1
      const outer = (x: number) => a * x ** 3 - 5 * a * x ** 2 + 8 * a * x - 4 * a
      return [outer(1.25), inner(0.25), inner(0.75), outer(1.75)]
    }
    const dot = (values: ReadonlyArray<number>, a: number) =>
      weights(a).reduce((sum, weight, i) => sum + weight * (values[i] ?? 0), 0)
    const values = [3, -1, 4, 1, 5, -9]
    // Sample 5 of 12 stands a quarter beyond the middle of sample 2.
    assert.closeTo(line(values, 12, "bicubic")[5] ?? NaN, dot([-1, 4, 1, 5], -0.75), 1e-6)
    assert.closeTo(line(values, 12, "bicubic-antialiased")[5] ?? NaN, dot([-1, 4, 1, 5], -0.5), 1e-6)
    // At the edge the outermost sample counts for those outside: sample 0 stands a quarter before the middle of 0.
    assert.closeTo(line(values, 12, "bicubic")[0] ?? NaN, dot([-1, 3, 3, 3], -0.75), 1e-6)
  })

  const Mode = Schema.Literals(Resample.latentUpscaleModes.map(({ mode }) => mode))
  it.prop("keeps every plane apart, and constants constant", [Mode, side, side, side], ([mode, width, height, to]) => {
    const values = Float32Array.from({ length: 4 * width * height }, (_, i) => Math.floor(i / (width * height)) - 1.5)
    const out = Resample.interpolate(values, { channels: 4, height, width }, { width: to, height: 5 }, mode)
    assert.strictEqual(out.length, 4 * to * 5)
    assert.isTrue(out.every((value, i) => Math.abs(value - (Math.floor(i / (to * 5)) - 1.5)) < 1e-6))
  })

  it.prop("leaves planes of the same size", [Mode, side, side], ([mode, width, height]) => {
    const values = Float32Array.from({ length: width * height }, (_, i) => Math.sin(i * i))
    assert.deepStrictEqual(
      Resample.interpolate(values, { channels: 1, height, width }, { width, height }, mode),
      values
    )
  })

  it("knows the webui's names in their order", () => {
    assert.deepStrictEqual(Resample.latentUpscaleModes.map(({ name }) => name), [
      "Latent",
      "Latent (antialiased)",
      "Latent (bicubic)",
      "Latent (bicubic antialiased)",
      "Latent (nearest)",
      "Latent (nearest-exact)"
    ])
  })
})

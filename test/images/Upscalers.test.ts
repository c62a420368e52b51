import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Raster } from "../../src/core/Raster.ts"
import { make, type NetworkUpscaler, Upscalers } from "../../src/images/Upscalers.ts"
import { resize } from "./whole.ts"

const raster = (width: number, height: number, channels: 1 | 3 | 4 = 3): Raster => ({
  width,
  height,
  channels,
  data: Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 53 + (i >> 3) * 17) % 256)
})

/** An upscaler that repeats pixels, in one tile; `seen` are the sizes it was applied to. */
const repeating = (name: string, scale: number) => {
  const seen: Array<string> = []
  const upscaler: NetworkUpscaler = {
    entry: { name, modelName: name, path: `/models/${name}.onnx`, scale },
    open: Effect.succeed({
      file: `/models/${name}.onnx`,
      scale,
      countTiles: () => 1,
      apply: (image, { afterTile }) =>
        Effect.suspend(() => {
          seen.push(`${image.width}x${image.height}x${image.channels}`)
          return Effect.as(afterTile, resize(image, image.width * scale, image.height * scale, "nearest"))
        })
    })
  }
  return { seen, upscaler }
}

describe("Upscalers.layerBuiltIn", () => {
  it.effect("has None, Lanczos and Nearest, in this order", () =>
    Effect.gen(function*() {
      const { list } = yield* Upscalers
      assert.deepStrictEqual(
        yield* list,
        ["None", "Lanczos", "Nearest"].map((name) => ({ name, modelName: null, path: null, scale: 4 }))
      )
    }).pipe(Effect.provide(Upscalers.layerBuiltIn)))

  it.effect.each(
    [
      ["None", "lanczos"],
      ["Lanczos", "lanczos"],
      ["lAnCzOs", "lanczos"],
      ["Nearest", "nearest"]
    ] as const
  )("resizes by %s to exactly the size, with the filter %s", ([name, filter]) =>
    Effect.gen(function*() {
      const { upscale } = yield* Upscalers
      for (const channels of [1, 3, 4] as const) {
        const image = raster(7, 5, channels)
        const large = yield* upscale(name, image, { width: 23, height: 11 })
        assert.deepStrictEqual(large, resize(image, 23, 11, filter))
      }
    }).pipe(Effect.provide(Upscalers.layerBuiltIn)))

  it.effect("makes smaller with a Lanczos filter, and leaves what has the size as it is", () =>
    Effect.gen(function*() {
      const { upscale } = yield* Upscalers
      const image = raster(17, 15)
      assert.deepStrictEqual(
        yield* upscale("Nearest", image, { width: 9, height: 15 }),
        resize(image, 9, 15, "lanczos")
      )
      assert.strictEqual(yield* upscale("Nearest", image, { width: 17, height: 15 }), image)
    }).pipe(Effect.provide(Upscalers.layerBuiltIn)))

  it.effect("scales by a factor to sides that are multiples of 8, with the filter's own factor before that", () =>
    Effect.gen(function*() {
      const { scaleBy } = yield* Upscalers
      const image = raster(17, 10)
      assert.deepStrictEqual(
        yield* scaleBy("Nearest", image, 2),
        resize(resize(image, 34, 20, "nearest"), 32, 16, "lanczos")
      )
      assert.deepStrictEqual(yield* scaleBy("Nearest", raster(16, 8), 2), resize(raster(16, 8), 32, 16, "nearest"))
      assert.deepStrictEqual(yield* scaleBy("None", image, 2), resize(image, 32, 16, "lanczos"))
      assert.deepStrictEqual(yield* scaleBy("Nearest", image, 0.5), resize(image, 8, 8, "lanczos"))
    }).pipe(Effect.provide(Upscalers.layerBuiltIn)))

  it.effect("fails for an unknown name, and says which there are", () =>
    Effect.gen(function*() {
      const { scaleBy, upscale } = yield* Upscalers
      for (
        const error of [
          yield* Effect.flip(upscale("Lanzcos", raster(2, 2), { width: 4, height: 4 })),
          yield* Effect.flip(upscale("Lanzcos", raster(2, 2), { width: 2, height: 2 })),
          yield* Effect.flip(scaleBy("Lanzcos", raster(2, 2), 2))
        ]
      ) {
        assert.strictEqual(
          error.message,
          "No upscaler is named \"Lanzcos\". Did you mean \"Lanczos\"? Known: None, Lanczos, Nearest."
        )
      }
    }).pipe(Effect.provide(Upscalers.layerBuiltIn)))
})

describe("an upscaler that is a network", () => {
  it.effect("comes after those that are none, and is found in any case, the exact one first", () =>
    Effect.gen(function*() {
      const [upper, lower] = [repeating("Sharp", 2), repeating("sharp", 2)]
      const { list, upscale } = make(Effect.succeed([upper.upscaler, lower.upscaler]))
      assert.deepStrictEqual((yield* list).map(({ name }) => name), ["None", "Lanczos", "Nearest", "Sharp", "sharp"])
      yield* upscale("sharp", raster(2, 2), { width: 4, height: 4 })
      yield* upscale("SHARP", raster(3, 3), { width: 6, height: 6 })
      assert.deepStrictEqual([upper.seen, lower.seen], [["3x3x3"], ["2x2x3"]])
    }))

  it.effect.each([
    { from: [10, 6], to: [20, 12], seen: ["10x6"] },
    { from: [10, 6], to: [21, 12], seen: ["10x6", "20x12"] },
    { from: [10, 6], to: [10, 7], seen: ["10x6"] },
    { from: [4, 4], to: [100, 100], seen: ["4x4", "8x8", "16x16"] },
    { from: [10, 6], to: [10, 6], seen: [] },
    { from: [10, 6], to: [5, 6], seen: [] }
  ])(
    "is applied until the image is large enough, three times at most: $from to $to",
    ({ from, seen, to }) =>
      Effect.gen(function*() {
        const network = repeating("twice", 2)
        const [width = 0, height = 0] = to
        const image = raster(from[0] ?? 0, from[1] ?? 0)
        const result = yield* make(Effect.succeed([network.upscaler])).upscale("twice", image, { width, height })
        assert.deepStrictEqual(network.seen, seen.map((size) => `${size}x3`))
        const factor = 2 ** seen.length
        const large = resize(image, image.width * factor, image.height * factor, "nearest")
        assert.deepStrictEqual(result, resize(large, width, height, "lanczos"))
      })
  )

  it.effect("is applied once when it does not enlarge", () =>
    Effect.gen(function*() {
      const network = repeating("clean", 1)
      const result = yield* make(Effect.succeed([network.upscaler])).upscale("clean", raster(4, 4), {
        width: 8,
        height: 8
      })
      assert.deepStrictEqual(network.seen, ["4x4x3"])
      assert.deepStrictEqual(result, resize(raster(4, 4), 8, 8, "lanczos"))
    }))

  it.effect("is applied once by a factor of 1, and not for less", () =>
    Effect.gen(function*() {
      const network = repeating("twice", 2)
      const { scaleBy } = make(Effect.succeed([network.upscaler]))
      const same = yield* scaleBy("twice", raster(16, 16), 1)
      assert.deepStrictEqual([same.width, same.height], [16, 16])
      const half = yield* scaleBy("twice", raster(16, 16), 0.5)
      assert.deepStrictEqual([half.width, half.height], [8, 8])
      assert.deepStrictEqual(network.seen, ["16x16x3"])
    }))

  it.effect("sees colours only: alpha is resized apart, and grey images are as well", () =>
    Effect.gen(function*() {
      const network = repeating("twice", 2)
      const { upscale } = make(Effect.succeed([network.upscaler]))
      const image = raster(6, 4, 4)
      const large = yield* upscale("twice", image, { width: 12, height: 8 })
      const channel = (of: Raster, index: number) => of.data.filter((_, i) => i % of.channels === index)
      const plane = (index: number): Raster => ({ width: 6, height: 4, channels: 1, data: channel(image, index) })
      assert.deepStrictEqual(network.seen, ["6x4x3"])
      for (const index of [0, 1, 2]) {
        assert.deepStrictEqual(channel(large, index), resize(plane(index), 12, 8, "nearest").data)
      }
      assert.deepStrictEqual(channel(large, 3), resize(plane(3), 12, 8, "lanczos").data)

      const grey = raster(6, 4, 1)
      assert.deepStrictEqual(
        yield* upscale("twice", grey, { width: 12, height: 8 }),
        resize(grey, 12, 8, "lanczos")
      )
      assert.lengthOf(network.seen, 1)
    }))

  it.effect("tells how many tiles are done, of those of all applications", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      yield* make(Effect.succeed([repeating("twice", 2).upscaler])).upscale("twice", raster(2, 2), {
        width: 16,
        height: 16
      }, { onTile: (done, of) => Effect.sync(() => void told.push(`${done}/${of}`)) })
      assert.deepStrictEqual(told, ["1/3", "2/3", "3/3"])
    }))

  it.effect("is not applied when what it makes would not fit into memory", () =>
    Effect.gen(function*() {
      const network = repeating("huge", 16)
      const error = yield* Effect.flip(
        make(Effect.succeed([network.upscaler])).upscale("huge", raster(2000, 8), { width: 8, height: 9000 })
      )
      assert.strictEqual(error._tag, "InferenceError")
      assert.include(error.message, "512000x2048 is too large")
      assert.isEmpty(network.seen)
    }))
})

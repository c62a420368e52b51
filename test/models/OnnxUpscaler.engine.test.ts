import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type { Raster } from "../../src/core/Raster.ts"
import { Networks } from "../../src/models/Networks.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import * as OnnxUpscaler from "../../src/models/OnnxUpscaler.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { resize } from "../images/whole.ts"
import { platform } from "./fixtures.ts"
import * as GraphBuilder from "./onnx/GraphBuilder.ts"

type Dims = ReadonlyArray<number | string>

interface Written {
  readonly type?: "float32" | "float16"
  readonly scale?: number
  readonly input?: Dims
  readonly output?: Dims
  /** Side of a mean over neighbours, 1 for none. */
  readonly blur?: number
}

/** As ESRGAN ends: a convolution to `scale ** 2` colours for each pixel, which are then laid out side by side. */
const network = (
  { blur = 1, input = ["n", 3, "h", "w"], output = ["n", 3, "y", "x"], scale = 2, type = "float32" }: Written = {}
) => {
  const graph = GraphBuilder.make()
  const count = 3 * scale ** 2
  const weights = Array.from({ length: count * 3 * blur ** 2 }, (_, i) => {
    const [to, from] = [Math.floor(i / (3 * blur ** 2)), Math.floor(i / blur ** 2) % 3]
    return Math.floor(to / scale ** 2) === from ? 1 / blur ** 2 : 0
  })
  const mixed = graph.node("Conv", [
    graph.input("pixels", type, input),
    graph.constant(Onnx.tensor(type, [count, 3, blur, blur], weights))
  ], { pads: { ints: Array.from({ length: 4 }, () => (blur - 1) / 2) } })
  const large = graph.node("DepthToSpace", [mixed], { blocksize: { int: scale }, mode: { string: "CRD" } })
  graph.output("large", large, type, output)
  return graph.toFile()
}

const written = Effect.fnUntraced(function*(bytes: Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(yield* fs.makeTempDirectoryScoped(), "network.onnx")
  yield* fs.writeFile(file, bytes)
  return file
})

const opened = (bytes: Uint8Array) => Effect.flatMap(written(bytes), (file) => OnnxUpscaler.open(file))

const raster = (width: number, height: number): Raster => ({
  width,
  height,
  channels: 3,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 53 + (i >> 3) * 17) % 256)
})

const largestDifference = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? NaN))), 0)

const layerWith = (options: Partial<CommandOptions["Service"]>) =>
  Networks.layer.pipe(Layer.provide(CommandOptions.layer({ threads: 1, ...options })), Layer.merge(platform))

const layer = layerWith({})
const afterTile = Effect.void

describe("OnnxUpscaler", () => {
  it.layer(layer)((it) => {
    it.effect.each([
      { what: "in tiles", tile: 16, overlap: 4, width: 50, height: 37, of: 4 * 3 },
      { what: "in one tile", tile: 192, overlap: 8, width: 50, height: 37, of: 1 },
      { what: "as a whole", tile: 0, overlap: 8, width: 50, height: 37, of: 1 },
      { what: "smaller than any tile", tile: 192, overlap: 8, width: 1, height: 3, of: 1 },
      { what: "in tiles smaller than their overlap", tile: 1, overlap: 48, width: 50, height: 16, of: 6 }
    ])(
      "enlarges an image $what as the network does",
      ({ height, of, overlap, tile, width }) =>
        Effect.gen(function*() {
          const { apply, countTiles, scale } = yield* opened(network())
          const image = raster(width, height)
          assert.strictEqual(scale, 2)
          assert.strictEqual(countTiles(image, { tile, overlap }), of)
          let done = 0
          const large = yield* apply(image, { tile, overlap, afterTile: Effect.sync(() => void done++) })
          assert.deepStrictEqual(large, resize(image, width * 2, height * 2, "nearest"))
          assert.strictEqual(done, of)
        })
    )

    it.effect("enlarges in tiles nearly as at once where pixels depend on their neighbours", () =>
      Effect.gen(function*() {
        const { apply } = yield* opened(network({ blur: 5 }))
        const image = raster(64, 48)
        const whole = yield* apply(image, { tile: 0, overlap: 0, afterTile })
        const tiled = yield* apply(image, { tile: 32, overlap: 16, afterTile })
        const cut = yield* apply(image, { tile: 32, overlap: 0, afterTile })
        // The outermost two pixels of a tile lack neighbours, and count a sixteenth at the most.
        assert.isAtMost(largestDifference(tiled.data, whole.data), 12)
        assert.isAbove(largestDifference(cut.data, whole.data), 30)
      }))

    it.effect.each([1, 2, 3, 4, 8])("finds out that a network multiplies by %d", (scale) =>
      Effect.gen(function*() {
        const declared = yield* opened(network({ scale, input: [1, 3, 8, 8], output: [1, 3, 8 * scale, 8 * scale] }))
        assert.strictEqual(declared.scale, scale)
        const open = yield* opened(network({ scale }))
        assert.strictEqual(open.scale, scale)
        const image = raster(9, 8)
        assert.deepStrictEqual(
          yield* open.apply(image, { tile: 0, overlap: 0, afterTile }),
          resize(image, 9 * scale, 8 * scale, "nearest")
        )
      }))

    it.effect("gives a network of a fixed size tiles of that size, whatever is asked", () =>
      Effect.gen(function*() {
        const { apply, countTiles } = yield* opened(
          network({ input: [1, 3, 12, 20], output: [1, 3, 24, 40] })
        )
        for (const [width, height, of] of [[45, 30, 3 * 4], [7, 5, 1], [20, 12, 1], [21, 4, 2]] as const) {
          const image = raster(width, height)
          assert.strictEqual(countTiles(image, { tile: 192, overlap: 4 }), of)
          assert.deepStrictEqual(
            yield* apply(image, { tile: 192, overlap: 4, afterTile }),
            resize(image, width * 2, height * 2, "nearest")
          )
        }
      }))

    it.effect("runs a network of float16", () =>
      Effect.gen(function*() {
        const { apply } = yield* opened(network({ type: "float16" }))
        const image = raster(20, 18)
        const large = yield* apply(image, { tile: 16, overlap: 4, afterTile })
        assert.isAtMost(largestDifference(large.data, resize(image, 40, 36, "nearest").data), 1)
      }))

    it.effect("clamps what lies outside of 0 to 1, and rounds", () =>
      Effect.gen(function*() {
        const graph = GraphBuilder.make()
        const pixels = graph.input("pixels", "float32", ["n", 3, "h", "w"])
        // Around the middle of the range, three times as far from it.
        const times = graph.node("Mul", [pixels, graph.constant(Onnx.tensor("float32", [1], [3]))])
        const less = graph.node("Sub", [times, graph.constant(Onnx.tensor("float32", [1], [1]))])
        graph.output("out", less, "float32", ["n", 3, "h", "w"])
        const { apply, scale } = yield* opened(graph.toFile())
        assert.strictEqual(scale, 1)
        const image: Raster = {
          width: 3,
          height: 1,
          channels: 3,
          data: Uint8Array.of(0, 84, 85, 86, 90, 127, 170, 171, 255)
        }
        const { data } = yield* apply(image, { tile: 192, overlap: 8, afterTile })
        assert.deepStrictEqual([...data], [0, 0, 0, 3, 15, 126, 255, 255, 255])
      }))

    it.effect("names everything in which a network is no upscaler", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(opened(network({ input: [2, 3, "h", "w"], output: [2, 3, "y", "x"] })))
        assert.strictEqual(error._tag, "NetworkLoadError")
        assert.include(error.message, "its input \"pixels\" is [2, 3, h, w], not [batch, 3, height, width]")
        assert.include(error.message, "its output \"large\" is [2, 3, ")

        const graph = GraphBuilder.make()
        graph.output("twice", graph.input("ids", "int64", [1, 3, 4, 4]), "int64", [1, 3, 4, 4])
        graph.output("again", "ids", "int64", [1, 3, 4, 4])
        const { message } = yield* Effect.flip(opened(graph.toFile()))
        assert.include(message, "its input \"ids\" is of type int64")
        assert.include(message, "it has 2 outputs, and an upscaler has one")
      }))

    it.effect("refuses a network that does not multiply both sides by one whole number", () =>
      Effect.gen(function*() {
        const graph = (dims: Dims, out: Dims) => {
          const graph = GraphBuilder.make()
          const scales = graph.constant(Onnx.tensor("float32", [4], [1, 1, 1.5, 1.5]))
          const large = graph.node("Resize", [graph.input("pixels", "float32", dims), "", scales], {
            mode: { string: "nearest" }
          })
          graph.output("large", large, "float32", out)
          return graph.toFile()
        }
        const declared = yield* Effect.flip(opened(graph([1, 3, 16, 16], [1, 3, 24, 24])))
        assert.include(declared.message, "it turns 16x16 into 24x24")
        const tiles = yield* Effect.flip(opened(graph([1, 3, 20_000, 16], [1, 3, 30_000, 24])))
        assert.include(tiles.message, "its sides are fixed to more than 16384 pixels")
        const run = yield* Effect.flip(opened(graph([1, 3, "h", "w"], [1, 3, "y", "x"])))
        assert.strictEqual(run._tag, "NetworkLoadError")
        assert.include(run.message, "it does not enlarge an image of 16x16 by a factor of 1, 2, 3, 4, 6, 8, 16")
      }))

    it.effect("gives a typed error for a file that is no network, or none at all", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(opened(Uint8Array.of(1, 2, 3))))._tag, "NetworkLoadError")
        assert.strictEqual((yield* Effect.flip(OnnxUpscaler.open("/nowhere/x.onnx")))._tag, "NetworkLoadError")
      }))
  })

  it.effect("refuses a tile that does not fit in memory, with the numbers and what helps", () =>
    Effect.gen(function*() {
      const { apply } = yield* opened(network())
      const error = yield* Effect.flip(apply(raster(64, 48), { tile: 0, overlap: 0, afterTile: Effect.void }))
      assert.deepInclude(error, { _tag: "NotEnoughMemory", step: "upscaling", width: 64, height: 48, available: 0 })
      assert.include(error.message, "let the upscaler work in smaller tiles (ESRGAN_tile), or raise --max-memory.")
    }).pipe(Effect.provide(layerWith({ maxMemory: 1 }))))
})

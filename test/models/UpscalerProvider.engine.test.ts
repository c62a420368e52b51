import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type { Raster } from "../../src/core/Raster.ts"
import { Upscalers } from "../../src/images/Upscalers.ts"
import { ModelLibrary } from "../../src/models/ModelLibrary.ts"
import { Networks } from "../../src/models/Networks.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import * as UpscalerProvider from "../../src/models/UpscalerProvider.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { resize } from "../images/whole.ts"
import { unpack } from "./checkpoint/data.ts"
import { platform } from "./fixtures.ts"
import * as GraphBuilder from "./onnx/GraphBuilder.ts"

const enlarging = (scale: number) => {
  const graph = GraphBuilder.make()
  const scales = graph.constant(Onnx.tensor("float32", [4], [1, 1, scale, scale]))
  const large = graph.node("Resize", [graph.input("in", "float32", ["n", 3, "h", "w"]), "", scales], {
    mode: { string: "nearest" },
    coordinate_transformation_mode: { string: "asymmetric" },
    nearest_mode: { string: "floor" }
  })
  graph.output("out", large, "float32", ["n", 3, "y", "x"])
  return graph.toFile()
}

/** A folder with these files in it. */
const folderOf = Effect.fnUntraced(function*(files: Readonly<Record<string, Uint8Array>>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = yield* fs.makeTempDirectoryScoped()
  for (const [name, bytes] of Object.entries(files)) {
    yield* fs.makeDirectory(path.dirname(path.join(folder, name)), { recursive: true })
    yield* fs.writeFile(path.join(folder, name), bytes)
  }
  return folder
})

/** Counts what is open and bound at the moment, in the real networks. */
const counted = () => {
  const now = { open: 0, bound: 0 }
  const held = (what: keyof typeof now) =>
    Effect.acquireRelease(Effect.sync(() => now[what]++), () => Effect.sync(() => now[what]--))
  const layer = Layer.effect(
    Networks,
    Effect.map(Networks, ({ open, ...others }) =>
      Networks.of({
        ...others,
        open: (file, options) =>
          Effect.map(Effect.tap(open(file, options), held("open")), (network) => ({
            ...network,
            bind: (tensors) => Effect.tap(network.bind(tensors), held("bound"))
          }))
      }))
  ).pipe(Layer.provide(Networks.layer))
  return { now, layer }
}

const layerIn = (
  modelsDir: string | undefined,
  networks: Layer.Layer<Networks, never, CommandOptions> = Networks.layer
) =>
  UpscalerProvider.layer.pipe(
    Layer.provide(networks),
    Layer.provide(ModelLibrary.layer),
    Layer.provide(CommandOptions.layer({ modelsDir, threads: 1 })),
    Layer.provide(platform)
  )

const raster = (width: number, height: number): Raster => ({
  width,
  height,
  channels: 3,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 53 + (i >> 3) * 17) % 256)
})

describe("UpscalerProvider", () => {
  it.effect("finds networks in the folders of upscalers, once for each name, after those that are always there", () =>
    Effect.gen(function*() {
      const none = new Uint8Array()
      const folder = yield* folderOf({
        "upscalers/2x-soft.onnx": none,
        "ESRGAN/sharp.onnx": none,
        "ESRGAN/notes.txt": none,
        "RealESRGAN/Real_x2plus.onnx": none,
        "RealESRGAN/sharp.onnx": none,
        "other/lost.onnx": none
      })
      const list = yield* Effect.flatMap(Upscalers, ({ list }) => list).pipe(Effect.provide(layerIn(folder)))
      assert.deepStrictEqual(list.slice(3), [
        { name: "sharp", modelName: "sharp", path: `${folder}/ESRGAN/sharp.onnx`, scale: 4 },
        { name: "Real_x2plus", modelName: "Real_x2plus", path: `${folder}/RealESRGAN/Real_x2plus.onnx`, scale: 2 },
        { name: "2x-soft", modelName: "2x-soft", path: `${folder}/upscalers/2x-soft.onnx`, scale: 2 }
      ])
    }).pipe(Effect.provide(platform)))

  it.effect("builds the networks of ESRGAN and Real-ESRGAN of their weights, by any spelling", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack("upscalers/*.safetensors")
      yield* fs.rename(`${folder}/upscalers/esrgan-x4-old-names.safetensors`, `${folder}/upscalers/old.pth`)
      yield* Effect.gen(function*() {
        const upscalers = yield* Upscalers
        const enlarged = Effect.fnUntraced(function*(name: string) {
          return yield* upscalers.upscale(name, raster(20, 12), { width: 40, height: 24 }, { tile: 16, overlap: 8 })
        })
        const [old, recent, twice, small] = yield* Effect.forEach(
          ["old", "esrgan-x4-new-names", "realesrgan-x2-unshuffle", "compact-x4"],
          enlarged
        )
        assert.deepStrictEqual(old, recent)
        for (const image of [old, twice, small]) {
          assert.deepStrictEqual([image?.width, image?.height], [40, 24])
          assert.isAbove(new Set(image?.data).size, 2)
        }
        const scales = (yield* upscalers.list).map(({ name, scale }) => [name, scale])
        assert.includeDeepMembers(scales, [["old", 4], ["realesrgan-x2-unshuffle", 2], ["compact-x4", 4]])
        const error = yield* Effect.flip(enlarged("swinir-x2"))
        assert.include(error.message, "SwinIR is not supported; use an upscaler of ESRGAN's or Compact's form")
      }).pipe(Effect.provide(layerIn(folder)))
    }).pipe(Effect.provide(platform)))

  it.effect("has no networks without a folder, or where there is none", () =>
    Effect.gen(function*() {
      for (const folder of [undefined, "/nowhere"]) {
        const list = yield* Effect.flatMap(Upscalers, ({ list }) => list).pipe(Effect.provide(layerIn(folder)))
        assert.deepStrictEqual(list.map(({ name }) => name), ["None", "Lanczos", "Nearest"])
      }
    }))

  it.effect("enlarges with a network that appears while it runs, and closes it again", () => {
    const { layer, now } = counted()
    return Effect.gen(function*() {
      const folder = yield* folderOf({})
      yield* Effect.gen(function*() {
        const { list, upscale } = yield* Upscalers
        const image = raster(40, 30)
        const to = { width: 100, height: 90 }
        const error = yield* Effect.flip(upscale("three", image, to))
        assert.strictEqual(error._tag, "UnknownUpscaler")

        const fs = yield* FileSystem.FileSystem
        yield* fs.makeDirectory(`${folder}/ESRGAN`)
        yield* fs.writeFile(`${folder}/ESRGAN/Three.onnx`, enlarging(3))
        const told: Array<string> = []
        const seen: Array<number> = []
        const large = yield* upscale("three", image, to, {
          tile: 32,
          overlap: 8,
          onTile: (done, of) =>
            Effect.sync(() => {
              told.push(`${done}/${of}`)
              seen.push(now.open)
            })
        })
        assert.deepStrictEqual(large, resize(resize(image, 120, 90, "nearest"), 100, 90, "lanczos"))
        assert.deepStrictEqual(told, ["1/2", "2/2"])
        assert.deepStrictEqual(seen, [1, 1])
        assert.deepStrictEqual(now, { open: 0, bound: 0 })
        assert.strictEqual((yield* list).at(-1)?.scale, 3)
      }).pipe(Effect.provide(layerIn(folder, layer)))
    }).pipe(Effect.provide(platform))
  })

  it.effect("leaves nothing open when it is interrupted between two tiles", () => {
    const { layer, now } = counted()
    return Effect.gen(function*() {
      const folder = yield* folderOf({ "ESRGAN/x2.onnx": enlarging(2) })
      yield* Effect.gen(function*() {
        const { upscale } = yield* Upscalers
        const reached = yield* Deferred.make<number>()
        const fiber = yield* Effect.forkChild(
          upscale("x2", raster(100, 100), { width: 200, height: 200 }, {
            tile: 16,
            onTile: (done) => done === 3 ? Effect.andThen(Deferred.succeed(reached, done), Effect.never) : Effect.void
          })
        )
        yield* Deferred.await(reached)
        assert.deepStrictEqual(now, { open: 1, bound: 1 })
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(now, { open: 0, bound: 0 })
        // And the next one finds all as it was.
        const again = yield* upscale("x2", raster(20, 20), { width: 40, height: 40 })
        assert.deepStrictEqual(again, resize(raster(20, 20), 40, 40, "nearest"))
      }).pipe(Effect.provide(layerIn(folder, layer)))
    }).pipe(Effect.provide(platform))
  })

  it.effect("gives a typed error for a network that is broken, and closes what it opened", () => {
    const { layer, now } = counted()
    return Effect.gen(function*() {
      const graph = GraphBuilder.make()
      graph.output("out", graph.input("in", "float32", [1, 1, 8, 8]), "float32", [1, 1, 8, 8])
      const folder = yield* folderOf({ "ESRGAN/grey.onnx": graph.toFile(), "ESRGAN/torn.onnx": Uint8Array.of(8, 8) })
      yield* Effect.gen(function*() {
        const { upscale } = yield* Upscalers
        for (const name of ["grey", "torn"]) {
          const error = yield* Effect.flip(upscale(name, raster(8, 8), { width: 16, height: 16 }))
          assert.strictEqual(error._tag, "NetworkLoadError")
          assert.include(error.message, `${folder}/ESRGAN/${name}.onnx`)
        }
        assert.deepStrictEqual(now, { open: 0, bound: 0 })
      }).pipe(Effect.provide(layerIn(folder, layer)))
    }).pipe(Effect.provide(platform))
  })
})

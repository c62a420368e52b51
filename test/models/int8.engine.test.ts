import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { join } from "node:path"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import { Graph, type Value } from "../../src/models/graph/Graph.ts"
import { conv, linear } from "../../src/models/graph/layers.ts"
import { add, nearest, pixelsToTokens, silu, single } from "../../src/models/graph/operators.ts"
import { Weights } from "../../src/models/graph/Weights.ts"
import { int8FolderOf, int8In } from "../../src/models/int8Files.ts"
import { Networks } from "../../src/models/Networks.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import * as TensorBuffer from "../../src/models/TensorBuffer.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { safetensors } from "./checkpoint/safetensorsFile.ts"
import { layerModels, platform } from "./fixtures.ts"
import * as GraphBuilder from "./onnx/GraphBuilder.ts"

const channels = 64
const [height, width] = [10, 6]

/** Numbers like those of trained layers: most are small, and some are not. */
const uneven = (length: number, step: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * step + 1) * Math.cos(i * i * 0.013) ** 3)

const weights = Object.fromEntries(
  ["first", "down", "up", "query", "key", "time"].flatMap((name, place) => {
    const kernel = place < 3 ? [3, 3] : []
    const shape = [channels, channels, ...kernel]
    return [
      [`${name}.weight`, { shape, values: uneven(shape.reduce((a, b) => a * b, 1), 0.7 + place) }],
      [`${name}.bias`, { shape: [channels], values: uneven(channels, 1.1 + place) }]
    ]
  })
)

const outputs = ["first", "down", "up", "tokens", "time"] as const
type Output = typeof outputs[number]

/** Sizes of the outputs for so many rows. */
const sizes = (batch: number): Readonly<Record<Output, ReadonlyArray<number>>> => ({
  first: [batch, channels, height, width],
  down: [batch, channels, height / 2, width / 2],
  up: [batch, channels, height, width],
  tokens: [batch, height * width, channels],
  time: [batch, channels]
})

/** Each kind of layer over what it reads in a UNet. */
const graphOf = (w: Weights, seamless: boolean): Graph => {
  const graph = new Graph({ seamless })
  const x = graph.input("sample", "float32", ["batch", channels, "height", "width"])
  const first = conv(w.at("first"), silu(x))
  const down = conv(w.at("down"), x, { stride: 2 })
  const tokens = pixelsToTokens(x)
  const made: Record<Output, Value> = {
    first,
    down,
    up: conv(w.at("up"), nearest(down, 2)),
    tokens: add(linear(w.at("query"), tokens), linear(w.at("key"), tokens)),
    time: linear(w.at("time"), graph.input("y", "float32", ["batch", channels]))
  }
  for (const name of outputs) graph.output(name, single(made[name]))
  return graph
}

/** A folder with a file of these weights. */
class Setting extends Context.Service<Setting, { readonly folder: string; readonly file: string }>()("test/Setting") {
  static readonly layer = Layer.effect(
    Setting,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.realPath(yield* fs.makeTempDirectoryScoped())
      const file = join(folder, "layers.safetensors")
      yield* fs.writeFile(file, safetensors(weights))
      return { folder, file }
    })
  )
}

/** What the layers make of images, each at its place in the batch. */
const computed = Effect.fnUntraced(function*(
  images: ReadonlyArray<number>,
  { int8, seamless = false }: { readonly int8: boolean; readonly seamless?: boolean }
) {
  const { file } = yield* Setting
  const graph = graphOf(Weights.of(yield* openSafetensors(file)), seamless).file()
  const network = yield* (yield* Networks).open({ file, name: "unet", graph }, { int8 })
  const batch = images.length
  const sample = TensorBuffer.make("float32", [batch, channels, height, width])
  const y = TensorBuffer.make("float32", [batch, channels])
  const each = channels * height * width
  for (const [row, image] of images.entries()) {
    sample.values.set(uneven(each, 0.3 + image).map((value) => value * (image + 1) * 3), row * each)
    y.values.set(uneven(channels, image), row * channels)
  }
  const made = Object.fromEntries(
    Object.entries(sizes(batch)).map(([name, dims]) => [name, TensorBuffer.make("float32", dims)])
  )
  yield* TensorBuffer.run(network, { inputs: { sample, y }, outputs: made })
  return (name: Output) => made[name]?.values.slice() ?? assert.fail(name)
}, Effect.scoped)

/** The length of the difference in relation to that of the numbers. */
const relative = (found: Float32Array, exact: Float32Array): number => {
  const length = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0))
  return length(found.map((value, i) => value - (exact[i] ?? NaN))) / length(exact)
}

/** A process with the data folder. */
const inProcess = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Setting, ({ folder }) => Effect.provide(effect, Layer.fresh(layerModels({ dataDir: folder }))))

const kept = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const { file, folder } = yield* Setting
  const cache = int8FolderOf(int8In(folder), file)
  return (yield* fs.readDirectory(cache)).toSorted().map((name) => join(cache, name))
})

layer(Setting.layer.pipe(Layer.provideMerge(layerModels())))("a network in int8", (it) => {
  it.effect.each([false, true])(
    "computes what float32 does to about one percent; seamless: %s",
    (seamless) =>
      Effect.gen(function*() {
        const exact = yield* computed([0, 1, 2], { int8: false, seamless })
        const found = yield* computed([0, 1, 2], { int8: true, seamless })
        for (const name of outputs.filter((name) => name !== "time")) {
          const error = relative(found(name), exact(name))
          assert.isBelow(error, 0.015, name)
          assert.isAbove(error, 1e-4, name)
        }
        assert.deepStrictEqual(found("time"), exact("time"))
      })
  )

  it.effect("makes of an image the same numbers alone and next to others", () =>
    Effect.gen(function*() {
      const together = yield* computed([3, 0, 7, 1], { int8: true })
      for (const [row, image] of [3, 0, 7, 1].entries()) {
        const alone = yield* computed([image], { int8: true })
        // What stays in float32 is multiplied by another kernel where there is one row.
        for (const name of outputs.filter((name) => name !== "time")) {
          const own = alone(name)
          assert.deepStrictEqual(together(name).subarray(row * own.length, (row + 1) * own.length), own, name)
        }
      }
    }))

  it.effect("keeps its weights for the next process, until their file changes, also when two write them at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { file } = yield* Setting
      const run = inProcess(computed([1, 2], { int8: true }))
      const [one, other] = yield* Effect.all([run, run], { concurrency: 2 })
      assert.deepStrictEqual(one("up"), other("up"))
      assert.deepStrictEqual(one("up"), (yield* computed([1, 2], { int8: true }))("up"))
      const files = yield* kept
      assert.lengthOf(files, 5)

      // Other scales: what it computes says whether it was opened.
      for (const weight of files) {
        const bytes = Buffer.from(yield* fs.readFile(weight))
        for (let at = bytes.length - channels * 4; at < bytes.length; at += 4) {
          bytes.writeFloatLE(bytes.readFloatLE(at) * 2, at)
        }
        yield* fs.writeFile(weight, bytes)
      }
      // The seamless graph has the same weights.
      for (const seamless of [false, true]) {
        const doubled = yield* inProcess(computed([1, 2], { int8: true, seamless }))
        const plain = yield* computed([1, 2], { int8: true, seamless })
        assert.isBelow(Math.abs(relative(doubled("tokens"), plain("tokens")) - 1), 0.3)
      }
      assert.deepStrictEqual(yield* kept, files)

      // Cut: it is made again.
      yield* fs.truncate(files[0] ?? "", 100)
      yield* fs.utimes(file, new Date(), new Date(1e12))
      assert.deepStrictEqual((yield* run)("up"), one("up"))
      const anew = yield* kept
      assert.lengthOf(anew, 5)
      assert.isTrue(anew.every((name) => !files.includes(name)))
    }))

  it.effect("is refused where no layer is wide enough, where its operators are too old, and on graphics cards", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { folder } = yield* Setting
      const graph = GraphBuilder.make()
      const x = graph.input("sample", "float32", ["batch", 9, 4])
      const weight = graph.constant(Onnx.tensor("float32", [4, 4], uneven(16, 1)))
      graph.output("out", graph.node("MatMul", [x, weight]), "float32", ["batch", 9, 4])
      const file = join(folder, "narrow.onnx")
      const refusal = Effect.fnUntraced(function*(opset: number) {
        yield* fs.writeFile(file, graph.toFile(opset))
        return (yield* Effect.flip((yield* Networks).open(file, { int8: true }))).message
      }, Effect.scoped)
      assert.match(yield* refusal(17), /none of its layers can be computed in int8; set unet_precision to Automatic/)
      assert.match(yield* refusal(12), /its operators are of version 12; int8 needs version 13 or later/)
      assert.match(
        yield* Effect.provide(refusal(17), Layer.fresh(layerModels({ device: "webgpu" }))),
        /int8 is for the processor, not for webgpu; set unet_precision to Automatic/
      )
    }))
})

const asked = {
  prompt: "a red circle on a blue background",
  seed: 5,
  steps: 10,
  sampler_name: "Euler",
  cfg_scale: 5,
  width: 128,
  height: 128
} as const

layer(Serena.layer().pipe(Layer.provideMerge(platform)))("images in int8", (it) => {
  const made = Effect.fnUntraced(function*(request: Parameters<typeof Txt2Img.make>[0], unet_precision?: "int8") {
    const { images, warnings } = yield* processImages(Txt2Img.make({
      ...asked,
      ...request,
      override_settings: { samples_save: false, ...(unet_precision && { unet_precision }) }
    }))
    assert.deepStrictEqual(warnings, [])
    return images
  })

  it.effect("are near those of float32, and the same bytes alone and in a batch, by what their infotexts say", () =>
    Effect.gen(function*() {
      const exact = yield* made({ batch_size: 4 })
      const together = yield* made({ batch_size: 4 }, "int8")
      const distances = together.map(({ pixels }, i) =>
        pixels.reduce((sum, value, place) => sum + Math.abs(value - (exact[i]?.pixels[place] ?? NaN)), 0) /
        pixels.length
      )
      const mean = distances.reduce((sum, distance) => sum + distance, 0) / distances.length
      assert.isBelow(mean, 0.7)
      assert.isAbove(mean, 0.01)
      const [alone] = yield* made({ seed: asked.seed + 2 }, "int8")
      assert.deepStrictEqual(alone?.pixels, together[2]?.pixels)
      for (const { infotext } of together) assert.match(infotext, /, Precision: int8/)
      assert.notMatch(exact[0]?.infotext ?? "", /Precision/)
    }))
})

import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { join } from "node:path"
import * as ProcessIdentity from "../../src/core/ProcessIdentity.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import { Graph } from "../../src/models/graph/Graph.ts"
import { linear } from "../../src/models/graph/layers.ts"
import { add, single } from "../../src/models/graph/operators.ts"
import { Weights } from "../../src/models/graph/Weights.ts"
import { Networks } from "../../src/models/Networks.ts"
import { optimisedOf, removeOptimised, removeUnfinished, saveOptimised } from "../../src/models/optimise.ts"
import { cacheIn, fileNames, folderOf } from "../../src/models/optimisedFiles.ts"
import * as TensorBuffer from "../../src/models/TensorBuffer.ts"
import { safetensors } from "./checkpoint/safetensorsFile.ts"
import { layerModels } from "./fixtures.ts"
import { largestDifference } from "./numbers.ts"

const side = 64
const matrix = Float32Array.from({ length: side * side }, (_, i) => Math.sin(i))

/** A layer over a file of weights, as checkpoints are built, and a folder for its optimised network. */
const setting = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.realPath(yield* fs.makeTempDirectoryScoped())
  const file = join(folder, "layer.safetensors")
  yield* fs.writeFile(file, safetensors({ weight: { shape: [side, side], values: matrix } }))
  const built = Effect.fnUntraced(function*(isDoubled = false) {
    const graph = new Graph()
    const x = linear(Weights.of(yield* openSafetensors(file)), graph.input("x", "float32", ["batch", side]))
    graph.output("y", single(isDoubled ? add(x, x) : x))
    return { file, name: "unet", graph: graph.file() }
  })
  const cache = cacheIn(folder)
  return {
    file,
    cache,
    built,
    dataDir: folder,
    folder: folderOf(cache, file),
    listed: optimisedOf(cache, file),
    save: Effect.flatMap(built(), (network) => saveOptimised(cache, network))
  }
})

type Setting = Effect.Success<typeof setting>

/** A process with this data folder. */
const inProcess = (dataDir: string) => Effect.provide(Layer.fresh(layerModels({ dataDir })))

layer(layerModels())("an optimised network", (it) => {
  /** What the layer computes. */
  const computed = Effect.fnUntraced(function*({ built }: Setting, isDoubled = false) {
    const network = yield* (yield* Networks).open(yield* built(isDoubled))
    const x = TensorBuffer.make("float32", [1, side])
    x.values.set(matrix.subarray(7, 7 + side))
    const y = TensorBuffer.make("float32", [1, side])
    yield* TensorBuffer.run(network, { inputs: { x }, outputs: { y } })
    return Float32Array.from(y.values)
  }, Effect.scoped)

  /** Changes the sign of the weights of the optimised network: what it computes says whether it was opened. */
  const negate = Effect.fnUntraced(function*({ folder }: Setting) {
    const fs = yield* FileSystem.FileSystem
    for (const name of (yield* fs.readDirectory(folder)).filter((name) => !name.startsWith("writing-"))) {
      const file = join(folder, name, fileNames.weights)
      const values = new Float32Array(Uint8Array.from(yield* fs.readFile(file)).buffer)
      yield* fs.writeFile(file, new Uint8Array(values.map((value) => -value).buffer))
    }
  })

  const isNegated = (values: Float32Array, plain: Float32Array): boolean =>
    largestDifference(values.map((value) => -value), plain) < 1e-4

  it.effect("is opened in place of its own graph while it is whole, and of no other", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const own = yield* setting
      const plain = yield* computed(own)
      const doubled = yield* computed(own, true)
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* own.save).isNew, true)
        assert.deepStrictEqual(yield* own.save, { ...yield* own.save, network: "unet", isNew: false })
        assert.isAtMost(largestDifference(yield* computed(own), plain), 1e-4)
        yield* negate(own)
        assert.isTrue(isNegated(yield* computed(own), plain))
        assert.deepStrictEqual(yield* computed(own, true), doubled)

        // Cut: it is made anew in its place.
        const [entry = ""] = yield* fs.readDirectory(own.folder)
        yield* fs.truncate(join(own.folder, entry, fileNames.weights), 100)
        assert.deepStrictEqual((yield* own.listed).map(({ isValid }) => isValid), [false])
        assert.deepStrictEqual(yield* computed(own), plain)
        assert.strictEqual((yield* own.save).isNew, true)
        assert.lengthOf(yield* fs.readDirectory(own.folder), 1)
        yield* negate(own)
        assert.isTrue(isNegated(yield* computed(own), plain))

        // Of the right size, and no network.
        const graph = join(own.folder, entry, fileNames.graph)
        yield* fs.writeFile(graph, new Uint8Array(Number((yield* fs.stat(graph)).size)))
        assert.deepStrictEqual(yield* computed(own), plain)

        // Of the file as it was.
        yield* fs.utimes(own.file, new Date(), new Date(1e12))
        assert.deepStrictEqual((yield* own.listed).map(({ isValid }) => isValid), [false])
        assert.deepStrictEqual(yield* computed(own), plain)

        yield* removeOptimised(own.cache, own.file)
        assert.deepStrictEqual(yield* own.listed, [])
        assert.deepStrictEqual(yield* computed(own), plain)
      }).pipe(inProcess(own.dataDir))
    }))

  it.effect("is whole when several write it at once, and after a process was killed while it wrote", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const own = yield* setting
      // What a process left that had this id before, and what one that runs is writing.
      const { pid, place, started } = yield* ProcessIdentity.current
      const [ended, running] = [`writing-${pid}-${place}-1-a`, `writing-${pid}-${place}-${started}-b`]
      for (const name of [ended, running]) {
        yield* fs.makeDirectory(join(own.folder, name), { recursive: true })
        yield* fs.writeFileString(join(own.folder, name, fileNames.graph), "half")
      }
      const writers = Array.from({ length: 4 }, () => own.save)
      yield* Effect.gen(function*() {
        const plain = yield* computed(own)
        assert.deepStrictEqual(yield* own.listed, [])
        const made = yield* Effect.all([...writers, ...writers], { concurrency: 8 })
        assert.deepStrictEqual(new Set(made.map(({ network, size }) => `${network} ${size}`)).size, 1)
        assert.deepStrictEqual((yield* own.listed).map(({ isValid }) => isValid), [true])
        assert.isAtMost(largestDifference(yield* computed(own), plain), 1e-4)
        yield* negate(own)
        assert.isTrue(isNegated(yield* computed(own), plain))
        yield* removeUnfinished(own.folder)
        const left = (yield* fs.readDirectory(own.folder)).filter((name) => name.startsWith("writing-"))
        assert.deepStrictEqual(left, [running])
      }).pipe(inProcess(own.dataDir))
    }))
})

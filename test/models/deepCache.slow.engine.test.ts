import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import { join } from "node:path"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import * as CheckpointModel from "../../src/models/CheckpointModel.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { split } from "../../src/models/onnx/deepCache.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import { unpack } from "./checkpoint/data.ts"
import { make } from "./families.ts"
import { embedded, layerModels } from "./fixtures.ts"
import { pictures } from "./networks/references.ts"
import { largestDifference, wave } from "./numbers.ts"

/** The folder where the reference checkpoints are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(References, unpack("checkpoints/*.safetensors"))
}

/** Predictions of one call of two rows, with and without its deep layers. */
const predictions = Effect.fnUntraced(function*(model: LoadedModel, width: number, rowsAtOnce?: number) {
  const call = yield* model.denoising({
    batch: 2,
    channels: 4,
    frames: 1,
    height: 8,
    width: 8,
    keepsDeep: true,
    rowsAtOnce,
    inputs: { encoder_hidden_states: [77, width] }
  })
  const predict = Effect.fnUntraced(function*(t: number, change: number, reusesDeep: boolean) {
    call.sample.set(wave(call.sample.length, 0.37).map((value) => value + change))
    const states = call.inputs["encoder_hidden_states"]
    states?.set(wave(states.length, 0.71))
    yield* call.run(t, reusesDeep)
    return call.prediction.slice()
  })
  const first = yield* predict(500, 0, false)
  const same = yield* predict(500, 0, true)
  const near = yield* predict(490, 0.05, true)
  return { first, same, near, whole: yield* predict(490, 0.05, false) }
}, Effect.scoped)

const layerTested = References.layer.pipe(Layer.provideMerge(layerModels()))

layer(layerTested)("deep layers", (it) => {
  const models = Effect.gen(function*() {
    const path = join(yield* References, pictures[0]?.base ?? "")
    return {
      folder: { model: yield* (yield* ModelProvider).load(embedded), width: 128 },
      checkpoint: {
        model: yield* CheckpointModel.make({ name: "sd1", file: path, source: yield* openSafetensors(path) }),
        width: 32
      }
    }
  })

  it.effect.each(["folder", "checkpoint"] as const)(
    "are reused by a later call of a %s",
    (kind) =>
      Effect.gen(function*() {
        const { [kind]: { model, width } } = yield* models
        const { first, near, same, whole } = yield* predictions(model, width)
        // The same input: nothing is lost.
        assert.isBelow(largestDifference(same, first), 1e-5)
        // Another input: the outer layers see it, the deep ones do not.
        assert.isAbove(largestDifference(near, first), 1e-3)
        assert.isAbove(largestDifference(near, whole), 1e-6)
      }).pipe(Effect.scoped)
  )

  it.effect("are kept apart for rows that go through the network one at a time", () =>
    Effect.gen(function*() {
      const { folder: { model, width } } = yield* models
      const [together, apart] = [yield* predictions(model, width), yield* predictions(model, width, 1)]
      for (const name of ["first", "same", "near", "whole"] as const) {
        assert.isBelow(largestDifference(apart[name], together[name]), 1e-4, name)
      }
    }).pipe(Effect.scoped))

  it.effect("of a network without a skip connection around them cannot be reused, which is said", () =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      const model = yield* (yield* ModelProvider).load(folder)
      const error = yield* Effect.flip(predictions(model, 64))
      assert.match(error.message, /no skip connection.*deepcache_interval/s)
    }).pipe(Effect.scoped))

  it.effect("are nearly all of a network", () =>
    Effect.gen(function*() {
      const bytes = yield* (yield* FileSystem.FileSystem).readFile(`${embedded}/unet/model.onnx`)
      const model = Onnx.read(bytes)
      const parts = split(model)
      assert.isDefined(parts)
      const { graph: { initializers, inputs, nodes } } = parts.shallow
      assert.isBelow(nodes.length, model.graph.nodes.length / 3)
      assert.isBelow(Onnx.write(parts.shallow).length, bytes.length / 4)
      assert.deepStrictEqual(
        inputs.map(({ name }) => name).toSorted(),
        [...model.graph.inputs.map(({ name }) => name), parts.kept].toSorted()
      )
      // Nothing is left that is not read.
      const read = new Set(nodes.flatMap(Onnx.readBy))
      assert.deepStrictEqual(initializers.filter(({ name = "" }) => !read.has(name)), [])
      assert.deepStrictEqual(Record.keys(parts.deep.opsets), Record.keys(model.opsets))
    }))
})

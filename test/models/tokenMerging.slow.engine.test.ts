import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { join } from "node:path"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import * as CheckpointModel from "../../src/models/CheckpointModel.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { unpack } from "./checkpoint/data.ts"
import { make } from "./families.ts"
import { embedded, layerModels } from "./fixtures.ts"
import { pictures } from "./networks/references.ts"
import { largestDifference, wave } from "./numbers.ts"

/** The folder where the reference checkpoints are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(References, unpack("checkpoints/*.safetensors"))
}

/** Predictions of one call of two rows. */
const predicted = Effect.fnUntraced(
  function*(model: LoadedModel, width: number, tokenMerging: number, rowsAtOnce?: number) {
    const call = yield* model.denoising({
      batch: 2,
      channels: 4,
      frames: 1,
      height: 16,
      width: 24,
      rowsAtOnce,
      tokenMerging,
      inputs: { encoder_hidden_states: [77, width] }
    })
    call.sample.set(wave(call.sample.length, 0.37))
    const states = call.inputs["encoder_hidden_states"]
    states?.set(wave(states.length, 0.71))
    yield* call.run(500)
    return call.prediction.slice()
  },
  Effect.scoped
)

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("tokens", (it) => {
  it.effect.each(["folder", "checkpoint"] as const)(
    "of a %s are merged, as many as are asked for",
    (kind) =>
      Effect.gen(function*() {
        const path = join(yield* References, pictures[0]?.base ?? "")
        const [model, width] = kind === "folder" ?
          [yield* (yield* ModelProvider).load(embedded), 128] :
          [yield* CheckpointModel.make({ name: "sd1", file: path, source: yield* openSafetensors(path) }), 32]
        const plain = yield* predicted(model, width, 0)
        const some = yield* predicted(model, width, 0.25)
        const most = yield* predicted(model, width, 0.75)
        assert.isAbove(largestDifference(some, plain), 1e-4)
        assert.isAbove(largestDifference(most, some), 1e-4)
        assert.isBelow(largestDifference(yield* predicted(model, width, 0.25, 1), some), 1e-5)
        // Fewer than one token.
        assert.deepStrictEqual(yield* predicted(model, width, 0.001), plain)
      }).pipe(Effect.scoped)
  )

  it.effect("of a network without attention among pixels cannot be merged, which is said", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load(yield* make("sd1"))
      const error = yield* Effect.flip(predicted(model, 64, 0.5))
      assert.match(error.message, /no attention among pixels.*token_merging_ratio/s)
    }).pipe(Effect.scoped))
})

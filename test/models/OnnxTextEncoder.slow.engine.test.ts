import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { InferenceSession, Tensor } from "onnxruntime-node"
import * as finalNorm from "../../src/models/finalNorm.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { type FamilyName, layerFamilies, load } from "./families.ts"
import { largestDifference } from "./numbers.ts"
import { idsFor } from "./texts.ts"

layer(layerFamilies)("text encoders", (it) => {
  // What the folder's own file gives for ids, outside of everything else.
  const outputsOf = Effect.fnUntraced(function*(name: FamilyName, part: string, ids: ReadonlyArray<number>) {
    const models = yield* ModelProvider
    const entry = (yield* models.list).find((entry) => entry.name === name)
    const session = yield* Effect.promise(() => InferenceSession.create(`${entry?.folder}/${part}/model.onnx`))
    const input = session.inputMetadata[0]
    const input_ids = input?.isTensor === true && input.type === "int32"
      ? new Tensor("int32", Int32Array.from(ids), [1, 77])
      : new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, 77])
    const outputs = yield* Effect.promise(() => session.run({ input_ids }))
    return (output: string) => Float32Array.from(Array.from(outputs[output]?.data ?? [], Number))
  })

  const encoded = Effect.fnUntraced(function*(name: FamilyName, which: number, clipSkip: number) {
    const model = yield* load(name)
    const ids = (yield* idsFor(model))[which] ?? []
    const encoder = model.textEncoders[which] ?? model.textEncoders[0]
    return { ids, encoder, ...(yield* encoder.encode(ids, { clipSkip })) }
  })

  it.effect("of Stable Diffusion 1 leave layers out, under the final layer norm", () =>
    Effect.gen(function*() {
      const { encoder, ids, pooled, values } = yield* encoded("sd1", 0, 1)
      const output = yield* outputsOf("sd1", "text_encoder", ids)
      const after = output("last_hidden_state")
      assert.deepStrictEqual(values, after)
      assert.strictEqual(pooled.length, 0)
      assert.strictEqual(yield* encoder.largestClipSkip, 3)
      for (const [clipSkip, state] of [[2, "hidden_states.2"], [3, "hidden_states.1"]] as const) {
        const states = output(state)
        finalNorm.apply(states, { before: output("hidden_states.3"), after, width: 16, epsilon: 1e-5 })
        assert.isBelow(largestDifference((yield* encoded("sd1", 0, clipSkip)).values, states), 1e-6)
        assert.isAbove(largestDifference(states, after), 0.1)
      }
    }))

  it.effect("without hidden states leave nothing out", () =>
    Effect.gen(function*() {
      const { encoder, values } = yield* encoded("sd1-last-state-only", 0, 1)
      assert.strictEqual(yield* encoder.largestClipSkip, 1)
      assert.strictEqual((yield* encoded("sd1-last-state-only", 0, 2)).values, values)
    }))

  it.effect("of Stable Diffusion 2 leave nothing out", () =>
    Effect.gen(function*() {
      const { encoder, ids, values } = yield* encoded("sd2", 0, 2)
      assert.deepStrictEqual(values, (yield* outputsOf("sd2", "text_encoder", ids))("last_hidden_state"))
      assert.strictEqual(yield* encoder.largestClipSkip, 1)
    }))

  it.effect("of XL give the last layer but one without the norm, and the second one's text as a whole", () =>
    Effect.gen(function*() {
      const first = yield* encoded("sdxl", 0, 1)
      const output = yield* outputsOf("sdxl", "text_encoder", first.ids)
      assert.deepStrictEqual(first.values, output("hidden_states.2"))
      assert.strictEqual(first.pooled.length, 0)
      assert.deepStrictEqual((yield* encoded("sdxl", 0, 2)).values, first.values)
      assert.deepStrictEqual((yield* encoded("sdxl", 0, 3)).values, output("hidden_states.1"))
      assert.strictEqual(yield* first.encoder.largestClipSkip, 3)

      const second = yield* encoded("sdxl", 1, 3)
      const whole = yield* outputsOf("sdxl", "text_encoder_2", second.ids)
      assert.deepStrictEqual(second.values, whole("hidden_states.2"))
      assert.deepStrictEqual(second.pooled, whole("text_embeds"))
      assert.strictEqual(yield* second.encoder.largestClipSkip, 1)
    }))

  it.effect("of XL's refiner are XL's second one alone", () =>
    Effect.gen(function*() {
      const { textEncoders } = yield* load("sdxl-refiner")
      assert.strictEqual(textEncoders.length, 1)
      const [base, refiner] = yield* Effect.all([encoded("sdxl", 1, 1), encoded("sdxl-refiner", 0, 1)])
      assert.deepStrictEqual(refiner.values, base.values)
      assert.deepStrictEqual(refiner.pooled, base.pooled)
    }))

  it.effect("are filled up with the end token by OpenAI's CLIP, with 0 by OpenCLIP", () =>
    Effect.gen(function*() {
      const padding = Effect.fnUntraced(function*(name: FamilyName) {
        const { textEncoders } = yield* load(name)
        return yield* Effect.forEach(textEncoders, ({ vocabulary }) => Effect.map(vocabulary, ({ padding }) => padding))
      })
      assert.deepStrictEqual(yield* padding("sd1"), [815])
      assert.deepStrictEqual(yield* padding("sd2"), [0])
      assert.deepStrictEqual(yield* padding("sdxl"), [815, 0])
      assert.deepStrictEqual(yield* padding("sdxl-refiner"), [0])
    }))
})

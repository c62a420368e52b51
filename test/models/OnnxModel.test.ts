import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as ModelFolder from "../../src/models/ModelFolder.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import * as Tokenizer from "../../src/models/Tokenizer.ts"
import reference from "../goldens/shapes-128.json" with { type: "json" }
import { brokenCopy, embedded, layerModels } from "./fixtures.ts"

interface Statistics {
  readonly first: ReadonlyArray<number>
  readonly mean: number
  readonly std: number
}

const assertAgrees = (name: string, data: Float32Array, expected: Statistics) => {
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length
  const std = Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length)
  for (const [i, value] of expected.first.entries()) {
    assert.closeTo(data[i] ?? NaN, value, reference.tolerance, `${name}[${i}]`)
  }
  assert.closeTo(mean, expected.mean, reference.tolerance, `${name} mean`)
  assert.closeTo(std, expected.std, reference.tolerance, `${name} std`)
}

const latent = Float32Array.from({ length: 1024 }, (_, i) => Math.sin(i * 0.37) * 1.3)

layer(layerModels())("the embedded model", (it) => {
  it.effect("gives the numbers that its training wrote down", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("shapes-128")
      for (const prompt of reference.prompts) {
        const { embedding, truncated } = yield* model.embed(prompt.prompt)
        assert.strictEqual(truncated, 0)
        assertAgrees("last_hidden_state", embedding.values, prompt.last_hidden_state)
        const call = yield* model.denoising({ batch: 1, height: 16, width: 16, embedding })
        call.sample.set(latent)
        call.conditioning.set(embedding.values)
        yield* call.run(500)
        assertAgrees("out_sample", call.prediction, prompt.unet.out_sample)
      }
      const decoded = yield* model.decode(latent.map((value) => value * reference.scaling_factor), {
        height: 16,
        width: 16
      })
      assertAgrees("vae_decoder sample", decoded, reference.vae_decoder.sample)
    }))

  it.effect("says of itself what its files say", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("")
      assert.strictEqual(model.name, "shapes-128")
      assert.deepStrictEqual(model.defaultSize, { width: 128, height: 128 })
      assert.strictEqual(model.sizeMultiple, 16)
      assert.strictEqual(model.latentScale, 8)
      assert.match(yield* model.hash, /^[0-9a-f]{10}$/)
      assert.strictEqual(model.noise.prediction_type, "epsilon")
    }))

  it.effect("tokenizes with its own special ids, from tokenizer.json and from vocabulary and merges alike", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const old = yield* brokenCopy((folder) => fs.remove(path.join(folder, "tokenizer/tokenizer.json")))
      for (const folder of [embedded, old]) {
        const { encode, frame } = yield* Tokenizer.read(yield* ModelFolder.read(folder))
        for (const { input_ids, prompt } of reference.prompts) assert.deepStrictEqual(frame(encode(prompt)), input_ids)
        assert.deepStrictEqual(frame(encode("")).slice(0, 3), [814, 815, 815])
        assert.deepStrictEqual(encode("A RED  circle"), encode("a red circle"))
        const cut = frame(Array.from({ length: 200 }, () => 5))
        assert.strictEqual(cut.length, 77)
        assert.strictEqual(cut[76], 815)
      }
    }))

  it.effect("tells how many tokens of a prompt did not fit", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("")
      const { truncated } = yield* model.embed("red ".repeat(80))
      assert.strictEqual(truncated, 5)
    }))

  it.effect("remembers the embedding of a prompt", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("")
      const first = yield* model.embed("a blue ring")
      assert.strictEqual((yield* model.embed("a blue ring")).embedding, first.embedding)
    }))

  it.effect("is loaded once for runs that ask for it at the same time", () =>
    Effect.gen(function*() {
      const models = yield* ModelProvider
      const [a, b] = yield* Effect.all([models.load(""), models.load("SHAPES-128")], { concurrency: 2 })
      assert.strictEqual(a, b)
    }))
})

describe("number types", () => {
  layer(layerModels())("of the network's own file", (it) => {
    it.effect("decide how a timestep is written: int64 is rounded", () =>
      Effect.gen(function*() {
        const model = yield* (yield* ModelProvider).load("")
        const { embedding } = yield* model.embed("")
        const call = yield* model.denoising({ batch: 1, height: 16, width: 16, embedding })
        call.sample.set(latent)
        call.conditioning.set(embedding.values)
        yield* call.run(499.6)
        const rounded = call.prediction.slice()
        yield* call.run(500)
        assert.deepStrictEqual(rounded, call.prediction.slice())
        yield* call.run(499.4)
        assert.notDeepEqual(rounded, call.prediction.slice())
      }))
  })
})

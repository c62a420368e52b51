import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { sd1 } from "../../src/families/sd1.ts"
import type { TextEncoder } from "../../src/model/Conditioner.ts"
import * as ModelFolder from "../../src/models/ModelFolder.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import * as Tokenizer from "../../src/models/Tokenizer.ts"
import reference from "../goldens/shapes-128.json" with { type: "json" }
import { savedWithLines } from "../textFiles.ts"
import { brokenCopy, embedded, layerModels } from "./fixtures.ts"
import { framed } from "./texts.ts"

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
const pixels = Float32Array.from({ length: 3 * 128 * 128 }, (_, i) => Math.sin(i * 0.011))
const size = { channels: 4, frames: 1, height: 16, width: 16 }
const inputs = { encoder_hidden_states: [77, 128] }

const encodeText = Effect.fnUntraced(function*({ encode, vocabulary }: TextEncoder, text: string, clipSkip = 1) {
  return yield* encode(yield* framed(yield* vocabulary, text), { clipSkip })
})

const tokenizerOf = ({ folder, textEncoders: [{ reading, tokenizer }] }: ModelFolder.ModelFolder) =>
  Tokenizer.read({ owner: folder, ...tokenizer, padding: reading.padding })

layer(layerModels())("the embedded model", (it) => {
  it.effect("gives the numbers that its training wrote down", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("shapes-128")
      for (const prompt of reference.prompts) {
        const { pooled, values } = yield* encodeText(model.textEncoders[0], prompt.prompt)
        assert.strictEqual(pooled.length, 0)
        assertAgrees("last_hidden_state", values, prompt.last_hidden_state)
        const call = yield* model.denoising({ batch: 1, ...size, inputs })
        call.sample.set(latent)
        call.inputs["encoder_hidden_states"]?.set(values)
        yield* call.run(500)
        assertAgrees("out_sample", call.prediction, prompt.unet.out_sample)
      }
      const decoded = yield* model.decode(latent.map((value) => value * reference.scaling_factor), size)
      assertAgrees("vae_decoder sample", decoded, reference.vae_decoder.sample)
    }))

  it.effect("encodes an image to the mean of its latent, scaled", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("shapes-128")
      const encoded = yield* model.encode(pixels, size)
      assert.strictEqual(encoded.length, 4 * 16 * 16)
      // The reference is of all 8 channels; the first numbers are the first mean's.
      for (const [i, value] of reference.vae_encoder.latent_parameters.first.entries()) {
        assert.closeTo((encoded[i] ?? NaN) / reference.scaling_factor, value, reference.tolerance)
      }
    }))

  it.effect("gives back an image of its own that it encoded and decoded", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("shapes-128")
      // A red disc on blue, one of the shapes that it was trained on.
      const image = Float32Array.from({ length: 3 * 128 * 128 }, (_, i) => {
        const channel = Math.floor(i / 16384)
        const isInside = Math.hypot((i % 128) - 64, (Math.floor(i / 128) % 128) - 64) < 36
        return channel === (isInside ? 0 : 2) ? 0.7 : -0.7
      })
      const again = yield* model.decode(yield* model.encode(image, size), size)
      const error = again.reduce((sum, value, i) => sum + Math.abs(value - (image[i] ?? 0)), 0) / again.length
      assert.isBelow(error, 0.15)
    }))

  it.effect("says of itself what its files say", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("")
      assert.strictEqual(model.name, "shapes-128")
      assert.deepStrictEqual(model.defaultSize, { width: 128, height: 128 })
      assert.strictEqual(model.sizeMultiple, 16)
      assert.deepInclude(model.latents, { channels: 4, scale: { space: 8, time: 1 } })
      assert.isUndefined(model.source)
      assert.match(yield* model.hash, /^[0-9a-f]{10}$/)
      const folder = yield* ModelFolder.read(embedded)
      assert.strictEqual(folder.family, sd1)
      assert.deepStrictEqual(folder.inputs, { encoder_hidden_states: [undefined, 128] })
      assert.strictEqual(folder.noise.prediction_type, "epsilon")
    }))

  it.effect("tokenizes with its own special ids, from tokenizer.json and from vocabulary and merges alike", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const old = yield* brokenCopy((folder) => fs.remove(path.join(folder, "tokenizer/tokenizer.json")))
      for (const folder of [embedded, old]) {
        const model = yield* ModelFolder.read(folder)
        const vocabulary = yield* tokenizerOf(model)
        for (const { input_ids, prompt } of reference.prompts) {
          assert.deepStrictEqual(yield* framed(vocabulary, prompt), input_ids)
        }
        const { comma, encode, end, padding, start } = vocabulary
        assert.deepStrictEqual([start, end, padding, comma], [814, 815, 815, 267])
        const [loud, quiet, none] = yield* encode(["A RED  circle", "a red circle", ""])
        assert.deepStrictEqual(loud, quiet)
        assert.deepStrictEqual(none, new Int32Array())
      }
    }))

  const withMerges = (change: (text: string) => string) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* brokenCopy((folder) =>
        Effect.gen(function*() {
          yield* fs.remove(`${folder}/tokenizer/tokenizer.json`)
          const text = yield* fs.readFileString(`${folder}/tokenizer/merges.txt`)
          yield* fs.writeFileString(`${folder}/tokenizer/merges.txt`, change(text))
        })
      )
      const model = yield* ModelFolder.read(folder)
      return yield* tokenizerOf(model)
    })

  it.effect("tokenizes the same from merges with any line ends, and a byte order mark", () =>
    Effect.gen(function*() {
      for (const end of ["\r\n", "\r", " \n"]) {
        const vocabulary = yield* withMerges((text) => `\uFEFF${text.replaceAll("\n", end)}`)
        for (const { input_ids, prompt } of reference.prompts) {
          assert.deepStrictEqual(yield* framed(vocabulary, prompt), input_ids)
        }
      }
    }))

  it.effect.each(["vocab.json", "merges.txt", "tokenizer.json"])(
    "tokenizes the same from any editor's %s",
    (file) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* brokenCopy((folder) =>
          file === "tokenizer.json" ? Effect.void : fs.remove(`${folder}/tokenizer/tokenizer.json`)
        )
        const text = yield* fs.readFileString(`${folder}/tokenizer/${file}`)
        for (const [name, save] of savedWithLines) {
          yield* fs.writeFile(`${folder}/tokenizer/${file}`, save(text))
          const model = yield* ModelFolder.read(folder)
          const vocabulary = yield* tokenizerOf(model)
          for (const { input_ids, prompt } of reference.prompts) {
            assert.deepStrictEqual(yield* framed(vocabulary, prompt), input_ids, name)
          }
        }
      })
  )

  it.effect.each(
    [
      [(text: string) => text.slice(0, text.length / 2), /merges\.txt: /],
      [
        (text: string) => `${text.split("\n").slice(0, 100).join("\n")}\n`,
        /merges\.txt: no line makes ".*" of vocab\.json/
      ],
      [(text: string) => `${text}x y z\n`, /merges\.txt: line \d+ is "x y z", not two tokens/],
      [(text: string) => `${text}qq qq\n`, /merges\.txt: line \d+ makes "qqqq", which vocab\.json does not have/],
      [() => "", /merges\.txt: the file is empty/],
      [() => "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", /merges\.txt: .*Git LFS pointer/]
    ] as const
  )("refuses merges that are not all of them: %#", ([change, message]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(withMerges(change))
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.match(error.message, message)
    }))

  it.effect("remembers the embedding of a text, apart for each clip skip", () =>
    Effect.gen(function*() {
      const [encoder] = (yield* (yield* ModelProvider).load("")).textEncoders
      const first = yield* encodeText(encoder, "a blue ring")
      assert.strictEqual(yield* encodeText(encoder, "a blue ring"), first)
      const second = yield* encodeText(encoder, "a blue ring", 2)
      assert.notDeepEqual(second.values, first.values)
      assert.strictEqual(yield* encodeText(encoder, "a blue ring", 2), second)
    }))

  it.effect("leaves out as many layers as it has, and acts as that for more", () =>
    Effect.gen(function*() {
      const [encoder] = (yield* (yield* ModelProvider).load("")).textEncoders
      assert.strictEqual(yield* encoder.largestClipSkip, 3)
      const last = yield* encodeText(encoder, "a blue ring", 3)
      assert.strictEqual(yield* encodeText(encoder, "a blue ring", 12), last)
      assert.strictEqual(yield* encodeText(encoder, "a blue ring", 0), yield* encodeText(encoder, "a blue ring", 1))
    }))

  it.effect("is loaded once for runs that ask for it at the same time", () =>
    Effect.gen(function*() {
      const models = yield* ModelProvider
      const [a, b] = yield* Effect.all([models.load(""), models.load("SHAPES-128")], { concurrency: 2 })
      assert.strictEqual(a, b)
    }))

  it.effect("writes a timestep in the number type of its own file: int64 is rounded", () =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load("")
      const call = yield* model.denoising({ batch: 1, ...size, inputs })
      call.sample.set(latent)
      call.inputs["encoder_hidden_states"]?.set((yield* encodeText(model.textEncoders[0], "")).values)
      yield* call.run(499.6)
      const rounded = call.prediction.slice()
      yield* call.run(500)
      assert.deepStrictEqual(rounded, call.prediction.slice())
      yield* call.run(499.4)
      assert.notDeepEqual(rounded, call.prediction.slice())
    }))
})

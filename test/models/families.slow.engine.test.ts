import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { DenoisingCall } from "../../src/model/LoadedModel.ts"
import * as ModelFolder from "../../src/models/ModelFolder.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { families, type FamilyName, inputsOf, layerFamilies, load, make } from "./families.ts"
import { layerModels } from "./fixtures.ts"
import { largestDifference, small, wave } from "./numbers.ts"
import { idsFor } from "./texts.ts"

/** Fills every input of a call with numbers that differ. */
const fill = (call: DenoisingCall) => {
  call.sample.set(wave(call.sample.length, 0.37))
  for (const [name, values] of Object.entries(call.inputs)) {
    values.set(name === "time_ids" ? values.map((_, i) => 64 * i) : wave(values.length, frequencies[name] ?? NaN))
  }
}

const frequencies: Readonly<Record<string, number>> = {
  encoder_hidden_states: 0.71,
  text_embeds: 0.13,
  timestep_cond: 0.29,
  source: 0.41
}

const expected: Readonly<Record<FamilyName, string>> = {
  sd1: "Stable Diffusion 1",
  "sd1-last-state-only": "Stable Diffusion 1",
  "sd1-float16": "Stable Diffusion 1",
  "sd1-timestep-one": "Stable Diffusion 1",
  "sd1-timestep-float": "Stable Diffusion 1",
  "sd1-timestep-batch": "Stable Diffusion 1",
  "sd1-latent-sample": "Stable Diffusion 1",
  "sd1-no-encoder": "Stable Diffusion 1",
  inpainting: "Stable Diffusion 1, inpainting",
  lcm: "Stable Diffusion 1, latent consistency",
  sd2: "Stable Diffusion 2",
  turbo: "Stable Diffusion 2",
  sdxl: "Stable Diffusion XL",
  "sdxl-float16": "Stable Diffusion XL",
  "sdxl-refiner": "Stable Diffusion XL refiner"
}

const names = Object.keys(expected) as ReadonlyArray<FamilyName>

layer(layerFamilies)("a model folder", (it) => {
  describe.each(names)("of %s", (name) => {
    it.effect("says of itself what its files say", () =>
      Effect.gen(function*() {
        const model = yield* load(name)
        const { precision: _, ...family } = families[name]
        const folder = yield* ModelFolder.read(yield* make(name))
        assert.strictEqual(folder.family.name, expected[name])
        assert.strictEqual(model.latents.channels, 4)
        assert.strictEqual(model.source?.channels, family.channels > 4 ? family.channels - 4 : undefined)
        assert.strictEqual(model.conditioner.isSelfGuided, family.guidance > 0)
        assert.strictEqual(model.sizeMultiple, 16)
        assert.strictEqual(model.defaultSize.width, family.sampleSize * 8)
        assert.strictEqual(folder.noise.beta_start, 0.00085)
      }))

    it.effect("encodes texts as wide as its network reads them", () =>
      Effect.gen(function*() {
        const model = yield* load(name)
        const ids = yield* idsFor(model)
        const chunks = yield* Effect.forEach(
          model.textEncoders,
          ({ encode }, i) => encode(ids[i] ?? [], { clipSkip: 1 })
        )
        const widths = model.textEncoders.map(({ width }) => width)
        assert.deepStrictEqual(chunks.map(({ values }) => values.length), widths.map((width) => 77 * width))
        assert.strictEqual(widths.reduce((a, b) => a + b), inputsOf(name)["encoder_hidden_states"]?.[1])
        assert.strictEqual(chunks.at(-1)?.pooled.length, inputsOf(name)["text_embeds"]?.[0] ?? 0)
        assert.isTrue(
          chunks.every(({ values }) => values.every(Number.isFinite) && values.some((value) => value !== 0))
        )
      }))

    it.effect("denoises with every input that it reads", () =>
      Effect.gen(function*() {
        const { denoising } = yield* load(name)
        const call = yield* denoising({ batch: 2, ...small, inputs: inputsOf(name, 154) })
        const predict = (t: number, change?: Float32Array) =>
          Effect.suspend(() => {
            fill(call)
            change?.subarray(change.length / 2).fill(0.5)
            return Effect.map(call.run(t), () => call.prediction.slice())
          })
        const half = call.prediction.length / 2
        const plain = yield* predict(500)
        assert.isTrue(plain.every(Number.isFinite))
        assert.deepStrictEqual(yield* predict(500), plain)
        assert.isAbove(largestDifference(yield* predict(20), plain), 1e-3)
        assert.sameMembers(Object.keys(call.inputs), Object.keys(inputsOf(name)))
        for (const [change, values] of Object.entries({ sample: call.sample, ...call.inputs })) {
          const changed = yield* predict(500, values)
          // The second of the two was changed.
          assert.strictEqual(largestDifference(changed.subarray(0, half), plain.subarray(0, half)), 0, change)
          assert.isAbove(largestDifference(changed.subarray(half), plain.subarray(half)), 1e-3, change)
        }
      }))

    it.effect("decodes latents to images eight times as large", () =>
      Effect.gen(function*() {
        const { decode, decodePreview = decode } = yield* load(name)
        const decoded = yield* decode(wave(4 * 35, 0.2), small)
        assert.strictEqual(decoded.length, 3 * 40 * 56)
        assert.isTrue(decoded.every((value) => Math.abs(value) <= 1))
        assert.deepStrictEqual(yield* decodePreview(wave(4 * 35, 0.2), small), decoded)
      }))
  })

  it.effect("gives the latent's mean, scaled, whether its encoder gives parameters or a latent", () =>
    Effect.gen(function*() {
      const pixels = wave(3 * 40 * 56, 0.01)
      const [sd1, older, sdxl] = yield* Effect.forEach(
        ["sd1", "sd1-latent-sample", "sdxl"] as const,
        (name) => Effect.flatMap(load(name), ({ encode }) => encode(pixels, small))
      )
      assert.strictEqual(sd1?.length, 4 * 35)
      assert.deepStrictEqual(older, sd1)
      // The same encoder under another scaling factor.
      const rescaled = sd1?.map((value) => value / 0.18215 * 0.13025) ?? new Float32Array()
      assert.isBelow(largestDifference(sdxl ?? new Float32Array(), rescaled), 1e-6)
    }))

  it.effect("without an encoder makes images, and says what img2img needs", () =>
    Effect.gen(function*() {
      const model = yield* load("sd1-no-encoder")
      yield* model.warm
      const error = yield* Effect.flip(model.encode(wave(3 * 40 * 56, 0.01), small))
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "vae_encoder/model.onnx: the file is missing, and img2img needs it")
    }))

  it.effect("reads the same timestep however its network declares it", () =>
    Effect.gen(function*() {
      const predict = Effect.fnUntraced(function*(name: FamilyName, t: number) {
        const call = yield* (yield* load(name)).denoising({ batch: 3, ...small, inputs: inputsOf(name) })
        fill(call)
        yield* call.run(t)
        return call.prediction
      })
      const plain = yield* predict("sd1", 500)
      for (const name of ["sd1-timestep-one", "sd1-timestep-float", "sd1-timestep-batch"] as const) {
        assert.isBelow(largestDifference(yield* predict(name, 500), plain), 1e-6, name)
      }
      assert.deepStrictEqual(yield* predict("sd1", 500.4), plain)
      assert.isAbove(largestDifference(yield* predict("sd1-timestep-float", 500.4), plain), 1e-3)
    }))

  it.effect("in float16 gives what it gives in float32, to float16's precision", () =>
    Effect.gen(function*() {
      for (const [half, full] of [["sd1-float16", "sd1"], ["sdxl-float16", "sdxl"]] as const) {
        const results = yield* Effect.forEach(
          [half, full],
          Effect.fnUntraced(function*(name) {
            const model = yield* load(name)
            const ids = yield* idsFor(model)
            const chunks = yield* Effect.forEach(
              model.textEncoders,
              ({ encode }, i) => encode(ids[i] ?? [], { clipSkip: i === 0 ? 2 : 1 })
            )
            const call = yield* model.denoising({ batch: 1, ...small, inputs: inputsOf(name) })
            fill(call)
            yield* call.run(500)
            return [
              ...chunks.flatMap(({ pooled, values }) => [values, pooled]),
              call.prediction,
              yield* model.decode(wave(4 * 35, 0.2), small),
              yield* model.encode(wave(3 * 40 * 56, 0.01), small)
            ]
          })
        )
        const [a = [], b = []] = results
        for (const [i, values] of a.entries()) {
          const other = b[i] ?? new Float32Array()
          assert.strictEqual(values.length, other.length)
          const scale = Math.max(1, ...other.map(Math.abs))
          if (other.length > 0) assert.isBelow(largestDifference(values, other) / scale, 0.01, `${half} ${i}`)
        }
        assert.notDeepEqual(a, b)
      }
    }))

  it.effect("made seamless, moves what it denoises as its sample moves", () =>
    Effect.gen(function*() {
      const { denoising } = yield* load("sd1")
      // One place to the right and one down, what leaves coming in again.
      const moved = (values: Float32Array, { height, width }: typeof small) =>
        values.map((_, i) => {
          const x = i % width
          const y = Math.floor(i / width) % height
          const plane = i - x - y * width
          return values[plane + ((y + height - 1) % height) * width + ((x + width - 1) % width)] ?? NaN
        })
      const difference = Effect.fnUntraced(function*(seamless: boolean) {
        const call = yield* denoising({ batch: 1, ...small, inputs: inputsOf("sd1"), seamless })
        fill(call)
        yield* call.run(500)
        const before = call.prediction.slice()
        call.sample.set(moved(call.sample, small))
        yield* call.run(500)
        return largestDifference(call.prediction, moved(before, small))
      })
      assert.isBelow(yield* difference(true), 1e-5)
      assert.isAbove(yield* difference(false), 1e-3)
    }))
})

describe("the hash of a model", () => {
  it.effect("is that of the weights too where they lie next to the network", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [plain, one, other] = yield* Effect.forEach([undefined, "weights", "other weights"], (weights) =>
        Effect.gen(function*() {
          const folder = yield* make("sdxl")
          if (weights !== undefined) {
            yield* fs.writeFileString(`${folder}/unet/model.onnx_data`, weights)
          }
          const model = yield* (yield* ModelProvider).load(folder)
          return yield* model.hash
        }))
      assert.strictEqual(new Set([plain, one, other]).size, 3)
    }).pipe(Effect.provide(layerModels())))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import { Options } from "../../src/processing/Options.ts"
import { type FamilyName, inputsOf, make } from "./families.ts"
import { layerModels } from "./fixtures.ts"
import { largestDifference, small, wave } from "./numbers.ts"
import { idsFor } from "./texts.ts"

/** What a model gives when all of its networks have run, three rows of latents among them. */
const outcome = Effect.fnUntraced(function*(name: FamilyName, model: LoadedModel, rowsAtOnce?: number) {
  const ids = yield* idsFor(model)
  const chunks = yield* Effect.forEach(
    model.textEncoders,
    ({ encode }, i) =>
      encode(ids[i] ?? [], {
        clipSkip: model.conditioner.clipSkip({ ...Options.defaults, CLIP_stop_at_last_layers: 2 })
      })
  )
  const call = yield* model.denoising({ ...small, batch: 3, inputs: inputsOf(name), rowsAtOnce })
  call.sample.set(wave(call.sample.length, 0.37))
  call.inputs["encoder_hidden_states"]?.set(wave(call.inputs["encoder_hidden_states"].length, 0.71))
  call.inputs["text_embeds"]?.set(wave(call.inputs["text_embeds"].length, 0.13))
  call.inputs["time_ids"]?.set(wave(call.inputs["time_ids"].length, 0.5))
  yield* call.run(500)
  yield* call.run(321)
  const area = small.height * small.width
  return {
    texts: chunks.flatMap(({ pooled, values }) => [values, pooled]),
    prediction: call.prediction.slice(),
    image: yield* model.decode(wave(4 * area, 0.2), small),
    latent: yield* model.encode(wave(3 * 64 * area, 0.01), small)
  }
}, Effect.scoped)

const loaded = (folder: string) => Effect.flatMap(ModelProvider, ({ load }) => load(folder))

const assertSame = (
  { texts, ...numbers }: Effect.Success<ReturnType<typeof outcome>>,
  expected: Effect.Success<ReturnType<typeof outcome>>
) => {
  for (const [i, text] of texts.entries()) {
    assert.strictEqual(text.length, expected.texts[i]?.length)
    assert.isBelow(largestDifference(text, expected.texts[i] ?? text), 1e-5)
  }
  for (const name of ["prediction", "image", "latent"] as const) {
    assert.strictEqual(numbers[name].length, expected[name].length, name)
    assert.isBelow(largestDifference(numbers[name], expected[name]), 1e-5, name)
  }
}

/** Fixes dimensions of all inputs of the named networks. */
const fix = Effect.fnUntraced(
  function*(folder: string, dims: Readonly<Record<string, number>>, parts: ReadonlyArray<string>) {
    const fs = yield* FileSystem.FileSystem
    for (const part of parts) {
      const file = `${folder}/${part}/model.onnx`
      if (!(yield* fs.exists(file))) continue
      const model = Onnx.read(yield* fs.readFile(file))
      const inputs = model.graph.inputs.map((info) => ({
        ...info,
        dims: info.dims?.map((dim) => typeof dim === "string" ? dims[dim] ?? dim : dim)
      }))
      yield* fs.writeFile(file, Onnx.write({ ...model, graph: { ...model.graph, inputs } }))
    }
  }
)

const everyPart = ["text_encoder", "text_encoder_2", "unet", "vae_decoder", "vae_encoder"]

const families: ReadonlyArray<FamilyName> = ["sd1", "sd1-float16", "sd1-timestep-batch", "sdxl"]

describe("rows of a call", () => {
  it.effect.each(families)(
    "go through the network in parts where asked, with the same numbers: %s",
    (name) =>
      Effect.gen(function*() {
        const model = yield* loaded(yield* make(name))
        const whole = yield* outcome(name, model)
        for (const rowsAtOnce of [1, 2, 3, 9]) assertSame(yield* outcome(name, model, rowsAtOnce), whole)
      }).pipe(Effect.provide(layerModels()))
  )

  it.effect.each(families)(
    "go through networks exported for a fixed batch that many at a time: %s",
    (name) =>
      Effect.gen(function*() {
        const folder = yield* make(name)
        const whole = yield* outcome(name, yield* loaded(folder))
        for (const batch_size of [1, 2, 4]) {
          const fixed = yield* make(name)
          yield* fix(fixed, { batch_size }, everyPart)
          assertSame(yield* outcome(name, yield* loaded(fixed)), whole)
        }
      }).pipe(Effect.provide(layerModels()))
  )

  it.effect("of inputs that were fixed to different batches are refused when the network opens", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* make("sd1")
      const file = `${folder}/unet/model.onnx`
      const model = Onnx.read(yield* fs.readFile(file))
      const inputs = model.graph.inputs.map((info) => ({
        ...info,
        dims: info.dims?.map((dim) => dim === "batch_size" ? info.name === "sample" ? 1 : 2 : dim)
      }))
      yield* fs.writeFile(file, Onnx.write({ ...model, graph: { ...model.graph, inputs } }))
      const error = yield* Effect.flip((yield* loaded(folder)).warm)
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "unet/model.onnx: its inputs are fixed to different batches, 1 and 2; export")
    }).pipe(Effect.provide(layerModels())))

  it.effect("of texts longer than a network was exported for are refused with the reason", () =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      yield* fix(folder, { sequence_length: 77 }, ["unet"])
      const model = yield* loaded(folder)
      yield* model.denoising({ ...small, batch: 1, inputs: inputsOf("sd1") })
      const error = yield* Effect.flip(model.denoising({ ...small, batch: 1, inputs: inputsOf("sd1", 154) }))
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "is fixed to 77 tokens, and the prompt has 154; shorten the prompt")
    }).pipe(Effect.provide(layerModels())))
})

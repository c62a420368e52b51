import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import { join } from "node:path"
import type { LatentShape } from "../../src/core/LatentShape.ts"
import type { NamedTensors, TextEncoder } from "../../src/model/Conditioner.ts"
import { fits } from "../../src/model/Embedding.ts"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import * as Checkpoint from "../../src/models/Checkpoint.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import * as CheckpointModel from "../../src/models/CheckpointModel.ts"
import * as embeddings from "../../src/models/embeddings.ts"
import { Options } from "../../src/processing/Options.ts"
import * as Prompt from "../../src/prompt/Prompt.ts"
import { combineGuidance } from "../../src/sampling/Guidance.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import { unpack } from "./checkpoint/data.ts"
import { layerModels } from "./fixtures.ts"
import { entries, numbersOf, opened, pictures } from "./networks/references.ts"
import { largestDifference } from "./numbers.ts"

/** The folder where the references are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(
    References,
    unpack("{checkpoints,embeddings,pictures}/*.safetensors", "folders/**/*")
  )
}

const load = Effect.fnUntraced(function*(file: string, about: Partial<Checkpoint.Checkpoint> = {}) {
  const path = join(yield* References, file)
  return yield* CheckpointModel.make({ name: file, file: path, source: yield* openSafetensors(path), ...about })
})

/** The tensors of a file of cases, as numbers. */
const casesOf = Effect.fnUntraced(function*(file: string) {
  const { tensors } = yield* opened(yield* References, file)
  return (name: string) => tensors.has(name) ? numbersOf(tensors.get(name)) : undefined
})

/** What a model reads of rows of ids, one list of rows for each of its text encoders, as its conditioner joins them. */
const textsOf = Effect.fnUntraced(function*(model: LoadedModel, ids: ReadonlyArray<Float32Array>) {
  const rows = Effect.fnUntraced(function*(row: number) {
    const encoders = model.textEncoders.map((encoder, place): TextEncoder => ({
      ...encoder,
      // The ids are given.
      vocabulary: Effect.succeed({ encode: () => Effect.succeed([]), comma: -1, start: 0, end: 0, padding: 0 }),
      encode: (_, options) =>
        encoder.encode(Array.from((ids[place] ?? ids[0])?.slice(row * 77, row * 77 + 77) ?? []), options)
    }))
    const [first = model.textEncoders[0], ...others] = encoders
    const { parts: [part] } = yield* model.conditioner.condition([first, ...others], {
      prompt: Prompt.parse("ids", { steps: 8 }),
      negative: undefined,
      size,
      guidanceScale: 7,
      settings: Options.defaults,
      mostChunks: 1
    })
    return part?.texts[0] ?? {}
  })
  return [yield* rows(0), yield* rows(1)] as const
})

/** Size that the references' SDXL is told; the others are told none. */
const size = { width: 24, height: 32 }

/** A picture of 8 steps of Euler at CFG 7, from two rows of texts and noise. */
const sampled = Effect.fnUntraced(function*(
  model: LoadedModel,
  texts: ReadonlyArray<NamedTensors>,
  noise: Float32Array,
  shape: LatentShape
) {
  const call = yield* model.denoising({
    ...shape,
    batch: 2,
    inputs: Record.map(texts[0] ?? {}, ({ dims }) => dims)
  })
  for (const [row, text] of texts.entries()) {
    for (const [name, { values }] of Object.entries(text)) call.inputs[name]?.set(values, row * values.length)
  }
  const length = noise.length
  const [denoised, guided] = [new Float32Array(length), new Float32Array(length)]
  const { sigmas, start } = Samplers.plan({
    sampler: Option.getOrThrow(Samplers.get("Euler")),
    process: model.noise,
    steps: 8
  })
  const latents = yield* Samplers.sample({
    sampler: "Euler",
    sigmas,
    process: model.noise,
    x: noise.map((value) => value * start.noise),
    denoiser: (x, sigma) =>
      Effect.suspend(() => {
        model.noise.input(call.sample.subarray(0, length), x, sigma)
        call.sample.copyWithin(length, 0, length)
        return Effect.map(call.run(model.noise.timestep(sigma)), () => {
          const [negative, positive] = [call.prediction.subarray(0, length), call.prediction.subarray(length)]
          combineGuidance(guided, negative, [{ weight: 1, values: positive }], 7)
          model.noise.denoised(denoised, x, guided, sigma)
          return denoised
        })
      })
  })
  return { latents, image: yield* model.decode(latents, shape) }
}, Effect.scoped)

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("a checkpoint", (it) => {
  it.effect.each(pictures.filter(({ adapters }) => adapters.length === 0))(
    "makes the picture that PyTorch makes: $id",
    ({ base, cases, prediction, tolerances }) =>
      Effect.gen(function*() {
        const model = yield* load(base, prediction === "v" ? { yaml: "  parameterization: v\n" } : {})
        const given = yield* casesOf(cases)
        const ids = ["in/ids", "in/ids_open_clip"].flatMap((name) => given(name) ?? [])
        const noise = given("in/noise") ?? new Float32Array()
        const [height, width] = [16, noise.length / 64]
        const numbers = given("in/numbers")
        const read = yield* textsOf(model, ids)
        const sizes = numbers && { time_ids: { dims: [numbers.length], values: numbers } }
        const texts = [{ ...read[0], ...sizes }, { ...read[1], ...sizes }]
        const { image, latents } = yield* sampled(model, texts, noise, { channels: 4, frames: 1, height, width })
        for (const [name, values] of [["latents", latents], ["image", image]] as const) {
          const expected = given(`out/${name}`)
          const tolerance = tolerances[name]
          if (expected === undefined || tolerance === undefined) continue
          // One image is stored in half precision, which rounds by up to a 2048th.
          const excess = values.map((value, i) =>
            Math.abs(value - (expected[i] ?? NaN)) - (name === "image" ? Math.abs(expected[i] ?? NaN) / 2048 : 0)
          )
          assert.isAtMost(Math.max(...excess), tolerance.atol, name)
        }
      }).pipe(Effect.scoped)
  )

  it.effect.each(entries.filter(({ kind }) => kind === "folder"))(
    "reads from a diffusers folder what its tensors do not say: $id",
    ({ cases, folder = "", operations }) =>
      Effect.gen(function*() {
        const checkpoint = yield* Checkpoint.read(join(yield* References, folder))
        assert.isDefined(checkpoint)
        const model = yield* CheckpointModel.make(checkpoint)
        const given = yield* casesOf(cases)
        const expect = (found: Float32Array, name: string, output: string) => {
          const expected = given(`${name}/out/${output}`) ?? new Float32Array()
          assert.isAbove(expected.length, 0)
          const atol = operations?.[name]?.tolerances[output]?.atol ?? 0
          assert.isAtMost(largestDifference(found, expected.subarray(0, found.length)), atol, `${name} ${output}`)
        }
        for (const [place, encoder] of model.textEncoders.entries()) {
          const name = place === 0 ? "text_encoder" : "text_encoder_2"
          const ids = given(`${name}/in/ids`)?.slice(0, 77) ?? []
          const { values } = yield* encoder.encode(Array.from(ids), { clipSkip: 1 })
          expect(values, name, model.textEncoders.length === 1 ? "last" : "penultimate")
        }
        const { factor: [factor = 1], rgb } = model.latents
        const shape = { channels: 4, frames: 1, height: 8, width: 12 }
        const latents = given("vae-decode/in/z")?.map((value) => value * factor)
        assert.deepStrictEqual(rgb?.factors.map((row) => row.length), [3, 3, 3, 3])
        assert.isDefined(latents)
        expect(yield* model.decode(latents, shape), "vae-decode", "out")
      }).pipe(Effect.scoped)
  )

  it.effect.each(entries.filter(({ kind }) => kind === "embedding"))(
    "reads the vectors of an embedding in the places of tokens: $id",
    ({ base = "", cases, file = "", operations = {} }) =>
      Effect.gen(function*() {
        const model = yield* load(base)
        const embedding = yield* embeddings.read("token", join(yield* References, file))
        assert.isTrue(fits(embedding, model.textEncoders))
        const given = yield* casesOf(cases)
        for (const [place, encoder] of model.textEncoders.entries()) {
          const name = place === 0 ? "text" : "text2"
          const [at = 0] = given(`${name}/in/positions`) ?? []
          const ids = Array.from(given(`${name}/in/ids`) ?? [])
          const values = embedding.rows[place] ?? new Float32Array()
          assert.strictEqual(given(`${name}/in/positions`)?.length, embedding.vectors)
          const placed = [{ at, values, id: embedding.id }]
          const read = yield* encoder.encode(ids, { clipSkip: 1, placed })
          const outputs = model.textEncoders.length === 1
            ? { last: read.values }
            : { penultimate: read.values, ...(read.pooled.length > 0 && { pooled: read.pooled }) }
          for (const [output, found] of Object.entries(outputs)) {
            const expected = given(`${name}/out/${output}`) ?? new Float32Array()
            const atol = operations[name]?.tolerances[output]?.atol ?? 0
            assert.isAtMost(largestDifference(found, expected), atol, `${name} ${output}`)
          }
          // What was read with other vectors, or without any, is not remembered for these.
          const plain = yield* encoder.encode(ids, { clipSkip: 1 })
          const other = yield* encoder.encode(ids, {
            clipSkip: 1,
            placed: [{ at, values: values.map(() => 0), id: "" }]
          })
          assert.isAbove(largestDifference(plain.values, read.values), 0.01)
          assert.isAbove(largestDifference(other.values, read.values), 0.01)
        }
      }).pipe(Effect.scoped)
  )
})

import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { join } from "node:path"
import { fits } from "../../src/model/Embedding.ts"
import * as Checkpoint from "../../src/models/Checkpoint.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import * as CheckpointModel from "../../src/models/CheckpointModel.ts"
import * as embeddings from "../../src/models/embeddings.ts"
import { unpack } from "./checkpoint/data.ts"
import { expectImage } from "./checkpointImages.ts"
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

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("a checkpoint", (it) => {
  it.effect.each(pictures.filter(({ adapters }) => adapters.length === 0))(
    "makes the picture that PyTorch makes: $id",
    ({ base, cases, prediction, tolerances }) =>
      Effect.gen(function*() {
        const model = yield* load(base, prediction === "v" ? { yaml: "  parameterization: v\n" } : {})
        yield* expectImage(model, yield* opened(yield* References, cases), tolerances)
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

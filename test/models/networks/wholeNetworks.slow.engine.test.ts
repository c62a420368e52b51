import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { GraphOptions } from "../../../src/models/graph/Graph.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { autoencoderKlDecoder } from "../../../src/models/networks/autoencoderKl.ts"
import { clipText } from "../../../src/models/networks/clipText.ts"
import { unet } from "../../../src/models/networks/unet.ts"
import { unpack } from "../checkpoint/data.ts"
import { layerModels } from "../fixtures.ts"
import { casesOf, computed, type Given, given, opened, opening, placeOf, shapeOf } from "./references.ts"

/** The folder where the references are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(References, unpack("checkpoints/{sd15,sdxl}{,.cases}.safetensors"))
}

/** A checkpoint's case of a network: the network's weights, and the tensors of the case. */
const caseOf = Effect.fnUntraced(function*(op: string, id: string, name?: string) {
  const found = casesOf(op).find((found) => found.entry.id === id && (name === undefined || found.name === name))
  if (found === undefined) throw new Error(`${id} has no case of ${op}`)
  const { file, prefix } = placeOf(found)
  const folder = yield* References
  return {
    name: found.name,
    weights: Weights.of(yield* opened(folder, file), prefix),
    cases: yield* opened(folder, found.entry.cases)
  }
})

const unetInputs = ({ cases, name }: Effect.Success<ReturnType<typeof caseOf>>) => ({
  sample: given(cases, `${name}/in/x`),
  timestep: given(cases, `${name}/in/t`),
  encoder_hidden_states: given(cases, `${name}/in/context`),
  ...(cases.tensors.has(`${name}/in/y`) && { y: given(cases, `${name}/in/y`) })
})

const norm = (values: ArrayLike<number>): number => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0))

/** The norm of a difference beside that of the expected numbers. */
const deviation = (found: ArrayLike<number>, expected: ArrayLike<number>): number =>
  norm(Array.from(found, (value, i) => value - (expected[i] ?? NaN))) / norm(expected)

/** `[b, c, h, w]` moved down and to the right, what leaves it on one side entering on the other. */
const rolled = ({ dims, values }: Given, down: number, right: number): Given => {
  const [height = 1, width = 1] = dims.slice(2)
  return {
    dims,
    values: Float32Array.from(values, (_, i) => {
      const [plane, row, column] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width]
      const [y, x] = [(row - down + height) % height, (column - right + width) % width]
      return values[(plane * height + y) * width + x] ?? NaN
    })
  }
}

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("in float16, as on graphics cards", (it) => {
  const float16 = { arithmetic: "float16", optimised: true } as const

  it.effect.each(["sd15", "sdxl"])(
    "the UNet of %s deviates from PyTorch's in float32 by the rounding alone",
    (id) =>
      Effect.gen(function*() {
        const found = yield* caseOf("unet", id, "unet-981")
        const { cases, name, weights } = found
        const dims = shapeOf(cases, `${name}/out/out`)
        const output = yield* computed(unet(weights, float16), unetInputs(found), { out_sample: dims })
        const expected = given(cases, `${name}/out/out`).values
        assert.isAtMost(deviation(output("out_sample"), expected), 2 ** -8)
      })
  )

  it.effect("so does the text encoder, whose rows are those of its table", () =>
    Effect.gen(function*() {
      const { cases, name, weights } = yield* caseOf("text", "sd15")
      const inputs = { input_ids: given(cases, `${name}/in/ids`) }
      const outputs = { last_hidden_state: shapeOf(cases, `${name}/out/last`) }
      const expected = given(cases, `${name}/out/last`).values
      const half = yield* computed(clipText(weights, float16), inputs, outputs)
      assert.isAtMost(deviation(half("last_hidden_state"), expected), 2 ** -8)
      // A card without float16 has the same graph in float32.
      const single = yield* computed(clipText(weights, { optimised: true }), inputs, outputs)
      assert.isAtMost(deviation(single("last_hidden_state"), expected), 2 ** -18)
    }))
})

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("seamless networks have no edges", (it) => {
  // How far the output for a moved input is from the moved output.
  const difference = Effect.fnUntraced(function*(
    run: (sample: Given) => Effect.Effect<Given, unknown>,
    sample: Given,
    by: number,
    scale: number
  ) {
    const plain = yield* Effect.orDie(run(sample))
    const moved = yield* Effect.orDie(run(rolled(sample, by, by)))
    return deviation(moved.values, rolled(plain, by * scale, by * scale).values)
  })

  it.effect.each(["sd15", "sdxl"])("the UNet of %s moves with its latents", (id) =>
    Effect.gen(function*() {
      const found = yield* caseOf("unet", id, "unet-981")
      const { sample: { dims, values }, ...others } = unetInputs(found)
      const [rows = 1, channels = 4] = dims
      // Latents of a size that all levels divide, with something to see at each edge.
      const size = [rows, channels, 16, 16]
      const sample: Given = {
        dims: size,
        values: Array.from({ length: rows * channels * 256 }, (_, i) => (values[i % values.length] ?? 0) + Math.sin(i))
      }
      const differences = yield* Effect.forEach([true, false], (seamless) =>
        Effect.scoped(Effect.gen(function*() {
          const network = yield* opening(unet(found.weights, { seamless } satisfies GraphOptions))
          const run = (sample: Given) =>
            Effect.map(network({ sample, ...others }, { out_sample: size }), (output): Given => ({
              dims: size,
              values: output("out_sample").slice()
            }))
          return yield* difference(run, sample, 8, 1)
        })))
      assert.isAtMost(differences[0] ?? NaN, 1e-4)
      assert.isAtLeast(differences[1] ?? NaN, 1e-2, "with zeros around it, it does not")
    }))

  it.effect("the decoder's pixels move with the latents", () =>
    Effect.gen(function*() {
      const { cases, name, weights } = yield* caseOf("vae.decode", "sd15")
      const latents = given(cases, `${name}/in/z`)
      const dims = shapeOf(cases, `${name}/out/out`)
      const scale = (dims[2] ?? 0) / (latents.dims[2] ?? 1)
      const differences = yield* Effect.forEach([true, false], (seamless) =>
        Effect.scoped(Effect.gen(function*() {
          const network = yield* opening(autoencoderKlDecoder(weights, { seamless }))
          const run = (latent_sample: Given) =>
            Effect.map(network({ latent_sample }, { sample: dims }), (output): Given => ({
              dims,
              values: output("sample").slice()
            }))
          return yield* difference(run, latents, 3, scale)
        })))
      assert.isAtMost(differences[0] ?? NaN, 1e-4)
      assert.isAtLeast(differences[1] ?? NaN, 1e-2, "with zeros around it, they do not")
    }))
})

import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { autoencoderKlDecoder, autoencoderKlEncoder } from "../../../src/models/networks/autoencoderKl.ts"
import { clipText } from "../../../src/models/networks/clipText.ts"
import { compact } from "../../../src/models/networks/compact.ts"
import * as configs from "../../../src/models/networks/configs.ts"
import { controlNet } from "../../../src/models/networks/controlNet.ts"
import { esrgan } from "../../../src/models/networks/esrgan.ts"
import { taesdDecoder, taesdEncoder } from "../../../src/models/networks/taesd.ts"
import { unet } from "../../../src/models/networks/unet.ts"
import { contents, unpack } from "../checkpoint/data.ts"
import { layerModels } from "../fixtures.ts"
import {
  casesOf,
  computed,
  entries,
  excesses,
  given,
  numbersOf,
  opened,
  opening,
  placeOf,
  shapeOf
} from "./references.ts"

/** The folder where the references are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(
    References,
    unpack("{checkpoints,folders,controlnets,embeddings,upscalers,vaes}/**/*.safetensors", "folders/*.safetensors")
  )
}

const layerAll = References.layer.pipe(Layer.provideMerge(layerModels()))

const byte = (value: number) => value / 255

layer(layerAll)("networks compute what PyTorch computed", (it) => {
  const read = Effect.fnUntraced(function*(file: string, prefix = "") {
    return Weights.of(yield* opened(yield* References, file), prefix)
  })
  const casesIn = Effect.fnUntraced(function*(file: string) {
    return yield* opened(yield* References, file)
  })
  // The settings of a folder's network; none for a file.
  const configOf = ({ entry, name }: { readonly entry: (typeof entries)[number]; readonly name: string }) =>
    entry.folder === undefined ? undefined : JSON.parse(
      Buffer.from(contents(`${entry.folder}/${name.startsWith("vae") ? "vae" : name}/config.json`)).toString()
    )

  it.effect.each(casesOf("text"))("text encoder of $title", (found) =>
    Effect.gen(function*() {
      const { entry, name, operation } = found
      const { file, prefix } = placeOf(found)
      const weights = yield* read(file, prefix)
      const cases = yield* casesIn(entry.cases)
      const config = configOf(found)
      const settings = config === undefined ? {} : yield* configs.clipTextSettings(config)
      const ids = given(cases, `${name}/in/ids`)
      const isEmbedding = entry.kind === "embedding"
      const graph = clipText(weights, { ...settings, embeddings: isEmbedding })
      const layers = graph.model().graph.outputs.filter((output) => output.name.startsWith("hidden_states")).length - 1
      const named = (output: string) =>
        ({
          last: "last_hidden_state",
          skip2: `normed_states.${layers - 1}`,
          penultimate: `hidden_states.${layers - 1}`
        })[output] ?? output.replace("states.", "hidden_states.")
      const rows = Object.keys(operation.tolerances).map((output): [string, ReadonlyArray<number>] => [
        named(output),
        shapeOf(cases, `${name}/out/${output}`).with(0, ids.dims[0] ?? 1)
      ])
      const inputs = isEmbedding
        ? { input_ids: ids, ...(yield* replacing(entry.file ?? "", operation.tensor ?? "", ids)) }
        : { input_ids: ids }
      const output = yield* computed(graph, inputs, Object.fromEntries(rows))
      assert.deepStrictEqual(
        excesses(cases, `${name}/out/`, operation.tolerances, (name) => output(named(name))),
        []
      )
    }))

  // The rows of an embedding, at the places of the first ids 0.
  const replacing = Effect.fnUntraced(
    function*(file: string, tensor: string, ids: { readonly values: ArrayLike<number> }) {
      const stored = (yield* casesIn(file)).tensors.get(tensor)
      const width = stored?.shape.at(-1) ?? 1
      const values = numbersOf(stored)
      const count = values.length / width
      const first = Array.from(ids.values).indexOf(0)
      return {
        embedding_rows: { dims: [count, width], values },
        embedding_places: { dims: [count, 2], values: Array.from({ length: count }, (_, i) => [0, first + i]).flat() }
      }
    }
  )

  it.effect.each([...Map.groupBy(casesOf("unet"), ({ entry }) => entry.id)])(
    "UNet of %s",
    ([, found]) =>
      Effect.gen(function*() {
        const [first] = found
        if (first === undefined) return
        const { file, prefix } = placeOf(first)
        const cases = yield* casesIn(first.entry.cases)
        const config = configOf(first)
        const settings = config === undefined ? {} : yield* configs.unetSettings(config)
        const run = yield* opening(unet(yield* read(file, prefix), settings))
        for (const { name, operation } of found) {
          const inputs = {
            sample: given(cases, `${name}/in/x`),
            timestep: given(cases, `${name}/in/t`),
            encoder_hidden_states: given(cases, `${name}/in/context`),
            ...(cases.tensors.has(`${name}/in/y`) && { y: given(cases, `${name}/in/y`) })
          }
          const output = yield* run(inputs, { out_sample: shapeOf(cases, `${name}/out/out`) })
          assert.deepStrictEqual(excesses(cases, `${name}/out/`, operation.tolerances, () => output("out_sample")), [])
        }
      })
  )

  it.effect.each([...casesOf("vae.decode"), ...casesOf("vae.encode")])(
    "autoencoder of $title",
    (found) =>
      Effect.gen(function*() {
        const { entry, name, operation } = found
        const { file, prefix } = placeOf(found)
        const cases = yield* casesIn(entry.cases)
        const config = configOf(found)
        const settings = config === undefined ? {} : yield* configs.autoencoderSettings(config)
        const weights = yield* read(file, prefix)
        const output = operation.op === "vae.decode"
          ? yield* computed(autoencoderKlDecoder(weights, settings), { latent_sample: given(cases, `${name}/in/z`) }, {
            sample: shapeOf(cases, `${name}/out/out`)
          })
          : yield* computed(autoencoderKlEncoder(weights, settings), { sample: given(cases, `${name}/in/image`) }, {
            latent_parameters: shapeOf(cases, `${name}/out/moments`)
          })
        const own = operation.op === "vae.decode" ? "sample" : "latent_parameters"
        assert.deepStrictEqual(excesses(cases, `${name}/out/`, operation.tolerances, () => output(own)), [])
      })
  )

  it.effect.each([...casesOf("taesd.decode"), ...casesOf("taesd.encode")])(
    "tiny autoencoder of $title",
    (found) =>
      Effect.gen(function*() {
        const { entry, name, operation } = found
        const cases = yield* casesIn(entry.cases)
        const weights = yield* read(placeOf(found).file)
        const output = operation.op === "taesd.decode"
          ? yield* computed(taesdDecoder(weights), { latent_sample: given(cases, `${name}/in/z`) }, {
            sample: shapeOf(cases, `${name}/out/out`)
          })
          : yield* computed(
            taesdEncoder(weights),
            { sample: given(cases, `${name}/in/image`, (value) => (value + 1) / 2) },
            { latent_sample: shapeOf(cases, `${name}/out/latents`) }
          )
        const own = operation.op === "taesd.decode" ? "sample" : "latent_sample"
        assert.deepStrictEqual(excesses(cases, `${name}/out/`, operation.tolerances, () => output(own)), [])
      })
  )

  it.effect.each(entries.filter(({ kind }) => kind === "controlnet"))(
    "ControlNet of $id, and the UNet with it",
    (entry) =>
      Effect.gen(function*() {
        const { base = "", file = "", prefix = "", tolerances = {} } = entry
        const cases = yield* casesIn(entry.cases)
        const inputs = {
          sample: given(cases, "in/x"),
          timestep: given(cases, "in/t"),
          encoder_hidden_states: given(cases, "in/context"),
          ...(cases.tensors.has("in/y") && { y: given(cases, "in/y") })
        }
        const residuals = Object.keys(tolerances).filter((name) => name.startsWith("residual."))
        const output = yield* computed(
          controlNet(yield* read(file, prefix)),
          { ...inputs, controlnet_cond: given(cases, "in/hint", byte) },
          Object.fromEntries(residuals.map((name) => [name, shapeOf(cases, `out/${name}`)]))
        )
        const run = yield* opening(unet(yield* read(base, "model.diffusion_model."), { residuals: true }))
        const unets = new Map<string, Float32Array>()
        for (const weight of Object.keys(tolerances).filter((name) => name.startsWith("unet@"))) {
          const scale = Number(weight.slice("unet@".length))
          const added = residuals.map((name): [string, ReturnType<typeof given>] => [
            name,
            { dims: shapeOf(cases, `out/${name}`), values: output(name).map((value) => value * scale) }
          ])
          const all = yield* run({ ...inputs, ...Object.fromEntries(added) }, {
            out_sample: shapeOf(cases, `out/${weight}`)
          })
          unets.set(weight, all("out_sample"))
        }
        assert.deepStrictEqual(excesses(cases, "out/", tolerances, (name) => unets.get(name) ?? output(name)), [])
      })
  )

  it.effect.each(entries.filter(({ kind }) => kind === "upscaler"))("upscaler $id", (entry) =>
    Effect.gen(function*() {
      const { architecture = "", file = "", tolerances = {} } = entry
      if (!/ESRGAN|Compact/i.test(architecture)) return
      const cases = yield* casesIn(entry.cases)
      const weights = yield* read(file)
      const graph = architecture.startsWith("ESRGAN") ? esrgan(weights) : compact(weights)
      for (const name of Object.keys(tolerances)) {
        const output = yield* computed(graph, { image: given(cases, `in/${name}`, byte) }, {
          output: shapeOf(cases, `out/${name}`)
        })
        assert.deepStrictEqual(
          excesses(cases, "out/", { [name]: tolerances[name] ?? { atol: 0 } }, () => output("output")),
          []
        )
      }
    }))
})

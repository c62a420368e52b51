/** The networks of checkpoints, in each layout that people have, compared with PyTorch's. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Weights } from "../../src/models/graph/Weights.ts"
import { autoencoderKlDecoder, autoencoderKlEncoder } from "../../src/models/networks/autoencoderKl.ts"
import * as configs from "../../src/models/networks/configs.ts"
import { unet } from "../../src/models/networks/unet.ts"
import { contents, unpack } from "../models/checkpoint/data.ts"
import { layerModels } from "../models/fixtures.ts"
import { casesOf, computed, given, numbersOf, opened, placeOf, shapeOf } from "../models/networks/references.ts"
import { largestDifference } from "../models/numbers.ts"
import { type Difference, type Measurement, type Proof, scientific } from "./Measurement.ts"

export const proof: Proof = {
  file: "test/models/networks/references.slow.engine.test.ts",
  title: "networks compute what PyTorch computed"
}

const names: Readonly<Record<string, string>> = {
  "sd15": "Stable Diffusion 1.5",
  "sd1-old-names-mixed": "Stable Diffusion 1, old names, mixed precision",
  "sd1-inpainting": "Stable Diffusion 1 inpainting",
  "sd2-v": "Stable Diffusion 2, v-prediction",
  "sdxl": "Stable Diffusion XL",
  "sdxl-refiner": "the refiner of Stable Diffusion XL",
  "sd1-folder": "Stable Diffusion 1, diffusers folder",
  "sdxl-folder": "Stable Diffusion XL, diffusers folder",
  "vae-diffusers": "a VAE, diffusers' names",
  "vae-diffusers-old-names": "a VAE, diffusers' old names",
  "vae-original-with-training-keys": "a VAE, original names, what training left"
}

const found = [...casesOf("unet"), ...casesOf("vae.decode"), ...casesOf("vae.encode")]

const byLayout = Map.groupBy(found, ({ entry }) => entry.id)

const measurement = (id: string, differences: ReadonlyArray<Difference>): Measurement => {
  const cases = byLayout.get(id) ?? []
  const allowed = cases.flatMap(({ operation }) => Object.values(operation.tolerances).map(({ atol }) => atol))
  const [least, most] = [scientific(Math.min(...allowed)), scientific(Math.max(...allowed))]
  return {
    name: names[id] ?? id,
    cases: cases.length,
    deviation: Math.max(0, ...differences.map(({ deviation }) => deviation)),
    tolerance: least === most ? least : `${least} to ${most}`,
    share: Math.max(0, ...differences.map(({ allowed, deviation }) => deviation / allowed)),
    proof
  }
}

/** The rows without what was measured. */
export const unmeasured: ReadonlyArray<Measurement> = [...byLayout.keys()].map((id) => measurement(id, []))

const output = Effect.fnUntraced(function*(folder: string, one: (typeof found)[number]) {
  const { entry, name, operation: { op } } = one
  const { file, prefix } = placeOf(one)
  const weights = Weights.of(yield* opened(folder, file), prefix)
  const cases = yield* opened(folder, entry.cases)
  const part = name.startsWith("vae") ? "vae" : name
  const config = entry.folder === undefined
    ? undefined
    : JSON.parse(Buffer.from(contents(`${entry.folder}/${part}/config.json`)).toString())
  if (op === "unet") {
    const inputs = {
      sample: given(cases, `${name}/in/x`),
      timestep: given(cases, `${name}/in/t`),
      encoder_hidden_states: given(cases, `${name}/in/context`),
      ...(cases.tensors.has(`${name}/in/y`) && { y: given(cases, `${name}/in/y`) })
    }
    const settings = config === undefined ? {} : yield* configs.unetSettings(config)
    const values = yield* computed(unet(weights, settings), inputs, { out_sample: shapeOf(cases, `${name}/out/out`) })
    return { cases, values: values("out_sample") }
  }
  const settings = config === undefined ? {} : yield* configs.autoencoderSettings(config)
  if (op === "vae.decode") {
    const values = yield* computed(
      autoencoderKlDecoder(weights, settings),
      { latent_sample: given(cases, `${name}/in/z`) },
      { sample: shapeOf(cases, `${name}/out/out`) }
    )
    return { cases, values: values("sample") }
  }
  const values = yield* computed(
    autoencoderKlEncoder(weights, settings),
    { sample: given(cases, `${name}/in/image`) },
    { latent_parameters: shapeOf(cases, `${name}/out/moments`) }
  )
  return { cases, values: values("latent_parameters") }
})

/** The rows, measured: the networks run. */
export const layouts = Effect.gen(function*() {
  const folder = yield* unpack("{checkpoints,folders,vaes}/**/*.safetensors", "folders/*.safetensors")
  const rows: Array<Measurement> = []
  for (const [id, each] of byLayout) {
    const differences: Array<Difference> = []
    for (const one of each) {
      const { cases, values } = yield* output(folder, one)
      for (const [name, { atol }] of Object.entries(one.operation.tolerances)) {
        const expected = numbersOf(cases.tensors.get(`${one.name}/out/${name}`))
        const deviation = largestDifference(values.subarray(0, expected.length), expected)
        differences.push({ deviation, allowed: atol })
      }
    }
    rows.push(measurement(id, differences))
  }
  return rows
}).pipe(Effect.scoped, Effect.provide(Layer.fresh(layerModels())))

import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import type { WeightSource } from "../../src/models/checkpoint/WeightSource.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { Options } from "../../src/processing/Options.ts"
import type { ModelSettings } from "../../src/processing/OptionsSnapshot.ts"
import type { OptionsPatch } from "../../src/processing/OptionsSnapshot.ts"
import { unpack } from "./checkpoint/data.ts"
import { layerModels, platform } from "./fixtures.ts"

/** A models folder with the references' checkpoints and VAEs. */
class Folder extends Context.Service<Folder, string>()("test/Folder") {
  static readonly layer = Layer.effect(
    Folder,
    unpack(
      "checkpoints/{sd15,sdxl,sd2-v}.safetensors",
      "vaes/*.safetensors",
      "adapters/sd1-kohya.safetensors",
      "folders/**/*"
    )
  ).pipe(Layer.provide(platform))
}

const layerAll = Layer.unwrap(Effect.map(Folder, (modelsDir) => layerModels({ modelsDir, maxModels: 9 }))).pipe(
  Layer.provideMerge(Folder.layer)
)

/** Writes some tensors of a source as a file of their own. */
const save = (file: string, { tensors }: WeightSource, rename: (name: string) => string | undefined) => {
  const header: Record<string, unknown> = {}
  const parts: Array<Buffer> = []
  let offset = 0
  for (const tensor of tensors.values()) {
    const name = rename(tensor.name)
    if (name === undefined) continue
    const bytes = readFileSync(tensor.file).subarray(tensor.offset, tensor.offset + tensor.length)
    header[name] = { dtype: tensor.type, shape: tensor.shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
    parts.push(bytes)
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(file, Buffer.concat([length, text, ...parts]))
}

const below = (prefix: string, instead = "") => (name: string) =>
  name.startsWith(prefix) ? instead + name.slice(prefix.length) : undefined

const sessionsOpen = Effect.map(Metric.snapshot, (all) => {
  const gauge = all.find(({ id }) => id === "serena_network_sessions_open")
  return gauge?.type === "Gauge" ? Number(gauge.state.value) : NaN
})

layer(layerAll)("the parts of a model", (it) => {
  const load = Effect.fnUntraced(function*(name: string, settings: OptionsPatch = {}) {
    const chosen: ModelSettings = Options.patched(Options.defaults, settings)
    return yield* (yield* ModelProvider).load(name, chosen)
  })
  const refusal = (name: string, settings: OptionsPatch) =>
    Effect.scoped(Effect.map(Effect.flip(load(name, settings)), ({ message }) => message))
  const shape = { channels: 4, frames: 1, height: 4, width: 4 }
  const decoded = (model: LoadedModel) =>
    Effect.map(model.decode(Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)), shape), (pixels) => pixels.join())
  const nameOf = (model: LoadedModel) => model.vae?.name

  it.effect("are its own, until a setting names another VAE: by its file with or without ending, or its hash", () =>
    Effect.gen(function*() {
      const own = yield* load("sd15")
      assert.isUndefined(own.vae)
      const other = yield* load("sd15", { sd_vae: "original-with-training-keys" })
      assert.strictEqual(nameOf(other), "original-with-training-keys.safetensors")
      const hash = yield* other.vae?.hash ?? assert.fail("it has a VAE of its own")
      assert.match(hash, /^[0-9a-f]{10}$/)
      assert.notStrictEqual(yield* decoded(other), yield* decoded(own))
      for (
        const name of [
          "Original-with-training-keys.safetensors",
          hash,
          `original-with-training-keys.safetensors [${hash}]`
        ]
      ) {
        assert.strictEqual(nameOf(yield* load("sd15", { sd_vae: name })), nameOf(other), name)
      }
      for (const sd_vae of ["None", "Automatic", ""]) assert.isUndefined((yield* load("sd15", { sd_vae })).vae)
      assert.strictEqual(yield* decoded(yield* load("sd15", { sd_vae: "None" })), yield* decoded(own))
    }))

  it.effect("that stay the same are not opened again when another is exchanged", () =>
    Effect.gen(function*() {
      const predict = Effect.fnUntraced(function*(model: LoadedModel) {
        const inputs = { encoder_hidden_states: [77, model.textEncoders[0].width] }
        yield* (yield* model.denoising({ ...shape, height: 8, width: 8, batch: 1, inputs })).run(500)
      }, Effect.scoped)
      const [own, other] = [yield* load("sd15"), yield* load("sd15", { sd_vae: "diffusers" })]
      assert.notStrictEqual(own, other)
      yield* predict(own)
      const before = yield* sessionsOpen
      yield* predict(other)
      assert.strictEqual(yield* sessionsOpen, before)
      yield* decoded(other)
      assert.strictEqual(yield* sessionsOpen, before + 1)
    }))

  it.effect("are exchanged in a diffusers folder as well", () =>
    Effect.gen(function*() {
      const [own, other] = [yield* load("sd1-folder"), yield* load("sd1-folder", { sd_vae: "diffusers-old-names" })]
      assert.notStrictEqual(yield* decoded(other), yield* decoded(own))
    }))

  it.effect("may be named like the checkpoint, which sd_vae overrides or not", () =>
    Effect.gen(function*() {
      const folder = join(yield* Folder, "checkpoints")
      const sidecar = join(folder, "sd15.vae.safetensors")
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(sidecar)))
      copyFileSync(join(folder, "..", "vaes", "diffusers.safetensors"), sidecar)
      assert.strictEqual(nameOf(yield* load("sd15")), "sd15.vae.safetensors")
      assert.isUndefined((yield* load("sd15", { sd_vae: "None" })).vae)
      const sd_vae = "original-with-training-keys"
      assert.strictEqual(nameOf(yield* load("sd15", { sd_vae })), `${sd_vae}.safetensors`)
      const kept = { sd_vae, sd_vae_overrides_per_model_preferences: false }
      assert.strictEqual(nameOf(yield* load("sd15", kept)), "sd15.vae.safetensors")
      assert.strictEqual(nameOf(yield* load("sdxl", kept)), `${sd_vae}.safetensors`)
      // What the webui saved of the checkpoint counts more.
      const saved = join(folder, "sd15.json")
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(saved)))
      writeFileSync(saved, JSON.stringify({ vae: "diffusers-old-names.safetensors", description: "" }))
      assert.strictEqual(nameOf(yield* load("sd15")), "diffusers-old-names.safetensors")
      writeFileSync(saved, JSON.stringify({ vae: "None" }))
      assert.isUndefined((yield* load("sd15")).vae)
    }).pipe(Effect.scoped))

  it.effect("are refused by name where they are not a VAE of this family, or not there", () =>
    Effect.gen(function*() {
      assert.match(
        yield* refusal("sd15", { sd_vae: "sd1-kohya" }),
        /sd1-kohya\.safetensors.*has no VAE, but is a file of the kind "lora"/
      )
      const wide = join(yield* Folder, "vaes", "wide.safetensors")
      const source = yield* openSafetensors(join(yield* Folder, "vaes", "diffusers.safetensors"))
      save(wide, {
        ...source,
        tensors: new Map([...source.tensors].map(([name, tensor]) => [
          name,
          name === "decoder.conv_in.weight"
            ? { ...tensor, shape: tensor.shape.with(1, 16).with(0, (tensor.shape[0] ?? 0) / 4) }
            : tensor
        ]))
      }, (name) => name)
      const message = yield* refusal("sd15", { sd_vae: "wide" })
      rmSync(wide)
      assert.match(message, /wide\.safetensors.*16 channels, not 4.*Name another VAE with the setting sd_vae/)
      assert.match(
        yield* refusal("sd15", { sd_vae: "diffuser" }),
        /No VAE "diffuser" was found.*Did you mean "diffusers"\?/
      )
    }))

  it.effect("come from files where a UNet lies alone, and what is missing is named with what would fit", () =>
    Effect.gen(function*() {
      const folder = yield* Folder
      mkdirSync(join(folder, "diffusion_models"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(join(folder, "diffusion_models"), { recursive: true })))
      const at = (name: string) => join(folder, "diffusion_models", `${name}.safetensors`)
      const [sd15, sdxl] = [
        yield* openSafetensors(join(folder, "checkpoints", "sd15.safetensors")),
        yield* openSafetensors(join(folder, "checkpoints", "sdxl.safetensors"))
      ]
      save(at("bare"), sd15, below("model.diffusion_model."))
      save(at("prefixed"), sd15, below("model.diffusion_model.", "model.diffusion_model."))
      save(at("clip_l"), sd15, below("cond_stage_model.transformer."))
      save(at("own_vae"), sd15, below("first_stage_model."))
      save(at("xl_unet"), sdxl, below("model.diffusion_model."))
      save(at("xl_l"), sdxl, below("conditioner.embedders.0.transformer."))
      save(at("xl_g"), sdxl, below("conditioner.embedders.1.model."))
      save(at("xl_vae"), sdxl, below("first_stage_model."))

      const noVae = yield* refusal("bare", {})
      assert.match(
        noVae,
        /bare\.safetensors cannot be used: it has no VAE\. Name one with the setting sd_vae: .*own_vae\.safetensors/
      )
      const noText = yield* refusal("bare", { sd_vae: "own_vae" })
      assert.match(
        noText,
        /it has no text encoder, .*Name one with the setting sd_text_encoders: .*clip_l\.safetensors/
      )
      assert.match(yield* refusal("bare", { sd_vae: "own_vae", sd_text_encoders: "xl_g" }), /it has no text encoder/)

      const text = (model: LoadedModel) =>
        Effect.forEach(
          model.textEncoders,
          (encoder) =>
            Effect.map(encoder.encode(Array.from({ length: 77 }, (_, i) => i), { clipSkip: 1 }), ({ values }) =>
              values.join())
        )
      const predicted = Effect.fnUntraced(
        function*(model: LoadedModel, inputs: Readonly<Record<string, ReadonlyArray<number>>>) {
          const call = yield* model.denoising({ ...shape, height: 8, width: 8, batch: 1, inputs })
          for (const values of [call.sample, ...Object.values(call.inputs)]) {
            values.forEach((_, i) => values[i] = Math.cos(i))
          }
          yield* call.run(500)
          return call.prediction.join()
        }
      )
      const same = Effect.fnUntraced(function*(
        whole: string,
        inputs: Readonly<Record<string, ReadonlyArray<number>>>,
        unet: string,
        settings: OptionsPatch
      ) {
        const [one, other] = [yield* load(whole), yield* load(unet, settings)]
        assert.strictEqual(yield* decoded(other), yield* decoded(one))
        assert.deepStrictEqual(yield* text(other), yield* text(one))
        assert.strictEqual(yield* predicted(other, inputs), yield* predicted(one, inputs))
      })
      const width = (yield* load("sd15")).textEncoders[0].width
      const inputs = { encoder_hidden_states: [77, width] }
      yield* same("sd15", inputs, "bare", { sd_vae: "own_vae", sd_text_encoders: "clip_l" })
      // Parts of a whole checkpoint, and more text encoders than are needed.
      yield* load("prefixed", { sd_vae: "sd15", sd_text_encoders: "xl_g, sd15" })
      const widths = (yield* load("sdxl")).textEncoders.reduce((sum, { width }) => sum + width, 0)
      yield* same(
        "sdxl",
        { encoder_hidden_states: [77, widths], text_embeds: [16], time_ids: [6] },
        "xl_unet",
        { sd_vae: "xl_vae", sd_text_encoders: "xl_g,xl_l" }
      )
    }).pipe(Effect.scoped))

  it.effect("predict what a user says", () =>
    Effect.gen(function*() {
      const predictionOf = Effect.fnUntraced(
        function*(name: string, sd_prediction_type: "epsilon" | "v_prediction" | "Automatic") {
          const { noise } = yield* load(name, { sd_prediction_type })
          const denoised = new Float32Array(1)
          noise.denoised(denoised, Float32Array.of(0), Float32Array.of(1), 1)
          return Math.round(Number(denoised[0]) * 100) / 100
        }
      )
      // Of noise level 1: x - sigma e, and x / 2 - v sigma / sqrt 2.
      assert.strictEqual(yield* predictionOf("sd2-v", "Automatic"), -0.71)
      assert.strictEqual(yield* predictionOf("sd2-v", "epsilon"), -1)
      assert.strictEqual(yield* predictionOf("sd15", "v_prediction"), -0.71)
      assert.strictEqual(yield* predictionOf("sd1-folder", "v_prediction"), -0.71)
    }))

  it.effect("are held together, and given back", () =>
    Effect.gen(function*() {
      const models = yield* ModelProvider
      const scope = yield* Scope.make()
      const chosen: ModelSettings = Options.patched(Options.defaults, { sd_vae: "diffusers" })
      const [one, again] = yield* Scope.provide(
        Effect.all([models.load("sd15", chosen), models.load("sd15", chosen)]),
        scope
      )
      assert.strictEqual(one, again)
      yield* Scope.close(scope, Exit.void)
      yield* models.unload
      assert.deepStrictEqual(yield* models.resident, [])
    }))
})

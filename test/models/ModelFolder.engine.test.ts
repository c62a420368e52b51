import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as ModelFolder from "../../src/models/ModelFolder.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { type FamilyName, make } from "./families.ts"
import { layerModels, platform } from "./fixtures.ts"
import { small, wave } from "./numbers.ts"

describe("a folder's problems", () => {
  const edit = (file: string, change: object) => (folder: string) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const text = yield* fs.readFileString(path.join(folder, file))
      yield* fs.writeFileString(path.join(folder, file), JSON.stringify({ ...JSON.parse(text), ...change }))
    })

  const problemsOf = Effect.fnUntraced(function*<E, R>(
    name: FamilyName,
    change: (folder: string) => Effect.Effect<unknown, E, R>
  ) {
    const folder = yield* make(name)
    yield* change(folder)
    const { problems } = yield* Effect.flip(ModelFolder.read(folder))
    return problems.map(({ message, path }) => `${path}: ${message}`)
  })

  it.effect("are those of both text encoders and their tokenizers, all at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const problems = yield* problemsOf("sdxl", (folder) =>
        Effect.forEach(
          [
            "text_encoder/config.json",
            "text_encoder/model.onnx",
            "text_encoder_2/model.onnx",
            "tokenizer_2/tokenizer_config.json",
            "unet/model.onnx"
          ],
          (file) => fs.remove(`${folder}/${file}`)
        ))
      assert.deepStrictEqual(problems.toSorted(), [
        "text_encoder/config.json: the file is missing",
        "text_encoder/model.onnx: the file is missing or may not be read",
        "text_encoder_2/model.onnx: the file is missing or may not be read",
        "tokenizer_2/tokenizer_config.json: the file is missing",
        "unet/model.onnx: the file is missing or may not be read"
      ])
    }).pipe(Effect.provide(platform)))

  it.effect("are widths and inputs that do not fit each other", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problemsOf("inpainting", edit("unet/config.json", { in_channels: 8 })), [
        "unet/config.json: in_channels: 8 channels fit neither the VAE's 4 nor an inpainting model's 9"
      ])
      assert.deepStrictEqual(yield* problemsOf("sdxl", edit("unet/config.json", { cross_attention_dim: 2048 })), [
        "unet/config.json: cross_attention_dim: 2048 does not fit the text encoders' width, 40"
      ])
      assert.deepStrictEqual(
        yield* problemsOf("sdxl", edit("unet/config.json", { projection_class_embeddings_input_dim: 99 })),
        [
          "unet/config.json: projection_class_embeddings_input_dim: 99 is not 20 for the text and 8 for each of 6 or 5 sizes"
        ]
      )
      assert.deepStrictEqual(yield* problemsOf("sd1", edit("unet/config.json", { addition_embed_type: "image" })), [
        "unet/config.json: addition_embed_type: \"image\" is not supported"
      ])
      assert.deepStrictEqual(yield* problemsOf("sdxl", edit("unet/config.json", { addition_embed_type: null })), [
        "unet/config.json: addition_embed_type: \"null\" is not supported, XL models have \"text_time\""
      ])
    }).pipe(Effect.provide(platform)))

  it.effect("are pipelines of other kinds", () =>
    Effect.gen(function*() {
      for (const _class_name of ["StableDiffusion3Pipeline", "StableDiffusionUpscalePipeline", "ORTFluxPipeline", ""]) {
        const [problem] = yield* problemsOf("sd1", edit("model_index.json", { _class_name }))
        assert.match(
          problem ?? "",
          /^model_index.json: _class_name: ".*" is not supported, only StableDiffusionPipeline/
        )
      }
    }).pipe(Effect.provide(platform)))

  it.effect("are none where pipelines are variants, and fields have defaults", () =>
    Effect.gen(function*() {
      for (
        const [name, family, pipeline] of [
          ["sd1", "sd1", "ORTStableDiffusionImg2ImgPipeline"],
          ["inpainting", "sd1", "OnnxStableDiffusionInpaintPipeline"],
          ["lcm", "sd1", "ORTLatentConsistencyModelPipeline"],
          ["sdxl", "sdxl", "ORTStableDiffusionXLPipeline"],
          ["sdxl", "sdxl", "StableDiffusionXLInpaintPipeline"],
          ["sdxl-refiner", "sdxl-refiner", "ORTStableDiffusionXLImg2ImgPipeline"]
        ] as const
      ) {
        const folder = yield* make(name, { pipeline, scheduler: { _class_name: "DDIMScheduler" } })
        const model = yield* ModelFolder.read(folder)
        assert.strictEqual(model.family, family)
        assert.deepStrictEqual(model.noise, {
          beta_start: 0.00085,
          beta_end: 0.012,
          beta_schedule: "scaled_linear",
          num_train_timesteps: 1000,
          prediction_type: "epsilon",
          rescale_betas_zero_snr: false,
          trained_betas: null
        })
      }
      const sd2 = yield* ModelFolder.read(yield* make("sd2"))
      assert.strictEqual(sd2.noise.prediction_type, "v_prediction")
    }).pipe(Effect.provide(platform)))

  const warming = (folder: string) =>
    Effect.flatMap(ModelProvider, (models) => Effect.flatMap(models.load(folder), ({ warm }) => warm)).pipe(
      Effect.flip,
      Effect.provide(layerModels())
    )

  it.effect("are an XL text encoder's missing hidden states, and how to export them", () =>
    Effect.gen(function*() {
      const error = yield* warming(yield* make("sdxl", { hiddenStates: false }))
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.match(error.message, /without "hidden_states.2"; export it with output_hidden_states/)
    }).pipe(Effect.provide(platform)))

  it.effect("are a network without the inputs that its configuration promises", () =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      yield* edit("unet/config.json", { time_cond_proj_dim: 32 })(folder)
      const error = yield* warming(folder)
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.match(error.message, /its inputs are sample, timestep, encoder_hidden_states, without "timestep_cond"/)
    }).pipe(Effect.provide(platform)))

  it.effect("are an encoder that gives no latents", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* make("sd1")
      yield* fs.copyFile(`${folder}/unet/model.onnx`, `${folder}/vae_encoder/model.onnx`)
      const error = yield* Effect.flatMap(ModelProvider, (models) =>
        Effect.flatMap(models.load(folder), ({ encode }) => encode(wave(3 * 40 * 56, 0.01), small))).pipe(
          Effect.flip,
          Effect.provide(layerModels())
        )
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "vae_encoder/model.onnx: its outputs are out_sample, without \"latent_parameters\"")
    }).pipe(Effect.provide(platform)))

  it.effect("are shapes that a network refuses, told as it runs", () =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      yield* edit("vae_decoder/config.json", { block_out_channels: [8, 8, 8] })(folder)
      const error = yield* Effect.flip(
        Effect.flatMap(ModelProvider, (models) =>
          Effect.flatMap(models.load(folder), ({ decode }) => decode(wave(4 * 35, 0.2), small))).pipe(
            Effect.provide(layerModels())
          )
      )
      assert.strictEqual(error._tag, "InferenceError")
    }).pipe(Effect.provide(platform)))
})

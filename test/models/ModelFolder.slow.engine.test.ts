import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { harmless } from "../../src/models/configFields.ts"
import * as ModelFolder from "../../src/models/ModelFolder.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import edmScheduler from "../cases/edm-model/scheduler_config.json" with { type: "json" }
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
          ["sd1", "Stable Diffusion 1", "ORTStableDiffusionImg2ImgPipeline"],
          ["inpainting", "Stable Diffusion 1, inpainting", "OnnxStableDiffusionInpaintPipeline"],
          ["lcm", "Stable Diffusion 1, latent consistency", "ORTLatentConsistencyModelPipeline"],
          ["sdxl", "Stable Diffusion XL", "ORTStableDiffusionXLPipeline"],
          ["sdxl", "Stable Diffusion XL", "StableDiffusionXLInpaintPipeline"],
          ["sdxl-refiner", "Stable Diffusion XL refiner", "ORTStableDiffusionXLImg2ImgPipeline"]
        ] as const
      ) {
        const folder = yield* make(name, { pipeline, scheduler: { _class_name: "DDIMScheduler" } })
        const model = yield* ModelFolder.read(folder)
        assert.strictEqual(model.family.name, family)
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

  it.effect("are networks and configurations that were not downloaded", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"4d7a".repeat(16)}\nsize 3438167540\n`
      const problems = yield* problemsOf("sd1", (folder) =>
        Effect.all([
          fs.writeFileString(`${folder}/unet/model.onnx`, pointer),
          fs.writeFileString(`${folder}/text_encoder/model.onnx_data`, pointer),
          fs.writeFileString(`${folder}/vae_encoder/config.json`, pointer.replaceAll("\n", "\r\n")),
          fs.writeFileString(`${folder}/vae_decoder/model.onnx`, ""),
          fs.writeFileString(`${folder}/vae_decoder/config.json`, "\n")
        ]))
      const empty = "the file is empty; download or export it again"
      const lfs = "the file is a Git LFS pointer in place of the contents; run `git lfs pull` where it was cloned"
      assert.deepStrictEqual(problems.toSorted(), [
        `text_encoder/model.onnx_data: ${lfs}`,
        `unet/model.onnx: ${lfs}`,
        `vae_decoder/config.json: ${empty}`,
        `vae_decoder/model.onnx: ${empty}`,
        `vae_encoder/config.json: ${lfs}`
      ])
    }).pipe(Effect.provide(platform)))

  it.effect("are configurations that end too early, or are in another encoding", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const problems = yield* problemsOf("sd1", (folder) =>
        Effect.gen(function*() {
          const text = yield* fs.readFileString(`${folder}/unet/config.json`)
          yield* fs.writeFileString(`${folder}/unet/config.json`, text.slice(0, 100))
          const utf16 = Buffer.from(text, "utf16le")
          yield* fs.writeFile(`${folder}/vae_decoder/config.json`, utf16)
        }))
      const [unet, vae] = problems.toSorted()
      assert.match(unet ?? "", /^unet\/config.json: .*JSON/)
      assert.match(vae ?? "", /^vae_decoder\/config.json: the file is not text in UTF-8/)
    }).pipe(Effect.provide(platform)))

  it.effect("are none where files have a byte order mark and the line ends of Windows", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* make("sd1")
      const expected = yield* ModelFolder.read(folder)
      for (const file of ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"]) {
        const text = yield* fs.readFileString(`${folder}/${file}`)
        yield* fs.writeFileString(`${folder}/${file}`, `\uFEFF${text.replaceAll("\n", "\r\n")}`)
      }
      const text = yield* fs.readFileString(`${folder}/vae_decoder/config.json`)
      yield* fs.writeFile(`${folder}/vae_decoder/config.json`, Buffer.from(`\uFEFF${text}`, "utf16le"))
      assert.deepStrictEqual(yield* ModelFolder.read(folder), expected)
    }).pipe(Effect.provide(platform)))

  it.effect("are schedulers of another formulation", () =>
    Effect.gen(function*() {
      const scheduler = (change: object) => problemsOf("sdxl", edit("scheduler/scheduler_config.json", change))
      const file = "scheduler/scheduler_config.json"
      const edm = (yield* scheduler(edmScheduler)).join("\n")
      assert.include(edm, `${file}: _class_name: "EDMDPMSolverMultistepScheduler" is not supported`)
      assert.include(edm, `${file}: sigma_data: it is not supported`)
      for (
        const name of ["FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "CosineDPMSolverMultistepScheduler"]
      ) {
        const [problem, ...others] = yield* scheduler({ _class_name: name })
        assert.include(problem ?? "", `${file}: _class_name: "${name}" is not supported`)
        assert.deepStrictEqual(others, [])
        const inIndex = yield* problemsOf("sd1", edit("model_index.json", { scheduler: ["diffusers", name] }))
        assert.include(inIndex.join(), `model_index.json: scheduler.1: "${name}" is not supported`)
      }
      for (const prediction_type of ["flow_prediction", "edm"]) {
        assert.include((yield* scheduler({ prediction_type })).join(), `${file}: prediction_type: `)
      }
      assert.include((yield* scheduler({ use_flow_sigmas: true })).join(), `${file}: use_flow_sigmas: it is not`)
      assert.include((yield* scheduler({ timestep_type: "continuous" })).join(), `${file}: timestep_type: it is not`)
      const changing = {
        sigma_min: 0.002,
        sigma_max: 80,
        use_dynamic_shifting: true,
        shift: 3,
        flow_shift: 5,
        snr_shift_scale: 3,
        thresholding: true
      }
      for (const [name, value] of Object.entries(changing)) {
        assert.include((yield* scheduler({ [name]: value })).join(), `${file}: ${name}: it is not supported`)
      }
      const neutral = {
        sigma_data: null,
        sigma_min: null,
        sigma_max: null,
        use_flow_sigmas: false,
        flow_shift: 1,
        thresholding: false,
        timestep_type: "discrete"
      }
      const folder = yield* make("sd1")
      yield* edit(file, neutral)(folder)
      yield* ModelFolder.read(folder)
    }).pipe(Effect.provide(platform)))

  it.effect("are halves of the VAE that disagree", () =>
    Effect.gen(function*() {
      const change = { scaling_factor: 0.5, latent_channels: 8, block_out_channels: [8, 8, 8, 8, 8] }
      const problems = yield* problemsOf("sd1", edit("vae_encoder/config.json", change))
      for (
        const [field, text] of [["latent_channels", "8 for 4"], ["scaling_factor", "0.5 for"], [
          "block_out_channels",
          "5 for"
        ]]
      ) {
        assert.include(
          problems.join("\n"),
          `vae_encoder/config.json: ${field}: it does not fit vae_decoder/config.json: ${text}`
        )
      }
      assert.lengthOf(problems, 3)
    }).pipe(Effect.provide(platform)))

  it.effect("are tokenizers, text encoders and networks of another kind, named with what they are", () =>
    Effect.gen(function*() {
      const refused: ReadonlyArray<readonly [file: string, field: string, value: unknown]> = [
        ["tokenizer/tokenizer_config.json", "tokenizer_class", "T5Tokenizer"],
        ["text_encoder/config.json", "model_type", "t5"],
        ["text_encoder/config.json", "max_position_embeddings", 248],
        ["unet/config.json", "class_embed_type", "timestep"],
        ["unet/config.json", "encoder_hid_dim_type", "text_proj"],
        ["unet/config.json", "out_channels", 8],
        ["vae_decoder/config.json", "out_channels", 4],
        ["vae_encoder/config.json", "_class_name", "AutoencoderTiny"],
        ["scheduler/scheduler_config.json", "variance_type", "learned_range"]
      ]
      for (const [file, field, value] of refused) {
        const problems = yield* problemsOf("sd1", edit(file, { [field]: value }))
        assert.include(problems.join("\n"), `${file}: ${field}: `, field)
      }
    }).pipe(Effect.provide(platform)))

  it.effect("are fields that are not known, in every configuration, unless they are empty or notes", () =>
    Effect.gen(function*() {
      const files = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        "vae_decoder/config.json",
        "vae_encoder/config.json"
      ]
      for (const file of files) {
        assert.deepStrictEqual(
          yield* problemsOf("sd1", edit(file, { noise_offset: 0.1, _note: "mine", other: [null] })),
          [
            `${file}: noise_offset: it is not known, and may change what the model's numbers mean; set it to null if it ` +
            "does not matter"
          ]
        )
      }
    }).pipe(Effect.provide(platform)))

  it.effect("are none with every field that diffusers and transformers write for such models", () =>
    Effect.gen(function*() {
      const files = {
        "model_index.json": harmless.index,
        "scheduler/scheduler_config.json": harmless.scheduler,
        "text_encoder/config.json": harmless.textEncoder,
        "tokenizer/tokenizer_config.json": harmless.tokenizer,
        "unet/config.json": harmless.unet,
        "vae_decoder/config.json": harmless.vae
      }
      for (const family of ["sd1", "sdxl"] as const) {
        const folder = yield* make(family)
        for (const [file, names] of Object.entries(files)) {
          yield* edit(file, Object.fromEntries(names.map((name) => [name, "any"])))(folder)
        }
        yield* ModelFolder.read(folder)
      }
    }).pipe(Effect.provide(platform)))

  it.effect("are latents with a mean, a deviation or a shift, in either configuration of the VAE", () =>
    Effect.gen(function*() {
      for (const file of ["vae_decoder/config.json", "vae_encoder/config.json"]) {
        const change = {
          latents_mean: [-1.65, 1.88, -1.38, 2.51],
          latents_std: [8.49, 5.9, 6.54, 5.22],
          shift_factor: 0.1
        }
        assert.deepStrictEqual(
          yield* problemsOf("sdxl", edit(file, change)),
          Object.keys(change).map((key) =>
            `${file}: ${key}: it is not supported: latents are normalised by scaling_factor alone`
          )
        )
        const folder = yield* make("sd1")
        yield* edit(file, { latents_mean: null, latents_std: null, shift_factor: 0 })(folder)
        yield* ModelFolder.read(folder)
      }
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

  /** Replaces the inputs of a network's file. */
  const editInputs = (
    file: string,
    change: (inputs: ReadonlyArray<Onnx.ValueInfo>) => ReadonlyArray<Onnx.ValueInfo>
  ) =>
    Effect.fnUntraced(function*(folder: string) {
      const fs = yield* FileSystem.FileSystem
      const model = Onnx.read(yield* fs.readFile(`${folder}/${file}`))
      const graph = { ...model.graph, inputs: change(model.graph.inputs) }
      yield* fs.writeFile(`${folder}/${file}`, Onnx.write({ ...model, graph }))
    })

  it.effect("are inputs of a network that it would have to be given in addition", () =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      yield* editInputs(
        "text_encoder/model.onnx",
        (inputs) => [...inputs, { name: "attention_mask", type: "int64", dims: ["batch_size", "sequence_length"] }]
      )(folder)
      const error = yield* warming(folder)
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "text_encoder/model.onnx: it requires \"attention_mask\", which")
    }).pipe(Effect.provide(platform)))

  it.effect.each(
    [
      ["unet/model.onnx", "sample", [2, 4, 16, 16], "\"sample\" is fixed to height 16, width 16; export"],
      ["unet/model.onnx", "sample", ["b", 9, "h", "w"], "\"sample\" has the dimensions b, 9, h, w, which do not fit"],
      ["vae_decoder/model.onnx", "latent_sample", [1, 4, 16, 16], "\"latent_sample\" is fixed to height 16, width 16;"],
      ["text_encoder/model.onnx", "input_ids", [1, 64], "\"input_ids\" has the dimensions 1, 64, which do not fit"]
    ] as const
  )("are a network exported for certain sizes: %j", ([file, input, dims, message]) =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      yield* editInputs(file, (inputs) => inputs.map((info) => info.name === input ? { ...info, dims } : info))(folder)
      const error = yield* warming(folder)
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, `${file}: ${message}`)
    }).pipe(Effect.provide(platform)))

  it.effect("are none where dimensions are fixed to what is always given", () =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      const fix = (file: string, dims: ReadonlyArray<number | string>) =>
        editInputs(file, ([info, ...others]) => info === undefined ? [] : [{ ...info, dims }, ...others])(folder)
      yield* fix("text_encoder/model.onnx", [1, 77])
      yield* fix("vae_decoder/model.onnx", [1, 4, "h", "w"])
      yield* Effect.flatMap(ModelProvider, (models) => Effect.flatMap(models.load(folder), ({ warm }) => warm)).pipe(
        Effect.provide(layerModels())
      )
    }).pipe(Effect.provide(platform)))

  it.effect("are networks that end too early", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* make("sd1")
      const bytes = yield* fs.readFile(`${folder}/unet/model.onnx`)
      yield* fs.writeFile(`${folder}/unet/model.onnx`, bytes.subarray(0, bytes.length - 100))
      const error = yield* warming(folder)
      assert.strictEqual(error._tag, "NetworkLoadError")
      assert.match(
        error.message,
        /unet\/model.onnx does not load: it is truncated \(\d+ bytes\)\. Check that the file is complete/
      )
    }).pipe(Effect.provide(platform)))

  it.effect("are weights in another file that is cut off, missing or not downloaded", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* make("sd1")
      const file = `${folder}/unet/model.onnx`
      const model = Onnx.read(yield* fs.readFile(file))
      const parts: Array<Uint8Array> = []
      let offset = 0
      const initializers = model.graph.initializers.map((tensor) => {
        const { data } = tensor
        if (!(data instanceof Uint8Array) || data.length < 64) return tensor
        parts.push(data)
        offset += data.length
        return { ...tensor, data: { location: "some.bin", offset: offset - data.length, length: data.length } }
      })
      yield* fs.writeFile(file, Onnx.write({ ...model, graph: { ...model.graph, initializers } }))
      const weights = `${folder}/unet/some.bin`
      const said = Effect.fnUntraced(function*(contents?: Uint8Array) {
        yield* contents === undefined ? fs.remove(weights) : fs.writeFile(weights, contents)
        return (yield* warming(folder)).message
      })
      const whole = Buffer.concat(parts)
      assert.include(
        yield* said(whole.subarray(0, 500)),
        `unet/model.onnx does not load: its weights are in some.bin: the file has 500 bytes of at least ${whole.length};`
      )
      const pointer = Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
      assert.include(yield* said(pointer), "its weights are in some.bin: the file is a Git LFS pointer")
      assert.include(yield* said(), "its weights are in some.bin: the file is missing")
    }).pipe(Effect.provide(platform)))

  it.effect("are an encoder that gives no latents", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* make("sd1")
      const file = `${folder}/vae_encoder/model.onnx`
      const model = Onnx.read(yield* fs.readFile(file))
      const renamed = (name: string) => name === "latent_parameters" ? "moments" : name
      const nodes = model.graph.nodes.map((node) => ({ ...node, outputs: node.outputs.map(renamed) }))
      const outputs = model.graph.outputs.map((info) => ({ ...info, name: renamed(info.name) }))
      yield* fs.writeFile(file, Onnx.write({ ...model, graph: { ...model.graph, nodes, outputs } }))
      const error = yield* Effect.flatMap(ModelProvider, (models) =>
        Effect.flatMap(models.load(folder), ({ encode }) => encode(wave(3 * 40 * 56, 0.01), small))).pipe(
          Effect.flip,
          Effect.provide(layerModels())
        )
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "vae_encoder/model.onnx: its outputs are moments, without \"latent_parameters\"")
    }).pipe(Effect.provide(platform)))

  it.effect("are shapes that a network refuses, told as it runs", () =>
    Effect.gen(function*() {
      const folder = yield* make("sd1")
      for (const part of ["vae_decoder", "vae_encoder"]) {
        yield* edit(`${part}/config.json`, { block_out_channels: [8, 8, 8] })(folder)
      }
      const error = yield* Effect.flip(
        Effect.flatMap(ModelProvider, (models) =>
          Effect.flatMap(models.load(folder), ({ decode }) => decode(wave(4 * 35, 0.2), small))).pipe(
            Effect.provide(layerModels())
          )
      )
      assert.strictEqual(error._tag, "InferenceError")
      assert.notInclude(error.message, "smaller size")
    }).pipe(Effect.provide(platform)))
})

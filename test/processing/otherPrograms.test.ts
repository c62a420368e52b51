import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { filled } from "../../src/core/Raster.ts"
import { parametersOf, readMetadata } from "../../src/images/Metadata.ts"
import * as Png from "../../src/images/Png.ts"
import { Upscalers } from "../../src/images/Upscalers.ts"
import { Models } from "../../src/model/Models.ts"
import * as Infotext from "../../src/processing/Infotext.ts"
import { readInfotext } from "../../src/processing/InfotextRequest.ts"
import { Options } from "../../src/processing/Options.ts"
import { knownNames } from "../../src/runner/knownNames.ts"

const options = {
  opts: Options.defaults,
  isKnown: Effect.runSync(
    knownNames.pipe(
      Effect.provide(Upscalers.layerBuiltIn),
      Effect.provideService(Models, { load: () => Effect.die("no model is loaded"), vaes: Effect.succeed([]) })
    )
  )
}

const readCase = Effect.fnUntraced(function*(file: string) {
  const bytes = yield* Effect.promise(() => readFile(new URL(`../cases/${file}`, import.meta.url)))
  return yield* readInfotext(parametersOf(yield* readMetadata(bytes)) ?? "", {}, options)
})

const read = (text: string) => readInfotext(text, {}, options)

const line = "Steps: 4, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 64x64, RNG: CPU"
const taken = { steps: 4, sampler_name: "Euler a", cfg_scale: 7, seed: 42, width: 64, height: 64 }

describe("images of other programs", () => {
  it.effect.each<readonly [file: string, request: object, warnings: ReadonlyArray<RegExp>]>([
    ["exif3-utf8/exif3.jpg", { prompt: "a green star, d\u00E9tail", negative_prompt: "blur", seed: 42 }, [/no RNG/]],
    ["seed-64bit/seed.png", { prompt: "a green star", seed: 6302954713490123530n }, [/no RNG/]],
    ["infotext-rng-cuda/sdcpp.png", { prompt: "a green star", negative_prompt: "blur", seed: 42 }, [
      /\(RNG: "cuda"\).*randn_source=NV/,
      /^Ignored parameters of the infotext: Guidance\.$/
    ]],
    [
      "one-line-infotext/one-line.png",
      { ...taken, prompt: "a green star, soft light", negative_prompt: "blur, text" },
      [
        /lost its line ends/,
        /no RNG/
      ]
    ],
    ["one-line-infotext/half.png", { ...taken, prompt: "a green star, soft light", negative_prompt: "blur, text" }, [
      /lost its line ends/,
      /no RNG/
    ]],
    ["one-line-infotext/swarm.png", { prompt: "a green star", steps: 4, cfg_scale: 7, seed: 42, width: 64 }, [
      /JSON by SwarmUI/
    ]],
    ["infotext-silent-loss/controlnet.png", { prompt: "a green star" }, [/no RNG/, /^ControlNet .*\(ControlNet 0\)/]],
    ["infotext-silent-loss/adetailer.png", { prompt: "a green star" }, [/no RNG/, /^ADetailer .*\(ADetailer model, /]],
    ["infotext-silent-loss/civitai.png", { prompt: "a green star" }, [
      /no RNG/,
      /^Civitai's generator .*\(Civitai resources, Civitai metadata\)/,
      /^Ignored parameters of the infotext: Created Date\.$/
    ]],
    ["infotext-silent-loss/lorahash.png", { prompt: "a green star" }, [/no RNG/, /^LoRA .*\(some_style\)/]],
    ["infotext-silent-loss/gpunoise.png", { prompt: "a green star" }, [/graphics card \(no RNG/]]
  ])("%s", ([file, expected, warnings]) =>
    Effect.gen(function*() {
      const made = yield* readCase(file)
      assert.deepInclude(made.request, expected)
      assert.lengthOf(made.warnings, warnings.length, made.warnings.join("\n"))
      for (const [i, pattern] of warnings.entries()) assert.match(made.warnings[i] ?? "", pattern)
    }))
})

// An image with these texts, as its program writes them.
const imageWith = (texts: Readonly<Record<string, string>>) =>
  Effect.flatMap(Png.encoding(filled({ width: 8, height: 8 }, 3)), (png) => Png.addingTexts(png, texts))

const xmpOf = (json: string) =>
  `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description rdf:about=""><xmp:CreatorTool>Draw Things` +
  `</xmp:CreatorTool><exif:UserComment> <rdf:Alt> <rdf:li xml:lang="x-default">${json}</rdf:li> </rdf:Alt> ` +
  `</exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>`

describe("the texts of other programs", () => {
  const graphicsCard = /graphics card \(no RNG/
  const same = { prompt: "a cat", negative_prompt: "blur" }

  it.effect.each<
    readonly [
      program: string,
      texts: Readonly<Record<string, string>>,
      request: object,
      warnings: ReadonlyArray<RegExp>
    ]
  >([
    [
      "NovelAI",
      {
        Description: "a cat",
        Software: "NovelAI",
        Source: "NovelAI Diffusion V4",
        Comment: JSON.stringify({
          prompt: "a cat",
          steps: 28,
          height: 8,
          width: 8,
          scale: 5,
          seed: 123,
          noise_schedule: "karras",
          sampler: "k_euler_ancestral",
          uc: "blur"
        })
      },
      { ...same, steps: 28, cfg_scale: 5, seed: 123, sampler_name: "Euler a" },
      [graphicsCard]
    ],
    [
      "InvokeAI 2",
      {
        "Dream": "\"a cat [blur]\" -s 50 -S 123",
        "sd-metadata": JSON.stringify({
          model_weights: "sd-1.5",
          app_version: "2.3.5",
          image: {
            prompt: [{ prompt: "a cat", weight: 1 }],
            steps: 50,
            cfg_scale: 7.5,
            sampler: "k_lms",
            seed: 123,
            width: 64,
            height: 72
          }
        })
      },
      { prompt: "a cat", steps: 50, cfg_scale: 7.5, sampler_name: "LMS", seed: 123, width: 64, height: 72 },
      [/JSON by InvokeAI/, graphicsCard]
    ],
    [
      "InvokeAI, which counts the layers that are left out",
      {
        invokeai_metadata: JSON.stringify({
          generation_mode: "txt2img",
          positive_prompt: "a cat",
          negative_prompt: "blur",
          seed: 5,
          rand_device: "cpu",
          scheduler: "euler_a",
          clip_skip: 0,
          app_version: "4.2.0"
        })
      },
      { ...same, seed: 5, sampler_name: "Euler a", override_settings: {} },
      [/JSON by InvokeAI/, /InvokeAI also wrote generation_mode, which was not used/]
    ],
    [
      "InvokeAI with two layers left out and the noise of a card",
      {
        invokeai_metadata: JSON.stringify({
          positive_prompt: "a cat",
          negative_prompt: "blur",
          seed: 5,
          rand_device: "cuda",
          clip_skip: 2,
          app_version: "4.2.0"
        })
      },
      { ...same, override_settings: { CLIP_stop_at_last_layers: 3, randn_source: "GPU" } },
      [/JSON by InvokeAI/, /graphics card \(RNG: GPU\)/]
    ],
    [
      "Fooocus in the webui's scheme",
      {
        fooocus_scheme: "a1111",
        parameters: "a cat\nNegative prompt: blur\nSteps: 30, Sampler: DPM++ 2M SDE, Seed: 99, Size: 64x72, " +
          "CFG scale: 4, Sharpness: 2, ADM Guidance: \"(1.5, 0.8, 0.3)\", Scheduler: karras, Version: Fooocus v2.5.5"
      },
      { ...same, steps: 30, seed: 99, cfg_scale: 4 },
      [graphicsCard, /^Ignored parameters of the infotext: Sharpness, ADM Guidance, Scheduler\.$/]
    ],
    [
      "Forge",
      {
        parameters: "a cat\nNegative prompt: blur\nSteps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, " +
          "Distilled CFG Scale: 3.5, Seed: 5, Size: 64x72, Version: f2.0.1v1.10.1-previous-304-g394da019, Module 1: ae"
      },
      { ...same, scheduler: "Simple", cfg_scale: 1, seed: 5 },
      [graphicsCard, /^Ignored parameters of the infotext: Distilled CFG Scale, Module 1\.$/]
    ],
    [
      "SD.Next",
      {
        parameters: "a cat\nNegative prompt: blur\nSteps: 20, Size: 64x72, Sampler: DPM++ 2M, Seed: 5, CFG scale: 6, " +
          "App: SD.Next, Version: 9e7e2de, Pipeline: StableDiffusionPipeline, Sampler options: karras"
      },
      { ...same, sampler_name: "DPM++ 2M", steps: 20, width: 64 },
      [graphicsCard, /^Ignored parameters of the infotext: App, Pipeline, Sampler options\.$/]
    ],
    [
      "Easy Diffusion, which writes a text for each value",
      {
        prompt: "a cat",
        negative_prompt: "blur",
        seed: "1234",
        num_inference_steps: "25",
        guidance_scale: "7.5",
        width: "64",
        height: "72",
        sampler_name: "euler_a",
        use_stable_diffusion_model: "sd-v1-5",
        use_vae_model: "None",
        use_lora_model: "style",
        clip_skip: "False"
      },
      { ...same, seed: 1234, steps: 25, cfg_scale: 7.5, width: 64, height: 72, sampler_name: "Euler a" },
      [/JSON by Easy Diffusion/, /also wrote use_lora_model, which was not used/, graphicsCard]
    ],
    [
      "Draw Things, which writes XMP",
      {
        "XML:com.adobe.xmp": xmpOf(
          "{&quot;c&quot;:&quot;a cat &#60;3&quot;,&quot;uc&quot;:&quot;blur&quot;,&quot;seed&quot;:77,&quot;steps&quot;:20," +
            "&quot;sampler&quot;:&quot;DPM++ 2M Karras&quot;,&quot;size&quot;:&quot;64x72&quot;,&quot;lora&quot;:[]}"
        )
      },
      { prompt: "a cat <3", negative_prompt: "blur", seed: 77, steps: 20, width: 64, height: 72 },
      [/JSON by Draw Things/, graphicsCard]
    ]
  ])("are read: %s", ([, texts, request, warnings]) =>
    Effect.gen(function*() {
      const text = parametersOf(yield* readMetadata(yield* imageWith(texts)))
      assert.isDefined(text)
      const made = yield* read(text ?? "")
      assert.deepInclude(made.request, request)
      assert.lengthOf(made.warnings, warnings.length, made.warnings.join("\n"))
      for (const [i, pattern] of warnings.entries()) assert.match(made.warnings[i] ?? "", pattern)
    }))

  it.effect("are no prompt where only the graph of ComfyUI's editor is there", () =>
    Effect.gen(function*() {
      const workflow = JSON.stringify({
        nodes: [{ id: 3, type: "KSampler", widgets_values: [1, "fixed", 20] }],
        links: []
      })
      const text = parametersOf(yield* readMetadata(yield* imageWith({ workflow })))
      const error = yield* Effect.flip(read(text ?? ""))
      assert.include(error.message, "JSON by ComfyUI's editor without a readable prompt")
    }))

  it.effect("are none in a bare text, or in XMP without parameters", () =>
    Effect.gen(function*() {
      for (
        const texts of [{ prompt: "a cat" }, { "XML:com.adobe.xmp": xmpOf("a note") }, { Dream: "\"a cat\" -s 5" }]
      ) {
        assert.isUndefined(parametersOf(yield* readMetadata(yield* imageWith(texts))))
      }
    }))
})

describe("an unknown upscaler", () => {
  it.effect.each<readonly [name: string, told: string]>([
    ["Latent (bicubicc)", " The nearest name is \"Latent (bicubic)\"."],
    ["R-ESRGAN 4x+ Anime6B", ""]
  ])("is named in a warning, and the request goes on without it: %s", ([name, told]) =>
    Effect.gen(function*() {
      const hires = "Denoising strength: 0.5, Hires upscale: 2, Hires upscaler"
      const { request, warnings } = yield* read(`a cat\n${line}, ${hires}: ${name}`)
      assert.deepInclude(request, { enable_hr: true, hr_scale: 2, hr_upscaler: "Latent" })
      assert.deepStrictEqual(warnings, [`Unknown upscaler "${name}" (Hires upscaler): the default is used.${told}`])
      assert.deepInclude((yield* read(`a cat\n${line}, ${hires}: lanczos`)).request, { hr_upscaler: "lanczos" })
    }))
})

describe("an infotext without its line ends", () => {
  it.effect.each<readonly [text: string, prompt: string, negative: string]>([
    [`a cat ${line}`, "a cat", ""],
    [`a cat, ${line}`, "a cat,", ""],
    [`a catNegative prompt: a dog${line}`, "a cat", "a dog"],
    [`a (green cat:1.2), soft Negative prompt: a dog ${line}`, "a (green cat:1.2), soft", "a dog"],
    [`a photo: night, place: Rome Negative prompt: day ${line}`, "a photo: night, place: Rome", "day"],
    [`a cat Negative prompt: a dog\n${line}`, "a cat", "a dog"],
    [`a cat\nsoft Negative prompt: a dog\nred ${line}`, "a cat\nsoft", "a dog\nred"],
    [`a cat\rNegative prompt: a dog\r${line}`, "a cat", "a dog"],
    [String.raw`a cat\nNegative prompt: a dog\n${line}`, "a cat", "a dog"],
    [`a cat\nNegative prompt: a dog\n${line}\nTemplate: a {cat|dog}\nNegative Template: a dog`, "a cat", "a dog"],
    [`a cat\nNegative prompt: a dog\nSteps: 4, Sampler: Euler a,\n${line.slice(29)}`, "a cat", "a dog"]
  ])("%j", ([text, prompt, negative_prompt]) =>
    Effect.gen(function*() {
      const { request, warnings } = yield* read(text)
      assert.deepInclude(request, { ...taken, prompt, negative_prompt })
      assert.isNotEmpty(warnings)
    }))

  it("is not seen in one that has them", () => {
    for (
      const text of [
        `a cat\nNegative prompt: a dog Negative prompt: x\n${line}`,
        `Sampler: Euler a, ${line}`,
        `a sign "Negative prompt: x"\n${line}, Version: serena-0.1.0`
      ]
    ) {
      assert.deepStrictEqual(Infotext.parse(text).notes, [], text)
    }
  })
})

describe("JSON in place of an infotext", () => {
  const graph = {
    "3": {
      class_type: "KSampler",
      inputs: {
        seed: 4,
        steps: 20,
        cfg: 8,
        sampler_name: "dpmpp_2m",
        scheduler: "karras",
        denoise: 1,
        model: ["10", 0],
        positive: ["11", 0],
        negative: ["11", 1],
        latent_image: ["5", 0]
      }
    },
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "v1-5.safetensors" } },
    "5": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 72, batch_size: 1 } },
    "6": { class_type: "CLIPTextEncode", inputs: { text: ["12", 0], clip: ["4", 1] } },
    "7": { class_type: "CLIPTextEncode", inputs: { text: "blur", clip: ["4", 1] } },
    "10": { class_type: "LoraLoader", inputs: { lora_name: "x", model: ["4", 0], clip: ["4", 1] } },
    "11": { class_type: "ControlNetApplyAdvanced", inputs: { positive: ["6", 0], negative: ["7", 0], strength: 1 } },
    "12": { class_type: "PrimitiveString", inputs: { value: "a cat" } }
  }

  it.effect.each<readonly [program: string, json: unknown, request: object, told: RegExp]>([
    [
      "ComfyUI",
      graph,
      {
        prompt: "a cat",
        negative_prompt: "blur",
        seed: 4,
        steps: 20,
        cfg_scale: 8,
        sampler_name: "DPM++ 2M",
        scheduler: "karras",
        width: 64,
        height: 72
      },
      /nodes that were ignored: LoraLoader, ControlNetApplyAdvanced/
    ],
    [
      "InvokeAI",
      {
        app_version: "5.0",
        positive_prompt: "a cat",
        negative_prompt: "blur",
        width: 64,
        height: 72,
        seed: 4,
        scheduler: "dpmpp_2m_k",
        steps: 20,
        cfg_scale: 8,
        model: { name: "v1-5" },
        loras: [{ weight: 1 }]
      },
      { prompt: "a cat", negative_prompt: "blur", sampler_name: "DPM++ 2M", scheduler: "Karras", width: 64 },
      /InvokeAI also wrote loras/
    ],
    [
      "Fooocus",
      {
        prompt: "a cat",
        negative_prompt: "",
        metadata_scheme: "fooocus",
        resolution: "(64, 72)",
        seed: "4",
        steps: 20,
        guidance_scale: 4,
        sampler: "dpmpp_2m_sde_gpu",
        scheduler: "karras"
      },
      { prompt: "a cat", width: 64, height: 72, seed: 4, cfg_scale: 4, sampler_name: "DPM++ 2M SDE" },
      /JSON by Fooocus/
    ],
    [
      "another program",
      { prompt: "a cat", steps: 3, sampler: "warp" },
      { prompt: "a cat", steps: 3, sampler_name: "Euler" },
      /Unknown sampler "warp"/
    ]
  ])("is read where it can be: %s", ([, json, request, told]) =>
    Effect.gen(function*() {
      const made = yield* read(JSON.stringify(json))
      assert.deepInclude(made.request, request)
      assert.match(made.warnings.join("\n"), told)
    }))

  it.effect.each([
    `{"sui_image_params": {"prompt": "a cat"`,
    `{"nodes": [{"id": 1, "type": "KSampler"}]}`,
    `[{"prompt": "a cat"}]`,
    `{"prompt": {"text": "a cat"}}`
  ])("is refused where no prompt can be read, and never a prompt itself: %s", (text) =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(read(text))
      assert.deepStrictEqual(problems.map(({ path }) => path), ["prompt"])
      assert.notInclude(String(Infotext.withDefaults(Infotext.parse(text)).Prompt), "{")
      assert.strictEqual((yield* readInfotext(text, { prompt: "a dog" }, options)).request.prompt, "a dog")
    }))

  it("is no prompt in braces", () => {
    for (const text of ["{a cat|a dog}", "[a|b] cat", "{cat"]) {
      assert.strictEqual(Infotext.parse(text).fields.Prompt, text)
    }
  })
})

describe("a seed over 2^53", () => {
  it.effect.each([6302954713490123530n, 18446744073709551615n, -9223372036854775808n, 9007199254740992n])(
    "is taken with all of its digits: %s",
    (seed) =>
      Effect.gen(function*() {
        const { request, warnings } = yield* read(
          `a cat\n${line}, Seed: ${seed}, Variation seed: ${seed}, Variation seed strength: 0.5`
        )
        assert.deepStrictEqual([request.seed, request.subseed, warnings], [seed, seed, []])
      })
  )

  it.effect("is refused when torch refuses it, and smaller ones are numbers", () =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(read(`a cat\n${line}, Seed: 18446744073709551616`))
      assert.deepStrictEqual(problems.map(({ path }) => path), ["seed"])
      assert.include(problems[0]?.message, "out of range: -2^63 to 2^64 - 1")
      const exact = yield* read(`a cat\n${line}, Seed: 9007199254740991`)
      assert.deepStrictEqual([exact.request.seed, exact.warnings], [9007199254740991, []])
    }))
})

describe("keys that are not taken", () => {
  it.effect.each<readonly [pairs: string, told: RegExp]>([
    ["AddNet Enabled: True, AddNet Model 1: x", /LoRA .*\(AddNet Enabled, AddNet Model 1\)/],
    ["Hypernet: x", /hypernetwork .*\(Hypernet\)/],
    ["VAE: some.pt, VAE hash: 00", /made with the VAE "some\.pt", which is not in the models folders/],
    ["VAE Decoder: TAESD", /Another method .*\(VAE Decoder\)/],
    ["Face restoration: CodeFormer", /Faces .*\(Face restoration\)/],
    [`Hashes: {"model": "00", "lora:x": "11"}`, /LoRA .*\(x\)/],
    ["Schedule type: Turbo", /Unknown scheduler "Turbo" \(Schedule type\)/],
    ["Sampler: Undefined", /Unknown sampler "Undefined" \(Sampler\)/],
    ["RNG: GPU", /graphics card \(RNG: GPU\)/],
    ["FreeU: True, Foo bar: 1x2", /^Ignored parameters of the infotext: FreeU, Foo bar\.$/m],
    ["Denoising strength: 0.5", /generated from another image/]
  ])("are named: %s", ([pairs, told]) =>
    Effect.gen(function*() {
      const { warnings } = yield* read(`a cat\n${line}, ${pairs}`)
      assert.match(warnings.join("\n"), told)
      assert.lengthOf(warnings, 1)
    }))

  it.effect("are none in what Serena wrote, and none that are overridden", () =>
    Effect.gen(function*() {
      const own = `a cat\n${line}, Model hash: 00, Model: m, Version: serena-0.1.0`
      assert.deepStrictEqual((yield* read(own)).warnings, [])
      const given = { sampler_name: "Euler", override_settings: { randn_source: "NV" } }
      const { request, warnings } = yield* readInfotext(
        `a cat\n${line}, Sampler: Undefined, RNG: cuda`,
        given,
        options
      )
      assert.deepStrictEqual(warnings, [])
      assert.strictEqual(request.sampler_name, "Euler")
    }))

  it.effect("include a prompt that is not there", () =>
    Effect.gen(function*() {
      assert.match((yield* read(line)).warnings.join(), /has no prompt/)
      assert.match((yield* read("photo, time: noon, place: Rome, mood: calm")).warnings.join(), /has no prompt/)
    }))

  it("are listed in time, and not beyond 5,000", () => {
    const text = `a cat\n${line}, ${Array.from({ length: 200_000 }, (_, i) => `Key ${i}: ${i}`).join(", ")}`
    const { fields, notes } = Infotext.parse(text)
    assert.isBelow(Object.keys(fields).length, 5010)
    assert.match(notes.join(), /read up to its parameter 5000/)
  })
})

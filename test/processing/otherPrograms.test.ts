import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { isKnown } from "../../src/cli/imageFiles.ts"
import { parametersOf, readMetadata } from "../../src/images/Metadata.ts"
import * as Infotext from "../../src/processing/Infotext.ts"
import { readInfotext } from "../../src/processing/InfotextRequest.ts"
import { Options } from "../../src/processing/Options.ts"

const options = { opts: Options.defaults, isKnown }

const readCase = Effect.fnUntraced(function*(file: string) {
  const bytes = yield* Effect.promise(() => readFile(new URL(`../cases/${file}`, import.meta.url)))
  return yield* readInfotext(parametersOf(yield* readMetadata(bytes)) ?? "", {}, options)
})

const read = (text: string) => readInfotext(text, {}, options)

const line = "Steps: 4, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 64x64, RNG: CPU"
const taken = { steps: 4, sampler_name: "Euler a", cfg_scale: 7, seed: 42, width: 64, height: 64 }

describe("images of other programs", () => {
  it.effect.each<readonly [file: string, request: object, warnings: ReadonlyArray<RegExp>]>([
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
      /JSON by SwarmUI/,
      /no RNG/
    ]],
    ["infotext-silent-loss/controlnet.png", { prompt: "a green star" }, [/no RNG/, /^ControlNet .*\(ControlNet 0\)/]],
    ["infotext-silent-loss/adetailer.png", { prompt: "a green star" }, [/no RNG/, /^ADetailer .*\(ADetailer model, /]],
    ["infotext-silent-loss/civitai.png", { prompt: "a green star" }, [
      /no RNG/,
      /^Civitai's generator .*\(Civitai resources, Civitai metadata\)/,
      /^Ignored parameters of the infotext: Created Date\.$/
    ]],
    ["infotext-silent-loss/lorahash.png", { prompt: "a green star" }, [/no RNG/, /^LoRA .*\(Lora hashes\)/]],
    ["infotext-silent-loss/gpunoise.png", { prompt: "a green star" }, [/graphics card \(no RNG/]]
  ])("%s", ([file, expected, warnings]) =>
    Effect.gen(function*() {
      const made = yield* readCase(file)
      assert.deepInclude(made.request, expected)
      assert.lengthOf(made.warnings, warnings.length, made.warnings.join("\n"))
      for (const [i, pattern] of warnings.entries()) assert.match(made.warnings[i] ?? "", pattern)
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
    ["TI hashes: \"x: 00\"", /embeddings .*\(TI hashes\)/],
    ["Hypernet: x", /hypernetwork .*\(Hypernet\)/],
    ["VAE: some.pt, VAE hash: 00", /VAE .*\(VAE, VAE hash\)/],
    ["Face restoration: CodeFormer", /Faces .*\(Face restoration\)/],
    [`Hashes: {"model": "00", "lora:x": "11"}`, /LoRA .*\(Hashes: x\)/],
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

import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { countTokens } from "../../src/planning/countTokens.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { numbers, renamed, saved, tensorsOf } from "../models/checkpoint/savedTensors.ts"
import { ModelsDir } from "../models/wholeVocabulary.ts"

const serena = Layer.unwrap(
  Effect.map(ModelsDir, (folder) => Serena.layer({ cmdOpts: { modelsDir: folder } }))
).pipe(Layer.provideMerge(ModelsDir.layer))

layer(serena)("embeddings in prompts", (it) => {
  const run = (input: Parameters<typeof Txt2Img.make>[0]) =>
    processImages(Txt2Img.make({
      seed: 1,
      steps: 2,
      width: 64,
      height: 64,
      override_settings: { samples_save: false, sd_model_checkpoint: "sd1-full-vocabulary" },
      ...input
    }))
  const pixels = Effect.fnUntraced(function*(prompt: string, negative_prompt = "") {
    const { images: [image], warnings } = yield* run({ prompt, negative_prompt })
    assert.deepStrictEqual(warnings, [])
    return image?.pixels
  })

  it.effect("stand for their vectors, in safetensors and in torch's files, in the prompt and in the negative one", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* pixels("a my-cat, far"), yield* pixels("a cat, far"))
      assert.deepStrictEqual(
        yield* pixels("a (two words:1.3), sootblack", "MY-CAT"),
        yield* pixels("a (red cat:1.3), black", "cat")
      )
      assert.deepStrictEqual(yield* pixels("[my-cat:sootblack:1] far"), yield* pixels("[cat:black:1] far"))
      assert.deepStrictEqual(yield* pixels("a (embedding:my-cat.pt:1.1)"), yield* pixels("a (cat:1.1)"))
    }))

  it.effect("count as many tokens as they have vectors, without a place for their model in memory", () =>
    Effect.gen(function*() {
      const { resident } = yield* ModelProvider
      const count = (prompt: string, sd_model_checkpoint = "sd1-full-vocabulary") =>
        Effect.scoped(countTokens(Txt2Img.make({ prompt, override_settings: { sd_model_checkpoint } })))
      const before = yield* resident
      for (
        const [prompt, tokens] of [
          ["my-cat", 1],
          ["a (two words:1.3), sootblack", 5],
          ["a photograph of an astronaut", 5]
        ] as const
      ) {
        const { prompt: { tokens: found } } = yield* count(prompt)
        assert.strictEqual(found, tokens, prompt)
      }
      assert.strictEqual((yield* count("a cat", "other")).model.name, "other")
      assert.deepStrictEqual(yield* resident, before)
      assert.strictEqual((yield* Effect.flip(count("a cat", "nothing")))._tag, "ModelNotFound")
    }))

  it.effect("may lie in the file of a LoRA, and stand for their vectors where a tag names it", () =>
    Effect.gen(function*() {
      const folder = yield* ModelsDir
      const contents = tensorsOf(new Uint8Array(readFileSync(join(folder, "embeddings/my-Cat.safetensors"))))
      const module = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
      const zeros = (...shape: readonly [number, number]) => numbers(shape, ...new Float32Array(shape[0] * shape[1]))
      writeFileSync(
        join(folder, "Lora/bundle.safetensors"),
        saved({
          [`${module}.lora_down.weight`]: zeros(1, 8),
          [`${module}.lora_up.weight`]: zeros(16, 1),
          ...renamed(contents, () => "bundle_emb.tabby.string_to_param.*"),
          // One in a file of its own counts more.
          "bundle_emb.sootblack.emb_params": zeros(1, 8)
        })
      )
      const prompt = "a <lora:bundle:1> tabby, sootblack"
      const { images: [image], warnings } = yield* run({ prompt })
      assert.deepStrictEqual(warnings, [])
      assert.match(image?.infotext ?? "", /Lora hashes: "bundle: [0-9a-f]{12}", TI hashes: "sootblack: [0-9a-f]{12}"/)
      assert.deepStrictEqual(image?.pixels, yield* pixels("a cat, black"))
      assert.notDeepEqual(yield* pixels("a tabby, sootblack"), image?.pixels)
    }))

  it.effect("count as as many tokens as they have vectors, and go into one chunk", () =>
    Effect.gen(function*() {
      const words = "a ".repeat(74)
      assert.deepStrictEqual(yield* pixels(`${words}two words`), yield* pixels(`${words}BREAK red cat`))
    }))

  it.effect("are listed with their hashes in the infotext", () =>
    Effect.gen(function*() {
      const { images: [image] } = yield* run({ prompt: "two words, (my-cat:1.1)", negative_prompt: "my-cat" })
      const folder = yield* ModelsDir
      const of = (name: string) => {
        const bytes = readFileSync(join(folder, "embeddings", `${name}.safetensors`))
        return `${name}: ${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}`
      }
      assert.include(image?.infotext, `, TI hashes: "${of("two words")}, ${of("my-Cat")}", Version`)
    }))

  it.effect("that do not fit the model are read as words, with a warning", () =>
    Effect.gen(function*() {
      const { images: [image], warnings } = yield* run({ prompt: "a wide cat" })
      assert.deepStrictEqual(warnings, [
        "The embedding wide does not fit sd1-full-vocabulary: its vectors have 12 numbers, and those of the model 8. " +
        "Its name is read as words."
      ])
      assert.notInclude(image?.infotext, "TI hashes")
    }))
})

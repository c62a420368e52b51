import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Contents, contentsOf, type TensorShape } from "../../../src/models/checkpoint/contents.ts"
import { predictionOf } from "../../../src/models/checkpoint/prediction.ts"
import { openFile, openFolder } from "../../../src/models/checkpoint/sources.ts"
import { toFloats } from "../../../src/models/checkpoint/values.ts"
import type { ElementType } from "../../../src/models/checkpoint/WeightSource.ts"
import { contents as contentsOfFile, realLayout, unpack } from "./data.ts"

const platform = Layer.merge(NodeFileSystem.layer, NodePath.layer)

const source = Effect.fnUntraced(function*(name: string) {
  const folder = yield* unpack(name.startsWith("folders/") ? `${name}/**/*.{json,safetensors}` : name)
  return yield* (name.startsWith("folders/") ? openFolder : openFile)(`${folder}/${name}`)
})

const summary = ({ detail, family, kind, problem, variant }: Contents): string =>
  [kind, family, variant, detail, problem === undefined ? undefined : "not supported"]
    .filter((word) => word !== undefined).join("; ")

const partsOf = ({ parts }: Contents) => parts.map(({ naming, network, prefix }) => `${network} ${prefix} ${naming}`)

const shapes = (names: Readonly<Record<string, ReadonlyArray<number>>>): ReadonlyMap<string, TensorShape> =>
  new Map(Object.entries(names).map(([name, shape]) => [name, { name, type: "F16", shape }]))

describe("what a file is", () => {
  it.effect.each<readonly [string, string]>([
    ["checkpoints/sd15.safetensors", "checkpoint; sd1"],
    ["checkpoints/sd1-full-vocabulary.safetensors", "checkpoint; sd1"],
    ["checkpoints/sd1-old-names-mixed.safetensors", "checkpoint; sd1"],
    ["checkpoints/sd1-inpainting.safetensors", "checkpoint; sd1; inpainting"],
    ["checkpoints/sd2-v.safetensors", "checkpoint; sd2"],
    ["checkpoints/sdxl.safetensors", "checkpoint; sdxl"],
    ["checkpoints/sdxl-refiner.safetensors", "checkpoint; sdxl-refiner"],
    ["folders/sd1-folder", "checkpoint; sd1"],
    ["folders/sdxl-folder", "checkpoint; sdxl"],
    ["adapters/sd1-kohya.safetensors", "lora; sd1; LoRA"],
    ["adapters/sd1-diffusers-lora-down.safetensors", "lora; LoRA"],
    ["adapters/sd1-diffusers-processor.safetensors", "lora; LoRA"],
    ["adapters/sd1-dora.safetensors", "lora; LoRA, DoRA"],
    ["adapters/sd1-full-and-norm.safetensors", "lora; full weights, norms"],
    ["adapters/sd1-locon.safetensors", "lora; LoRA, LoCon"],
    ["adapters/sd1-loha.safetensors", "lora; LoHa"],
    ["adapters/sd1-lokr.safetensors", "lora; LoKr"],
    ["adapters/sd1-oft.safetensors", "lora; OFT"],
    ["adapters/sd1-peft.safetensors", "lora; LoRA"],
    ["adapters/sd1-peft-metadata.safetensors", "lora; LoRA"],
    ["adapters/sd2-kohya.safetensors", "lora; LoRA"],
    ["adapters/sdxl-kohya.safetensors", "lora; sdxl; LoRA"],
    ["adapters/sdxl-kohya-diffusers-names.safetensors", "lora; sdxl; LoRA"],
    ["adapters/sdxl-lycoris.safetensors", "lora; sdxl; LoHa, LoKr"],
    ["adapters/sdxl-peft.safetensors", "lora; sdxl; LoRA"],
    ["embeddings/sd1-diffusers-token.safetensors", "embedding; 1 vector"],
    ["embeddings/sd1-diffusers-token-two.safetensors", "embedding; 2 vectors"],
    ["embeddings/sd1-emb-params.safetensors", "embedding; 3 vectors"],
    ["embeddings/sd1-emb-params-one-dimension.safetensors", "embedding; 1 vector"],
    ["embeddings/sdxl-clip-l-clip-g.safetensors", "embedding; sdxl; 3 vectors"],
    ["vaes/diffusers.safetensors", "vae"],
    ["vaes/diffusers-old-names.safetensors", "vae"],
    ["vaes/original-with-training-keys.safetensors", "vae"],
    ["vaes/taesd-diffusers.safetensors", "taesd; decoder and encoder"],
    ["vaes/taesd_decoder.safetensors", "taesd; decoder"],
    ["vaes/taesd_encoder.safetensors", "taesd; encoder"],
    ["controlnets/sd1-control-diffusers.safetensors", "controlnet; sd1"],
    ["controlnets/sd1-control-original.safetensors", "controlnet; sd1"],
    ["controlnets/sdxl-control-diffusers.safetensors", "controlnet; sdxl"],
    ["upscalers/compact-x4.safetensors", "upscaler; Compact, 4x"],
    ["upscalers/esrgan-x4-new-names.safetensors", "upscaler; ESRGAN, 4x"],
    ["upscalers/esrgan-x4-old-names.safetensors", "upscaler; ESRGAN, 4x"],
    ["upscalers/realesrgan-x2-unshuffle.safetensors", "upscaler; ESRGAN, 2x"],
    ["upscalers/swinir-x2.safetensors", "upscaler; SwinIR; not supported"],
    ["upscalers/dat-x2.safetensors", "upscaler; DAT; not supported"]
  ])("is told by its tensors: %s is %s", ([name, expected]) =>
    Effect.gen(function*() {
      assert.strictEqual(summary(contentsOf((yield* source(name)).tensors)), expected)
    }).pipe(Effect.provide(platform)))

  it.each<readonly [string, string]>([
    ["sd15", "checkpoint; sd1"],
    ["sd15-inpainting", "checkpoint; sd1; inpainting"],
    ["sd15-instruct-pix2pix", "checkpoint; sd1; instruct-pix2pix"],
    ["sd21", "checkpoint; sd2"],
    ["sdxl-base", "checkpoint; sdxl"],
    ["sdxl-refiner", "checkpoint; sdxl-refiner"]
  ])("is told of full-size files: %s is %s, every tensor known", (name, expected) => {
    const layout = realLayout(name)
    const of = (change: (name: string) => string | undefined) =>
      contentsOf(
        new Map(layout.flatMap(([name, type, shape]): Array<[string, TensorShape]> => {
          const changed = change(name)
          return changed === undefined ? [] : [[changed, { name: changed, type, shape }]]
        }))
      )
    const whole = of((name) => name)
    assert.strictEqual(summary(whole), expected)
    assert.deepStrictEqual(whole.ignored.filter(({ reason }) => reason === "unknown"), [])
    assert.deepStrictEqual(whole.precision, ["F16"])
    const prefix = "model.diffusion_model."
    const asUNet = expected.replace("checkpoint", "unet")
    assert.strictEqual(summary(of((name) => name.startsWith(prefix) ? name : undefined)), asUNet)
    const bare = of((name) => name.startsWith(prefix) ? name.slice(prefix.length) : undefined)
    assert.strictEqual(summary(bare), asUNet)
    assert.deepStrictEqual(partsOf(bare), ["unet  original"])
    const vae = of((name) => name.startsWith("first_stage_model.") ? name.slice(18) : undefined)
    assert.strictEqual(summary(vae), "vae")
    assert.deepStrictEqual(vae.ignored, [])
  })

  it.each<readonly [string, Readonly<Record<string, ReadonlyArray<number>>>]>([
    ["diffusion-transformer; Flux; not supported", {
      "model.diffusion_model.double_blocks.0.img_attn.qkv.weight": [9, 3]
    }],
    ["diffusion-transformer; Chroma; not supported", {
      "double_blocks.0.img_attn.qkv.weight": [9, 3],
      "distilled_guidance_layer.layers.0.in_layer.weight": [1, 1]
    }],
    ["diffusion-transformer; Stable Diffusion 3; not supported", {
      "model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight": [9, 3],
      "first_stage_model.x": [1]
    }],
    ["diffusion-transformer; PixArt; not supported", { "t_block.1.weight": [1, 1] }],
    ["text-encoder; T5; not supported", { "encoder.block.0.layer.0.SelfAttention.q.weight": [1, 1] }],
    ["lora; LoRA; not supported", { "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": [4, 9] }],
    ["lora; sd1; LoRA", {
      "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": [4, 768]
    }],
    ["lora; sd2; LoRA", { "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": [4, 1024] }],
    ["embedding; sd1; 2 vectors", { "string_to_param.*": [2, 768] }],
    ["embedding; sd2; 1 vector", { "<token>": [1024] }],
    ["embedding; sdxl; 1 vector; not supported", { clip_l: [1, 768], clip_g: [2, 1280] }],
    ["text-encoder; CLIP, 768 wide", { "text_model.embeddings.token_embedding.weight": [49408, 768] }],
    ["t2i-adapter; not supported", { "body.0.in_conv.weight": [1, 1, 1, 1] }],
    ["controlnet; Control-LoRA; not supported", { lora_controlnet: [] }],
    ["vae; not supported", { "decoder.mid.block_1.conv1.weight": [1], "decoder.conv_in.weight": [512, 16, 3, 3] }],
    ["other; a hypernetwork; not supported", { "768.0.linear.0.weight": [1, 1] }],
    ["other; not supported", { "some.other": [3, 3] }]
  ])("is named: %s", (expected, names) => assert.strictEqual(summary(contentsOf(shapes(names))), expected))

  it.effect("lists what is ignored, by why, and what is unknown", () =>
    Effect.gen(function*() {
      const { ignored } = contentsOf((yield* source("checkpoints/sd1-old-names-mixed.safetensors")).tensors)
      const names = ignored.flatMap(({ names }) => names).toSorted()
      const index = JSON.parse(Buffer.from(contentsOfFile("index.json")).toString())
      const entry = index.entries.find(({ id }: { readonly id: string }) => id === "sd1-old-names-mixed")
      const positions = "cond_stage_model.transformer.embeddings.position_ids"
      assert.deepStrictEqual(names, [...entry.unused_tensors, positions].toSorted())
      assert.deepStrictEqual(ignored.find(({ reason }) => reason === "unknown")?.names.toSorted(), [
        "cond_stage_model.transformer.something_unknown.weight",
        "unknown.thing"
      ])
    }).pipe(Effect.provide(platform)))
})

describe("what a checkpoint predicts", () => {
  const prediction = Effect.fnUntraced(function*(
    name: string,
    yaml?: string,
    extra: ReadonlyArray<string> = [],
    said?: "epsilon" | "v_prediction"
  ) {
    const { files, metadata, tensors } = yield* source(name)
    const [any] = tensors.values()
    const marked = new Map([...tensors, ...extra.flatMap((mark) => any === undefined ? [] : [[mark, any] as const])])
    const { isZeroSnr, type } = yield* predictionOf(
      { files, metadata, tensors: marked },
      contentsOf(marked),
      { yaml, said }
    )
    return isZeroSnr ? `${type}, zero SNR` : type
  })

  it.effect("is noise, unless something says otherwise", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* prediction("checkpoints/sd15.safetensors"), "epsilon")
      assert.strictEqual(yield* prediction("checkpoints/sdxl.safetensors"), "epsilon")
    }).pipe(Effect.provide(platform)))

  it.effect("is read from tensors, by the .yaml file next to it, and of Stable Diffusion 2 by one bias", () =>
    Effect.gen(function*() {
      const sdxl = "checkpoints/sdxl.safetensors"
      assert.strictEqual(yield* prediction(sdxl, undefined, ["v_pred"]), "v_prediction")
      assert.strictEqual(yield* prediction(sdxl, undefined, ["v_pred", "ztsnr"]), "v_prediction, zero SNR")
      assert.strictEqual(yield* prediction(sdxl, undefined, ["edm_mean", "edm_std"]), "edm")
      const yaml = (value: string) => `model:\n  params:\n    parameterization: "${value}"\n`
      assert.strictEqual(yield* prediction("checkpoints/sd15.safetensors", yaml("v")), "v_prediction")
      assert.strictEqual(yield* prediction("checkpoints/sd2-v.safetensors"), "v_prediction")
      assert.strictEqual(yield* prediction("checkpoints/sd2-v.safetensors", yaml("eps")), "epsilon")
      // A user's word counts more than all of them.
      assert.strictEqual(yield* prediction("checkpoints/sd2-v.safetensors", yaml("v"), [], "epsilon"), "epsilon")
      assert.strictEqual(yield* prediction(sdxl, undefined, ["edm_mean", "edm_std"], "v_prediction"), "v_prediction")
    }).pipe(Effect.provide(platform)))
})

describe("the values of a tensor", () => {
  it.each<readonly [ElementType, ReadonlyArray<number>, ReadonlyArray<number>]>([
    ["F16", [0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00, 0x00, 0x7c], [1, -2, 65504, 2 ** -24, Infinity]],
    ["BF16", [0x80, 0x3f, 0x20, 0xc0], [1, -2.5]],
    ["F8_E4M3", [0x38, 0xb8, 0x7e, 0x01, 0x7f], [1, -1, 448, 2 ** -9, NaN]],
    ["F8_E5M2", [0x3c, 0x7b, 0x01, 0xfc], [1, 57344, 2 ** -16, -Infinity]],
    ["I64", [1, 0, 0, 0, 0, 0, 0, 0], [1]],
    ["F64", [0, 0, 0, 0, 0, 0, 0xf8, 0x3f], [1.5]],
    ["I8", [0xff], [-1]]
  ])("are those of %s", (type, bytes, expected) => {
    assert.deepStrictEqual([...toFloats(type, Uint8Array.from(bytes))], [...expected])
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { fileName, select } from "../../../src/models/hub/selection.ts"

const choice = { repository: "owner/name", called: "--variant" }

const chosen = (paths: ReadonlyArray<string>, variant?: string) =>
  Result.match(select(paths.map((path) => ({ path, size: 5_000_000 })), { ...choice, variant }), {
    onFailure: (problem) => problem,
    onSuccess: ({ files }) => files.map(({ path }) => path).toSorted()
  })

const about = [
  "model_index.json",
  "scheduler/scheduler_config.json",
  "text_encoder/config.json",
  "tokenizer/merges.txt",
  "tokenizer/vocab.json",
  "unet/config.json",
  "vae/config.json"
]

const copies = (folder: string, stem: string) =>
  ["safetensors", "fp16.safetensors", "non_ema.safetensors", "bin", "fp16.bin"].map((end) => `${folder}/${stem}.${end}`)

const diffusers = [
  ...about,
  ".gitattributes",
  "README.md",
  "feature_extractor/preprocessor_config.json",
  "safety_checker/model.safetensors",
  "safety_checker/config.json",
  "unet/diffusion_flax_model.msgpack",
  "unet/model.onnx",
  "vae_decoder/model.onnx",
  ...copies("unet", "diffusion_pytorch_model"),
  ...copies("vae", "diffusion_pytorch_model").slice(0, 1),
  ...copies("text_encoder", "model"),
  "name-pruned.safetensors",
  "name-pruned.ckpt"
]

const networks = (end: string) => [
  `text_encoder/model${end}`,
  `unet/diffusion_pytorch_model${end}`,
  "vae/diffusion_pytorch_model.safetensors"
]

describe("what is fetched of a repository", () => {
  it("is one copy of each network of a diffusers folder, in safetensors", () => {
    assert.deepStrictEqual(chosen(diffusers), [...about, ...networks(".safetensors")].toSorted())
    // A network without the variant comes as it is.
    assert.deepStrictEqual(chosen(diffusers, "fp16"), [...about, ...networks(".fp16.safetensors")].toSorted())
    assert.match(String(chosen(diffusers, "int8")), /no variant int8, but fp16, non_ema; choose one/)
    const half = about.concat(networks(".fp16.safetensors"))
    assert.deepStrictEqual(chosen(half), half.toSorted())
  })

  it("has the shards of a network where there is no whole file", () => {
    const shards = [
      "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
      "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
      "unet/diffusion_pytorch_model.safetensors.index.json"
    ]
    const half = [
      "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
      "unet/diffusion_pytorch_model.safetensors.index.fp16.json"
    ]
    assert.deepStrictEqual(chosen([...about, ...shards, ...half]), [...about, ...shards].toSorted())
    assert.deepStrictEqual(chosen([...about, ...shards, ...half], "fp16"), [...about, ...half].toSorted())
  })

  it("is an ONNX folder where it is asked for, or is all there is", () => {
    const onnx = ["unet/model.onnx", "vae_decoder/model.onnx", "unet/model.onnx_data"]
    assert.deepStrictEqual(
      chosen([...about, ...onnx]),
      [...about.filter((path) => !path.startsWith("vae/")), ...onnx].toSorted()
    )
    assert.include(chosen(diffusers, "onnx"), "unet/model.onnx")
    assert.notInclude(chosen(diffusers, "onnx"), "unet/diffusion_pytorch_model.safetensors")
    assert.match(String(chosen(about, "onnx")), /leave out --variant onnx/)
  })

  it("is the one checkpoint; several are listed, to name one", () => {
    const one = ["README.md", "a.ckpt", "a.safetensors", "a.fp16.safetensors"]
    assert.deepStrictEqual(chosen(one), ["a.safetensors"])
    assert.deepStrictEqual(chosen(one, "fp16"), ["a.fp16.safetensors"])
    assert.deepStrictEqual(chosen(["b.ckpt", "b.yaml"]), ["b.ckpt"])
    assert.strictEqual(
      chosen(["a.safetensors", "loras/b.safetensors", "a.ckpt"]),
      "it has several files of weights; name one of them:\n" +
        "  owner/name/a.safetensors  5.0 MB\n  owner/name/loras/b.safetensors  5.0 MB"
    )
    assert.match(String(chosen(["README.md", "model.msgpack"])), /no weights that Serena reads/)
  })

  it("is saved by the repository's name where its own says nothing", () => {
    assert.strictEqual(fileName("owner/sd-vae", "diffusion_pytorch_model.fp16.safetensors"), "sd-vae.fp16.safetensors")
    assert.strictEqual(fileName("owner/lcm", "pytorch_lora_weights.safetensors"), "lcm.safetensors")
    assert.strictEqual(fileName("owner/name", "sub/modelshoot.safetensors"), "modelshoot.safetensors")
  })
})

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { InvalidModelFile } from "../../../src/model/ModelError.ts"
import { join, openFile, openFolder, weightsIn, withPrefix } from "../../../src/models/checkpoint/sources.ts"
import { unpack } from "./data.ts"

const platform = Layer.merge(NodeFileSystem.layer, NodePath.layer)

const prefixes = (names: Iterable<string>) => [...new Set([...names].map((name) => name.split(".")[0]))]

describe("weights in several files", () => {
  it.effect("are those of a diffusers folder, each network under its name", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("folders/*/**/*.{json,safetensors}")
      const sd1 = yield* openFolder(`${folder}/folders/sd1-folder`)
      assert.deepStrictEqual(prefixes(sd1.tensors.keys()), ["unet", "vae", "text_encoder"])
      assert.lengthOf(sd1.files.filter(({ path }) => path.includes("-of-00004")), 4)
      const sdxl = yield* openFolder(`${folder}/folders/sdxl-folder`)
      assert.deepStrictEqual(prefixes(sdxl.tensors.keys()), ["unet", "vae", "text_encoder", "text_encoder_2"])
      assert.isTrue(sdxl.files.every(({ path }) => path.includes(".fp16.")))
    }).pipe(Effect.provide(platform)))

  it.effect("are found through the links of a hub's cache", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack("folders/sd1-folder/unet/*")
      const unet = `${folder}/folders/sd1-folder/unet`
      yield* fs.makeDirectory(`${folder}/blobs`)
      for (const [i, name] of (yield* fs.readDirectory(unet)).entries()) {
        yield* fs.rename(`${unet}/${name}`, `${folder}/blobs/${i}`)
        yield* fs.symlink(`../../../blobs/${i}`, `${unet}/${name}`)
      }
      const source = yield* openFile(`${unet}/diffusion_pytorch_model.safetensors.index.json`)
      assert.isTrue(source.files.every(({ path }) => path.startsWith(`${folder}/blobs/`)))
    }).pipe(Effect.provide(platform)))

  it.effect("are refused when a shard is missing, elsewhere, or lacks a tensor", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack("embeddings/sd1-emb-params.safetensors")
      const index = `${folder}/embeddings/model.safetensors.index.json`
      const refusal = Effect.fnUntraced(function*(weight_map: object) {
        yield* fs.writeFileString(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map }))
        return (yield* Effect.flip(openFile(index))).message
      })
      assert.match(yield* refusal({ a: "gone.safetensors" }), /gone.safetensors.*no such file/)
      assert.match(
        yield* refusal({ a: "../emb.safetensors" }),
        /a: its shard "..\/emb.safetensors" is in another folder/
      )
      assert.match(yield* refusal({ a: "sd1-emb-params.safetensors" }), /a: the shard .* does not have it/)
      assert.match(yield* refusal({ a: 1 }), /weight_map.a/)
      yield* fs.writeFileString(index, "[".repeat(100_000))
      assert.match((yield* Effect.flip(openFile(index))).message, /cannot be used/)
    }).pipe(Effect.provide(platform)))

  it.effect("are refused with the typed error under any index, or all of its tensors are in its shards", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack("folders/sd1-folder/unet/*")
      const unet = `${folder}/folders/sd1-folder/unet`
      const index = `${unet}/diffusion_pytorch_model.safetensors.index.json`
      const own = yield* fs.readFileString(index)
      const { weight_map }: { weight_map: Record<string, unknown> } = JSON.parse(own)
      const [first = "", second = ""] = Object.keys(weight_map)
      let state = 20261129
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor(state / 2 ** 32 * below)
      }
      const withMap = (changes: Readonly<Record<string, unknown>>) =>
        JSON.stringify({ metadata: null, weight_map: { ...weight_map, ...changes } })
      const lies: ReadonlyArray<string> = [
        "",
        "null",
        "[]",
        "{}",
        "{\"weight_map\":[]}",
        "{\"weight_map\":null}",
        `{"a":${"[".repeat(50_000)}`,
        ...[
          null,
          1,
          {},
          "",
          ".",
          "..",
          "/etc/passwd",
          "a/b",
          "..\\x",
          "\u0000",
          "diffusion_pytorch_model.safetensors.index.json"
        ]
          .map((shard) => withMap({ [first]: shard })),
        withMap({ more: weight_map[first] }),
        withMap({ [first]: weight_map[second], [second]: "x".repeat(300) }),
        withMap({ ["__proto__x"]: "gone.safetensors" }),
        ...Array.from({ length: 20 }, () => own.slice(0, random(own.length))),
        ...Array.from({ length: 20 }, () => {
          const at = random(own.length)
          return own.slice(0, at) + String.fromCharCode(random(0x200)) + own.slice(at + random(9))
        })
      ]
      let refused = 0
      for (const lie of lies) {
        yield* fs.writeFileString(index, lie)
        const result = yield* Effect.result(openFile(index))
        if (result._tag === "Failure") {
          assert.instanceOf(result.failure, InvalidModelFile)
          refused++
        } else assert.strictEqual(result.success.tensors.size, Object.keys(weight_map).length, lie.slice(0, 200))
      }
      assert.isAtLeast(refused, 36)
    }).pipe(Effect.provide(platform)))

  it.effect("join into one source, the later in place of the earlier", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("embeddings/sd1-emb-params*.safetensors")
      const a = yield* openFile(`${folder}/embeddings/sd1-emb-params.safetensors`)
      const b = yield* openFile(`${folder}/embeddings/sd1-emb-params-one-dimension.safetensors`)
      const both = join([withPrefix("a.", a), withPrefix("b.", b), withPrefix("a.", b)])
      assert.deepStrictEqual([...both.tensors].map(([name, tensor]) => [name, tensor.name, tensor.file]), [
        ["a.emb_params", "a.emb_params", b.files[0]?.path],
        ["b.emb_params", "b.emb_params", b.files[0]?.path]
      ])
      assert.lengthOf(both.files, 2)
    }).pipe(Effect.provide(platform)))
})

describe("the weights of a network's folder", () => {
  it.each<readonly [ReadonlyArray<string>, string | undefined]>([
    [
      ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"],
      "diffusion_pytorch_model.safetensors"
    ],
    [
      ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bin"],
      "diffusion_pytorch_model.fp16.safetensors"
    ],
    [
      ["model.fp16-00001-of-00002.safetensors", "model.safetensors.index.fp16.json"],
      "model.safetensors.index.fp16.json"
    ],
    [["model.fp16.safetensors.index.json"], "model.fp16.safetensors.index.json"],
    [["pytorch_model.bin", "config.json"], "pytorch_model.bin"],
    [["model.onnx", "config.json", "flax_model.msgpack", "other.safetensors"], undefined]
  ])("%j are %s", (names, expected) => assert.strictEqual(weightsIn(names), expected))
})

describe("a file of another format", () => {
  it.effect.each<readonly [string, Uint8Array, RegExp]>([
    [
      "old torch",
      Buffer.from([0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]),
      /before version 1.6/
    ],
    ["a pickle", Buffer.from([0x80, 2, 0x7d, 0x71, 0, 0x2e, 0, 0, 0, 0]), /bare Python pickle/],
    ["GGUF", Buffer.from("GGUF\x03\0\0\0"), /GGUF/],
    ["Git LFS", Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), /git lfs pull/],
    ["a page", Buffer.from("<!DOCTYPE html><html>"), /web page/],
    ["nothing", Buffer.from(""), /it is empty/],
    ["tar", Buffer.concat([Buffer.alloc(257), Buffer.from("ustar")]), /tar archive/]
  ])("is refused by name: %s", ([, bytes, message]) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* fs.makeTempDirectoryScoped()}/model.safetensors`
      yield* fs.writeFile(file, bytes)
      assert.match((yield* Effect.flip(openFile(file))).message, message)
    }).pipe(Effect.provide(platform)))
})

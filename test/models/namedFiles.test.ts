import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { Models } from "../../src/model/Models.ts"
import { ModelLibrary } from "../../src/models/ModelLibrary.ts"
import * as namedFiles from "../../src/models/namedFiles.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { withPresentNetworks } from "../../src/runner/presentNetworks.ts"
import { contents } from "./checkpoint/data.ts"
import { safetensors } from "./checkpoint/safetensorsFile.ts"

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

// A LoRA of one small module, with a name of its own in its header.
const pair = {
  "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": { shape: [1, 4], values: [1, 2, 3, 4] },
  "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": { shape: [4, 1], values: [4, 3, 2, 1] }
}
const lora = safetensors(pair, { ss_output_name: "First Style" })
const autoV3 = sha256(lora.subarray(8 + Number(new DataView(lora.buffer, lora.byteOffset).getBigUint64(0, true))))
const embedding = contents("embeddings/sd1-emb-params.safetensors")

/** `Models` with nothing but the files of a folder: `renamed.safetensors`, a LoRA, and `token.safetensors`. */
const models = Layer.unwrap(
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped()
    writeFileSync(`${folder}/renamed.safetensors`, lora)
    writeFileSync(`${folder}/token.safetensors`, embedding)
    writeFileSync(`${folder}/empty.pt`, "")
    const load = () => Effect.die("no model is loaded here")
    const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
    return Layer.effect(
      Models,
      Effect.map(ModelLibrary, (library) => Models.of({ load, ...namedFiles.make(library, services) }))
    ).pipe(
      Layer.provide(ModelLibrary.layer),
      Layer.provide(CommandOptions.layer({ modelsDir: folder }))
    )
  })
).pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer)))

layer(models)("files that prompts name", (it) => {
  it.effect.each(["renamed", "Renamed.safetensors", "first style", autoV3.slice(0, 12), sha256(lora).slice(0, 10)])(
    "are LoRAs by their file, by their own name, and by hash: %s",
    (name) =>
      Effect.gen(function*() {
        const { adapter = () => Effect.undefined } = yield* Models
        const found = yield* adapter(name)
        assert.strictEqual(found?.name, "renamed")
        assert.isUndefined(found?.problem)
        assert.strictEqual(yield* found?.hash ?? Effect.succeed(""), autoV3.slice(0, 12))
        assert.isUndefined(yield* adapter("token"))
      })
  )

  it.effect("are embeddings that can be read", () =>
    Effect.gen(function*() {
      const { embeddings = Effect.succeed([]) } = yield* Models
      const found = yield* embeddings
      assert.deepStrictEqual(found.map(({ name }) => name), ["token"])
      const [token] = found
      assert.strictEqual(yield* token?.hash ?? Effect.succeed(""), sha256(embedding).slice(0, 12))
      const read = yield* token?.read ?? Effect.undefined
      assert.deepStrictEqual([read?.name, read?.vectors, read?.rows.map(({ length }) => length)], ["token", 3, [96]])
    }))

  const line = "Steps: 2, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64"
  const token = sha256(embedding).slice(0, 12)
  it.effect.each<readonly [text: string, present: string, warnings: ReadonlyArray<RegExp>]>([
    [
      `a <lora:style:1> star <lyco:style>, <lora:styled:1>\n${line}, Lora hashes: "style: ${autoV3.slice(0, 12)}"`,
      `a <lora:renamed:1> star <lyco:renamed>, <lora:styled:1>\n${line}, Lora hashes: "renamed: ${
        autoV3.slice(0, 12)
      }"`,
      []
    ],
    [
      `a <lora:renamed:1> token\n${line}, Lora hashes: "renamed: ${autoV3.slice(0, 10)}", TI hashes: "token: ${token}"`,
      `a <lora:renamed:1> token\n${line}, Lora hashes: "renamed: ${autoV3.slice(0, 10)}", TI hashes: "token: ${token}"`,
      []
    ],
    [
      `a <lora:x:1> (old-token:1.2)\nNegative prompt: Old-Token, old-tokens\n${line}, ` +
      `Hashes: {"lora:x": "${sha256(lora).slice(0, 10)}", "embed:old-token": "${token}"}`,
      `a <lora:renamed:1> (token:1.2)\nNegative prompt: token, old-tokens\n${line}, ` +
      `Hashes: {"lora:renamed": "${sha256(lora).slice(0, 10)}", "embed:token": "${token}"}`,
      []
    ],
    [
      `<lora:renamed:1> token, gone\n${line}, Lora hashes: "renamed: 0123456789ab", ` +
      `TI hashes: "token: 0123456789ab, gone: 0123456789ac"`,
      `<lora:renamed:1> token, gone\n${line}, Lora hashes: "renamed: 0123456789ab", ` +
      `TI hashes: "token: 0123456789ab, gone: 0123456789ac"`,
      [/^The LoRA renamed is not the file/, /^The embedding token is not the file/, /embedding gone .* is not here/]
    ]
  ])(
    "are found by the hashes of an infotext where they have another name here: case %#",
    ([text, present, warnings]) =>
      Effect.gen(function*() {
        const found = yield* withPresentNetworks(text)
        assert.strictEqual(found.text, present)
        assert.lengthOf(found.warnings, warnings.length, found.warnings.join("\n"))
        for (const [i, pattern] of warnings.entries()) assert.match(found.warnings[i] ?? "", pattern)
      })
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { unpack } from "../models/checkpoint/data.ts"
import { platform } from "../models/fixtures.ts"
import { serving } from "./serving.ts"

const lora = "adapters/sd1-kohya.safetensors"
const vae = "vaes/diffusers.safetensors"
const upscaler = "upscalers/compact-x4.safetensors"

describe("the lists of a server", () => {
  it.effect("have the files of its models folders, new ones without a restart, and leave out what cannot be used", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack(lora, vae, upscaler)
      yield* fs.writeFileString(`${folder}/vaes/torn.safetensors`, "no weights")
      const { get, post } = yield* serving({ cmdOpts: { modelsDir: [folder] } })
      assert.deepStrictEqual((yield* get("/sdapi/v1/sd-vae")).body, [
        { model_name: "diffusers.safetensors", filename: `${folder}/${vae}` }
      ])
      const loras = (yield* get("/sdapi/v1/loras")).body
      assert(Array.isArray(loras))
      assert.lengthOf(loras, 1)
      assert.deepInclude(loras[0], { name: "sd1-kohya", path: `${folder}/${lora}` })
      assert.containsAllKeys(loras[0], ["alias", "metadata"])
      yield* fs.copyFile(`${folder}/${lora}`, `${folder}/new.safetensors`)
      for (const list of ["checkpoints", "vae", "loras", "embeddings"]) {
        const { body, status } = yield* post(`/sdapi/v1/refresh-${list}`)
        assert.deepStrictEqual({ body, status }, { body: null, status: 200 })
      }
      const after = (yield* get("/sdapi/v1/loras")).body
      assert(Array.isArray(after))
      assert.deepStrictEqual(after.map(({ name }) => name), ["sd1-kohya", "new"])
    }).pipe(Effect.scoped, Effect.provide(platform)))
})

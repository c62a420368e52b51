import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { renameSync } from "node:fs"
import { join } from "node:path"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { ImageEncoder } from "../../src/images/ImageEncoder.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { ServerOptions } from "../../src/server/host/ServerOptions.ts"
import * as Server from "../../src/server/Server.ts"
import { ModelsDir } from "../models/wholeVocabulary.ts"

const checkpoint = "sd1-full-vocabulary"
const options = { samples_save: false, grid_save: false, sd_model_checkpoint: checkpoint } as const

const serena = (folder: string) => Serena.layer({ options, cmdOpts: { modelsDir: folder } })

/** A server over a folder with LoRAs and embeddings: where it listens. */
class Served extends Context.Service<Served, string>()("test/Served") {
  static readonly layer = Layer.effect(
    Served,
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Server.layer().pipe(
          Layer.provideMerge(Layer.mergeAll(
            serena(yield* ModelsDir),
            ImageDecoder.layer,
            ImageEncoder.layer,
            NodeFileSystem.layer,
            NodePath.layer,
            ServerOptions.layer({ port: 0, grace: 1 })
          )),
          Layer.provideMerge(Logger.layer([]))
        )
      )
      const { address } = Context.get(context, HttpServer)
      return `http://127.0.0.1:${address._tag === "UnixPathAddress" ? 0 : address.port}/sdapi/v1`
    })
  ).pipe(Layer.provideMerge(ModelsDir.layer))
}

const Reply = Schema.Struct({
  images: Schema.Array(Schema.String),
  info: Schema.fromJsonString(Schema.Struct({
    warnings: Schema.optionalKey(Schema.Array(Schema.String)),
    infotexts: Schema.Array(Schema.String)
  }))
})

const small = { seed: 1, steps: 1, width: 64, height: 64, cfg_scale: 7 }

layer(Served.layer, { excludeTestServices: true })("a server with LoRAs", (it) => {
  const ask = Effect.fnUntraced(function*(body: object) {
    const url = yield* Served
    const answer = yield* Effect.promise(async () =>
      (await fetch(`${url}/txt2img`, { method: "POST", body: JSON.stringify({ ...small, ...body }) })).json()
    )
    const { images: [image = ""], info } = yield* Schema.decodeUnknownEffect(Reply)(answer)
    return { image: Buffer.from(image, "base64"), infotext: info.infotexts[0] ?? "", warnings: info.warnings ?? [] }
  })

  it.effect("makes what a fresh process makes, whatever it made before", () =>
    Effect.gen(function*() {
      const folder = yield* ModelsDir
      const fresh = Effect.fnUntraced(function*(prompt: string, model: string) {
        const request = Txt2Img.make({ ...small, prompt, override_settings: { sd_model_checkpoint: model } })
        const { images: [image], warnings } = yield* Effect.provide(processImages(request), serena(folder))
        assert.deepStrictEqual(warnings, [])
        return Buffer.from(image?.bytes ?? [])
      })
      const asked: ReadonlyArray<readonly [prompt: string, model: string]> = [
        ["a cat", checkpoint],
        ["a cat<lora:style:1>", checkpoint],
        ["a cat<lora:style:0.5:-1><lora:shape:0.7>", checkpoint],
        ["a cat<lora:style:1>", "other"]
      ]
      const expected = yield* Effect.forEach(asked, ([prompt, model]) => fresh(prompt, model))
      assert.lengthOf(new Set(expected.map((bytes) => bytes.toString("base64"))), expected.length)
      for (const place of [0, 1, 2, 0, 3, 1]) {
        const [prompt = "", sd_model_checkpoint = ""] = asked[place] ?? []
        const { image, warnings } = yield* ask({ prompt, override_settings: { sd_model_checkpoint } })
        assert.deepStrictEqual(warnings, [])
        assert.isTrue(image.equals(expected[place] ?? Buffer.of()), `${place}: ${prompt} on ${sd_model_checkpoint}`)
      }
    }))

  const get = Effect.fnUntraced(function*(path: string) {
    const url = yield* Served
    return yield* Effect.promise(async (): Promise<unknown> => (await fetch(`${url}${path}`)).json())
  })

  it.effect("reproduces images from infotexts, which list hashes, also when files have other names by then", () =>
    Effect.gen(function*() {
      const folder = yield* ModelsDir
      const prompt = "a cat <lora:Fine Style:0.8> <lora:shape:0>"
      const made = yield* ask({ prompt, negative_prompt: "<lora:style:1> two words, my-cat" })
      assert.match(
        made.infotext,
        /, Lora hashes: "Fine Style: [0-9a-f]{12}, shape: [0-9a-f]{12}", TI hashes: "two words: [0-9a-f]{12}, my-Cat: /
      )
      const without = { lora_add_hashes_to_infotext: false, textual_inversion_add_hashes_to_infotext: false }
      const unlisted = yield* ask({ infotext: made.infotext, override_settings: without })
      assert.notMatch(unlisted.infotext, /(Lora|TI) hashes/)
      const again = yield* ask({ infotext: made.infotext })
      assert.deepStrictEqual([again.infotext, again.warnings], [made.infotext, []])
      assert.isTrue(again.image.equals(made.image))

      const renamed = [["Lora/shape", "Lora/form"], ["embeddings/my-Cat", "embeddings/your-dog"]] as const
      for (const [from, to] of renamed) {
        renameSync(join(folder, `${from}.safetensors`), join(folder, `${to}.safetensors`))
      }
      const moved = yield* ask({ infotext: made.infotext })
      for (const [from, to] of renamed) {
        renameSync(join(folder, `${to}.safetensors`), join(folder, `${from}.safetensors`))
      }
      assert.deepStrictEqual(moved.warnings, [])
      assert.include(moved.infotext, "a cat <lora:Fine Style:0.8> <lora:form:0>")
      assert.include(moved.infotext, "Negative prompt: <lora:style:1> two words, your-dog")
      const pixels = (png: Buffer) => png.subarray(png.indexOf("IDAT"))
      assert.isTrue(pixels(moved.image).equals(pixels(made.image)))
    }))

  it.effect("makes the second pass of hires fix with the LoRAs of its own prompt", () =>
    Effect.gen(function*() {
      const hires = { enable_hr: true, hr_scale: 1.5, hr_upscaler: "Latent", denoising_strength: 0.7 }
      const plain = yield* ask({ prompt: "a cat", ...hires })
      const second = yield* ask({ prompt: "a cat", ...hires, hr_prompt: "a cat<lora:style:1>" })
      const both = yield* ask({ prompt: "a cat<lora:style:1>", ...hires })
      const made = [plain, second, both].map(({ image }) => image.subarray(image.indexOf("IDAT")).toString("base64"))
      assert.lengthOf(new Set(made), 3)
      assert.match(second.infotext, /Hires prompt: "a cat<lora:style:1>", .*Lora hashes: "style: [0-9a-f]{12}"/)
    }))

  it.effect("leaves out what is not there, and says so", () =>
    Effect.gen(function*() {
      const plain = yield* ask({ prompt: "a cat" })
      const { image, infotext, warnings } = yield* ask({ prompt: "a cat<lora:nothing:1>" })
      assert.deepStrictEqual(warnings, ["No LoRA is named nothing: it was left out."])
      assert.match(infotext, /^a cat<lora:nothing:1>\n(?!.*Lora hashes)/)
      const pixels = (png: Buffer) => png.subarray(png.indexOf("IDAT"))
      assert.isTrue(pixels(image).equals(pixels(plain.image)))
    }))

  it.effect("lists embeddings by whether they fit its model", () =>
    Effect.gen(function*() {
      const none = { step: null, sd_checkpoint: null, sd_checkpoint_name: null }
      assert.deepStrictEqual(yield* get("/embeddings"), {
        loaded: {
          "my-Cat": { ...none, shape: 8, vectors: 1 },
          "sootblack": { ...none, shape: 8, vectors: 1 },
          "two words": { ...none, shape: 8, vectors: 2 }
        },
        skipped: { wide: { ...none, shape: 12, vectors: 1 } }
      })
    }))
})

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Client, Txt2Img } from "../../../src/client/index.ts"
import { ImageDecoder } from "../../../src/images/ImageDecoder.ts"
import { ImageEncoder } from "../../../src/images/ImageEncoder.ts"
import { openSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import type { ControlUnitInput } from "../../../src/processing/FieldTypes.ts"
import { Limits } from "../../../src/processing/Limits.ts"
import { RemoteRuntime } from "../../../src/remote/index.ts"
import { processImages } from "../../../src/runner/processImages.ts"
import * as Serena from "../../../src/Serena.ts"
import { ServerOptions } from "../../../src/server/host/ServerOptions.ts"
import * as Server from "../../../src/server/Server.ts"
import * as Routes from "../../../src/server/v1/Routes.ts"
import { serena } from "../../cli/command.ts"
import { lines } from "../../cli/process.ts"
import * as pictures from "../../diffusion/pictures.ts"
import { unpack } from "../../models/checkpoint/data.ts"
import { madeControlNet } from "../../models/checkpoint/madeControlNet.ts"

const options = { samples_save: false, grid_save: false } as const
const chosen = { ...options, sd_model_checkpoint: "sd1-full-vocabulary" } as const

/** The embedded model, or the checkpoint of a folder. */
const local = (modelsDir?: string) =>
  Serena.layer(modelsDir === undefined ? { options } : { options: chosen, cmdOpts: { modelsDir } })

/** A server over an engine: where it listens, and the engine. */
const served = Effect.fnUntraced(function*(engine: ReturnType<typeof local>) {
  const context = yield* Layer.build(
    Server.layer(Routes.layer).pipe(
      Layer.provideMerge(Layer.mergeAll(
        engine,
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
  return { context, url: `http://127.0.0.1:${address._tag === "UnixPathAddress" ? 0 : address.port}` }
})

const Reply = Schema.Struct({
  images: Schema.Array(Schema.Uint8ArrayFromBase64),
  info: Schema.fromJsonString(Schema.Struct({ infotexts: Schema.Array(Schema.String) }))
})

const txt2img = (url: string, body: object) =>
  Effect.promise(async (): Promise<unknown> =>
    (await fetch(`${url}/sdapi/v1/txt2img`, { method: "POST", body: JSON.stringify(body) })).json()
  ).pipe(Effect.flatMap((reply) => Schema.decodeUnknownEffect(Reply)(reply)))

describe("Every door, on the embedded model", () => {
  it.live("gives the same bytes: library, /sdapi/v1, a run on another server, /v1", () =>
    Effect.gen(function*() {
      const { context, url } = yield* served(local())
      const processing = Txt2Img.make({
        prompt: "a {red|blue|green|yellow|white|pink|cyan|orange} {circle|star|heart}",
        seed: 4,
        steps: 2,
        width: 128,
        height: 128,
        batch_size: 2,
        dynamic_prompts: true
      })

      const library = yield* Effect.provideContext(processImages(processing), context)
      const expected = library.images.map(({ bytes }) => bytes)
      assert.strictEqual(expected.length, 2)
      assert.strictEqual(new Set(library.images.map(({ prompt }) => prompt)).size, 2)

      const elsewhere = yield* Effect.provide(processImages(processing), RemoteRuntime.layer({ url, options }))
      assert.deepStrictEqual(elsewhere.images.map(({ bytes }) => bytes), expected)

      const client = yield* Client.make({ url })
      const { id, images } = yield* client.generate(processing)
      const files = yield* Effect.forEach(images, ({ index }) => client.image(id, index))
      assert.deepStrictEqual(files, expected)

      const { override_settings: _, ...asked } = processing
      const { images: replied } = yield* txt2img(url, asked)
      assert.deepStrictEqual(replied, expected)
    }))

  it.live("gives the same bytes also where images are followed, on the command line too", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("checkpoints/sd1-full-vocabulary.safetensors")
      const checkpoint = yield* openSafetensors(join(folder, "checkpoints", "sd1-full-vocabulary.safetensors"))
      writeFileSync(join(folder, "edges.safetensors"), madeControlNet(checkpoint))
      const pose = join(folder, "pose.png")
      const image = yield* pictures.file(pictures.rectangle([16, 16, 40, 48]))
      writeFileSync(pose, image)

      const { context, url } = yield* served(local(folder))
      const size = { prompt: "a cat", seed: 3, steps: 2, width: 64, height: 64 }
      const library = (units: ReadonlyArray<ControlUnitInput>) =>
        processImages(Txt2Img.make({ ...size, control_units: units })).pipe(
          Effect.provideContext(context),
          Effect.map(({ images }) => images.map(({ bytes }) => bytes))
        )
      const unit = { module: "canny", processor_res: 64, model: "edges", weight: 0.8, guidance_end: 0.75 }
      const expected = yield* library([{ ...unit, image }])
      const asked = Txt2Img.make({ ...size, control_units: [{ ...unit, image }] })
      assert.notDeepEqual(yield* library([]), expected)

      const remote = RemoteRuntime.layer({ url, options: chosen })
      const elsewhere = yield* Effect.provide(processImages(asked), remote)
      assert.deepStrictEqual(elsewhere.images.map(({ bytes }) => bytes), expected)
      assert.deepStrictEqual(elsewhere.extraImages, [])

      const client = yield* Client.make({ url })
      const { extras, id, images } = yield* client.generate(asked)
      assert.deepStrictEqual(yield* Effect.forEach(images, ({ index }) => client.image(id, index)), expected)
      assert.deepStrictEqual(extras, [])

      const outdir = join(folder, "made")
      const flags = "--seed 3 --steps 2 --width 64 --height 64 --model sd1-full-vocabulary --quiet".split(" ")
      const control = `image=${pose},module=canny,processor_res=64,model=edges,weight=0.8,end=0.75`
      const { code, stderr, stdout } = yield* serena(
        ["txt2img", "a cat", ...flags, "--models-dir", folder, "--outdir", outdir, "--control", control]
      )
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.deepStrictEqual(lines(stdout).map((path) => new Uint8Array(readFileSync(path))), expected)

      // Clients of the webui get the map after the images, unless they do not want it.
      const argument = { ...unit, image: Base64.encode(image) }
      const withUnits = (args: ReadonlyArray<object>, more: object = {}) =>
        txt2img(url, { ...size, ...more, alwayson_scripts: { ControlNet: { args } } })
      const { images: [made, map, ...others], info } = yield* withUnits([argument])
      assert.deepStrictEqual([made, others, info.infotexts.length], [expected[0], [], 1])
      const shown = yield* client.preprocess({ ...unit, image })
      const pixels = (bytes: Uint8Array = new Uint8Array()) =>
        ImageDecoder.use(({ decode }) => decode(bytes, Limits.make({}))).pipe(Effect.provideContext(context))
      assert.deepStrictEqual(yield* pixels(map), yield* pixels(shown))
      const plain = [
        yield* withUnits([{ ...argument, save_detected_map: false }]),
        yield* withUnits([argument], { override_settings: { control_net_no_detectmap: true } })
      ]
      assert.deepStrictEqual(plain.map(({ images }) => images), [expected, expected])

      // What an argument leaves out is filled from the unit of its place in the infotext.
      const { images: [again] } = yield* withUnits([{ image: argument.image }], { infotext: info.infotexts[0] })
      assert.deepStrictEqual(again, expected[0])
      const { images: [lighter] } = yield* withUnits([{ image: argument.image, weight: 0.2 }], {
        infotext: info.infotexts[0]
      })
      assert.notDeepEqual(lighter, expected[0])
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

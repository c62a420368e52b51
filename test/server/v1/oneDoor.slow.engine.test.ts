import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Predicate from "effect/Predicate"
import { Client, Txt2Img } from "../../../src/client/index.ts"
import { ImageDecoder } from "../../../src/images/ImageDecoder.ts"
import { ImageEncoder } from "../../../src/images/ImageEncoder.ts"
import { RemoteRuntime } from "../../../src/remote/index.ts"
import { processImages } from "../../../src/runner/processImages.ts"
import * as Serena from "../../../src/Serena.ts"
import { ServerOptions } from "../../../src/server/host/ServerOptions.ts"
import * as Server from "../../../src/server/Server.ts"
import * as Routes from "../../../src/server/v1/Routes.ts"

const options = { samples_save: false, grid_save: false } as const

describe("Every door, on the embedded model", () => {
  it.live("gives the same bytes: library, /sdapi/v1, a run on another server, /v1", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Server.layer(Routes.layer).pipe(
          Layer.provideMerge(Layer.mergeAll(
            Serena.layer({ options }),
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
      const url = `http://127.0.0.1:${address._tag === "UnixPathAddress" ? 0 : address.port}`
      const processing = Txt2Img.make({
        prompt: "a red circle",
        seed: 3,
        steps: 2,
        width: 128,
        height: 128,
        batch_size: 2
      })

      const library = yield* Effect.provideContext(processImages(processing), context)
      const expected = library.images.map(({ bytes }) => bytes)
      assert.strictEqual(expected.length, 2)

      const elsewhere = yield* Effect.provide(processImages(processing), RemoteRuntime.layer({ url, options }))
      assert.deepStrictEqual(elsewhere.images.map(({ bytes }) => bytes), expected)

      const client = yield* Client.make({ url })
      const { id, images } = yield* client.generate(processing)
      const files = yield* Effect.forEach(images, ({ index }) => client.image(id, index))
      assert.deepStrictEqual(files, expected)

      const { override_settings: _, ...asked } = processing
      const reply = yield* Effect.promise(async () => {
        const response = await fetch(`${url}/sdapi/v1/txt2img`, { method: "POST", body: JSON.stringify(asked) })
        const body: unknown = await response.json()
        return Predicate.hasProperty(body, "images") ? body.images : undefined
      })
      assert.deepStrictEqual(reply, expected.map((bytes) => Base64.encode(bytes)))
    }))
})

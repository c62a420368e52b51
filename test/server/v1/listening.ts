/**
 * A real server with all of its routes, on a free port of this machine, over the real engine on a model that is
 * arithmetic.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { ImageDecoder } from "../../../src/images/ImageDecoder.ts"
import * as Stores from "../../../src/runs/Stores.ts"
import type { Places } from "../../../src/runs/Stores.ts"
import { RunQueue } from "../../../src/server/host/RunQueue.ts"
import { ServerOptions, type ServerSettings } from "../../../src/server/host/ServerOptions.ts"
import * as Reference from "../../../src/server/Reference.ts"
import * as Server from "../../../src/server/Server.ts"
import * as Routes from "../../../src/server/v1/Routes.ts"
import { TestModel, TestRuntime } from "../../../src/testing/index.ts"
import * as PlainEncoder from "../../../src/testing/PlainEncoder.ts"
import { layerTwoModels } from "../twoModels.ts"

export interface ListeningOptions extends TestRuntime.LayerOptions {
  readonly server?: Partial<ServerSettings> | undefined
  /** Where its runs are kept; in memory by default. */
  readonly stores?: Places | undefined
}

/** Listens until the scope closes. */
export const listening = Effect.fnUntraced(function*({ server, stores = {}, ...runtime }: ListeningOptions = {}) {
  const model = runtime.model ?? TestModel.make()
  const context = yield* Layer.build(
    Server.layer(Layer.mergeAll(Routes.layer, Reference.layer), Stores.layer(stores)).pipe(
      Layer.provideMerge(Layer.mergeAll(
        TestRuntime.layer({ ...runtime, model }),
        layerTwoModels(model, runtime.cmdOpts),
        PlainEncoder.layer,
        ImageDecoder.layer,
        NodeFileSystem.layer,
        NodePath.layer,
        ServerOptions.layer({ port: 0, grace: 1, ...server })
      )),
      Layer.provideMerge(Logger.layer([]))
    )
  )
  const { address } = Context.get(context, HttpServer)
  const url = `http://127.0.0.1:${address._tag === "UnixPathAddress" ? 0 : address.port}`
  const send = (path: string, init?: RequestInit) => Effect.promise((signal) => fetch(url + path, { signal, ...init }))
  return { url, send, queue: Context.get(context, RunQueue), context }
})

/** A request that is done in a few milliseconds. */
export const small = { prompt: "a cat", steps: 2, width: 64, height: 64, seed: 5 }

/** Its JSON, as a request. */
export const posted = (body: unknown, method = "POST"): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" }
})

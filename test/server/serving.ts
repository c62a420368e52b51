/**
 * A real server on a free port of this machine, over the real engine on a model that is arithmetic.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { RunQueue } from "../../src/server/host/RunQueue.ts"
import { ServerOptions, type ServerSettings } from "../../src/server/host/ServerOptions.ts"
import * as StudioFiles from "../../src/server/host/StudioFiles.ts"
import * as Mcp from "../../src/server/mcp/Routes.ts"
import * as OpenAi from "../../src/server/openai/Routes.ts"
import * as Reference from "../../src/server/Reference.ts"
import * as Server from "../../src/server/Server.ts"
import * as Routes from "../../src/server/v1/Routes.ts"
import { TestModel, TestRuntime } from "../../src/testing/index.ts"
import * as PlainEncoder from "../../src/testing/PlainEncoder.ts"
import { layerTwoModels } from "./twoModels.ts"

export interface ServingOptions extends TestRuntime.LayerOptions {
  readonly server?: Partial<ServerSettings> | undefined
  /** Further routes: `all` for `/v1`, the description and the studio. */
  readonly routes?: Layer.Layer<never> | "all" | undefined
}

/** What a server answered. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body as JSON, or undefined. */
  readonly body: unknown
}

const all = Layer.mergeAll(Routes.layer, OpenAi.layer, Mcp.layer, Reference.layer, StudioFiles.layer)

const silent = Logger.layer([])

/** Listens until the scope closes. */
export const serving = Effect.fnUntraced(function*({ routes, server, ...runtime }: ServingOptions = {}) {
  const model = runtime.model ?? TestModel.make()
  const context = yield* Layer.build(
    (routes === "all" ? Server.layer(all) : Server.layer(routes)).pipe(
      Layer.provideMerge(Layer.mergeAll(
        TestRuntime.layer({ ...runtime, model }),
        layerTwoModels(model, runtime.cmdOpts),
        PlainEncoder.layer,
        ImageDecoder.layer,
        NodeFileSystem.layer,
        NodePath.layer,
        ServerOptions.layer({ port: 0, grace: 1, ...server })
      )),
      Layer.provideMerge(silent)
    )
  )
  const { address } = Context.get(context, HttpServer)
  const port = address._tag === "UnixPathAddress" ? 0 : address.port
  const url = `http://127.0.0.1:${port}`
  const send = (path: string, init?: RequestInit) =>
    Effect.promise(async (signal): Promise<Answer> => {
      const response = await fetch(url + path, { signal, redirect: "manual", ...init })
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, body: parsed(text) }
    })
  const post = (path: string, body?: unknown, init?: RequestInit) =>
    send(path, { method: "POST", ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...init })
  return { url, port, send, get: (path: string) => send(path), post, queue: Context.get(context, RunQueue), context }
})

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A request that is done in a few milliseconds. */
export const small = { prompt: "a cat", steps: 2, width: 64, height: 64, seed: 5 }

/** Waits until something holds. */
export const until = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (value: A) => boolean): Effect.Effect<A, E, R> =>
  Effect.filterOrElse(effect, holds, () => Effect.andThen(Effect.sleep(2), until(effect, holds)))

/**
 * A run on another server, with pictures that are saved in memory on this side.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import type { OptionsPatch } from "../../src/processing/OptionsSnapshot.ts"
import { RemotePipeline, RemoteRuntime } from "../../src/remote/index.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { SavedImages } from "../../src/testing/index.ts"
import * as PlainEncoder from "../../src/testing/PlainEncoder.ts"
import { listening, type ListeningOptions } from "../server/v1/listening.ts"

export interface RemoteTestOptions extends RemotePipeline.RemotePipelineOptions {
  readonly hooks?: Layer.Layer<RunnerHooks> | undefined
  readonly options?: OptionsPatch | undefined
}

/** What `processImages` asks for, of a server at this address. */
export const remoteTo = ({ hooks = RunnerHooks.layerNoop, ...options }: RemoteTestOptions) =>
  Layer.mergeAll(
    hooks,
    RemoteRuntime.layerContext({ ...options, defaultSize: { width: 64, height: 64 } }),
    RemotePipeline.layer({ pollInterval: "5 millis", ...options }).pipe(
      Layer.provideMerge(SavedImages.layer),
      Layer.provide(Layer.mergeAll(NodeHttpClient.layerNodeHttp, ImageDecoder.layer, PlainEncoder.layer))
    )
  )

/** The same, of a server of its own. */
export const remote = Effect.fnUntraced(function*({ engine, hooks }: {
  readonly engine?: ListeningOptions | undefined
  readonly hooks?: Layer.Layer<RunnerHooks> | undefined
}) {
  const { url } = yield* Effect.orDie(listening(engine))
  return remoteTo({ url, hooks })
})

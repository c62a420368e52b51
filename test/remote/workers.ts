/**
 * A run that a worker makes: one in this process, over the same stores, on the real engine.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ClusterPipeline, ClusterRuntime } from "../../src/cluster/index.ts"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import type { BlobStore } from "../../src/runs/BlobStore.ts"
import { Dispatcher, thisWorker } from "../../src/runs/Dispatcher.ts"
import type { RunStore } from "../../src/runs/RunStore.ts"
import * as Stores from "../../src/runs/Stores.ts"
import { SavedImages, TestRuntime } from "../../src/testing/index.ts"
import * as PlainEncoder from "../../src/testing/PlainEncoder.ts"

const keepAll = { runs: Infinity, time: Infinity, bytes: Infinity }

/** Takes runs from stores until the scope closes. */
const worker = (stores: Context.Context<BlobStore | RunStore>, engine: TestRuntime.PipelineOptions | undefined) =>
  Layer.build(
    Dispatcher.layer({
      slots: 1,
      takesAny: true,
      saves: true,
      maxRunSeconds: 0,
      maxStrikes: 3,
      worker: thisWorker(),
      models: Effect.undefined,
      loaded: Effect.succeed([]),
      keep: undefined,
      keepInMemory: keepAll,
      made: () => Effect.void
    }).pipe(
      Layer.provide(Layer.succeedContext(stores)),
      Layer.provide(Layer.mergeAll(TestRuntime.layer(engine), ImageDecoder.layer, PlainEncoder.layer))
    )
  )

/** What `processImages` asks for, of stores that a worker of their own takes runs from; and these stores. */
export const workers = Effect.fnUntraced(function*(
  { engine, hooks = RunnerHooks.layerNoop, ...options }: ClusterRuntime.ContextOptions & {
    readonly engine?: TestRuntime.PipelineOptions | undefined
    readonly hooks?: Layer.Layer<RunnerHooks> | undefined
  }
) {
  const stores = yield* Layer.build(Layer.fresh(Stores.layerMemory))
  yield* worker(stores, engine)
  const layer = Layer.mergeAll(
    hooks,
    ClusterRuntime.layerContext({ ...options, defaultSize: { width: 64, height: 64 } }),
    ClusterPipeline.layer(options).pipe(
      Layer.provideMerge(SavedImages.layer),
      Layer.provide(Layer.mergeAll(Layer.succeedContext(stores), ImageDecoder.layer, PlainEncoder.layer))
    )
  )
  return { layer, stores }
})

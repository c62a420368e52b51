/**
 * The server: both HTTP APIs' services and routes, put together.
 *
 * `layer` listens once its routes are built, until its scope closes. Then it accepts no more runs, gives executing ones
 * the grace period and asks them to return what they have. It still answers requests until they have ended, and stops
 * listening last. `routes` adds further routes (`/v1`, the studio).
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type { BlobStore } from "../runs/BlobStore.ts"
import type { RunStore } from "../runs/RunStore.ts"
import * as Stores from "../runs/Stores.ts"
import { Authentication } from "./host/Authentication.ts"
import { Downloads } from "./host/Downloads.ts"
import { Lifetime } from "./host/Lifetime.ts"
import { ModelShelf } from "./host/ModelShelf.ts"
import { ModelTitles } from "./host/ModelTitles.ts"
import { offeredModels } from "./host/offeredModels.ts"
import { Presets } from "./host/Presets.ts"
import { RunQueue } from "./host/RunQueue.ts"
import { ServerOptions } from "./host/ServerOptions.ts"
import { Settings } from "./host/Settings.ts"
import { sharingOf } from "./host/sharing.ts"
import { TagBook } from "./host/TagBook.ts"
import * as Listener from "./Listener.ts"
import * as Middleware from "./Middleware.ts"
import * as RouteMethods from "./RouteMethods.ts"
import { Generation } from "./sdapi/Generation.ts"
import { RequestImages } from "./sdapi/RequestImages.ts"
import * as Sdapi from "./sdapi/Router.ts"
import { upstreamSettings } from "./sdapi/upstreamSettings.ts"

const health = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const queue = yield* RunQueue
    yield* router.add("GET", "/health/live", Effect.succeed(Sdapi.json(200, { status: "ok" })))
    yield* router.add(
      "GET",
      "/health/ready",
      Effect.sync(() =>
        queue.isAccepting()
          ? Sdapi.json(200, { status: "ready" })
          : Sdapi.json(503, { status: "shutting down" }, { "retry-after": "10" })
      )
    )
  })
)

// Ends the runs while the server still answers: health checks, progress, and refusals of new runs.
const drainAtEnd = Effect.gen(function*() {
  const { grace } = yield* ServerOptions
  const queue = yield* RunQueue
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      const drain = yield* Effect.forkDetach(queue.drain(grace * 1000), { startImmediately: true })
      // A network call that does not return is not waited for.
      yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(drain)), (grace + Listener.lastReplies) * 1000)
    })
  )
})

/** The queue with the bounds of the server options. */
const layerQueue = Layer.unwrap(
  Effect.map(
    Effect.all([ServerOptions, ModelTitles, offeredModels]),
    ([server, titles, { loaded, models }]) => {
      const { isShared, works } = sharingOf(server)
      return RunQueue.layer({
        concurrency: server.concurrency,
        maxRunSeconds: server.max_run_seconds,
        maxStrikes: server.max_attempts,
        queue: server.queue,
        takesAny: works,
        saves: !isShared,
        spreads: isShared,
        keep: { time: server.keep_days * 86_400_000, bytes: server.keep_bytes, runs: Infinity },
        loaded,
        // Alone, it has to try all.
        ...(isShared && { models }),
        // Titles show the hash of a model once it has been used.
        made: ({ plan }) => titles.learn(plan.model.name)
      })
    }
  )
)

const layerSettings = Layer.unwrap(
  Effect.map(
    ServerOptions,
    ({ allow_url_hosts, options_file }) =>
      Settings.layer({ file: options_file, fetchesUrls: allow_url_hosts.length > 0, inactive: upstreamSettings })
  )
)

/** The services of all routes: authentication, queue, settings, model titles, lifetime. */
export const layerServices = Layer.mergeAll(Authentication.layer, Downloads.layer, Generation.layer, Lifetime.layer)
  .pipe(
    Layer.provideMerge(Layer.mergeAll(layerSettings, RequestImages.layer)),
    Layer.provideMerge(Layer.mergeAll(layerQueue, ModelShelf.layer, Presets.layer, TagBook.layer)),
    Layer.provideMerge(ModelTitles.layer)
  )

/** The webui's API, health checks, and the middleware. */
const layerOwn = Layer.mergeAll(Middleware.layer, Sdapi.layer, health)

/**
 * Listens for requests and answers them.
 *
 * @param routes Further routes for the same router.
 * @param stores Where runs are kept; in memory unless given.
 */
export const layer = <E = never, R = never, SE = never, SR = never>(
  routes?: Layer.Layer<never, E, R>,
  stores?: Layer.Layer<BlobStore | RunStore, SE, SR>
) =>
  Layer.unwrap(Effect.sync(() =>
    Layer.effect(
      HttpServer,
      Effect.gen(function*() {
        const app = yield* HttpRouter.toHttpEffect(
          (routes === undefined ? layerOwn : Layer.provideMerge(layerOwn, routes)).pipe(
            Layer.provide(RouteMethods.layerRouter),
            Layer.provide(RouteMethods.RouteMethods.layer)
          )
        )
        const server = yield* Listener.listen(app)
        // The last finalizer to be added runs first.
        yield* drainAtEnd
        return server
      }).pipe(Effect.provideService(HttpRouter.RouterConfig, {
        ignoreDuplicateSlashes: false,
        ignoreTrailingSlash: false,
        maxParamLength: 500
      }))
    ).pipe(
      Layer.provide(NodeHttpServer.layerHttpServices),
      Layer.provideMerge(layerServices),
      Layer.provideMerge(Layer.fresh(stores ?? Stores.layerMemory))
    )
  ))

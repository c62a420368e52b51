/**
 * The server: both HTTP APIs' services and routes, put together.
 *
 * `layer` listens until its scope closes. Then it accepts no more requests, gives executing runs the grace period, asks
 * them to return what they have, and replies to the clients that wait. `routes` adds further routes (`/v1`, the studio).
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { Authentication } from "./host/Authentication.ts"
import { Lifetime } from "./host/Lifetime.ts"
import { ModelTitles } from "./host/ModelTitles.ts"
import { RunQueue } from "./host/RunQueue.ts"
import { ServerOptions } from "./host/ServerOptions.ts"
import { Settings } from "./host/Settings.ts"
import * as Listener from "./Listener.ts"
import * as Middleware from "./Middleware.ts"
import { Generation } from "./sdapi/Generation.ts"
import { Pictures } from "./sdapi/Pictures.ts"
import * as Sdapi from "./sdapi/Router.ts"
import { upstreamSettings } from "./sdapi/upstreamSettings.ts"

const health = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const queue = yield* RunQueue
    yield* router.add("GET", "/health/live", Effect.succeed(Sdapi.json(200, { status: "ok" })))
    yield* router.add(
      "GET",
      "/health/ready",
      Effect.map(queue.accepting, (accepting) =>
        accepting
          ? Sdapi.json(200, { status: "ready" })
          : Sdapi.json(503, { status: "shutting down" }, { "retry-after": "10" }))
    )
  })
)

// Built after the routes, so that it ends first: waiting requests get replies, and runs end within the grace period.
const draining = Layer.effectDiscard(Effect.gen(function*() {
  const { grace } = yield* ServerOptions
  const queue = yield* RunQueue
  yield* Effect.addFinalizer(() =>
    Effect.asVoid(Effect.forkDetach(queue.drain(grace * 1000), { startImmediately: true }))
  )
}))

/** The queue with the bounds of the server options. */
const layerQueue = Layer.unwrap(
  Effect.map(
    ServerOptions,
    ({ concurrency, max_run_seconds: maxRunSeconds, queue }) => RunQueue.layer({ concurrency, maxRunSeconds, queue })
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
const layerServices = Layer.mergeAll(Authentication.layer, Generation.layer, Lifetime.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(layerSettings, Pictures.layer)),
  Layer.provideMerge(Layer.mergeAll(layerQueue, ModelTitles.layer))
)

/** The webui's API, health checks, and the middleware. */
const layerRoutes = Layer.mergeAll(Middleware.layer, Sdapi.layer, health)

/**
 * Listens for requests and answers them.
 *
 * @param routes Further routes for the same router.
 */
export const layer = <E = never, R = never>(routes?: Layer.Layer<never, E, R>) =>
  Layer.unwrap(Effect.sync(() =>
    draining.pipe(
      Layer.provideMerge(
        HttpRouter.serve(routes === undefined ? layerRoutes : Layer.provideMerge(layerRoutes, routes), {
          disableLogger: true,
          disableListenLog: true,
          routerConfig: { ignoreDuplicateSlashes: false, ignoreTrailingSlash: false, maxParamLength: 500 }
        })
      ),
      Layer.provideMerge(Listener.layer),
      Layer.provideMerge(layerServices)
    )
  ))

/**
 * The methods of every path: for 405 replies, their `Allow` header, and OPTIONS.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FindMyWay from "effect/http/FindMyWay"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"

export class RouteMethods extends Context.Service<RouteMethods, {
  /** The methods of a path, in the order in which its routes were added; none for a path without a route. */
  readonly at: (path: string) => ReadonlyArray<string>
  /** Notes a route. */
  readonly note: (method: string, path: HttpRouter.PathInput) => void
}>()("serena/server/RouteMethods") {
  static readonly layer: Layer.Layer<RouteMethods> = Layer.effect(
    RouteMethods,
    Effect.map(HttpRouter.RouterConfig, (config) => {
      const methods = new Map<string, Array<string>>()
      // Finds the pattern of a path; the method under which patterns are noted has no meaning.
      const patterns = FindMyWay.make<string>(config)
      return RouteMethods.of({
        at: (path) => methods.get(patterns.find("GET", path)?.handler ?? "") ?? [],
        note: (method, path) => {
          const known = methods.get(path)
          if (known === undefined) {
            methods.set(path, [method])
            patterns.on("GET", path, path)
          } else if (!known.includes(method)) known.push(method)
        }
      })
    })
  )
}

// The same router, which notes every route that is added to it.
const noting = (
  router: HttpRouter.HttpRouter,
  methods: RouteMethods["Service"],
  prefix = ""
): HttpRouter.HttpRouter => {
  const note = (method: string, path: HttpRouter.PathInput) =>
    methods.note(method, path === "*" ? path : `/${(prefix + path).replace(/^\/+/, "")}`)
  return {
    ...router,
    add: (method, path, handler, options) => {
      note(method, path)
      return router.add(method, path, handler, options)
    },
    addAll: (routes) => {
      for (const { method, path } of routes) note(method, path)
      return router.addAll(routes)
    },
    prefixed: (further) => noting(router.prefixed(further), methods, prefix + further)
  }
}

/** The router that notes its routes, over the one that serves them. */
export const layerRouter: Layer.Layer<HttpRouter.HttpRouter, never, HttpRouter.HttpRouter | RouteMethods> = Layer
  .effect(
    HttpRouter.HttpRouter,
    Effect.gen(function*() {
      return noting(yield* HttpRouter.HttpRouter, yield* RouteMethods)
    })
  )

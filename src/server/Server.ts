/**
 * The server: everything that answers over HTTP, put together.
 *
 * `layer` listens, and stops listening when its scope closes: no request is taken any more, runs get their time, then are
 * asked to give what they have, and whoever waits is answered. Routes of others (`/v1`, the page) are added by `routes`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { randomUUID } from "node:crypto"
import * as http from "node:http"
import * as https from "node:https"
import type { Duplex } from "node:stream"
import { InvalidOptions } from "../processing/Options.ts"
import { Authentication } from "./host/Authentication.ts"
import * as Cors from "./host/Cors.ts"
import { Lifetime } from "./host/Lifetime.ts"
import { ModelTitles } from "./host/ModelTitles.ts"
import { RunQueue } from "./host/RunQueue.ts"
import { ServerOptions, type ServerSettings } from "./host/ServerOptions.ts"
import { Settings } from "./host/Settings.ts"
import { type ApiError, fromAuthentication, refuse } from "./sdapi/ApiError.ts"
import { Generation } from "./sdapi/Generation.ts"
import { tooLarge } from "./sdapi/JsonBody.ts"
import { Pictures } from "./sdapi/Pictures.ts"
import { write } from "./sdapi/PythonJson.ts"
import { endpoints } from "./sdapi/Routes.ts"
import { upstreamSettings } from "./sdapi/upstreamSettings.ts"

const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(write(body), { status, contentType: "application/json", headers })

/** An error as the reply that clients of stable-diffusion-webui read. */
export const errorResponse = (error: ApiError): HttpServerResponse.HttpServerResponse =>
  error._tag === "Unprocessable"
    ? json(422, { detail: error.detail })
    : json(
      error.status,
      error.status === 404 && error.detail === "Not Found"
        ? { detail: "Not Found" }
        : { error: error.error, detail: error.detail, body: "", errors: error.errors },
      error.headers
    )

const foreign = refuse(403, "Disallowed CORS origin", {
  errors: "A page of another origin may not ask this server for anything. Name it with --cors-allow-origins."
})

// A page may send what needs no preflight to any server. Browsers say so, other clients say nothing.
const isForeign = (request: HttpServerRequest.HttpServerRequest, { allows }: Cors.Cors): boolean =>
  request.method === "POST" && isOfAnotherOrigin(request.headers) && !allows(request.headers["origin"] ?? "")

// Older browsers, and pages that are not secure, only tell the origin.
const isOfAnotherOrigin = (headers: Readonly<Record<string, string | undefined>>): boolean => {
  const { host, origin, "sec-fetch-site": site } = headers
  if (site !== undefined) return /^(?:cross|same)-site$/.test(site)
  return origin !== undefined && URL.parse(origin)?.host !== host
}

const internalError = refuse(500, "", {
  error: "InternalServerError",
  errors: "Serena made a mistake. Its log says more, under this reply's request id."
})

const pathOf = (url: string): string => url.split(/[?#]/, 1)[0] ?? url

// Whether a path's escapes are characters; the router dies of others.
const isReadable = (url: string): boolean => {
  try {
    return decodeURIComponent(pathOf(url)) !== undefined
  } catch {
    return false
  }
}

/** The methods that a path has. */
const methodsAt = (path: string): ReadonlyArray<string> =>
  endpoints.filter((endpoint) => endpoint.path === path).map(({ method }) => method)

/** What no route answers: a slash too many, a wrong method, nothing at all. */
const fallback = (request: HttpServerRequest.HttpServerRequest) => {
  const path = pathOf(request.url)
  const shorter = path.replace(/(?<=.)\/$/, "")
  if (shorter !== path && methodsAt(shorter).length > 0) {
    return HttpServerResponse.empty({
      status: 307,
      headers: { location: shorter + request.url.slice(path.length) }
    })
  }
  const methods = methodsAt(path)
  return methods.length > 0
    ? json(405, { detail: "Method Not Allowed" }, { allow: [...new Set(methods)].join(", ") })
    : json(404, { detail: "Not Found" })
}

const routesOfApi = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const { check } = yield* Authentication
    for (const { answer, guarded, method, path } of endpoints) {
      yield* router.add(method, path, (request) =>
        (guarded ? Effect.mapError(check(request.headers["authorization"]), fromAuthentication) : Effect.void).pipe(
          Effect.andThen(answer(request)),
          Effect.catch((error) =>
            Effect.succeed(errorResponse(error))
          )
        ))
    }
    yield* router.add("*", "/*", (request) =>
      Effect.sync(() => fallback(request)))
  })
)

const health = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const queue = yield* RunQueue
    yield* router.add("GET", "/health/live", Effect.succeed(json(200, { status: "ok" })))
    yield* router.add(
      "GET",
      "/health/ready",
      Effect.map(queue.accepting, (accepting) =>
        accepting ? json(200, { status: "ready" }) : json(503, { status: "shutting down" }, { "retry-after": "10" }))
    )
  })
)

const securityHeaders = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin"
}

// A client's own id is taken when it is harmless to print.
const requestIdOf = (given: string | undefined): string =>
  given !== undefined && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()

/** Around every request: its id, limits, origin; and what went wrong, as a reply and a line of the log. */
const around = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const options = yield* ServerOptions
    const cors = Cors.make(options)
    const queue = yield* RunQueue
    const limit = ByteSize.bytes(options.max_body_bytes)

    yield* router.addGlobalMiddleware((handler) =>
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const begun = yield* Clock.currentTimeNanos
        const id = requestIdOf(request.headers["x-request-id"])
        const { origin } = request.headers
        const isPreflight = request.method === "OPTIONS" && origin !== undefined &&
          request.headers["access-control-request-method"] !== undefined

        const answered = isPreflight
          ? Effect.succeed(cors.preflight(origin, request.headers["access-control-request-headers"]))
          : isForeign(request, cors)
          ? Effect.succeed(errorResponse(foreign))
          : !isReadable(request.url)
          ? Effect.succeed(json(404, { detail: "Not Found" }))
          : Number(request.headers["content-length"] ?? 0) > options.max_body_bytes
          ? Effect.succeed(errorResponse(tooLarge))
          : handler
        const seconds = Effect.map(Clock.currentTimeNanos, (now) => Number(now - begun) / 1e9)

        return yield* answered.pipe(
          Effect.provideService(HttpIncomingMessage.MaxBodySize, limit),
          // Whoever is gone gets no answer; a mistake of ours is logged in full, and told without its stack.
          Effect.catchCauseIf(
            (cause) => !Cause.hasInterruptsOnly(cause),
            (cause) => Effect.as(Effect.logError("request failed", cause), errorResponse(internalError))
          ),
          Effect.flatMap((response) =>
            Effect.zipWith(seconds, queue.accepting, (time, accepting) =>
              HttpServerResponse.setHeaders(response, {
                ...securityHeaders,
                ...cors.headers(origin),
                "x-request-id": id,
                "x-process-time": time.toFixed(4),
                // A connection that is kept open would keep the server from ending.
                ...(!accepting && { connection: "close" })
              }))
          ),
          Effect.onExit((exit) =>
            Effect.flatMap(seconds, (time) =>
              Effect.annotateLogs(Effect.logInfo("request"), {
                "http.method": request.method,
                "http.path": pathOf(request.url).slice(0, 200),
                "http.status": Exit.isSuccess(exit) ? exit.value.status : 499,
                "http.seconds": Number(time.toFixed(4)),
                "client": Option.getOrElse(request.remoteAddress, () => "")
              }))
          ),
          Effect.annotateLogs({ "request.id": id })
        )
      })
    )
    yield* router.addGlobalMiddleware(
      HttpMiddleware.compression({ algorithms: ["gzip"], minSize: 1000, levels: { gzip: 1 } })
    )
  })
)

// What Node itself refuses, before there is a request: in the same words as all else.
const refusals: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout"]
}

const onClientError = (error: NodeJS.ErrnoException, socket: Duplex) => {
  if (!socket.writable || error.code === "ECONNRESET") return socket.destroy()
  const [status, reason] = refusals[error.code ?? ""] ?? [400, "Bad Request"]
  const body = JSON.stringify({ detail: reason })
  return socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n` +
      `Connection: close\r\n\r\n${body}`
  )
}

const nodeServer = (
  options: ServerSettings,
  tls: { readonly cert: Uint8Array; readonly key: Uint8Array } | undefined
) => {
  const settings = {
    maxHeaderSize: options.max_header_bytes,
    headersTimeout: options.headers_timeout * 1000,
    requestTimeout: options.request_timeout * 1000,
    connectionsCheckingInterval: Math.min(5000, options.headers_timeout * 500),
    keepAliveTimeout: 30_000
  }
  const server = tls === undefined
    ? http.createServer(settings)
    : https.createServer({ ...settings, cert: Buffer.from(tls.cert), key: Buffer.from(tls.key), minVersion: "TLSv1.2" })
  server.on("clientError", onClientError)
  return server
}

const readTls = Effect.fnUntraced(function*({ tls_certfile, tls_keyfile }: ServerSettings) {
  if (tls_certfile === undefined || tls_keyfile === undefined) return undefined
  const fs = yield* FileSystem.FileSystem
  const read = (path: string, file: string) =>
    Effect.mapError(
      fs.readFile(file),
      ({ message }) => new InvalidOptions({ problems: [{ path, message: `${file} cannot be read: ${message}` }] })
    )
  return { cert: yield* read("tls_certfile", tls_certfile), key: yield* read("tls_keyfile", tls_keyfile) }
})

const listening = Layer.unwrap(Effect.gen(function*() {
  const options = yield* ServerOptions
  const tls = yield* readTls(options)
  return NodeHttpServer.layer(() => nodeServer(options, tls), {
    host: options.host.replace(/^\[|\]$/g, ""),
    port: options.port,
    gracefulShutdownTimeout: Duration.seconds(options.grace + 30)
  })
}))

// Built after what serves, so that it ends first: waiting requests are answered, and runs end within the grace time.
const draining = Layer.effectDiscard(Effect.gen(function*() {
  const { grace } = yield* ServerOptions
  const queue = yield* RunQueue
  yield* Effect.addFinalizer(() =>
    Effect.asVoid(Effect.forkDetach(queue.drain(grace * 1000), { startImmediately: true }))
  )
}))

/** RunQueue as the server's options have them. */
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

/** What the routes ask for, and others' routes may: queue, settings, titles, the server's end. */
export const layerServices = Layer.mergeAll(Authentication.layer, Generation.layer, Lifetime.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(layerSettings, Pictures.layer)),
  Layer.provideMerge(Layer.mergeAll(layerQueue, ModelTitles.layer))
)

/** The routes of this server: the webui's API and health. */
export const layerRoutes = Layer.mergeAll(around, routesOfApi, health)

/**
 * Listens and answers.
 *
 * @param routes Routes of others, added to the same router.
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
      Layer.provideMerge(listening),
      Layer.provideMerge(layerServices)
    )
  ))

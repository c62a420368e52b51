/**
 * The middleware around every request: request id, origin, size limit, log, and the reply to defects.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { randomBytes } from "node:crypto"
import {
  ForeignOrigin,
  InternalError,
  MethodNotAllowed,
  PathNotFound,
  TooLarge,
  UnknownHost
} from "../contract/errors.ts"
import * as AllowedHosts from "./host/AllowedHosts.ts"
import * as Cors from "./host/Cors.ts"
import { RunQueue } from "./host/RunQueue.ts"
import { ServerOptions, type ServerSettings } from "./host/ServerOptions.ts"
import { isUpstream, refusalResponse } from "./Refusals.ts"
import { RouteMethods } from "./RouteMethods.ts"
import { pathOf } from "./sdapi/Router.ts"

const securityHeaders = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin"
}

// Browsers send simple requests to other origins without a preflight, and say so. Other clients send neither header.
const isForeign = ({ headers, method }: HttpServerRequest.HttpServerRequest, { allows }: Cors.Cors): boolean =>
  method === "POST" && isOfAnotherOrigin(headers) && !allows(headers["origin"] ?? "")

// Older browsers, and pages in an insecure context, send the origin only.
const isOfAnotherOrigin = (headers: Readonly<Record<string, string | undefined>>): boolean => {
  const { host, origin, "sec-fetch-site": site } = headers
  if (site !== undefined) return /^(?:cross|same)-site$/.test(site)
  return origin !== undefined && URL.parse(origin)?.host !== host
}

// Whether a path can be decoded. The router has a defect otherwise.
const isDecodable = (path: string): boolean => {
  if (!path.includes("%")) return true
  try {
    return decodeURIComponent(path) !== undefined
  } catch {
    return false
  }
}

// Ids of this process begin alike, and are counted: random ones cost more than all else that is checked.
const own = `${randomBytes(8).toString("hex")}-`
let counted = 0

// A client's own id is used if it is safe to print.
const requestIdOf = (given: string | undefined): string =>
  given !== undefined && /^[\w.:-]{1,128}$/.test(given) ? given : own + String(++counted)

/**
 * The reply to a request that no route sees: an unknown host, a preflight, a foreign page, an invalid path, a body that
 * is too large.
 */
const earlyReply = (
  request: HttpServerRequest.HttpServerRequest,
  path: string,
  { allowsHost, cors, options: { max_body_bytes } }: {
    readonly allowsHost: AllowedHosts.AllowsHost
    readonly cors: Cors.Cors
    readonly options: ServerSettings
  }
): HttpServerResponse.HttpServerResponse | undefined => {
  const { host, origin } = request.headers
  if (!allowsHost(host)) return refusalResponse(path, new UnknownHost({ host: host ?? "" }))
  if (
    request.method === "OPTIONS" && origin !== undefined &&
    request.headers["access-control-request-method"] !== undefined
  ) return cors.preflight(origin, request.headers["access-control-request-headers"])
  if (isForeign(request, cors)) return refusalResponse(path, new ForeignOrigin({ origin: origin ?? "" }))
  if (!isDecodable(path)) return refusalResponse(path, new PathNotFound({ path }))
  return Number(request.headers["content-length"] ?? 0) > max_body_bytes
    ? refusalResponse(path, new TooLarge({ what: "The body", limit: max_body_bytes }))
    : undefined
}

const isMissingRoute = (cause: Cause.Cause<unknown>): boolean =>
  Option.exists(
    Cause.findErrorOption(cause),
    (error) => HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"
  )

// A defect is logged in full; its reply has no stack. A client that disconnected gets no reply.
const withDefectReply = (path: string) =>
  Effect.catchCauseIf(
    (cause: Cause.Cause<unknown>) => !Cause.hasInterruptsOnly(cause),
    (cause) => Effect.as(Effect.logError("request failed", cause), refusalResponse(path, new InternalError()))
  )

/** The reply for a path and method without a route. */
const fallback = (
  { method, url }: HttpServerRequest.HttpServerRequest,
  { at }: RouteMethods["Service"]
): HttpServerResponse.HttpServerResponse => {
  const path = pathOf(url)
  const shorter = path.replace(/(?<=.)\/$/, "")
  const methods = at(path)
  if (methods.length === 0) {
    return shorter !== path && at(shorter).length > 0
      ? HttpServerResponse.empty({ status: 307, headers: { location: shorter + url.slice(path.length) } })
      : refusalResponse(path, new PathNotFound({ path }))
  }
  const allowed = allowedMethods(path, methods)
  return method === "OPTIONS" && allowed.includes(method)
    ? HttpServerResponse.empty({ status: 204, headers: { allow: allowed.join(", ") } })
    : refusalResponse(path, new MethodNotAllowed({ method, allowed }))
}

// Methods that every path has without a route of its own. The webui's paths have none, as upstream.
const allowedMethods = (path: string, methods: ReadonlyArray<string>): ReadonlyArray<string> =>
  isUpstream(path) ? methods : [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"]

/** Health checks and scrapes come every few seconds: they are logged below the default level. */
const isRoutine = (path: string): boolean =>
  path.startsWith("/health/") || path === "/internal/ping" || path === "/metrics"

const levelOf = (path: string) => isRoutine(path) ? "Debug" : "Info"

const logReply = (
  { method, remoteAddress }: HttpServerRequest.HttpServerRequest,
  path: string,
  exit: Exit.Exit<HttpServerResponse.HttpServerResponse, unknown>,
  seconds: number
) =>
  Effect.annotateLogs(Effect.logWithLevel(levelOf(path))("request"), {
    "http.method": method,
    "http.path": path.slice(0, 200),
    "http.status": Exit.isSuccess(exit) ? exit.value.status : 499,
    "http.seconds": Number(seconds.toFixed(4)),
    "client": Option.getOrElse(remoteAddress, () => "")
  })

/** Bytes from which on a reply is compressed for clients that can read that. */
const minSize = 1000

/**
 * Whether all that compression would do with a reply is to say that it varies with `Accept-Encoding`. That holds for
 * small JSON, which most replies are: they are spared the negotiation.
 */
const onlyVaries = ({ body, headers, status }: HttpServerResponse.HttpServerResponse): boolean =>
  body._tag === "Uint8Array" && body.contentLength < minSize && headers["content-type"] === "application/json" &&
  (status === 200 || status >= 400) && headers["vary"] === undefined && headers["cache-control"] === undefined &&
  headers["content-encoding"] === undefined

/**
 * A reply with other headers. `HttpServerResponse.setHeaders` copies all of them four times, which was a tenth of the
 * cost of a small request.
 */
const withHeaders = (
  response: HttpServerResponse.HttpServerResponse,
  headers: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse =>
  Object.assign(Object.create(Object.getPrototypeOf(response)), response, {
    headers: Headers.fromRecordUnsafe(headers)
  })

/** The middleware. What it does for every request is done at once, in plain code: most requests ask for little. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const options = yield* ServerOptions
    const allowsHost = AllowedHosts.make(options)
    const cors = Cors.make(options)
    const { isAccepting } = yield* RunQueue
    const methods = yield* RouteMethods
    const compress = HttpMiddleware.compression({ algorithms: ["gzip"], minSize, levels: { gzip: 1 } })

    yield* router.addGlobalMiddleware((handler) =>
      Effect.withFiber((fiber) => {
        const begun = performance.now()
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const path = pathOf(request.url)
        const { origin, "x-request-id": givenId } = request.headers
        const id = requestIdOf(givenId)
        const early = earlyReply(request, path, { allowsHost, cors, options })

        const sent = (response: HttpServerResponse.HttpServerResponse) => {
          const varies = early === undefined && origin === undefined && onlyVaries(response)
          const headers: Record<string, string> = {
            ...response.headers,
            ...securityHeaders,
            "x-request-id": id,
            "x-process-time": secondsSince(begun).toFixed(4)
          }
          if (origin !== undefined) Object.assign(headers, cors.headers(origin))
          // A connection that is kept alive would keep the server from shutting down.
          if (!isAccepting()) headers["connection"] = "close"
          if (varies) headers["vary"] = "Accept-Encoding"
          const whole = Effect.succeed(withHeaders(response, headers))
          // Asked for once the route has replied: what changes a reply last is applied last, and others still read its
          // text.
          return early === undefined && !varies ? compress(whole) : whole
        }
        const replied = Effect.matchCauseEffect(early === undefined ? handler : Effect.succeed(early), {
          onSuccess: sent,
          onFailure: (cause) =>
            Effect.failCause(cause).pipe(
              Effect.catchCauseIf(isMissingRoute, () => Effect.sync(() => fallback(request, methods))),
              withDefectReply(path),
              Effect.flatMap(sent)
            )
        })
        // The request has the context of the fiber to itself.
        const annotations = { ...fiber.getRef(References.CurrentLogAnnotations), "request.id": id }
        fiber.setContext(Context.add(fiber.context, References.CurrentLogAnnotations, annotations))
        const isLogged = LogLevel.isGreaterThanOrEqualTo(levelOf(path), fiber.cache.minimumLogLevel)
        return isLogged
          ? Effect.onExit(replied, (exit) => logReply(request, path, exit, secondsSince(begun)))
          : replied
      })
    )
  })
)

const secondsSince = (begun: number): number => (performance.now() - begun) / 1000

/**
 * The middleware around every request: request id, origin, size limit, log, and the reply to defects.
 */
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { randomUUID } from "node:crypto"
import * as AllowedHosts from "./host/AllowedHosts.ts"
import * as Cors from "./host/Cors.ts"
import { RunQueue } from "./host/RunQueue.ts"
import { ServerOptions, type ServerSettings } from "./host/ServerOptions.ts"
import { refuse } from "./sdapi/ApiError.ts"
import { tooLarge } from "./sdapi/JsonBody.ts"
import { errorResponse, json, pathOf } from "./sdapi/Router.ts"

const foreign = refuse(403, "Disallowed CORS origin", {
  errors: "This server refuses requests from pages of other origins. Allow the origin with --cors-allow-origins."
})

const unknownHost = refuse(421, "Unknown host", {
  errors: "Without sign-in, this server is reached only under its own names. Name this host with --allowed-hosts."
})

const internalError = refuse(500, "", {
  error: "InternalServerError",
  errors: "The server failed with an internal error. Its log has the details under the request id of this reply."
})

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
const isDecodable = (url: string): boolean => {
  try {
    return decodeURIComponent(pathOf(url)) !== undefined
  } catch {
    return false
  }
}

// A client's own id is used if it is safe to print.
const requestIdOf = (given: string | undefined): string =>
  given !== undefined && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()

/**
 * The reply to a request that no route sees: an unknown host, a preflight, a foreign page, an invalid path, a body that
 * is too large.
 */
const earlyReply = (
  request: HttpServerRequest.HttpServerRequest,
  { allowsHost, cors, options: { max_body_bytes } }: {
    readonly allowsHost: AllowedHosts.AllowsHost
    readonly cors: Cors.Cors
    readonly options: ServerSettings
  }
): HttpServerResponse.HttpServerResponse | undefined => {
  if (!allowsHost(request.headers["host"])) return errorResponse(unknownHost)
  const { origin } = request.headers
  if (
    request.method === "OPTIONS" && origin !== undefined &&
    request.headers["access-control-request-method"] !== undefined
  ) return cors.preflight(origin, request.headers["access-control-request-headers"])
  if (isForeign(request, cors)) return errorResponse(foreign)
  if (!isDecodable(request.url)) return json(404, { detail: "Not Found" })
  return Number(request.headers["content-length"] ?? 0) > max_body_bytes ? errorResponse(tooLarge) : undefined
}

// A defect is logged in full; its reply has no stack. A client that disconnected gets no reply.
const withDefectReply = Effect.catchCauseIf(
  (cause: Cause.Cause<unknown>) => !Cause.hasInterruptsOnly(cause),
  (cause) => Effect.as(Effect.logError("request failed", cause), errorResponse(internalError))
)

const logReply = (
  request: HttpServerRequest.HttpServerRequest,
  exit: Exit.Exit<HttpServerResponse.HttpServerResponse, unknown>,
  seconds: number
) =>
  Effect.annotateLogs(Effect.logInfo("request"), {
    "http.method": request.method,
    "http.path": pathOf(request.url).slice(0, 200),
    "http.status": Exit.isSuccess(exit) ? exit.value.status : 499,
    "http.seconds": Number(seconds.toFixed(4)),
    "client": Option.getOrElse(request.remoteAddress, () => "")
  })

/** The middleware. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const options = yield* ServerOptions
    const allowsHost = AllowedHosts.make(options)
    const cors = Cors.make(options)
    const queue = yield* RunQueue
    const limit = ByteSize.bytes(options.max_body_bytes)

    yield* router.addGlobalMiddleware((handler) =>
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const begun = yield* Clock.currentTimeNanos
        const seconds = Effect.map(Clock.currentTimeNanos, (now) => Number(now - begun) / 1e9)
        const id = requestIdOf(request.headers["x-request-id"])
        const early = earlyReply(request, { allowsHost, cors, options })
        return yield* (early === undefined ? handler : Effect.succeed(early)).pipe(
          Effect.provideService(HttpIncomingMessage.MaxBodySize, limit),
          withDefectReply,
          Effect.flatMap((response) =>
            Effect.zipWith(seconds, queue.accepting, (time, accepting) =>
              HttpServerResponse.setHeaders(response, {
                ...securityHeaders,
                ...cors.headers(request.headers["origin"]),
                "x-request-id": id,
                "x-process-time": time.toFixed(4),
                // A connection that is kept alive would keep the server from shutting down.
                ...(!accepting && { connection: "close" })
              }))
          ),
          Effect.onExit((exit) => Effect.flatMap(seconds, (time) => logReply(request, exit, time))),
          Effect.annotateLogs({ "request.id": id })
        )
      })
    )
    yield* router.addGlobalMiddleware(
      HttpMiddleware.compression({ algorithms: ["gzip"], minSize: 1000, levels: { gzip: 1 } })
    )
  })
)

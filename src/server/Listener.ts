/**
 * The Node server that listens for HTTP or HTTPS requests.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as http from "node:http"
import * as https from "node:https"
import type { Duplex } from "node:stream"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import { ServerOptions, type ServerSettings } from "./host/ServerOptions.ts"

// Requests that Node refuses before it parses them get a JSON reply like all others.
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
    : https.createServer({
      ...settings,
      cert: Buffer.from(tls.cert),
      key: Buffer.from(tls.key),
      minVersion: "TLSv1.2",
      // Headers come after the handshake, which would otherwise have two minutes.
      handshakeTimeout: options.headers_timeout * 1000
    })
  server.on("clientError", onClientError)
  // Before the handshake is done, a reply would never be sent.
  server.on("tlsClientError", (_: Error, socket: Duplex) => socket.destroy())
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

/**
 * Listens at the address of the server options until the scope closes. `app` answers from the first connection on.
 *
 * Then no more connections are accepted, and the replies in flight have 30 seconds.
 */
export const listen = Effect.fnUntraced(function*<E, R>(app: Effect.Effect<HttpServerResponse, E, R>) {
  const options = yield* ServerOptions
  const tls = yield* readTls(options)
  const server = yield* NodeHttpServer.make(() => nodeServer(options, tls), {
    host: options.host.replace(/^\[|\]$/g, ""),
    port: options.port,
    gracefulShutdownTimeout: Duration.seconds(lastReplies)
  })
  // Merged into a flat context, to which every request adds its own without copying it.
  const limit = Context.make(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(options.max_body_bytes))
  yield* Effect.provideContext(server.serve(app), limit)
  return server
})

/** Seconds for the last replies, after the grace period. */
export const lastReplies = 30

/**
 * The Model Context Protocol over HTTP: `/mcp`, with the sign-in and the limits of the server's APIs.
 */
import * as McpServer from "effect/ai/McpServer"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { Authentication } from "../host/Authentication.ts"
import { ServerOptions } from "../host/ServerOptions.ts"
import { layerServices } from "../v1/Handlers.ts"
import * as Registrations from "./Registrations.ts"
import { ToolImages } from "./ToolImages.ts"

const unauthorized = (message: string) =>
  HttpServerResponse.jsonUnsafe({ jsonrpc: "2.0", id: null, error: { code: -32_000, message } }, {
    status: 401,
    headers: { "www-authenticate": "Bearer" }
  })

// Bodies are read whole: two images in base64, and some text.
const bodyLimit = (maxImageBytes: number, maxBodyBytes: number) =>
  ByteSize.bytes(Math.min(maxBodyBytes, Math.ceil(2 * maxImageBytes * 4 / 3) + 2 ** 20))

const guard = HttpRouter.middleware(Effect.gen(function*() {
  const { check } = yield* Authentication
  const { limits } = yield* CommandOptions
  const { max_body_bytes } = yield* ServerOptions
  const limit = bodyLimit(limits.max_image_bytes, max_body_bytes)
  return (answer) =>
    Effect.gen(function*() {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const refused = yield* Effect.match(check(headers["authorization"]), {
        onFailure: ({ message }) => unauthorized(message),
        onSuccess: () => undefined
      })
      if (refused !== undefined) return refused
      const response = yield* Effect.provideService(answer, HttpIncomingMessage.MaxBodySize, limit)
      // Progress is sent as it comes: nothing holds it back to compress it.
      return HttpServerResponse.setHeader(response, "cache-control", "no-store, no-transform")
    })
})).layer

/** The path. */
export const layer = Layer.unwrap(Effect.map(ServerOptions, ({ cors_allow_origins }) =>
  McpServer.layerHttp({
    ...Registrations.about,
    path: "/mcp",
    allowedOrigins: cors_allow_origins,
    allowSessionTermination: true,
    registrations: Registrations.layer
  }))).pipe(
    // Of options that are not those above.
    Layer.orDie,
    Layer.provide(guard),
    Layer.provide(ToolImages.layer({ files: false })),
    Layer.provide(layerServices)
  )

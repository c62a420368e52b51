/**
 * The description of both APIs (`/openapi.json`) and the page made from it (`/docs`).
 */
import * as Effect from "effect/Effect"
import type * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { CommandOptions } from "../processing/CommandOptions.ts"
import type { Limits } from "../processing/Limits.ts"
import { Authentication } from "./host/Authentication.ts"
import { type Access, accessOf, ServerOptions } from "./host/ServerOptions.ts"
import { paths as openai } from "./openai/Description.ts"
import { fromAuthentication } from "./sdapi/ApiError.ts"
import { paths } from "./sdapi/Description.ts"
import { errorResponse } from "./sdapi/Router.ts"
import { description as v1 } from "./v1/Description.ts"
import { referencePage } from "./v1/ReferencePage.ts"

/** Both APIs and OpenAI's as one OpenAPI 3.1 document, as a server with this access and these limits answers them. */
const description = Effect.fnUntraced(function*(access: Access, limits: Limits) {
  const own = v1(access, limits)
  const document: OpenApi.OpenAPISpec = {
    ...own,
    tags: [
      ...own.tags,
      { name: "openai", description: "OpenAI's image API, for existing clients; also under `/openai/v1`." },
      { name: "sdapi", description: "The API of stable-diffusion-webui, for existing clients." }
    ],
    paths: { ...own.paths, ...openai(access), ...(yield* paths(access)) },
    components: {
      ...own.components,
      securitySchemes: access.needsSignIn
        ? { ...own.components.securitySchemes, bearer: { type: "http", scheme: "bearer" } }
        : own.components.securitySchemes
    }
  }
  return document
})

/** The two routes. On a server with users they require sign-in, like all that is not a health check. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const { check } = yield* Authentication
    const described = yield* Effect.cached(description(accessOf(yield* ServerOptions), (yield* CommandOptions).limits))
    const document = yield* Effect.cached(Effect.map(described, (spec) => JSON.stringify(spec)))
    const page = yield* Effect.cached(Effect.map(described, referencePage))
    const serve = (path: HttpRouter.PathInput, reply: Effect.Effect<HttpServerResponse.HttpServerResponse>) =>
      router.add("GET", path, ({ headers }) =>
        Effect.catch(
          Effect.andThen(check(headers["authorization"]), reply),
          (error) => Effect.succeed(errorResponse(fromAuthentication(error)))
        ))
    yield* serve(
      "/openapi.json",
      Effect.map(document, (text) => HttpServerResponse.text(text, { contentType: "application/json" }))
    )
    yield* serve(
      "/docs",
      Effect.map(page, (html) =>
        HttpServerResponse.text(html, {
          contentType: "text/html; charset=utf-8",
          headers: { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'" }
        }))
    )
  })
)

/**
 * The description of both APIs (`/openapi.json`) and the page made from it (`/docs`).
 */
import * as Effect from "effect/Effect"
import type * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { paths } from "./sdapi/Description.ts"
import { description as v1 } from "./v1/Description.ts"
import { referencePage } from "./v1/ReferencePage.ts"

/** Both APIs as one OpenAPI 3.1 document. */
const description: Effect.Effect<OpenApi.OpenAPISpec> = Effect.map(paths, (sdapi) => {
  const own = v1()
  return {
    ...own,
    tags: [...own.tags, { name: "sdapi", description: "The API of stable-diffusion-webui, for existing clients." }],
    paths: { ...own.paths, ...sdapi }
  }
})

/** The two routes. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const document = yield* Effect.cached(Effect.map(description, (spec) => JSON.stringify(spec)))
    const page = yield* Effect.cached(Effect.map(description, referencePage))
    yield* router.add(
      "GET",
      "/openapi.json",
      Effect.map(document, (text) => HttpServerResponse.text(text, { contentType: "application/json" }))
    )
    yield* router.add(
      "GET",
      "/docs",
      Effect.map(page, (html) =>
        HttpServerResponse.text(html, {
          contentType: "text/html; charset=utf-8",
          headers: { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'" }
        }))
    )
  })
)

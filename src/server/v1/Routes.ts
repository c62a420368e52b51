/**
 * `/v1`, its description (`/openapi.json`) and its reference (`/docs`), for the server's router.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { Api } from "../../contract/Api.ts"
import { description } from "./Description.ts"
import { layerReadable, layerSignedIn } from "./Gates.ts"
import { layerCatalogue, layerRuns, layerServices } from "./Handlers.ts"
import { referencePage } from "./ReferencePage.ts"

const layerReference = HttpRouter.use((router) =>
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

/** All of it. It asks for what the server has. */
export const layer = Layer.mergeAll(
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide([layerRuns, layerCatalogue]),
    Layer.provide([layerServices, layerSignedIn, layerReadable])
  ),
  layerReference
)

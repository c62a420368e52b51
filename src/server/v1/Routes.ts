/**
 * The routes of `/v1`.
 */
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Layer from "effect/Layer"
import { Api } from "../../contract/Api.ts"
import { layerReadable, layerSignedIn } from "./Gates.ts"
import { layerCatalogue, layerRuns, layerServices } from "./Handlers.ts"

/** Every path of the contract. */
export const layer = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([layerRuns, layerCatalogue]),
  Layer.provide([layerServices, layerSignedIn, layerReadable])
)

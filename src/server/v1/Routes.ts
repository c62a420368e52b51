/**
 * The routes of `/v1`.
 */
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Layer from "effect/Layer"
import { Api } from "../../contract/Api.ts"
import { layerDownloads } from "./DownloadHandlers.ts"
import { layerCatalogue, layerRuns, layerServices } from "./Handlers.ts"
import { layerSignedIn, layerValidRequest } from "./Middleware.ts"
import { layerPrompts } from "./PromptHandlers.ts"

/** Every path of the contract. */
export const layer = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([layerRuns, layerCatalogue, layerDownloads, layerPrompts]),
  Layer.provide([layerServices, layerSignedIn, layerValidRequest])
)

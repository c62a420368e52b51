/**
 * The handlers of `/v1/downloads`.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Api } from "../../contract/Api.ts"
import { Downloads } from "../host/Downloads.ts"

export const layerDownloads = HttpApiBuilder.group(
  Api,
  "downloads",
  Effect.fnUntraced(function*(handlers) {
    const downloads = yield* Downloads
    return handlers
      .handle("downloads", () => downloads.list)
      .handle("startDownload", ({ payload }) => downloads.start(payload))
      .handle("download", ({ params }) => downloads.get(params.id))
      .handle("cancelDownload", ({ params }) => downloads.cancel(params.id))
      .handle("removeDownload", ({ params }) => downloads.remove(params.id))
  })
)

/**
 * What the server answers, as an OpenAPI 3.1 document: `/v1` from its contract, `/sdapi/v1` beside it.
 */
import * as Effect from "effect/Effect"
import * as OpenApi from "effect/http-api/OpenApi"
import { Api } from "../../contract/Api.ts"
import { version } from "../../version.ts"
import * as Sdapi from "../sdapi/Description.ts"

const form = {
  type: "object",
  properties: {
    init_images: { type: "array", items: { type: "string", contentMediaType: "application/octet-stream" } },
    mask: { type: "string", contentMediaType: "application/octet-stream" },
    prompt: { type: "string" }
  },
  additionalProperties: { type: "string", description: "Any field of RunImg2Img; lists and objects as JSON." }
} as const

/** The document. */
export const description: Effect.Effect<OpenApi.OpenAPISpec> = Effect.map(Sdapi.paths, (sdapi) => {
  const own = OpenApi.fromApi(Api)
  const runs = own.paths["/v1/runs"]
  const submit = runs?.post
  return {
    ...own,
    info: { ...own.info, version },
    tags: [
      ...own.tags,
      { name: "sdapi", description: "The API of stable-diffusion-webui, for the clients that there are." }
    ],
    paths: {
      ...own.paths,
      ...(submit?.requestBody !== undefined && {
        "/v1/runs": {
          ...runs,
          post: {
            ...submit,
            requestBody: {
              ...submit.requestBody,
              content: { ...submit.requestBody.content, "multipart/form-data": { schema: form } }
            }
          }
        }
      }),
      ...sdapi
    }
  }
})

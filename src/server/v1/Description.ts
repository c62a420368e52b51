/**
 * `/v1` as an OpenAPI 3.1 document, from its contract.
 */
import * as OpenApi from "effect/http-api/OpenApi"
import { Api } from "../../contract/Api.ts"
import { version } from "../../version.ts"

const form = {
  type: "object",
  properties: {
    init_images: { type: "array", items: { type: "string", contentMediaType: "application/octet-stream" } },
    mask: { type: "string", contentMediaType: "application/octet-stream" },
    prompt: { type: "string" }
  },
  additionalProperties: { type: "string", description: "Any field of RunImg2Img; lists and objects as JSON." }
} as const

/** Describes `/v1`. */
export const description = (): OpenApi.OpenAPISpec => {
  const own = OpenApi.fromApi(Api)
  const runs = own.paths["/v1/runs"]
  const submit = runs?.post
  return {
    ...own,
    info: { ...own.info, version },
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
      })
    }
  }
}

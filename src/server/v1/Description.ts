/**
 * `/v1` as an OpenAPI 3.1 document, from its contract.
 */
import * as OpenApi from "effect/http-api/OpenApi"
import { Api } from "../../contract/Api.ts"
import { version } from "../../version.ts"
import { formSchema } from "./Form.ts"

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
              content: { ...submit.requestBody.content, "multipart/form-data": { schema: formSchema } }
            }
          }
        }
      })
    }
  }
}

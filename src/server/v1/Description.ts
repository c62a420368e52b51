/**
 * `/v1` as an OpenAPI 3.1 document, from its contract.
 */
import * as OpenApi from "effect/http-api/OpenApi"
import type * as JsonSchema from "effect/JsonSchema"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { Api, pageLength, position } from "../../contract/Api.ts"
import type { Limits } from "../../processing/Limits.ts"
import { limitOf } from "../../processing/Processing.ts"
import { version } from "../../version.ts"
import type { Access } from "../host/ServerOptions.ts"
import { formSchema } from "./Form.ts"

type Json = JsonSchema.JsonSchema

/** Describes `/v1` as a server with this access and these limits answers it. */
export const description = (access: Access, limits: Limits): OpenApi.OpenAPISpec => {
  const own = OpenApi.fromApi(Api)
  const replies = errorReplies(own.components.schemas)
  const paths: OpenApi.OpenAPISpecPaths = {}
  for (const [path, item] of Object.entries(own.paths)) {
    const operations: OpenApi.OpenAPISpecPathItem = {}
    for (const method of methods) {
      const operation = item[method]
      if (operation === undefined) continue
      operations[method] = {
        ...operation,
        security: access.needsSignIn ? operation.security : [],
        parameters: operation.parameters.map((parameter) => ({
          ...parameter,
          schema: numbers[parameter.name] ?? parameter.schema
        })),
        ...(path === "/v1/runs" && operation.requestBody !== undefined && {
          requestBody: {
            ...operation.requestBody,
            content: { ...operation.requestBody.content, "multipart/form-data": { schema: formSchema } }
          }
        }),
        responses: {
          ...Object.fromEntries(
            Object.entries(operation.responses)
              .filter(([status]) => isPossible(status, method, access))
              .map(([status, response]) => [status, Number(status) < 400 ? response : replies.of(response)])
          ),
          ...otherReplies[operation.operationId]
        }
      }
    }
    paths[path] = operations
  }
  return {
    ...own,
    info: { ...own.info, version },
    paths,
    components: {
      ...own.components,
      schemas: {
        ...own.components.schemas,
        ...requestsWithin(own.components.schemas, limits),
        ...replies.schemas()
      },
      securitySchemes: access.needsSignIn ? own.components.securitySchemes : {}
    }
  }
}

// Numbers of paths and queries arrive as text; what counts for clients is the number.
const numbers: Readonly<Record<string, Json>> = {
  index: Schema.toJsonSchemaDocument(position).schema,
  limit: Schema.toJsonSchemaDocument(pageLength).schema
}

// The requests with the limits of the server as the maxima of their fields.
const requestsWithin = (
  { RunImg2Img, RunTxt2Img }: Readonly<Record<string, Json>>,
  limits: Limits
): Readonly<Record<string, Json>> => {
  const bound = (schema: unknown, maximum: number): Json => {
    if (!isJson(schema)) return {}
    const { anyOf, type } = schema
    if (Array.isArray(anyOf)) return { ...schema, anyOf: anyOf.map((one) => bound(one, maximum)) }
    return type === "integer" || type === "number" ? { ...schema, maximum } : schema
  }
  const within = (request: Json = {}): Json => ({
    ...request,
    ...(isJson(request.properties) && {
      properties: Object.fromEntries(
        Object.entries(request.properties).map(([name, schema]) => {
          const limit = limitOf(name, limits)
          return [name, limit === undefined ? schema : bound(schema, limit)]
        })
      )
    })
  })
  return { RunImg2Img: within(RunImg2Img), RunTxt2Img: within(RunTxt2Img) }
}

const methods = ["get", "post", "patch", "delete"] as const

// Only browsers' simple requests are refused for their origin: others need a preflight.
const isPossible = (status: string, method: string, { checksHost, needsSignIn }: Access): boolean =>
  status === "401" ? needsSignIn : status === "421" ? checksHost : status !== "403" || method === "post"

/** Replies that the contract leaves to HTTP. */
const otherReplies: Readonly<Record<string, OpenApi.OpenAPISpecResponses>> = {
  "runs.events": { 204: { description: "The run has ended, and the client has its last event" } },
  "runs.image": { 304: { description: "The client has the file" } },
  "runs.extra": { 304: { description: "The client has the file" } }
}

const isJson = (value: unknown): value is Json => Predicate.isObject(value) && !Array.isArray(value)

// Every error reply has the fields of its error and, for people, its message.
const errorReplies = (schemas: Readonly<Record<string, Json>>) => {
  const made: Record<string, Json> = {}
  const reply = (schema: unknown): Json => {
    if (!isJson(schema)) return {}
    const { $ref, anyOf } = schema
    if (Array.isArray(anyOf)) return { ...schema, anyOf: anyOf.map(reply) }
    if (typeof $ref !== "string") return schema
    const name = $ref.split("/").at(-1) ?? ""
    const { properties, required, ...error } = schemas[name] ?? {}
    const shown = `${name.replace(/Encoded$/, "")}Reply`
    made[shown] = {
      ...error,
      properties: { ...(isJson(properties) && properties), message: { type: "string", description: "For people." } },
      required: [...(Array.isArray(required) ? required : []), "message"]
    }
    return { $ref: `#/components/schemas/${shown}` }
  }
  return {
    of: (response: OpenApi.OpenApiSpecResponse): OpenApi.OpenApiSpecResponse => ({
      ...response,
      ...(response.content !== undefined && {
        content: Object.fromEntries(
          Object.entries(response.content).map(([type, media]) => [type, { ...media, schema: reply(media?.schema) }])
        )
      })
    }),
    schemas: (): Readonly<Record<string, Json>> => made
  }
}

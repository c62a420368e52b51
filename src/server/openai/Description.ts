/**
 * OpenAI's image API as OpenAPI paths, from the schemas of its requests.
 */
import type * as OpenApi from "effect/http-api/OpenApi"
import { type Json, object, text } from "../host/jsonSchemas.ts"
import type { Access } from "../host/ServerOptions.ts"
import { type Kind, parametersOf } from "./ImagesRequest.ts"

const textOrNull: Json = { type: ["string", "null"] }
const count: Json = { type: "integer", minimum: 0 }

const inline: Json = { ...text, description: "An image in base64, bare or as a data URL." }
const upload: Json = { ...text, format: "binary" }
const reference = object({ image_url: { ...text, description: "A data URL." } }, ["image_url"])

const about = {
  background: { type: "string", enum: ["opaque"] },
  output_format: { type: "string", enum: ["png", "jpeg", "webp"] },
  quality: { type: "string", enum: ["low", "medium", "high", "xhigh", "max"] },
  size: text,
  usage: object({ total_tokens: count, input_tokens: count, output_tokens: count })
}

const madeImage = object({
  b64_json: { ...text, description: "The file in base64." },
  url: { ...text, description: "Its address, where the request asks for one." },
  serena: object({ seed: { type: ["integer", "string"] }, infotext: text })
})

const made = object({
  created: { ...count, description: "Seconds since the epoch." },
  data: { type: "array", items: madeImage },
  ...about,
  serena: object({ run: text, warnings: { type: "array", items: text } })
}, ["created", "data"])

const refusal = object({
  error: object({ message: text, type: text, param: textOrNull, code: textOrNull }, ["message", "type"])
}, ["error"])

/** Statuses of refusals with their causes. */
const refusals = {
  400: "Every problem of the request",
  401: "A key is required",
  403: "A page of another origin asks, which --cors-allow-origins does not name",
  404: "The server has no such model",
  409: "The run was cancelled",
  413: "The body is over the size limit",
  421: "The server does not answer under this host name, which --allowed-hosts does not name",
  429: "The queue is full",
  500: "The run or the server failed",
  503: "The server is shutting down, or runs cannot be kept"
} as const

const endpoints: ReadonlyArray<{
  readonly kind: Kind
  readonly path: string
  readonly summary: string
}> = [
  { kind: "generation", path: "/v1/images/generations", summary: "Generate images of a prompt" },
  { kind: "edit", path: "/v1/images/edits", summary: "Change images as a prompt says" },
  { kind: "variation", path: "/v1/images/variations", summary: "Make another version of an image" }
]

const bodyOf = (kind: Kind, image: Json, isForm: boolean): Json => {
  const { properties, required } = parametersOf(kind)
  switch (kind) {
    case "generation":
      return object(properties, required)
    case "variation":
      return object({ ...properties, image }, [...required, "image"])
    case "edit": {
      const images = { anyOf: [image, { type: "array", items: image, minItems: 1 }] }
      return isForm
        ? object({ ...properties, image: images, mask: image }, [...required, "image"])
        : object({
          ...properties,
          image: images,
          images: { type: "array", items: reference, minItems: 1, description: "In place of `image`." },
          mask: { anyOf: [image, reference] }
        }, required)
    }
  }
}

/** The paths, as a server with this access answers them. */
export const paths = ({ checksHost, needsSignIn }: Access): OpenApi.OpenAPISpecPaths => {
  const failures = Object.entries(refusals).filter(([status]) =>
    status === "401" ? needsSignIn : status === "421" ? checksHost : true
  )
  return Object.fromEntries(endpoints.map(({ kind, path, summary }) => {
    const operation: OpenApi.OpenAPISpecOperation = {
      operationId: `openai.${kind}`,
      summary,
      tags: ["openai"],
      parameters: [],
      security: needsSignIn ? [{ basic: [] }, { bearer: [] }] : [],
      requestBody: {
        required: true,
        content: {
          "application/json": { schema: bodyOf(kind, inline, false) },
          ...(kind !== "generation" && { "multipart/form-data": { schema: bodyOf(kind, upload, true) } })
        }
      },
      responses: {
        200: {
          description: "The images, or with `stream` server-sent events as they are made",
          content: { "application/json": { schema: made }, "text/event-stream": { schema: text } }
        },
        ...Object.fromEntries(
          failures.map(([status, description]) => [status, {
            description,
            content: { "application/json": { schema: refusal } }
          }])
        )
      }
    }
    return [path, { post: operation }]
  }))
}

/**
 * The webui's API (`/sdapi/v1`) and ControlNet's (`/controlnet`) as OpenAPI paths: every endpoint with the fields that
 * it reads.
 *
 * Fields, types and defaults are those of the request schemas. Replies are described as far as clients rely on them.
 */
import * as Effect from "effect/Effect"
import type * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import { type Described, fieldOf } from "../../core/Field.ts"
import { Img2Img, Txt2Img } from "../../processing/Processing.ts"
import { type Json, object, text } from "../host/jsonSchemas.ts"
import type { Access } from "../host/ServerOptions.ts"
import * as ControlNet from "./ControlNet.ts"
import { decodeImg2Img, decodeTxt2Img, Img2ImgRequest, Txt2ImgRequest } from "./ImageRequest.ts"
import { Float } from "./PythonJson.ts"
import { type Endpoint, endpoints } from "./Routes.ts"

const image: Json = { type: "string", description: "An image in base64, bare or as a data URL." }
const anything: Json = {}
const list = (items: Json): Json => ({ type: "array", items })
const named = (...names: ReadonlyArray<string>): Json =>
  list(object(Object.fromEntries(names.map((name) => [name, anything]))))

const extras = {
  resize_mode: { type: "integer", enum: [0, 1], default: 0 },
  upscaling_resize: { type: "number", exclusiveMinimum: 0, default: 2 },
  upscaling_resize_w: { type: "integer", minimum: 1, default: 512 },
  upscaling_resize_h: { type: "integer", minimum: 1, default: 512 },
  upscaling_crop: { type: "boolean", default: true },
  upscaler_1: { type: "string", default: "None" },
  upscaler_2: { type: "string", default: "None" },
  extras_upscaler_2_visibility: { type: "number", minimum: 0, maximum: 1, default: 0 }
}

interface Description {
  readonly summary: string
  readonly body?: Json
  readonly reply?: Json
}

const made = object({
  images: list({ type: "string", description: "An image file in bare base64." }),
  parameters: { type: "object", description: "The request with its defaults." },
  info: { type: "string", description: "JSON in a string: seeds, prompts, infotexts." }
})

const descriptions = (
  fields: { readonly txt2img: Json; readonly img2img: Json; readonly detect: Json }
): Readonly<Record<string, Description>> => ({
  "POST /txt2img": { summary: "Text-to-image", body: fields.txt2img, reply: made },
  "POST /img2img": { summary: "Image-to-image", body: fields.img2img, reply: made },
  "GET /options": { summary: "Get the settings", reply: { type: "object" } },
  "POST /options": { summary: "Change settings", body: { type: "object" }, reply: { type: "null" } },
  "GET /sd-models": {
    summary: "List models",
    reply: named("title", "model_name", "hash", "sha256", "filename", "config")
  },
  "GET /samplers": { summary: "List samplers", reply: named("name", "aliases", "options") },
  "GET /schedulers": {
    summary: "List schedulers",
    reply: named("name", "label", "aliases", "default_rho", "need_inner_model")
  },
  "GET /progress": {
    summary: "Get the progress of the current run; `?skip_current_image=true` omits the preview",
    reply: object({
      progress: { type: "number" },
      eta_relative: { type: "number" },
      state: { type: "object" },
      current_image: { type: ["string", "null"] },
      textinfo: { type: ["string", "null"] }
    })
  },
  "POST /interrupt": { summary: "Interrupt the current run after its current step", reply: object({}) },
  "POST /skip": { summary: "Continue with the next batch", reply: { type: "null" } },
  "GET /upscalers": {
    summary: "List upscalers",
    reply: named("name", "model_name", "model_path", "model_url", "scale")
  },
  "GET /latent-upscale-modes": { summary: "List upscalers of latents", reply: named("name") },
  "POST /png-info": {
    summary: "Read the metadata of an image",
    body: object({ image }, ["image"]),
    reply: object({ info: text, items: { type: "object" }, parameters: { type: "object" } })
  },
  "POST /extra-single-image": {
    summary: "Upscale an image",
    body: object({ ...extras, image }),
    reply: object({ html_info: text, image: text })
  },
  "POST /extra-batch-images": {
    summary: "Upscale images",
    body: object({ ...extras, imageList: list(object({ data: image, name: text }, ["data", "name"])) }, [
      "imageList"
    ]),
    reply: object({ html_info: text, images: list(text) })
  },
  "GET /prompt-styles": { summary: "List styles", reply: named("name", "prompt", "negative_prompt") },
  "GET /memory": {
    summary: "Get the memory in use",
    reply: object({ ram: { type: "object" }, cuda: { type: "object" } })
  },
  "GET /controlnet/version": { summary: "Get the version of the API", reply: object({ version: { type: "integer" } }) },
  "GET /controlnet/model_list": { summary: "List ControlNets", reply: object({ model_list: list(text) }) },
  "GET /controlnet/module_list": {
    summary: "List preprocessors with their numbers",
    reply: object({ module_list: list(text), module_detail: { type: "object" } })
  },
  "GET /controlnet/control_types": {
    summary: "List preprocessors and ControlNets by control type",
    reply: object({ control_types: { type: "object" } })
  },
  "GET /controlnet/settings": {
    summary: "Get how many units a request may have",
    reply: object({ control_net_unit_count: { type: "integer" } })
  },
  "POST /controlnet/detect": {
    summary: "Show what a preprocessor makes of images",
    body: fields.detect,
    reply: object({ images: list({ type: "string", description: "A PNG file in bare base64." }), info: text })
  },
  "GET /scripts": { summary: "List scripts", reply: object({ txt2img: list(text), img2img: list(text) }) }
})

// The JSON type of a field's decoded value.
const kindOf = (ast: SchemaAST.AST): Json => {
  switch (ast._tag) {
    case "String":
      return { type: "string" }
    case "Number":
    case "BigInt":
      return { type: "integer" }
    case "Boolean":
      return { type: "boolean" }
    case "Arrays":
      return { type: "array", ...(ast.rest[0] !== undefined && { items: kindOf(ast.rest[0]) }) }
    case "Objects":
      return { type: "object" }
    case "Declaration":
      return { type: "number" }
    case "Null":
      return { type: "null" }
    case "Union": {
      const kinds = ast.types.map(kindOf)
      const [first = {}] = kinds
      return kinds.every(({ type }) => type === first.type) ? first : { anyOf: kinds }
    }
    default:
      return {}
  }
}

// A field that Serena has as well is described by its own description.
const fieldsOf = (
  schema: Described,
  described: Described,
  defaults: Readonly<Record<string, unknown>>
): Json =>
  object(Object.fromEntries(
    Object.entries(schema.fields).map(([name, field]) => {
      const value = defaults[name]
      const about = fieldOf(described, name)
      return [name, {
        ...kindOf(Schema.toType(field).ast),
        default: value instanceof Float ? value.value : value,
        ...(about !== undefined && { title: about.title, description: about.description })
      }]
    })
  ))

const idOf = (method: string, path: string): string =>
  `${method.toLowerCase()}${
    path.replaceAll(/[^a-zA-Z0-9]+(.)?/g, (_, next: string | undefined) => next?.toUpperCase() ?? "")
  }`

const json = (schema: Json) => ({ "application/json": { schema } })

const refusal = object({ error: text, detail: text, body: text, errors: text }, ["detail"])
const unprocessable = object({
  detail: list(object({ loc: list(anything), msg: text, type: text }, ["loc", "msg", "type"]))
}, ["detail"])

/** Statuses of refusals with their causes. */
const refusals: Readonly<Record<number, string>> = {
  400: "The body did not arrive in full, or is not valid UTF-8",
  401: "Sign-in is required",
  403: "A page of another origin asks, which --cors-allow-origins does not name",
  404: "Something that the request names does not exist",
  409: "The run was cancelled",
  413: "The body is over the size limit",
  421: "The server does not answer under this host name, which --allowed-hosts does not name",
  422: "Every problem of the request",
  429: "The queue is full",
  500: "An image cannot be read, the run failed, or the server did",
  503: "The server is shutting down"
}

/** The statuses of the refusals of an endpoint. */
const refusalsOf = (
  { guarded, method, path }: Endpoint,
  body: boolean,
  { checksHost, needsSignIn }: Access
): ReadonlyArray<number> => [
  500,
  ...(guarded && needsSignIn ? [401] : []),
  ...(checksHost ? [421] : []),
  ...(method === "POST" ? [403, 413] : []),
  ...(body ? [400, 422] : []),
  ...(path.endsWith("/progress") ? [422] : []),
  ...(/\/(?:txt2img|img2img|extra-\w+-images?)$/.test(path) ? [404, 409, 429, 503] : []),
  ...(path.endsWith("/detect") ? [429, 503] : [])
]

// What is answered with 501, or is there only on servers that clients may stop.
const isMissing = ({ path }: Endpoint): boolean => /\/(?:interrogate|create\/\w+|train\/\w+|server-\w+)$/.test(path)

const parametersOf = ({ path }: Endpoint): Array<OpenApi.OpenAPISpecParameter> =>
  path.endsWith("/module_list") ?
    [{
      name: "alias_names",
      in: "query",
      required: false,
      schema: { type: "boolean" },
      description: "Whether to list what people see in place of names."
    }] :
    /\/(?:progress|interrupt|skip)$/.test(path)
    ? [
      ...(path.endsWith("/progress")
        ? [{
          name: "skip_current_image",
          in: "query" as const,
          required: false,
          schema: { type: "boolean" },
          description: "Whether to omit the preview."
        }]
        : []),
      {
        name: "task_id",
        in: "query",
        required: false,
        schema: text,
        description: "The `force_task_id` of a request; the current run otherwise."
      }
    ]
    : []

/** The paths, as a server with this access answers them. */
export const paths = (access: Access): Effect.Effect<OpenApi.OpenAPISpecPaths> =>
  Effect.gen(function*() {
    const known = descriptions({
      txt2img: fieldsOf(Txt2ImgRequest, Txt2Img, { ...(yield* decodeTxt2Img({})) }),
      img2img: fieldsOf(Img2ImgRequest, Img2Img, { ...(yield* decodeImg2Img({})) }),
      detect: fieldsOf(ControlNet.DetectRequest, { fields: {} }, { ...(yield* ControlNet.decodeDetect({})) })
    })
    const result: OpenApi.OpenAPISpecPaths = {}
    for (const endpoint of endpoints) {
      const { guarded, method, path } = endpoint
      if (!/^\/(?:sdapi\/v1|controlnet)\//.test(path) || isMissing(endpoint)) continue
      const short = path.replace(/^\/sdapi\/v1/, "")
      const { body, reply = anything, summary = short.slice(1).replaceAll("-", " ") }: Partial<Description> =
        known[`${method} ${short}`] ?? {}
      const failures = refusalsOf(endpoint, body !== undefined, access)
      const operation: OpenApi.OpenAPISpecOperation = {
        operationId: idOf(method, path),
        summary,
        tags: ["sdapi"],
        parameters: parametersOf(endpoint),
        security: guarded && access.needsSignIn ? [{ basic: [] }] : [],
        ...(body !== undefined && { requestBody: { required: true, content: json(body) } }),
        responses: {
          200: { description: "The reply of stable-diffusion-webui", content: json(reply) },
          ...Object.fromEntries(failures.map((status) => [status, {
            description: refusals[status] ?? "",
            content: json(status === 422 ? { anyOf: [unprocessable, refusal] } : refusal)
          }]))
        }
      }
      result[path] = { ...result[path], [method === "GET" ? "get" : "post"]: operation }
    }
    return result
  }).pipe(Effect.orDie)

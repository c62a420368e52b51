/**
 * The routes of OpenAI's image API.
 *
 * They stand under `/v1/images`, where clients of OpenAI expect them next to Serena's own `/v1`, and under
 * `/openai/v1`, which also lists the models in OpenAI's form: a base URL of `http://host:7860/openai/v1` has all.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import type { Limits } from "../../processing/Limits.ts"
import { Authentication } from "../host/Authentication.ts"
import { openAiModels } from "../host/ModelTitles.ts"
import { isForm, readParts } from "../host/MultipartForm.ts"
import { ServerOptions } from "../host/ServerOptions.ts"
import { layerServices } from "../v1/Handlers.ts"
import { readJson, Submission } from "../v1/Submission.ts"
import { originOf, promptOf, reply } from "./Images.ts"
import { errorResponse, invalid, ofSubmission, unauthorized, unknownModel } from "./ImagesError.ts"
import { type Kind, paramOf, read, valueOf } from "./ImagesRequest.ts"

const files: ReadonlySet<string> = new Set(["image", "mask"])

// The body as parameters. Several images come as `image[]`, or as `image` several times.
const bodyOf = Effect.fnUntraced(
  function*(request: HttpServerRequest.HttpServerRequest, limits: Limits, maxBytes: number) {
    if (!isForm(request)) return yield* readJson(request, maxBytes, limits)
    const parameters: Record<string, unknown> = {}
    const images: Array<Uint8Array | string> = []
    const add = (name: string, value: Uint8Array | string) => {
      const own = name.replace(/\[\d*\]$/, "")
      if (own === "image") images.push(value)
      else if (typeof value === "string") parameters[own] = valueOf(own, value)
      else if (files.has(own)) parameters[own] = value
      else parameters[own] = "a file"
    }
    const problems = yield* readParts(request, { maxBytes, maxPartBytes: limits.max_image_bytes }, {
      text: add,
      file: (name, bytes) => bytes.length > 0 && add(name, bytes)
    })
    if (problems.length > 0) return yield* invalid(problems)
    return images.length === 0 ? parameters : { ...parameters, image: images.length === 1 ? images[0] : images }
  },
  Effect.mapError((error) => error._tag === "ImagesError" ? error : ofSubmission(error, paramOf))
)

const answer = Effect.fnUntraced(function*(kind: Kind, request: HttpServerRequest.HttpServerRequest) {
  const { limits } = yield* CommandOptions
  const { max_body_bytes, tls_certfile } = yield* ServerOptions
  const body = yield* bodyOf(request, limits, max_body_bytes)
  const image = kind === "variation" && typeof body === "object" && body !== null && "image" in body
    ? body.image
    : undefined
  const prompt = image instanceof Uint8Array ? yield* promptOf(image) : ""
  const asked = yield* Effect.fromResult(read(kind, body, prompt))
  const origin = originOf(request, tls_certfile !== undefined)
  return yield* reply(asked, limits, (id) => `${origin}/v1/runs/${id}/images`)
})

const model = Effect.gen(function*() {
  const { id = "" } = yield* HttpRouter.params
  const { data } = yield* openAiModels
  const found = data.find((one) => one.id === id)
  return found ?? (yield* unknownModel({ model: id, known: data.map((one) => one.id) }))
})

const bases = ["/v1", "/openai/v1"] as const

const routes = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const { check } = yield* Authentication
    const submission = yield* Submission
    const guarded = <E extends Parameters<typeof errorResponse>[0], R>(
      answer: (
        request: HttpServerRequest.HttpServerRequest
      ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
    ) =>
    (request: HttpServerRequest.HttpServerRequest) =>
      Effect.mapError(check(request.headers["authorization"]), unauthorized).pipe(
        Effect.andThen(Effect.provideService(answer(request), Submission, submission)),
        Effect.catch((error) => Effect.succeed(errorResponse(error)))
      )
    for (const base of bases) {
      yield* router.add("POST", `${base}/images/generations`, guarded((request) => answer("generation", request)))
      yield* router.add("POST", `${base}/images/edits`, guarded((request) => answer("edit", request)))
      yield* router.add("POST", `${base}/images/variations`, guarded((request) => answer("variation", request)))
    }
    yield* router.add(
      "GET",
      "/openai/v1/models",
      guarded(() => Effect.map(openAiModels, (list) => HttpServerResponse.jsonUnsafe(list)))
    )
    yield* router.add(
      "GET",
      "/openai/v1/models/:id",
      guarded(() => Effect.map(model, (one) => HttpServerResponse.jsonUnsafe(one)))
    )
  })
)

/** Every path. */
export const layer = Layer.provide(routes, layerServices)

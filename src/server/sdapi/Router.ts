/**
 * The routes of `/sdapi/v1`, and the replies to errors and unknown paths.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Authentication } from "../host/Authentication.ts"
import { type ApiError, fromAuthentication } from "./ApiError.ts"
import { write } from "./PythonJson.ts"
import { endpoints } from "./Routes.ts"

/** A JSON reply. */
export const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(write(body), { status, contentType: "application/json", headers })

/** The reply to an error, in the form of stable-diffusion-webui. */
export const errorResponse = (error: ApiError): HttpServerResponse.HttpServerResponse =>
  error._tag === "Unprocessable"
    ? json(422, { detail: error.detail })
    : json(
      error.status,
      error.status === 404 && error.detail === "Not Found"
        ? { detail: "Not Found" }
        : { error: error.error, detail: error.detail, body: "", errors: error.errors },
      error.headers
    )

/** The path of a URL, without query and fragment. */
export const pathOf = (url: string): string => url.split(/[?#]/, 1)[0] ?? url

/** The methods of a path. */
const methodsAt = (path: string): ReadonlyArray<string> =>
  endpoints.filter((endpoint) => endpoint.path === path).map(({ method }) => method)

/** The reply for a path without a route: a redirect without its trailing slash, a wrong method, or not found. */
const fallback = (request: HttpServerRequest.HttpServerRequest) => {
  const path = pathOf(request.url)
  const shorter = path.replace(/(?<=.)\/$/, "")
  if (shorter !== path && methodsAt(shorter).length > 0) {
    return HttpServerResponse.empty({
      status: 307,
      headers: { location: shorter + request.url.slice(path.length) }
    })
  }
  const methods = methodsAt(path)
  return methods.length > 0
    ? json(405, { detail: "Method Not Allowed" }, { allow: [...new Set(methods)].join(", ") })
    : json(404, { detail: "Not Found" })
}

/** The routes of all endpoints, and the reply for every other path. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const { check } = yield* Authentication
    for (const { answer, guarded, method, path } of endpoints) {
      yield* router.add(method, path, (request) =>
        (guarded ? Effect.mapError(check(request.headers["authorization"]), fromAuthentication) : Effect.void).pipe(
          Effect.andThen(answer(request)),
          Effect.catch((error) =>
            Effect.succeed(errorResponse(error))
          )
        ))
    }
    yield* router.add("*", "/*", (request) =>
      Effect.sync(() => fallback(request)))
  })
)

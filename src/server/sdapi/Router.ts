/**
 * The routes of `/sdapi/v1`, and the replies to errors.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Authentication } from "../host/Authentication.ts"
import { type ApiError, fromAuthentication, refuse } from "./ApiError.ts"
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
      // What the webui's framework says itself, without its own form.
      error.detail === "Not Found" || error.detail === "Method Not Allowed"
        ? { detail: error.detail }
        : { error: error.error, detail: error.detail, body: "", errors: error.errors },
      error.headers
    )

/** The path of a URL, without query and fragment. */
export const pathOf = (url: string): string => {
  const query = url.indexOf("?")
  const path = query === -1 ? url : url.slice(0, query)
  const fragment = path.indexOf("#")
  return fragment === -1 ? path : path.slice(0, fragment)
}

/** The routes of all endpoints. As in the webui, a path that answers GET does not answer HEAD. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const { check } = yield* Authentication
    const shown = (error: ApiError) => Effect.succeed(errorResponse(error))
    for (const { answer, guarded, method, path } of endpoints) {
      const wrongMethod = refuse(405, "Method Not Allowed", { headers: { allow: method } })
      yield* router.add(method, path, (request) => {
        if (request.method !== method) return shown(wrongMethod)
        const answered = guarded
          ? Effect.flatMapEager(
            Effect.mapErrorEager(check(request.headers["authorization"]), fromAuthentication),
            () => answer(request)
          )
          : answer(request)
        return Effect.catchEager(answered, shown)
      })
    }
  })
)

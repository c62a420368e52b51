/**
 * The middleware of `/v1`: sign-in, and the problems of paths, queries and headers.
 */
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SignedIn, ValidRequest } from "../../contract/Api.ts"
import { InvalidRequest, Unauthorized } from "../../contract/errors.ts"
import { problemsOf } from "../../core/Problem.ts"
import { Authentication } from "../host/Authentication.ts"

/** Accepts the same users as `/sdapi/v1`. */
export const layerSignedIn: Layer.Layer<SignedIn, never, Authentication> = Layer.effect(
  SignedIn,
  Effect.map(Authentication, ({ check }) =>
    SignedIn.of({
      basic: Effect.fnUntraced(function*(answer) {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        yield* check(headers["authorization"]).pipe(
          Effect.catch(({ reason }) => Effect.andThen(challenge, Effect.fail(new Unauthorized({ reason })))),
          Effect.tapError(withMessage)
        )
        return yield* answer
      })
    }))
)

const challenge = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(HttpServerResponse.setHeader(response, "www-authenticate", `Basic realm="Serena", charset="UTF-8"`))
)

// Adds an error's message to its reply, for people. Typed clients derive it from the fields.
const withMessage = (error: unknown) =>
  !(error instanceof Error) ? Effect.void : HttpEffect.appendPreResponseHandler((_, response) =>
    Effect.sync(() => {
      const { body, status } = response
      if (status < 400 || body._tag !== "Uint8Array") return response
      const fields = Schema.decodeOption(fieldsOfError)(new TextDecoder().decode(body.body))
      return Option.isNone(fields) ? response : HttpServerResponse.setBody(
        response,
        HttpBody.jsonUnsafe({ ...fields.value, message: error.message })
      )
    })
  )

const fieldsOfError = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json))

const layerProblems = HttpApiMiddleware.layerSchemaErrorTransform(
  ValidRequest,
  (error) =>
    error.kind === "Body" || error.kind === "ResponseHeaders"
      ? Effect.die(error.cause)
      : Effect.fail(new InvalidRequest({ problems: problemsOf(error.cause.issue) }))
)

/** Reports every problem of a path, query or header. A reply that does not fit the contract is a defect. */
export const layerValidRequest: Layer.Layer<ValidRequest> = Layer.effect(
  ValidRequest,
  Effect.map(
    ValidRequest,
    (check) => ValidRequest.of((answer, options) => Effect.tapError(check(answer, options), withMessage))
  )
).pipe(Layer.provide(layerProblems))

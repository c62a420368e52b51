/**
 * What every request to `/v1` goes through: who asks, and whether it can be read.
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
import { Readable, SignedIn } from "../../contract/Api.ts"
import { InvalidRequest, Unauthorized } from "../../contract/errors.ts"
import { problemsOf } from "../../core/Problem.ts"
import { Authentication } from "../host/Authentication.ts"

/** The same users as of the webui's API. */
export const layerSignedIn: Layer.Layer<SignedIn, never, Authentication> = Layer.effect(
  SignedIn,
  Effect.map(Authentication, ({ check }) =>
    SignedIn.of({
      basic: Effect.fnUntraced(function*(answer) {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        yield* check(headers["authorization"]).pipe(
          Effect.catch(({ reason }) => Effect.andThen(challenge, Effect.fail(new Unauthorized({ reason })))),
          Effect.tapError(sentence)
        )
        return yield* answer
      })
    }))
)

const challenge = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(HttpServerResponse.setHeader(response, "www-authenticate", `Basic realm="Serena", charset="UTF-8"`))
)

// For people who read replies: beside its fields, an error tells its message. Typed clients have it anyway.
const sentence = (error: unknown) =>
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
  Readable,
  (error) =>
    error.kind === "Body" || error.kind === "ResponseHeaders"
      ? Effect.die(error.cause)
      : Effect.fail(new InvalidRequest({ problems: problemsOf(error.cause.issue) }))
)

/** Every problem of a path, a query or a header. A reply of ours that does not fit is a mistake of ours. */
export const layerReadable: Layer.Layer<Readable> = Layer.effect(
  Readable,
  Effect.map(Readable, (gate) => Readable.of((answer, options) => Effect.tapError(gate(answer, options), sentence)))
).pipe(Layer.provide(layerProblems))

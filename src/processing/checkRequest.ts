/**
 * Checks the request of a program, whose types promise more than its values keep.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { InvalidProcessing } from "./InvalidProcessing.ts"
import type { Limits } from "./Limits.ts"
import { accepted, Img2Img, type Processing, Txt2Img } from "./Processing.ts"

/**
 * The request that a program made, if it is one: a program without types can pass any value, and a spread of a request
 * can hold any. Fails with an `InvalidProcessing` that holds every problem, as `decode` does. Every run begins with
 * this, without a span of its own.
 */
export const checkRequest = Effect.fnUntraced(function*(value: unknown, limits: Limits) {
  if (!isRequest(value)) {
    const message = "it is not a complete request; create one with Txt2Img.make({ ... }) or Img2Img.make({ ... })"
    return yield* new InvalidProcessing({ problems: [{ path: "processing", message }] })
  }
  return yield* accepted(value, yield* Effect.result(checkEither(value)), { limits, others: [], broken: [] })
})

const isRequest = (value: unknown): value is Pick<Processing, "_tag"> =>
  Predicate.hasProperty(value, "_tag") && (value._tag === "Txt2Img" || value._tag === "Img2Img") &&
  Predicate.hasProperty(value, "override_settings")

const checkTxt2Img = Schema.decodeUnknownEffect(Schema.toType(Txt2Img), { errors: "all" })
const checkImg2Img = Schema.decodeUnknownEffect(Schema.toType(Img2Img), { errors: "all" })

const checkEither = (value: Pick<Processing, "_tag">): Effect.Effect<Processing, Schema.SchemaError> =>
  value._tag === "Txt2Img" ? checkTxt2Img(value) : checkImg2Img(value)

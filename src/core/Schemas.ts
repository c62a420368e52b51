/**
 * Schema combinators that every schema of a request, setting or option uses.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A field with a default: for `make` when it is omitted, and for decoding when it is missing or null. */
export const withDefault = <S extends Schema.Top & Schema.WithoutConstructorDefault>(
  schema: S,
  value: S["~type.make.in"] & S["Type"]
) =>
  schema.pipe(
    Schema.withConstructorDefault(Effect.succeed(value)),
    Schema.withDecodingDefaultType(Effect.succeed(value))
  )

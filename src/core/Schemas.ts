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

/**
 * A struct with a type that is written out. The type that a struct infers is a mapped type, whose fields have no
 * comments in an editor.
 */
export interface NamedStruct<
  Fields extends Schema.Struct.Fields,
  Type extends Schema.Struct.Type<Fields>,
  Input extends Schema.Struct.MakeIn<Fields>
> extends Schema.Struct<Fields> {
  readonly Type: Type
  readonly "~type.make.in": Input
  readonly "~type.make": Input
}

/**
 * Request fields as stable-diffusion-webui reads them (pydantic 1): a number may come as text, a flag as a word.
 *
 * Each kind takes whatever pydantic takes and refuses the rest in its words. Floats are kept as `Float`, so that a reply
 * shows them as the webui does.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import { type Detail, problem, Unprocessable } from "./ApiError.ts"
import { Float } from "./PythonJson.ts"

const integerText = /^\s*[+-]?\d+(?:_\d+)*\s*$/
const floatText = /^\s*[+-]?(?:(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+)?|inf|infinity|nan)\s*$/i

/** A whole number: `3`, `"3"`, `3.0`, `1.5` (cut), `true`. */
export const readInt = (value: unknown): number | undefined => {
  if (typeof value === "boolean") return Number(value)
  if (typeof value === "string" && !integerText.test(value)) return undefined
  const number = typeof value === "string" ? Number(value.replaceAll("_", "")) : value
  return typeof number === "number" && Number.isFinite(number) ? Math.trunc(number) + 0 : undefined
}

/** A number, or a text that Python's `float` reads. */
export const readFloat = (value: unknown): number | undefined => {
  if (typeof value === "boolean") return Number(value)
  if (typeof value === "number") return value
  if (typeof value !== "string" || !floatText.test(value)) return undefined
  const text = value.trim().replaceAll("_", "").toLowerCase()
  const named = /^([+-]?)(inf|infinity|nan)$/.exec(text)
  if (named === null) return Number(text)
  return named[2] === "nan" ? NaN : named[1] === "-" ? -Infinity : Infinity
}

/** A text, or a number as its text. */
export const readText = (value: unknown): string | undefined => {
  if (typeof value === "string") return value
  if (typeof value === "boolean") return value ? "True" : "False"
  return typeof value === "number" ? String(value) : undefined
}

const words = new Map([
  ...["1", "on", "t", "true", "y", "yes"].map((word) => [word, true] as const),
  ...["0", "off", "f", "false", "n", "no"].map((word) => [word, false] as const)
])

/** A flag, 0 or 1, or a word for it. */
export const readFlag = (value: unknown): boolean | undefined => {
  if (typeof value === "boolean") return value
  if (value === 0 || value === 1) return value === 1
  return typeof value === "string" ? words.get(value.toLowerCase()) : undefined
}

/** An object, or a list of pairs. */
export const readDict = (value: unknown): Readonly<Record<string, unknown>> | undefined => {
  if (!Array.isArray(value)) return Predicate.isObject(value) ? { ...value } : undefined
  const pairs = value.flatMap((pair): ReadonlyArray<readonly [string, unknown]> =>
    Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string" ? [[pair[0], pair[1]]] : []
  )
  return pairs.length === value.length ? Object.fromEntries(pairs) : undefined
}

const readList = (value: unknown): ReadonlyArray<unknown> | undefined => Array.isArray(value) ? value : undefined

const noNull = "none is not an allowed value"

type Pure = Schema.Top & { readonly DecodingServices: never; readonly EncodingServices: never }

// A field as it is read, and the same one that also takes null and gives it. `read` gives undefined for what it refuses.
const kind = <S extends Pure>(type: S, message: string, read: (value: unknown) => S["Encoded"] | undefined) => {
  const refuse = (message: string, value: unknown, options: SchemaAST.ParseOptions) =>
    Effect.fail(new SchemaIssue.InvalidValue({ message }, value, options))
  const encode = SchemaGetter.transform((value: S["Encoded"] | null): unknown => value)
  return {
    required: Schema.Unknown.pipe(Schema.decodeTo(type, {
      decode: SchemaGetter.transformEffect((value: unknown, options) => {
        if (value === null) return refuse(noNull, value, options)
        const given = read(value)
        return given === undefined ? refuse(message, value, options) : Effect.succeed(given)
      }),
      encode
    })),
    nullable: Schema.Unknown.pipe(Schema.decodeTo(Schema.NullOr(type), {
      decode: SchemaGetter.transformEffect((value: unknown, options) => {
        const given = value === null ? null : read(value)
        return given === undefined ? refuse(message, value, options) : Effect.succeed(given)
      }),
      encode
    }))
  }
}

const messages = {
  int: "value is not a valid integer",
  float: "value is not a valid float",
  text: "str type expected",
  flag: "value could not be parsed to a boolean",
  list: "value is not a valid list",
  dict: "value is not a valid dict"
} as const

/** A number, marked as a float. */
const readMarked = (value: unknown): Float | undefined => {
  const number = readFloat(value)
  return number === undefined ? undefined : new Float(number)
}

export const Int = kind(Schema.Finite, messages.int, readInt)
export const FloatNumber = kind(Schema.instanceOf(Float), messages.float, readMarked)
export const Text = kind(Schema.String, messages.text, readText)
export const Flag = kind(Schema.Boolean, messages.flag, readFlag)
export const List = kind(Schema.Array(Schema.Unknown), messages.list, readList)
export const Texts = kind(Schema.Array(Text.required), messages.list, readList)
export const Dict = kind(Schema.Record(Schema.String, Schema.Unknown), messages.dict, readDict)

/** What a field is when it is not given. */
export const otherwise = <S extends Pure>(schema: S, value: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultType(Effect.succeed(value)))

/** A field within bounds, in pydantic's words. */
export const bounded = <S extends Pure & { readonly Type: number | Float }>(
  schema: S,
  bounds: { readonly gt?: number; readonly ge?: number; readonly le?: number }
) =>
  schema.check(Schema.makeFilter((field: number | Float) => {
    const value = typeof field === "number" ? field : field.value
    if (bounds.gt !== undefined && !(value > bounds.gt)) return `ensure this value is greater than ${bounds.gt}`
    if (bounds.ge !== undefined && !(value >= bounds.ge)) {
      return `ensure this value is greater than or equal to ${bounds.ge}`
    }
    return bounds.le === undefined || value <= bounds.le || `ensure this value is less than or equal to ${bounds.le}`
  }))

/** One of some numbers. */
export const oneOf = (...permitted: ReadonlyArray<number>) =>
  Schema.Unknown.pipe(Schema.decodeTo(Schema.Finite, {
    decode: SchemaGetter.transformEffect((value: unknown, options) =>
      typeof value === "number" && permitted.includes(value)
        ? Effect.succeed(value)
        : Effect.fail(
          new SchemaIssue.InvalidValue(
            { message: `unexpected value; permitted: ${permitted.join(", ")}` },
            value,
            options
          )
        )
    ),
    encode: SchemaGetter.transform((value: number): unknown => value)
  }))

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const types: Readonly<Record<string, string>> = {
  [messages.int]: "type_error.integer",
  [messages.float]: "type_error.float",
  [messages.text]: "type_error.str",
  [messages.flag]: "type_error.bool",
  [messages.list]: "type_error.list",
  [messages.dict]: "type_error.dict",
  [noNull]: "type_error.none.not_allowed",
  "field required": "value_error.missing"
}

const bounds: ReadonlyArray<readonly [RegExp, string]> = [
  [/^ensure this value is greater than or equal to (\S+)$/, "not_ge"],
  [/^ensure this value is greater than (\S+)$/, "not_gt"],
  [/^ensure this value is less than or equal to (\S+)$/, "not_le"]
]

const at = (value: unknown, path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (inner, key) => Predicate.isObject(inner) || Array.isArray(inner) ? Reflect.get(inner, key) : undefined,
    value
  )

// The type of a problem, and what it is about, follow from its words.
const explain = (msg: string, given: unknown): Pick<Detail, "type" | "ctx"> => {
  for (const [pattern, name] of bounds) {
    const limit = pattern.exec(msg)?.[1]
    if (limit !== undefined) return { type: `value_error.number.${name}`, ctx: { limit_value: Number(limit) } }
  }
  const permitted = /^unexpected value; permitted: (.*)$/.exec(msg)?.[1]
  if (permitted !== undefined) {
    return { type: "value_error.const", ctx: { given, permitted: permitted.split(", ").map(Number) } }
  }
  return { type: types[msg] ?? "value_error" }
}

/** One problem of a value that came with a request. */
const detailOf = (within: string, body: unknown, { message, path }: {
  readonly message: string
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
}): Detail => {
  const loc = (path ?? []).map((segment) => {
    const key = typeof segment === "object" ? segment.key : segment
    return typeof key === "number" ? key : String(key)
  })
  const msg = message === "Missing key" ? "field required" : message
  return { loc: [within, ...loc], msg, ...explain(msg, at(body, loc)) }
}

/** Reads a request's body, or its query, with every problem named. */
export const decoder = <S extends Schema.Codec<unknown, unknown>>(schema: S, within: "body" | "query" = "body") => {
  const decode = Schema.decodeUnknownEffect(schema, { errors: "all" })
  return (body: unknown): Effect.Effect<S["Type"], Unprocessable> => {
    if (body === undefined || body === null) {
      return Effect.fail(problem([within], "field required", "value_error.missing"))
    }
    const fields = readDict(body)
    if (fields === undefined) return Effect.fail(problem([within], messages.dict, "type_error.dict"))
    return Effect.mapError(
      decode(fields),
      ({ issue }) =>
        new Unprocessable({ detail: formatIssue(issue).issues.map((issue) => detailOf(within, fields, issue)) })
    )
  }
}

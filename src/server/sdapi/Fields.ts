/**
 * Request fields as stable-diffusion-webui reads them (pydantic 1): a number may come as text, a flag as a word.
 *
 * Each kind accepts what pydantic accepts and refuses the rest in its words. Floats are kept as `Float`, so that a
 * reply shows them as the webui does.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Seed from "../../core/Seed.ts"
import { type Detail, Unprocessable } from "./ApiError.ts"
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

/** A seed: a whole number of any size, as Python has them. */
const readSeed = (value: unknown): Seed.Seed | undefined => {
  if (typeof value === "bigint") return value
  if (typeof value === "string" && integerText.test(value)) return Seed.fromText(value.replaceAll("_", ""))
  const whole = readInt(value)
  return whole === undefined ? undefined : Seed.of(BigInt(whole))
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

/** Why pydantic refuses a value: its message, its name for the error, and the values that the message is about. */
class Fault {
  readonly msg: string
  readonly type: string
  readonly ctx: Detail["ctx"]
  constructor(msg: string, type: string, ctx?: Detail["ctx"]) {
    this.msg = msg
    this.type = type
    this.ctx = ctx
  }
}

const missing = new Fault("field required", "value_error.missing")
const notNull = new Fault("none is not an allowed value", "type_error.none.not_allowed")
const notInt = new Fault("value is not a valid integer", "type_error.integer")
const notFloat = new Fault("value is not a valid float", "type_error.float")
const notText = new Fault("str type expected", "type_error.str")
const notFlag = new Fault("value could not be parsed to a boolean", "type_error.bool")
const notList = new Fault("value is not a valid list", "type_error.list")
const notDict = new Fault("value is not a valid dict", "type_error.dict")

// The message serves other readers of the issue, the fault serves `faultsOf`.
const refused = (fault: Fault, value: unknown, options?: SchemaAST.ParseOptions) =>
  new SchemaIssue.InvalidValue({ message: fault.msg, fault }, value, options)

type Pure = Schema.Top & { readonly DecodingServices: never; readonly EncodingServices: never }

// A field as it is read, and the same field that also accepts null. `read` returns undefined for what it refuses.
const kind = <S extends Pure>(type: S, fault: Fault, read: (value: unknown) => S["Encoded"] | undefined) => {
  const encode = SchemaGetter.transform((value: S["Encoded"] | null): unknown => value)
  return {
    required: Schema.Unknown.pipe(Schema.decodeTo(type, {
      decode: SchemaGetter.transformEffect((value: unknown, options) => {
        if (value === null) return Effect.fail(refused(notNull, value, options))
        const given = read(value)
        return given === undefined ? Effect.fail(refused(fault, value, options)) : Effect.succeed(given)
      }),
      encode
    })),
    nullable: Schema.Unknown.pipe(Schema.decodeTo(Schema.NullOr(type), {
      decode: SchemaGetter.transformEffect((value: unknown, options) => {
        const given = value === null ? null : read(value)
        return given === undefined ? Effect.fail(refused(fault, value, options)) : Effect.succeed(given)
      }),
      encode
    }))
  }
}

/** A number, marked as a float. */
const readMarked = (value: unknown): Float | undefined => {
  const number = readFloat(value)
  return number === undefined ? undefined : new Float(number)
}

export const Int = kind(Schema.Finite, notInt, readInt)
export const SeedNumber = kind(Schema.Union([Schema.Finite, Schema.BigInt]), notInt, readSeed)
export const FloatNumber = kind(Schema.instanceOf(Float), notFloat, readMarked)
export const Text = kind(Schema.String, notText, readText)
/** An image: base64 or a URL, or the bytes that a long text was read as. */
export const ImageText = kind(
  Schema.Union([Schema.String, Schema.instanceOf(globalThis.Uint8Array<ArrayBufferLike>)]),
  notText,
  (value) => value instanceof Uint8Array ? value : readText(value)
)
export const Flag = kind(Schema.Boolean, notFlag, readFlag)
export const List = kind(Schema.Array(Schema.Unknown), notList, readList)
export const Texts = kind(Schema.Array(Text.required), notList, readList)
export const ImageTexts = kind(Schema.Array(ImageText.required), notList, readList)
export const Dict = kind(Schema.Record(Schema.String, Schema.Unknown), notDict, readDict)

/** A field with a default. */
export const otherwise = <S extends Pure>(schema: S, value: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultType(Effect.succeed(value)))

/** A field within bounds. */
export const bounded = <S extends Pure & { readonly Type: number | Float }>(
  schema: S,
  { ge, gt, le }: { readonly gt?: number; readonly ge?: number; readonly le?: number }
) =>
  schema.check(Schema.makeFilter((field: number | Float) => {
    const value = typeof field === "number" ? field : field.value
    const beyond = (words: string, name: string, limit: number) =>
      refused(
        new Fault(`ensure this value is ${words} ${limit}`, `value_error.number.${name}`, { limit_value: limit }),
        value
      )
    if (gt !== undefined && !(value > gt)) return beyond("greater than", "not_gt", gt)
    if (ge !== undefined && !(value >= ge)) return beyond("greater than or equal to", "not_ge", ge)
    return le === undefined || value <= le || beyond("less than or equal to", "not_le", le)
  }))

/** One of some numbers. */
export const oneOf = (...permitted: ReadonlyArray<number>) =>
  Schema.Unknown.pipe(Schema.decodeTo(Schema.Finite, {
    decode: SchemaGetter.transformEffect((value: unknown, options) =>
      typeof value === "number" && permitted.includes(value)
        ? Effect.succeed(value)
        : Effect.fail(refused(
          new Fault(`unexpected value; permitted: ${permitted.join(", ")}`, "value_error.const", {
            given: value,
            permitted
          }),
          value,
          options
        ))
    ),
    encode: SchemaGetter.transform((value: number): unknown => value)
  }))

type Path = ReadonlyArray<PropertyKey>

// Every fault of a failed decoding with its place, in the order of the schema's formatters.
const faultsOf = (issue: SchemaIssue.Issue, path: Path = []): ReadonlyArray<readonly [Path, Fault]> => {
  switch (issue._tag) {
    case "Filter":
    case "Encoding":
      return faultsOf(issue.issue, path)
    case "Pointer":
      return faultsOf(issue.issue, [...path, ...issue.path])
    case "Composite":
      return issue.issues.flatMap((inner) => faultsOf(inner, path))
    case "MissingKey":
      return [[path, missing]]
    case "AnyOf":
      if (issue.issues.length > 0) return issue.issues.flatMap((inner) => faultsOf(inner, path))
      break
    case "InvalidValue": {
      const fault = issue.annotations?.["fault"]
      if (fault instanceof Fault) return [[path, fault]]
    }
  }
  return formatIssue(issue).issues.map(({ message }) => [path, new Fault(message, "value_error")])
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const detailOf = (loc: Detail["loc"], { ctx, msg, type }: Fault): Detail => ({
  loc,
  msg,
  type,
  ...(ctx !== undefined && { ctx })
})

/** Reads the body or the query of a request and reports every problem. */
export const decoder = <S extends Schema.Codec<unknown, unknown>>(schema: S, within: "body" | "query" = "body") => {
  const decode = Schema.decodeUnknownEffect(schema, { errors: "all" })
  const fail = (faults: ReadonlyArray<readonly [Path, Fault]>) =>
    new Unprocessable({
      detail: faults.map(([path, fault]) =>
        detailOf([within, ...path.map((key) => typeof key === "number" ? key : String(key))], fault)
      )
    })
  return (body: unknown): Effect.Effect<S["Type"], Unprocessable> => {
    if (body === undefined || body === null) return Effect.fail(fail([[[], missing]]))
    const fields = readDict(body)
    if (fields === undefined) return Effect.fail(fail([[[], notDict]]))
    return Effect.mapError(decode(fields), ({ issue }) => fail(faultsOf(issue)))
  }
}

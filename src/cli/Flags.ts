/**
 * Flags derived from described fields.
 *
 * A table holds the fields of a schema that have a flag, with their defaults as help shows them. A flag that was
 * omitted is absent from the result, so that a single decoding by the schema finds every problem.
 */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import { type Described, type Field, fieldsOf } from "../core/Field.ts"
import type { Problem } from "../core/Problem.ts"
import * as Seed from "../core/Seed.ts"

/** A field with a flag. */
export interface FlagField extends Field {
  readonly flag: string
  /** The value without the flag, as help shows it. */
  readonly shownDefault: string
  /** Whether a switch has a flag that turns it off; true unless false. */
  readonly isNegatable?: boolean
}

/** Fields with flags, by name. */
export type FlagTable = Readonly<Record<string, FlagField>>

/** Flags as parsed, by field name. */
export type Written = Readonly<Record<string, Option.Option<WrittenValue>>>

/** One value, or those of a flag that is given several times. */
type WrittenValue = string | boolean | ReadonlyArray<string>

/** The fields of a struct that have a flag, except some. */
export const tableOf = (
  struct: Described,
  defaults: object,
  except: ReadonlyArray<string> = []
): FlagTable =>
  Object.fromEntries(
    fieldsOf(struct).flatMap(([name, field]) =>
      field.flag === undefined || except.includes(name)
        ? []
        : [[name, { ...field, flag: field.flag, shownDefault: shown(field, Reflect.get(defaults, name)) }]]
    )
  )

const shown = ({ otherwise = "none", value }: Field, given: unknown): string => {
  if (given === undefined || given === null) return otherwise
  if (value === "switch") return given === true || given === 1 ? "on" : "off"
  if (Array.isArray(given)) return given.length === 0 ? "none" : given.join(",")
  return given === "" ? value === "text" ? "empty" : otherwise : String(given)
}

/** The flag of one field, which must have one. */
export const flagFieldOf = (struct: Described, name: string, defaults: object = {}): FlagField => {
  const found = tableOf(struct, defaults)[name]
  if (found === undefined) throw new Error(`the field ${name} has no flag`)
  return found
}

/** The help of a flag: its field's description, unit and default, and how a switch is turned off. */
export const helpOf = (field: FlagField): string => {
  const { description, example, flag, shownDefault, unit, value } = field
  const off = value === "switch" && field.isNegatable !== false ? `; --no-${flag} for off` : ""
  const before = [
    ...(unit === undefined ? [] : [unit]),
    ...(value === "parts" || value === "words" ? ["can be repeated"] : []),
    ...(example === undefined ? [] : [`such as ${example}`])
  ]
  return `${description.replace(/\.$/, "")} (${[...before, `default: ${shownDefault}${off}`].join("; ")})`
}

export const toFlag = (field: FlagField): Flag.Flag<Option.Option<WrittenValue>> => {
  const { flag, value = "text" } = field
  return value === "switch"
    ? Flag.Boolean(flag).pipe(Flag.withDescription(helpOf(field)), Flag.optional)
    : value === "folders"
    ? folders(field)
    : value === "folder"
    ? folder(field)
    : value === "parts"
    ? repeated(field, "<name=value,...>")
    : value === "words"
    ? repeated(field, "<text>")
    : Flag.String(flag).pipe(
      Flag.withMetavar(value === "seed" ? "<integer>" : `<${value}>`),
      Flag.withDescription(helpOf(field)),
      Flag.optional
    )
}

/** The flag of a field that takes a folder. */
export const folder = (field: FlagField): Flag.Flag<Option.Option<string>> =>
  Flag.Directory(field.flag).pipe(
    Flag.withMetavar("<folder>"),
    Flag.withDescription(helpOf(field)),
    Flag.optional
  )

/** The flag of a field that takes folders, one each time it is given. */
export const folders = (field: FlagField): Flag.Flag<Option.Option<ReadonlyArray<string>>> =>
  Flag.Directory(field.flag).pipe(
    Flag.withMetavar("<folder>"),
    Flag.withDescription(helpOf(field)),
    Flag.atLeast(0),
    Flag.map((given) => given.length === 0 ? Option.none() : Option.some(given))
  )

// The flag of a list, one item each time it is given.
const repeated = (field: FlagField, metavar: string): Flag.Flag<Option.Option<ReadonlyArray<string>>> =>
  Flag.String(field.flag).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(helpOf(field)),
    Flag.atLeast(0),
    Flag.map((given) => given.length === 0 ? Option.none() : Option.some(given))
  )

/** Flags of a table, by field name. */
export const toFlags = (table: FlagTable): Readonly<Record<string, Flag.Flag<Option.Option<WrittenValue>>>> =>
  Record.map(table, toFlag)

const isNumeric = ({ value }: FlagField): boolean => value === "integer" || value === "seed" || value === "number"

// A number of the flag; `undefined` for a text that is none. Seeds have digits that a `number` cannot hold, and any
// other number too large to be held is the largest: it is out of every range.
const toNumber = (field: FlagField, text: WrittenValue): number | bigint | undefined => {
  const seed = field.value === "seed" ? Seed.fromText(String(text)) : undefined
  const isText = String(text).trim() === "" || /infinity/i.test(String(text))
  const number = Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, isText ? Number.NaN : Number(text)))
  return seed ?? (Number.isFinite(number) ? number : undefined)
}

type FlagContent = string | number | bigint | boolean | ReadonlyArray<string>

/** The values of the given flags, without invalid numbers, which `notNumbers` reports. */
export const written = (
  flags: Written,
  table: FlagTable
): Readonly<Record<string, FlagContent>> =>
  Record.filterMap(flags, (value, name): Result.Result<FlagContent, void> => {
    const field = table[name]
    if (Option.isNone(value)) return Result.failVoid
    if (field?.value === "names") return Result.succeed(toNames(String(value.value)))
    if (field === undefined || !isNumeric(field)) return Result.succeed(value.value)
    const number = toNumber(field, value.value)
    return number === undefined ? Result.failVoid : Result.succeed(number)
  })

/** The items of a comma-separated list. */
export const toNames = (text: string): ReadonlyArray<string> =>
  text.split(",").map((name) => name.trim()).filter((name) => name !== "")

/** Flags whose values should be numbers and are not. */
export const notNumbers = (flags: Written, table: FlagTable): ReadonlyArray<Problem> =>
  Object.entries(flags).flatMap(([path, text]) => {
    const field = table[path]
    return field !== undefined && isNumeric(field) && Option.isSome(text) && toNumber(field, text.value) === undefined
      ? [{ path, message: `${JSON.stringify(text.value)} is not a number` }]
      : []
  })

/** A problem by its flag instead of its field. */
export const byFlag = (table: FlagTable) => ({ message, path }: Problem): Problem => {
  const field = table[path] ?? table[path.split(".")[0] ?? ""]
  return { path: field === undefined ? path : `--${field.flag}`, message }
}

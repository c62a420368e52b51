/**
 * Flags from tables: a table has a field's name, and how its flag is called, what it takes, and what it means.
 *
 * A flag carries what was written and one that was left out is not there at all, so that a single decoding by the schema
 * finds every problem.
 */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"

export interface Description {
  readonly flag: string
  /** A `switch` is on when it is there, and off with `no-` before its name; `names` are separated by commas. */
  readonly value: "text" | "name" | "names" | "folder" | "file" | "url" | "integer" | "number" | "switch"
  readonly about: string
  /** What holds without the flag. */
  readonly otherwise: string | number | boolean
}

export type Descriptions = Readonly<Record<string, Description>>

/** Flags of a table, by the fields' names. */
export type Written = Readonly<Record<string, Option.Option<string | boolean>>>

export const toFlag = (
  { about, flag, otherwise, value }: Description
): Flag.Flag<Option.Option<string | boolean>> => {
  const text = `${about} (default: ${typeof otherwise === "boolean" ? otherwise ? "on" : "off" : otherwise})`
  return value === "switch"
    ? Flag.Boolean(flag).pipe(Flag.withDescription(text), Flag.optional)
    : (value === "folder" ? Flag.Directory(flag) : Flag.String(flag)).pipe(
      Flag.withMetavar(`<${value}>`),
      Flag.withDescription(text),
      Flag.optional
    )
}

const isNumeric = (description: Description | undefined): boolean =>
  description?.value === "integer" || description?.value === "number"

const toNumber = (text: string | boolean): number => String(text).trim() === "" ? NaN : Number(text)

/** What the flags that were written say. Those that should be numbers and are not are left to `notNumbers`. */
export const written = (
  flags: Written,
  descriptions: Descriptions
): Readonly<Record<string, string | number | boolean | ReadonlyArray<string>>> =>
  Record.filterMap(
    flags,
    (value, field): Result.Result<string | number | boolean | ReadonlyArray<string>, void> => {
      if (Option.isNone(value)) return Result.failVoid
      if (descriptions[field]?.value === "names") return Result.succeed(toNames(String(value.value)))
      if (!isNumeric(descriptions[field])) return Result.succeed(value.value)
      const number = toNumber(value.value)
      return Number.isFinite(number) ? Result.succeed(number) : Result.failVoid
    }
  )

const toNames = (text: string): ReadonlyArray<string> =>
  text.split(",").map((name) => name.trim()).filter((name) => name !== "")

export const notNumbers = (flags: Written, descriptions: Descriptions): ReadonlyArray<Problem> =>
  Object.entries(flags).flatMap(([path, text]) =>
    isNumeric(descriptions[path]) && Option.isSome(text) && !Number.isFinite(toNumber(text.value))
      ? [{ path, message: `${JSON.stringify(text.value)} is not a number` }]
      : []
  )

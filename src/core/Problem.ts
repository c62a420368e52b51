/**
 * What is wrong with an input, as data.
 *
 * A problem names the place in the input (`steps`, `override_settings.samples_save`) and says what is wrong there.
 * Errors that refuse an input hold a list of them, so that every problem is reported at once.
 */
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import { makeFormatterStandardSchemaV1 } from "effect/SchemaIssue"
import { proposer } from "./Text.ts"

/** One thing that is wrong with an input: where (`steps`, `override_settings.samples_save`), and what. */
export const Problem = Schema.Struct({ path: Schema.String, message: Schema.String })
export type Problem = typeof Problem.Type

/** Problems as one phrase, for an error's message. A problem of the input itself has no path. */
export const listed = (problems: ReadonlyArray<Problem>): string =>
  problems.map(({ message, path }) => path === "" ? message : `${path}: ${message}`).join("; ")

/**
 * An error's message: problems of the input itself say why, problems of its places what to correct.
 *
 * `refusal("The request cannot be processed", problems)` is "The request cannot be processed. Correct steps: ..." for a
 * problem with a path, and "The request cannot be processed: ..." for one without.
 */
export const refusal = (what: string, problems: ReadonlyArray<Problem>): string => {
  const reasons = problems.filter(({ path }) => path === "")
  const places = problems.filter(({ path }) => path !== "")
  return `${what}${reasons.length === 0 ? "." : `: ${sentence(listed(reasons))}`}${
    places.length === 0 ? "" : ` Correct ${sentence(listed(places))}`
  }`
}

/** A phrase with a full stop, unless it ends like a sentence already. */
export const sentence = (phrase: string): string => /[.?!]$/.test(phrase) ? phrase : `${phrase}.`

/** Most unknown names that are listed. */
const most = 20

/**
 * Names of an object that are none of the known ones, each with the nearest known one.
 *
 * `what` is what they would name: `field`. `other` says more about a name, if it knows it.
 */
export const unknownNames = (given: object, about: {
  readonly what: string
  readonly known: ReadonlyArray<string>
  readonly within?: string
  readonly other?: (name: string) => string | undefined
}): ReadonlyArray<Problem> => {
  const { known, other = () => undefined, what, within = "" } = about
  const isKnown = new Set(known)
  const unknown = Object.keys(given).filter((name) => !isKnown.has(name) && Reflect.get(given, name) !== undefined)
  const propose = proposer(known)
  return [
    ...unknown.slice(0, most).map((name): Problem => {
      const near = propose(name)
      const hint = other(name) ?? (near === undefined ? undefined : `did you mean "${near}"?`)
      return {
        path: `${within}${name.slice(0, 80)}`,
        message: `no ${what} has this name${hint === undefined ? "" : `; ${hint}`}`
      }
    }),
    ...(unknown.length > most
      ? [{ path: "", message: `${unknown.length - most} more names of ${what}s are unknown` }]
      : [])
  ]
}

const formatIssue = makeFormatterStandardSchemaV1()

/** Every problem of a failed decoding, in the order of the input's keys. */
export const problemsOf = (issue: SchemaIssue.Issue): ReadonlyArray<Problem> =>
  formatIssue(issue).issues.map(({ message, path }) => ({
    path: (path ?? []).map((segment) => String(typeof segment === "object" ? segment.key : segment)).join("."),
    message
  }))

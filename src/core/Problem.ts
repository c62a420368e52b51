/**
 * What is wrong with an input, as data.
 *
 * A problem names the place in the input (`steps`, `override_settings.samples_save`) and says what is wrong there.
 * Errors that refuse an input hold a list of them, so that every problem is reported at once.
 */
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import { makeFormatterStandardSchemaV1 } from "effect/SchemaIssue"

/** One thing that is wrong with an input: where (`steps`, `override_settings.samples_save`), and what. */
export const Problem = Schema.Struct({ path: Schema.String, message: Schema.String })
export type Problem = typeof Problem.Type

/** Problems as one phrase, for an error's message. */
export const listed = (problems: ReadonlyArray<Problem>): string =>
  problems.map(({ message, path }) => `${path === "" ? "the whole" : path}: ${message}`).join("; ")

const formatIssue = makeFormatterStandardSchemaV1()

/** Every problem of a failed decoding, in the order of the input's keys. */
export const problemsOf = (issue: SchemaIssue.Issue): ReadonlyArray<Problem> =>
  formatIssue(issue).issues.map(({ message, path }) => ({
    path: (path ?? []).map((segment) => String(typeof segment === "object" ? segment.key : segment)).join("."),
    message
  }))

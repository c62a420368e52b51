/**
 * A request that cannot be processed.
 */
import * as Schema from "effect/Schema"
import { listed, Problem } from "../core/Problem.ts"
import { readableError } from "../core/readableError.ts"

/** The request itself is not one that can be made: wrong types, missing fields, values out of bounds. */
export class InvalidProcessing extends Schema.TaggedError<InvalidProcessing>()("InvalidProcessing", {
  problems: Schema.Array(Problem)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The request cannot be processed. Correct ${listed(this.problems)}.`
  }
}

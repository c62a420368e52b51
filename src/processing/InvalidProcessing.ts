/**
 * A request that cannot be processed.
 */
import * as Schema from "effect/Schema"
import { Problem, refusal } from "../core/Problem.ts"
import { readableError } from "../core/readableError.ts"

/** The request is invalid: wrong types, missing fields, or values out of bounds. */
export class InvalidProcessing extends Schema.TaggedError<InvalidProcessing>()("InvalidProcessing", {
  problems: Schema.Array(Problem)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return refusal("The request cannot be processed", this.problems)
  }
}

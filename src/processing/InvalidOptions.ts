/** Settings that cannot be used. */
import * as Schema from "effect/Schema"
import { Problem, refusal } from "../core/Problem.ts"
import { readableError } from "../core/readableError.ts"

/** Invalid settings: from a file, a flag, or `override_settings`. */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>()("InvalidOptions", {
  problems: Schema.Array(Problem)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return refusal("The options cannot be used", this.problems)
  }
}

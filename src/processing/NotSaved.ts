import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"

/** A change of styles or presets that could not be saved, so nothing changed. */
export class NotSaved extends Schema.TaggedError<NotSaved>()("NotSaved", {
  what: Schema.Literals(["styles", "presets"]),
  /** Name of the file, without its folder. */
  file: Schema.String,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The ${this.what} were not saved in ${this.file}: ${this.reason}. Correct that and try again.`
  }
}

/**
 * Why a tool could not do what it was asked for.
 */
import * as Schema from "effect/Schema"
import { readableError } from "../../core/readableError.ts"

/** Its message is what the client, and its model, read. */
export class ToolError extends Schema.TaggedError<ToolError>()("ToolError", {
  /** A sentence that says what to do. */
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return this.reason
  }
}

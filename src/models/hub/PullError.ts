/**
 * Why a model could not be fetched.
 */
import * as Schema from "effect/Schema"
import { readableError } from "../../core/readableError.ts"

/** A download that failed. What arrived stays for the next try, unless the reason says otherwise. */
export class PullError extends Schema.TaggedError<PullError>()("PullError", {
  /** What was asked for: a repository, a file of one, or an address without its query. */
  subject: Schema.String,
  /** What happened and what to do. */
  reason: Schema.String,
  /** Whether the same request may succeed a moment later: a dropped connection, a busy server. */
  isTemporary: Schema.Boolean
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `${this.subject}: ${this.reason}`
  }
}

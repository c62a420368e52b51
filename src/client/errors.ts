/**
 * Errors of the connection to a server. Errors that the server reports are in the contract.
 */
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"

/** The server could not be reached, or the connection was lost. */
export class ConnectionError extends Schema.TaggedError<ConnectionError>()("ConnectionError", {
  url: Schema.String,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The server at ${this.url} does not answer: ${this.reason}. Check the address and that the server is running.`
  }
}

/** A reply that does not fit the contract: from another program, a proxy, or another version. */
export class UnexpectedReply extends Schema.TaggedError<UnexpectedReply>()("UnexpectedReply", {
  url: Schema.String,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The reply of ${this.url} does not fit Serena's API: ${this.reason}. Check the address and that client and server have the same version.`
  }
}
